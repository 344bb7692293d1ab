"""Kernels and gradients of `gradwire_protocol.ops.indexing`.

CuPy wraps an index that is out of bounds, so every kernel looks at the values first (`checked`): one wait for the
device. Sums at repeated places go through `add.at` on vectors, numpy's fast way (four times that of `add.at` on rows).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire_protocol.dtypes import bool_
from gradwire_protocol.meta import Meta, contiguous_strides
from gradwire_protocol.ops.indexing import indexed_shape
from gradwire_server.ops.shape import add_at, along
from gradwire_server.rules import gradient, kernel

Array = Any
Shape = tuple[int, ...]

_ALL = slice(None)
_LOOKUP = "index out of range in self"


def checked(
    xp: Any, index: Array, size: int, dim: int, lowest: int = 0, error: type[Exception] = RuntimeError, words: str = ""
) -> Array:
    """Return `index` as int64, known to hold lowest <= value < size; raise `error` otherwise."""
    index = index.astype(xp.int64, copy=False)
    # As unsigned, what is too low is too high as well: one comparison.
    shifted = index - lowest if lowest else index
    outside = shifted.view(xp.uint64) >= size - lowest
    if outside.any().item():
        value = index.reshape(-1)[xp.flatnonzero(outside)[0].item()].item()
        raise error(words or f"index {value} is out of bounds for dimension {dim} with size {size}")
    return index


def element(dtype: Any, value: Any) -> Any:
    """Return a Python number as PyTorch stores it: truncated for integers, negative ones wrapped in unsigned dtypes."""
    if dtype.kind not in "iu":
        return dtype.type(value)
    bits = 8 * dtype.itemsize
    whole = int(value) if value == value and abs(value) != float("inf") else 1 << bits
    high = 1 << (bits - (dtype.kind == "i"))
    if not -high <= whole < high:
        raise RuntimeError(f"value cannot be converted to type {dtype.name}_t without overflow")
    return dtype.type(whole % high if dtype.kind == "u" else whole)


def _with_axis(array: Array) -> Array:
    """View a tensor without axes as a vector."""
    return array if array.ndim else array.reshape((1,))


# ---------------------------------------------------------------- index, index_put
def _key(xp: Any, self: Array, indices: Sequence[Array | None]) -> tuple[Any, ...]:
    """Return what picks `indices`; arrays without axes get one, since numpy would take them for numbers."""
    key = []
    for axis, index in enumerate(indices):
        size = self.shape[axis]
        key.append(_ALL if index is None else _with_axis(checked(xp, index, size, axis, -size, IndexError)))
    return tuple(key)


def _shapes(key: Sequence[Any]) -> list[Shape | None]:
    return [None if index is None or isinstance(index, slice) else index.shape for index in key]


def _places(xp: Any, shape: Shape, key: Sequence[Any]) -> Array:
    """Return where each element of `array[key]` lies in a C-contiguous array of `shape`, as a broadcastable sum."""
    strides = contiguous_strides(shape)
    axes = [axis for axis in range(len(key)) if not isinstance(key[axis], slice)]
    rest = [axis for axis in range(len(shape)) if axis not in axes]
    picked: Any = 0
    for axis in axes:
        index = key[axis]
        picked = picked + xp.where(index < 0, index + shape[axis], index) * strides[axis]
    together = axes[-1] - axes[0] == len(axes) - 1
    after = len(shape) - axes[-1] - 1 if together else len(rest)
    total = picked.reshape(picked.shape + (1,) * after)
    for position, axis in enumerate(rest):
        # Axes before the indexed ones lie in front of the picked axes, the others behind them.
        behind = len(rest) - position - 1 + (0 if position >= len(rest) - after else picked.ndim)
        total = total + (xp.arange(shape[axis]) * strides[axis]).reshape((-1,) + (1,) * behind)
    return total


def _accumulate(xp: Any, self: Array, places: Array, values: Array) -> None:
    """Add values at places of `self` in C order."""
    memory = self.reshape(-1)
    shape = xp.broadcast_shapes(places.shape, values.shape)
    add_at(xp, memory, xp.broadcast_to(places, shape).reshape(-1), xp.broadcast_to(values, shape).reshape(-1))
    if not self.flags.c_contiguous:  # then `memory` is a copy
        self[...] = memory.reshape(self.shape)


@kernel("index.Tensor")
def index(xp: Any, self: Array, indices: Sequence[Array | None], result: Meta) -> Array:
    """Pick elements as numpy's integer array indexing does."""
    key = _key(xp, self, indices)
    if all(isinstance(item, slice) for item in key):
        return self.copy()
    return self[key].reshape(result.shape)


@kernel("index_put")
def index_put(xp: Any, self: Array, indices: Sequence[Array | None], values: Array, accumulate: bool) -> Array:
    """Copy `self` and write into the copy."""
    out = self.copy()
    index_put_(xp, out, indices, values, accumulate)
    return out


@kernel("index_put_")
def index_put_(xp: Any, self: Array, indices: Sequence[Array | None], values: Array, accumulate: bool) -> None:
    """Write values, or add them as often as a place occurs."""
    key = _key(xp, self, indices)
    target, shape = indexed_shape(self.shape, _shapes(indices)), indexed_shape(self.shape, _shapes(key))
    if shape != target:
        values = xp.broadcast_to(values, target).reshape(shape)
    if not accumulate:
        self[key] = values
    elif all(isinstance(item, slice) for item in key):
        self[...] = self + values
    else:
        _accumulate(xp, self, _places(xp, self.shape, key), xp.broadcast_to(values, shape))


# ---------------------------------------------------------------- gather, scatter
def _cut(array: Array, sizes: Shape, axis: int = -1) -> Array:
    """View the first `sizes` places of each axis but `axis`."""
    return array[tuple(_ALL if other == axis else slice(size) for other, size in enumerate(sizes))]


@kernel("gather")
def gather(xp: Any, self: Array, dim: int, index: Array) -> Array:
    """out[i, j] = self[index[i, j], j] for dim 0."""
    if not index.size:
        return xp.zeros(index.shape, self.dtype)
    source, places = _with_axis(self), _with_axis(index)
    axis = dim % source.ndim
    places = checked(xp, places, source.shape[axis], axis)
    return xp.take_along_axis(_cut(source, places.shape, axis), places, axis).reshape(index.shape)


@kernel("scatter_.src")
def scatter_src_(xp: Any, self: Array, dim: int, index: Array, src: Array) -> None:
    """self[index[i, j], j] = src[i, j] for dim 0."""
    _scatter(xp, self, dim, index, _cut(_with_axis(src), index.shape or (1,)))


@kernel("scatter_.value")
def scatter_value_(xp: Any, self: Array, dim: int, index: Array, value: Any) -> None:
    """self[index[i, j], j] = value for dim 0."""
    _scatter(xp, self, dim, index, element(self.dtype, value))


def _scatter(xp: Any, self: Array, dim: int, index: Array, values: Any) -> None:
    if not index.size:
        return
    target, places = _with_axis(self), _with_axis(index)
    axis = dim % target.ndim
    places = checked(xp, places, target.shape[axis], axis)
    xp.put_along_axis(_cut(target, places.shape, axis), places, values, axis)


@kernel("scatter.src")
def scatter_src(xp: Any, self: Array, dim: int, index: Array, src: Array) -> Array:
    """Copy `self` and scatter into the copy."""
    out = self.copy()
    scatter_src_(xp, out, dim, index, src)
    return out


@kernel("scatter.value")
def scatter_value(xp: Any, self: Array, dim: int, index: Array, value: Any) -> Array:
    """Copy `self` and scatter into the copy."""
    out = self.copy()
    scatter_value_(xp, out, dim, index, value)
    return out


def _add_along(xp: Any, self: Array, axis: int, index: Array, values: Array) -> None:
    """self[index[i, j], j] += values[i, j] for axis 0; `index` broadcasts to `values`."""
    strides = contiguous_strides(self.shape)
    places = checked(xp, index, self.shape[axis], axis) * strides[axis]
    for other, size in enumerate(values.shape):
        if other != axis:
            places = places + (xp.arange(size) * strides[other]).reshape((-1,) + (1,) * (values.ndim - other - 1))
    _accumulate(xp, self, places, values)


@kernel("scatter_add_")
def scatter_add_(xp: Any, self: Array, dim: int, index: Array, src: Array) -> None:
    """self[index[i, j], j] += src[i, j] for dim 0."""
    if index.size:
        target, places = _with_axis(self), _with_axis(index)
        _add_along(xp, target, dim % target.ndim, places, _cut(_with_axis(src), places.shape))


@kernel("scatter_add")
def scatter_add(xp: Any, self: Array, dim: int, index: Array, src: Array) -> Array:
    """Copy `self` and add to the copy."""
    out = self.copy()
    scatter_add_(xp, out, dim, index, src)
    return out


# ---------------------------------------------------------------- index_select, index_add, index_fill
@kernel("index_select")
def index_select(xp: Any, self: Array, dim: int, index: Array) -> Array:
    """Pick places of an axis."""
    source = _with_axis(self)
    axis = dim % source.ndim
    places = checked(xp, _with_axis(index), source.shape[axis], axis, 0, IndexError, _LOOKUP)
    picked = xp.take(source, places, axis=axis)
    return picked if self.ndim else picked.reshape(())


@kernel("index_add_")
def index_add_(xp: Any, self: Array, dim: int, index: Array, source: Array, alpha: Any) -> None:
    """self[index[i], j] += alpha * source[i, j] for dim 0."""
    target, values = _with_axis(self), _with_axis(source)
    axis = dim % target.ndim
    if alpha != 1:
        values = values * element(self.dtype, alpha)
    places = index.reshape((-1,) + (1,) * (values.ndim - axis - 1))
    _add_along(xp, target, axis, places, values)


@kernel("index_add")
def index_add(xp: Any, self: Array, dim: int, index: Array, source: Array, alpha: Any) -> Array:
    """Copy `self` and add to the copy."""
    out = self.copy()
    index_add_(xp, out, dim, index, source, alpha)
    return out


@kernel("index_fill_.int_Scalar", "index_fill_.int_Tensor")
def index_fill_(xp: Any, self: Array, dim: int, index: Array, value: Any) -> None:
    """self[index[i], j] = value for dim 0."""
    target = _with_axis(self)
    axis = dim % target.ndim
    size = target.shape[axis]
    places = checked(xp, _with_axis(index), size, axis, -size, IndexError)
    given = value.astype(self.dtype) if hasattr(value, "shape") else element(self.dtype, value)
    target[along(axis, target.ndim, places)] = given


@kernel("index_fill.int_Scalar", "index_fill.int_Tensor")
def index_fill(xp: Any, self: Array, dim: int, index: Array, value: Any) -> Array:
    """Copy `self` and write into the copy."""
    out = self.copy()
    index_fill_(xp, out, dim, index, value)
    return out


# ---------------------------------------------------------------- gradients
def _indices(call: Any) -> list[Any]:
    """Return the index arrays, None where an axis was not indexed: a node keeps only the arrays."""
    kept = iter(call.indices)
    return [None if meta is None else next(kept) for meta in call.meta("indices")]


def _zeros(g: Any, call: Any, name: str = "self") -> Any:
    return g.new_zeros(call.meta(name).shape)


def _source_gradient(g: Any, call: Any) -> Any:
    """Pick the gradient at the places written to; what of `src` lay beyond the index had no use."""
    picked = g.gather(call.dim, call.index)
    for axis, size in enumerate(call.meta("src").shape):
        shape = picked.meta.shape
        if shape[axis] != size:
            wider = (*shape[:axis], size, *shape[axis + 1 :])
            picked = picked.slice_backward(wider, axis, 0, shape[axis], 1)
    return picked


def _added_gradient(g: Any, call: Any) -> Any:
    picked = g.index_select(call.dim, call.index).reshape(call.meta("source").shape)
    return picked if call.alpha == 1 else picked * call.alpha


def _filled_gradient(g: Any, call: Any) -> Any:
    """Sum the gradient over what was filled, a place that was named twice once."""
    filled = g.new_zeros(g.meta.shape, dtype=bool_).index_fill(call.dim, call.index, True)
    return g.masked_fill(filled.logical_not(), 0).sum()


gradient("index.Tensor", self=lambda g, call: _zeros(g, call).index_put(_indices(call), g, True))
gradient(
    "index_put",
    self=lambda g, call: g if call.accumulate else g.index_put(_indices(call), g.new_zeros(()), False),
    values=lambda g, call: g.index(_indices(call)),
)
gradient("gather", self=lambda g, call: _zeros(g, call).scatter_add(call.dim, call.index, g))
gradient("scatter.src", self=lambda g, call: g.scatter(call.dim, call.index, 0), src=_source_gradient)
gradient("scatter.value", self=lambda g, call: g.scatter(call.dim, call.index, 0))
gradient("scatter_add", self=lambda g, call: g, src=_source_gradient)
gradient("index_select", self=lambda g, call: _zeros(g, call).index_add(call.dim, call.index, g))
gradient("index_add", self=lambda g, call: g, source=_added_gradient)
gradient("index_fill.int_Scalar", self=lambda g, call: g.index_fill(call.dim, call.index, 0))
gradient(
    "index_fill.int_Tensor",
    self=lambda g, call: g.index_fill(call.dim, call.index, 0),
    value=_filled_gradient,
)
