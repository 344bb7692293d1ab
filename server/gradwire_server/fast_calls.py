"""Prepared calls: what a session runs for the plain calls that make up nearly all of a stream of small ones.

One look-up in the signature gives a function that takes the handles' arrays, checks that they are what the signature says,
runs the kernel and wraps its result. Whatever is unusual - a poisoned or missing handle, an error, numbers that vary, views,
writes, several results - it leaves to `Session`, by returning None before anything changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gradwire_protocol.registry import Op
from gradwire_protocol.signature import Signature
from gradwire_protocol.tape import record
from gradwire_server.arranging import arranger
from gradwire_server.bfloat16 import involves_bfloat16
from gradwire_server.engine import Array, Engine, direct_numbers
from gradwire_server.rules import kernel_for

__all__ = ["FastCall", "fast_call", "is_plain", "kernel_function"]

# (entries, handles of the batch, where this call's begin) -> the result, or None for the long way.
FastCall = Callable[[Mapping[int, Any], Sequence[int], int], Array | None]


def fast_call(engine: Engine, signature: Signature) -> FastCall | None:
    """Return the prepared call of a signature, None if it has none."""
    op = signature.op
    plain = not (op.writes or op.is_control or signature.returns_list)
    known = signature.usual or not signature.kinds
    if not plain or not known or len(signature.outputs) != 1 or None in signature.metas:
        return None
    make = {1: _one, 2: _two}.get(len(signature.metas), _several)
    return make(engine, signature, kernel_function(engine, signature, op.usual if signature.usual else ()))


def kernel_function(engine: Engine, signature: Signature, numbers: Sequence[Any]) -> Callable[..., Any]:
    """Return the kernel of a call with these numbers as a function of its arrays alone.

    It returns what the kernel does: the one result, or a sequence of them where there may be more, and of views.
    """
    op, xp = signature.op, engine.backend.xp
    found, direct = kernel_for(op, engine.backend.name), direct_numbers(signature, numbers, xp)
    if found is not None and direct is not None and not signature.statics:
        name = _SUMS[op.name] if _is_sum(op, direct) else found.ufunc
        function = getattr(xp, name) if name else partial(found.function, xp)
        if not direct or _is_sum(op, direct):
            return function
        arrange = arranger(signature)
        return lambda *data: function(*arrange(data, direct))
    runner = signature.kernel or engine.prepare(signature)
    if op.writes or op.is_view or signature.returns_list or len(signature.outputs) != 1:
        return lambda *data: runner(data, numbers)
    return lambda *data: runner(data, numbers)[0]


# With the usual alpha of 1 these are single ufuncs.
_SUMS = {"add.Tensor": "add", "sub.Tensor": "subtract"}


def _is_sum(op: Op, numbers: Sequence[Any]) -> bool:
    return op.name in _SUMS and len(numbers) == 1 and numbers[0] == 1


def is_plain(engine: Engine, signature: Signature, numbers: Sequence[Any]) -> bool:
    """Return whether a kernel is one ufunc of contiguous arrays of one shape, whose result can be nothing else."""
    found, output = kernel_for(signature.op, engine.backend.name), signature.outputs[0]
    is_ufunc = found is not None and (bool(found.ufunc) or _is_sum(signature.op, numbers))
    return is_ufunc and output.ndim > 0 and not involves_bfloat16(signature) and all(
        meta is not None and meta.is_contiguous and meta.shape == output.shape for meta in signature.metas
    )  # fmt: skip


def _wrapper(engine: Engine, signature: Signature) -> Callable[[Any, Sequence[Array]], Array]:
    """Return what makes an array of a kernel's result, and records the call if the signature says so."""
    scalars = signature.op.usual if signature.usual else ()
    conform = None if is_plain(engine, signature, scalars) else engine.conform
    meta, needs = signature.outputs[0], signature.needs

    def wrap(data: Any, inputs: Sequence[Array]) -> Array:
        made = Array(engine, data if conform is None else conform(data, meta), meta)
        if needs:
            bits = needs
            for array in inputs:
                # A leaf that this is the first recorded call of, or that requires grad no more.
                if array.node is None and array.leaf_requires_grad != bits & 1:
                    engine.learn(signature, inputs)
                    break
                bits >>= 1
            record(signature, inputs, (made,), scalars)
        return made

    return (lambda data, inputs: engine.views(signature, inputs, data, scalars)[0]) if signature.op.is_view else wrap


def _one(engine: Engine, signature: Signature, function: Callable[..., Any]) -> FastCall:
    wrap, meta = _wrapper(engine, signature), signature.metas[0]

    def call(entries: Mapping[int, Any], handles: Sequence[int], start: int) -> Array | None:
        array = entries.get(handles[start])
        if type(array) is not Array or array.meta is not meta:
            return None
        return wrap(function(array.data), (array,))

    return call


def _two(engine: Engine, signature: Signature, function: Callable[..., Any]) -> FastCall:
    wrap, first_meta, second_meta = _wrapper(engine, signature), *signature.metas

    def call(entries: Mapping[int, Any], handles: Sequence[int], start: int) -> Array | None:
        first, second = entries.get(handles[start]), entries.get(handles[start + 1])
        if type(first) is not Array or type(second) is not Array:
            return None
        if first.meta is not first_meta or second.meta is not second_meta:
            return None
        return wrap(function(first.data, second.data), (first, second))

    return call


def _several(engine: Engine, signature: Signature, function: Callable[..., Any]) -> FastCall:
    wrap, metas, count = _wrapper(engine, signature), signature.metas, len(signature.metas)

    def call(entries: Mapping[int, Any], handles: Sequence[int], start: int) -> Array | None:
        arrays: list[Any] = [entries.get(handle) for handle in handles[start : start + count]]
        for array, meta in zip(arrays, metas, strict=True):
            if type(array) is not Array or array.meta is not meta:
                return None
        return wrap(function(*[array.data for array in arrays]), arrays)

    return call
