"""Kernels and gradients of padding. Each axis is treated by itself: edges are copied, or folded back, by slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradwire_protocol.dtypes import Category
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.padding import pairs
from gradwire_server.ops.reduction import in_dtype, widened
from gradwire_server.rules import gradient, kernel

Array = Any
Shape = tuple[int, ...]
Slices = tuple[slice, ...]


def _moved(size: int, before: int, after: int) -> tuple[slice, slice]:
    """Return where the elements of an axis that are left lie in the input, and where in the output."""
    left = size + min(before, 0) + min(after, 0)
    first, into = max(-before, 0), max(before, 0)
    return slice(first, first + left), slice(into, into + left)


def _inner(shape: Shape, pad: Shape) -> tuple[Slices, Slices]:
    """Return the part of the input that is left, and the part of the output that it fills."""
    found = [(slice(None), slice(None))] * len(shape)
    for index, (before, after) in enumerate(pairs(pad)):
        found[-1 - index] = _moved(shape[-1 - index], before, after)
    return tuple(source for source, _ in found), tuple(into for _, into in found)


@kernel("constant_pad_nd")
def constant_pad(xp: Any, self: Array, pad: Shape, value: Any, result: Meta) -> Array:
    """Copy what is left of the input into an array of the value; an integer one is cut short and wraps as in C."""
    if result.dtype.category is Category.INT:
        value = xp.asarray(int(value)).astype(result.dtype.numpy)
    out = xp.full(result.shape, value, dtype=result.dtype.numpy)
    source, into = _inner(self.shape, pad)
    out[into] = self[source]
    return out


gradient("constant_pad_nd", self=lambda g, call: g.constant_pad_nd(tuple(-size for size in call.pad), 0))


# ---------------------------------------------------------------- the edges
def _reflected(xp: Any, size: int, before: int, count: int) -> Array:
    """Return the input's index of each output, counted back from the edge that it lies beyond."""
    index = xp.abs(xp.arange(-before, count - before))
    return (size - 1) - xp.abs((size - 1) - index)


def _replicated(xp: Any, size: int, before: int, count: int) -> Array:
    """Return the input's index of each output: the nearest one."""
    return xp.clip(xp.arange(-before, count - before), 0, size - 1)


def _along(axis: int, part: slice) -> tuple[Any, ...]:
    """Return the index of a part of one axis, counted from the last."""
    return (..., part, *(slice(None),) * (-1 - axis))


def _folded_back(xp: Any, g: Array, size: int, before: int, after: int, axis: int, edges: Any) -> Array:
    """Return the gradient of one axis: what was moved, plus what `edges` makes of the parts beyond."""
    source, into = _moved(size, before, after)
    shape = list(g.shape)
    shape[axis] = size
    found = xp.zeros(tuple(shape), g.dtype)
    if source.stop > source.start:
        found[_along(axis, source)] = g[_along(axis, into)]
    if before > 0:
        edges(found, g[_along(axis, slice(0, before))], axis, True)
    if after > 0:
        edges(found, g[_along(axis, slice(g.shape[axis] - after, None))], axis, False)
    return found


def _reflect_back(found: Array, beyond: Array, axis: int, is_first: bool) -> None:
    size, count = found.shape[axis], beyond.shape[axis]
    mirrored = beyond[_along(axis, slice(None, None, -1))]
    start = 1 if is_first else size - 1 - count
    found[_along(axis, slice(start, start + count))] += mirrored


def _replicate_back(found: Array, beyond: Array, axis: int, is_first: bool) -> None:
    edge = slice(0, 1) if is_first else slice(found.shape[axis] - 1, None)
    found[_along(axis, edge)] += beyond.sum(axis=axis, keepdims=True)


def _register(name: str, dims: int, indices: Callable[..., Array], edges: Callable[..., None]) -> None:
    forward_name = f"{name}_pad{dims}d"

    @kernel(forward_name)
    def forward(xp: Any, self: Array, padding: Shape, result: Meta) -> Array:
        for index, (before, after) in enumerate(pairs(padding)):
            axis = -1 - index
            if before or after:
                self = xp.take(self, indices(xp, self.shape[axis], before, result.shape[axis]), axis=axis)
        return self.copy() if not any(padding) else self

    @kernel(f"{forward_name}_backward")
    def backward(xp: Any, grad_output: Array, self: Array, padding: Shape, result: Meta) -> Array:
        g = widened(grad_output)
        for index, (before, after) in enumerate(pairs(padding)):
            if before or after:
                g = _folded_back(xp, g, result.shape[-1 - index], before, after, -1 - index, edges)
        return in_dtype(g, result) if any(padding) else grad_output.copy()

    gradient(forward_name, self=lambda g, call: getattr(g, f"{forward_name}_backward")(call.self, call.padding))
    gradient(f"{forward_name}_backward", grad_output=lambda g, call: getattr(g, forward_name)(call.padding))


for _dims in (1, 2, 3):
    _register("reflection", _dims, _reflected, _reflect_back)
    _register("replication", _dims, _replicated, _replicate_back)
