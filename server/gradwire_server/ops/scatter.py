"""Kernels and gradients of `gradwire_protocol.ops.scatter`.

Products and extremes at repeated places go through a sort: CuPy has no atomic product, its atomic extremes lose NaN, and
after a sort the result is the same at each run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradwire_protocol.dtypes import int64
from gradwire_protocol.meta import contiguous_strides
from gradwire_protocol.registry import OPS
from gradwire_server.ops.indexing import checked
from gradwire_server.ops.shape import add_at, along
from gradwire_server.rules import gradient, joint_gradient, kernel

Array = Any
Shape = tuple[int, ...]
Better = Callable[[Array, Array], Array]


def _with_axis(array: Array) -> Array:
    return array if array.ndim else array.reshape((1,))


# ---------------------------------------------------------------- reductions at places
def _reduced_at(xp: Any, places: Array, values: Array, better: Better) -> tuple[Array, Array]:
    """Return the distinct places in order, and the values at each of them joined by the associative `better`.

    Sorted, the values of a place are neighbours; each step joins every value with the one `step` before it, if that is
    of the same place. There are log2(n) steps for the n values of the fullest place.
    """
    order = xp.argsort(places, kind="stable")
    places, values = places[order], values[order]
    step = 1
    while step < places.size:
        same = places[step:] == places[:-step]
        if not same.any().item():
            break
        joined = xp.where(same, better(values[:-step], values[step:]), values[step:])
        values = xp.concatenate((values[:step], joined))
        step *= 2
    last = xp.concatenate((places[1:] != places[:-1], xp.ones((1,), dtype=bool)))
    return places[last], values[last]


def _reduce_at(xp: Any, out: Array, places: Array, values: Array, reduce: str, include_self: bool) -> None:
    """Reduce values into places of a vector."""
    if reduce in ("sum", "mean"):
        if not include_self:
            out[places] = out.dtype.type(0)
        add_at(xp, out, places, values)
        if reduce == "mean":
            counts = xp.full(out.shape, int(include_self))
            xp.add.at(counts, places, 1)
            divide = xp.true_divide if out.dtype.kind in "fc" else xp.floor_divide
            out[...] = divide(out, xp.maximum(counts, 1)).astype(out.dtype)
        return
    better = {"prod": xp.multiply, "amax": xp.maximum, "amin": xp.minimum}[reduce]
    distinct, found = _reduced_at(xp, places, values, better)
    out[distinct] = better(out[distinct], found) if include_self else found


def _places(xp: Any, shape: Shape, axis: int, index: Array) -> Array:
    """Return where in a C-contiguous array of `shape` the elements [index[i, j], j] lie, for axis 0, as a vector."""
    strides = contiguous_strides(shape)
    places = index * strides[axis]
    for other, size in enumerate(index.shape):
        if other != axis:
            places = places + (xp.arange(size) * strides[other]).reshape((-1,) + (1,) * (index.ndim - other - 1))
    return places.reshape(-1)


def _reduce_along(
    xp: Any, self: Array, axis: int, index: Array, values: Array, reduce: str, include_self: bool
) -> Array:
    out = xp.array(self).reshape(-1)
    values = xp.broadcast_to(values, index.shape).reshape(-1)
    _reduce_at(xp, out, _places(xp, _with_axis(self).shape, axis, index), values, reduce, include_self)
    return out.reshape(self.shape)


@kernel("scatter_reduce.two")
def scatter_reduce(xp: Any, self: Array, dim: int, index: Array, src: Array, reduce: str, include_self: bool) -> Array:
    """Reduce src[i, j] into self[index[i, j], j] for dim 0."""
    if not index.size:
        return self.copy()
    index, src = _with_axis(index), _with_axis(src)
    axis = dim % index.ndim
    index = checked(xp, index, _with_axis(self).shape[axis], axis)
    values = src[tuple(slice(size) for size in index.shape)]
    return _reduce_along(xp, self, axis, index, values, reduce, include_self)


@kernel("index_reduce")
def index_reduce(xp: Any, self: Array, dim: int, index: Array, source: Array, reduce: str, include_self: bool) -> Array:
    """Reduce source[i, j] into self[index[i], j] for dim 0."""
    if not source.size:
        return self.copy()
    source = _with_axis(source)
    axis = dim % source.ndim
    index = checked(xp, index, _with_axis(self).shape[axis], axis, 0, IndexError, "index out of range in self")
    spread = xp.broadcast_to(index.reshape((-1,) + (1,) * (source.ndim - axis - 1)), source.shape)
    return _reduce_along(xp, self, axis, spread, source, reduce, include_self)


# ---------------------------------------------------------------- index_copy, put, take
@kernel("index_copy")
def index_copy(xp: Any, self: Array, dim: int, index: Array, source: Array) -> Array:
    """self[index[i], j] = source[i, j] for dim 0, in a copy."""
    out = xp.array(self)
    target = _with_axis(out)
    axis, size = dim % target.ndim, target.shape[dim]
    index = _with_axis(index)
    if index.size:
        outside = (index < 0) | (index >= size)
        if outside.any().item():
            value = index[xp.flatnonzero(outside)[0].item()].item()
            raise IndexError(f"index_copy_(): index {value} is out of bounds for dimension {axis} with size {size}")
        target[along(axis, target.ndim, index)] = source.reshape(
            (*target.shape[:axis], index.size, *target.shape[axis + 1 :])
        )
    return out


def _flat_places(xp: Any, self: Array, index: Array) -> Array:
    """Return flat indices as a vector, negative ones counted from the end; raise IndexError outside."""
    size, index = self.size, index.reshape(-1)
    outside = (index < -size) | (index >= size)
    if index.size and outside.any().item():
        value = index[xp.flatnonzero(outside)[0].item()].item()
        raise IndexError(f"out of range: tried to access index {value} on a tensor of {size} elements.")
    return xp.where(index < 0, index + size, index)


@kernel("put")
def put(xp: Any, self: Array, index: Array, source: Array, accumulate: bool) -> Array:
    """Write, or add, `source` at flat places of a copy."""
    out = xp.array(self).reshape(-1)
    places = _flat_places(xp, self, index)
    if accumulate:
        add_at(xp, out, places, source.reshape(-1))
    else:
        out[places] = source.reshape(-1)
    return out.reshape(self.shape)


@kernel("take")
def take(xp: Any, self: Array, index: Array) -> Array:
    """Pick elements by flat index."""
    if not index.size:
        return xp.zeros(index.shape, dtype=self.dtype)
    return xp.take(self.reshape(-1), _flat_places(xp, self, index)).reshape(index.shape)


# ---------------------------------------------------------------- into a view of a copy
@kernel("select_scatter")
def select_scatter(xp: Any, self: Array, src: Array, dim: int, index: int) -> Array:
    """Write `src` at one place of an axis of a copy."""
    out = xp.array(self)
    out[along(dim, self.ndim, index)] = src
    return out


@kernel("slice_scatter")
def slice_scatter(xp: Any, self: Array, src: Array, dim: int, start: int | None, end: int | None, step: int) -> Array:
    """Write `src` into a slice of an axis of a copy."""
    out = xp.array(self)
    if src.size:
        out[along(dim, self.ndim, slice(start, end, step))] = src
    return out


@kernel("diagonal_scatter")
def diagonal_scatter(xp: Any, self: Array, src: Array, offset: int, dim1: int, dim2: int) -> Array:
    """Write `src` on a diagonal of a copy."""
    out = xp.array(self)
    rows = xp.arange(src.shape[-1]) + max(-offset, 0)
    xp.moveaxis(out, (dim1, dim2), (-2, -1))[..., rows, rows + offset] = src
    return out


# ---------------------------------------------------------------- gradients
class _Places:
    """The calls that a gradient needs along an axis, for an op of the scatter or of the index family."""

    def __init__(self, call: Any, family: str, source: str) -> None:
        self.call, self.family = call, family
        self.place = (call.dim, call.index)
        self.index_shape = call.meta("index").shape
        self.source_shape = call.meta(source).shape

    def pick(self, array: Any) -> Any:
        """Return what `array`, shaped like self, has at the places."""
        if self.family == "scatter":
            return array.gather(*self.place)
        return array.index_select(*self.place).reshape(self.source_shape)

    def add(self, array: Any, source: Any) -> Any:
        """Add `source` to `array` at the places."""
        return getattr(array, f"{self.family}_add")(*self.place, source)

    def reduce(self, array: Any, source: Any) -> Any:
        """Run the recorded op on other operands."""
        name = "scatter_reduce.two" if self.family == "scatter" else "index_reduce"
        return OPS[name](array, *self.place, source, self.call.reduce, include_self=self.call.include_self)

    def clear(self, array: Any) -> Any:
        """Set `array` to 0 at the places."""
        if self.family == "scatter":
            return array.scatter(*self.place, 0)
        return array.index_fill(self.call.dim, self.call.index._to_dtype(int64), 0)

    def cut(self, source: Any) -> Any:
        """Return the part of `source` that the index reaches."""
        if self.family == "scatter":
            for axis, size in enumerate(self.index_shape):
                if source.meta.shape[axis] != size:
                    source = source.narrow(axis, 0, size)
        return source

    def pad(self, gradient: Any) -> Any:
        """Undo `cut` with zeros."""
        if self.family == "scatter":
            for axis, size in enumerate(self.source_shape):
                shape = gradient.meta.shape
                if shape[axis] != size:
                    wider = (*shape[:axis], size, *shape[axis + 1 :])
                    gradient = gradient.slice_backward(wider, axis, 0, shape[axis], 1)
        return gradient


def _prod_gradients(g: Any, call: Any, at: _Places, source: Any) -> tuple[Any, Any]:
    """Divide the product by a factor; where that is the only 0 of its place, the product of the others is made anew."""
    own = call.self.masked_fill(call.self.eq(0), 1)
    to_self = g * at.reduce(own, source) / own
    zero = source.eq(0)
    zeros = at.pick(at.add(call.self.new_zeros(call.self.meta.shape), zero._to_dtype(source.meta.dtype)))
    single = zero.logical_and(zeros.eq(1))
    without = at.reduce(call.self, source.masked_fill(single, 1))
    alone, plain = at.pick(g * without), at.pick(g * call.result) / source.masked_fill(zero, 1)
    return to_self, OPS["where.self"](single, alone, plain)


def _mean_gradients(g: Any, call: Any, at: _Places, source: Any) -> tuple[Any, Any]:
    counts = g.new_full(g.meta.shape, 1 if call.include_self else 0)
    counts = at.add(counts, g.new_full(source.meta.shape, 1))
    shared = g / counts.masked_fill(counts.eq(0), 1)
    return shared, at.pick(shared)


def _extreme_gradients(g: Any, call: Any, at: _Places, source: Any) -> tuple[Any, Any]:
    """Share the gradient among all that equal the extreme, self included or not, as PyTorch does."""
    dtype = g.meta.dtype
    mine, theirs = call.self.eq(call.result), source.eq(at.pick(call.result))
    shared = g / at.add(mine._to_dtype(dtype), theirs._to_dtype(dtype))
    return mine * shared, theirs * at.pick(shared)


def _reduce_gradients(g: Any, call: Any, family: str, name: str) -> dict[str, Any]:
    """Formulas: scatter_reduce_backward and index_reduce_backward in pytorch/torch/csrc/autograd/FunctionsManual.cpp."""
    at = _Places(call, family, name)
    source = at.cut(getattr(call, name))
    if call.reduce == "sum":
        to_self, to_source = g, at.pick(g)
    else:
        rule = {"prod": _prod_gradients, "mean": _mean_gradients}.get(call.reduce, _extreme_gradients)
        to_self, to_source = rule(g, call, at, source)
    if not call.include_self:
        to_self = at.clear(to_self)
    return {"self": to_self, name: at.pad(to_source)}


def _picked_source(g: Any, call: Any) -> Any:
    return g.index_select(call.dim, call.index).reshape(call.meta("source").shape)


def _taken(g: Any, call: Any) -> Any:
    return g.new_zeros(call.meta("self").shape).put(call.index, g, True)


def _unput(g: Any, call: Any) -> Any:
    return g if call.accumulate else g.put(call.index, g.new_zeros(call.meta("source").shape), False)


def _declare_view_gradient(name: str, view: str, where: tuple[str, ...]) -> None:
    def place(call: Any) -> list[Any]:
        return [getattr(call, argument) for argument in where]

    def to_self(g: Any, call: Any) -> Any:
        return OPS[name](g, g.new_zeros(call.meta("src").shape), *place(call))

    gradient(name, self=to_self, src=lambda g, call: OPS[view](g, *place(call)))


joint_gradient("scatter_reduce.two")(lambda g, call: _reduce_gradients(g, call, "scatter", "src"))
joint_gradient("index_reduce")(lambda g, call: _reduce_gradients(g, call, "index", "source"))
gradient("index_copy", self=lambda g, call: g.index_fill(call.dim, call.index, 0), source=_picked_source)
gradient("put", self=_unput, source=lambda g, call: g.take(call.index).reshape(call.meta("source").shape))
gradient("take", self=_taken)
_declare_view_gradient("select_scatter", "select.int", ("dim", "index"))
_declare_view_gradient("slice_scatter", "slice.Tensor", ("dim", "start", "end", "step"))
_declare_view_gradient("diagonal_scatter", "diagonal", ("offset", "dim1", "dim2"))
