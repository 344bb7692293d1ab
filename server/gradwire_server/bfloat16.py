"""Calls on bfloat16 tensors: computed in float32 and rounded once, without the kernels' knowledge.

A kernel is given a signature in which float32 stands for bfloat16, and inputs widened so; what it returns or writes is
rounded to the nearest bfloat16. PyTorch's kernels do the same within one op. numpy's own loops over ml_dtypes' bfloat16
are slow, and its BLAS, FFT and linear algebra have none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradwire_protocol.dtypes import DType, bfloat16, float32
from gradwire_protocol.meta import Meta
from gradwire_protocol.signature import Signature

__all__ = ["involves_bfloat16", "rounded", "widened_signature"]

Runner = Callable[[Sequence[Any], Sequence[Any]], Any]

# They draw as many random bits as a bfloat16 holds: a float32 below 1 could be rounded up to it.
_SPEAK_BFLOAT16 = frozenset(("gw::uniform", "gw::uniform_"))


def involves_bfloat16(signature: Signature) -> bool:
    """Return whether a call has to be widened: a view has no arithmetic, and some kernels speak bfloat16."""
    if signature.op.is_view or signature.op.name in _SPEAK_BFLOAT16:
        return False
    metas = (*signature.metas, *signature.outputs)
    return bfloat16 in signature.statics or any(meta is not None and meta.dtype is bfloat16 for meta in metas)


def widened_signature(signature: Signature) -> Signature:
    """Return the same call of float32 tensors. Its outputs are not inferred anew: only bfloat16 ones change."""
    wide = Signature()
    for name in Signature.__slots__:
        setattr(wide, name, getattr(signature, name))
    wide.metas = tuple([_widened_meta(meta) for meta in signature.metas])
    wide.outputs = tuple([meta for output in signature.outputs if (meta := _widened_meta(output)) is not None])
    wide.statics = tuple([float32 if static is bfloat16 else static for static in signature.statics])
    wide.default = _wide(signature.default)
    return wide


def _wide(dtype: DType) -> DType:
    return float32 if dtype is bfloat16 else dtype


def _widened_meta(meta: Meta | None) -> Meta | None:
    return meta if meta is None else Meta.strided(meta.shape, _wide(meta.dtype), meta.strides)


def rounded(signature: Signature, runner: Runner) -> Runner:
    """Return a runner that widens for `runner`, which was made of the widened signature, and rounds after it."""
    wide, narrow = float32.numpy, bfloat16.numpy
    inputs = frozenset(
        index for index, meta in enumerate(signature.metas) if meta is not None and meta.dtype is bfloat16
    )
    outputs = tuple([meta.dtype is bfloat16 for meta in signature.outputs])
    written = tuple([index for index in signature.written if index in inputs])

    def run(data: Sequence[Any], scalars: Sequence[Any]) -> Any:
        given = [array.astype(wide) if index in inputs else array for index, array in enumerate(data)]
        results = runner(given, scalars)
        for index in written:
            data[index][...] = given[index].astype(narrow)
        if results is None or not any(outputs):
            return results
        return tuple(
            [result.astype(narrow) if narrows else result for result, narrows in zip(results, outputs, strict=True)]
        )

    return run
