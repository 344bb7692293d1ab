"""Fusions of one step, made of the sample calls of ops: for the suites that compile them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gradwire_protocol.dtypes import float32
from gradwire_protocol.ops import OPS
from gradwire_protocol.signature import resolve
from gradwire_server.programs.fusion import Fusion, Layout, kind_of
from gradwire_server.programs.plan import takes_out
from gradwire_server.programs.values import Step, Value
from tests.ops.samples import SAMPLES
from tests.ops.support import call, cases, describe, engine_on, host, is_array, put

__all__ = ["sampled_fusions", "single_step"]


def single_step(signature: Any, numbers: tuple[Any, ...], backend: Any) -> Fusion | None:
    """Return a fusion of one step, None where it is none."""
    values = [None if meta is None else Value(number, meta) for number, meta in enumerate(signature.metas)]
    made = Value(len(values), signature.outputs[0])
    step = Step(signature, tuple(values), numbers, (made,))
    like = made.meta
    if not like.numel or not takes_out(step, backend):
        return None
    if any(value is not None and kind_of(value.meta, like) is None for value in values):
        return None
    columns = like.shape[-1] if like.shape else 1
    inputs = tuple(dict.fromkeys(value for value in values if value is not None))
    return Fusion([step], Layout(like.numel // columns, columns), inputs, (made,))


def sampled_fusions(
    name: str, dtype: str, change: Callable[[Any], Any] | None = None
) -> Iterator[tuple[str, Fusion, list[Any], Any]]:
    """Yield the sample calls of an op that can be fused, with their arrays and results; `change` may put other values in."""
    op, engine = OPS[name], engine_on("cpu")
    for number, case in enumerate(cases(SAMPLES[name])):
        given = [value.astype(dtype) if is_array(value) and value.dtype.kind == "f" else value for value in case.args]
        if change is not None:
            given = [change(value) if is_array(value) and value.dtype.kind == "f" else value for value in given]
        args, kwargs = [put(engine, value) for value in given], {k: put(engine, v) for k, v in case.kwargs.items()}
        tensors, statics, scalars, lengths = op.split(op.bind(args, kwargs))
        metas = tuple(None if tensor is None else tensor.meta for tensor in tensors)
        signature = resolve(op, metas, statics, tuple(map(type, scalars)), lengths, 0, float32)
        fusion = single_step(signature, scalars, engine.backend)
        if fusion is not None:
            arrays = [tensor.data for tensor in tensors if tensor is not None]
            yield describe(op, number, case), fusion, arrays, host(call(engine, op, args, kwargs))
