"""Kernels and gradients of `gradwire_protocol.ops.shape`.

A view's kernel returns `self`'s memory: basic slices, which cost a tenth of a microsecond, and `as_strided` where
strides repeat, since numpy's own `broadcast_to` and `diagonal` give memory that cannot be written to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire_protocol.meta import Meta, contiguous_strides
from gradwire_protocol.ops.shape import slice_bounds, span
from gradwire_protocol.registry import OPS
from gradwire_server.rules import gradient, kernel

Array = Any
Shape = tuple[int, ...]

_ALL = slice(None)


def along(dim: int, ndim: int, item: Any) -> tuple[Any, ...]:
    """Return the index that applies `item` to axis `dim`; the ellipsis keeps a result without axes an array."""
    return (_ALL,) * (dim % ndim) + (item, Ellipsis)


def _strided(xp: Any, self: Array, size: Shape, strides: Shape) -> Array:
    """View memory from `self`'s first element; strides in bytes."""
    return xp.lib.stride_tricks.as_strided(self, size, strides)


def view_at(xp: Any, memory: Array, size: Shape, stride: Shape, offset: int) -> Array:
    """View a vector of memory; `stride` and `offset` in elements. The shape rule has checked the bounds."""
    return _strided(xp, memory[offset:], size, tuple(step * memory.itemsize for step in stride))


# ---------------------------------------------------------------- views
@kernel("as_strided")
def as_strided(xp: Any, self: Array, size: Shape, stride: Shape, storage_offset: int) -> Array:
    """View the memory that `self` spans."""
    if self.flags.c_contiguous:
        memory = self.reshape(-1)
    else:
        steps = tuple(step // self.itemsize for step in self.strides)
        memory = _strided(xp, self, (span(self.shape, steps),), (self.itemsize,))
    return view_at(xp, memory, size, stride, storage_offset)


@kernel("_unsafe_view")
def unsafe_view(xp: Any, self: Array, size: Shape, result: Meta) -> Array:
    """Reshape into memory of its own: what is no view by its schema must not share any."""
    shaped = self.reshape(result.shape)
    return xp.array(shaped, order="C") if self.flags.c_contiguous else shaped


@kernel("view")
def view(xp: Any, self: Array, size: Shape, result: Meta) -> Array:
    """Reshape; the shape rule has made sure that no copy is needed."""
    return self.reshape(result.shape)


@kernel("squeeze", "squeeze.dim", "squeeze.dims", "unsqueeze")
def squeeze(xp: Any, self: Array, dim: Any = None, *, result: Meta) -> Array:
    """Reshape: dropping or adding axes of one element never copies."""
    return self.reshape(result.shape)


@kernel("permute")
def permute(xp: Any, self: Array, dims: Shape) -> Array:
    """Reorder the axes."""
    return self.transpose(dims)


@kernel("transpose.int")
def transpose(xp: Any, self: Array, dim0: int, dim1: int) -> Array:
    """Swap two axes; of a tensor without axes there are none to swap."""
    return self.swapaxes(dim0, dim1) if self.ndim else self


@kernel("expand")
def expand(xp: Any, self: Array, size: Shape, result: Meta) -> Array:
    """Repeat axes of one element by a stride of zero."""
    new = result.ndim - self.ndim
    held = (1,) * new + self.shape
    steps = (0,) * new + self.strides
    strides = tuple(step if had == has else 0 for step, had, has in zip(steps, held, result.shape, strict=True))
    return _strided(xp, self, result.shape, strides)


@kernel("select.int")
def select(xp: Any, self: Array, dim: int, index: int) -> Array:
    """View one place of an axis."""
    return self[along(dim, self.ndim, index)]


@kernel("slice.Tensor")
def slice_(xp: Any, self: Array, dim: int, start: int | None, end: int | None, step: int) -> Array:
    """View every `step`-th place of a part of an axis."""
    return self[along(dim, self.ndim, slice(start, end, step))]


@kernel("diagonal")
def diagonal(xp: Any, self: Array, offset: int, dim1: int, dim2: int) -> Array:
    """View the diagonal of two axes as the last axis."""
    first, second = dim1 % self.ndim, dim2 % self.ndim
    lower, upper = [_ALL] * self.ndim, max(offset, 0)
    lower[first], lower[second] = slice(max(-offset, 0), None), slice(upper, None)
    corner = self[tuple(lower)]
    rest = [axis for axis in range(self.ndim) if axis not in (first, second)]
    size = (*(corner.shape[axis] for axis in rest), min(corner.shape[first], corner.shape[second]))
    strides = (*(corner.strides[axis] for axis in rest), corner.strides[first] + corner.strides[second])
    return _strided(xp, corner, size, strides)


@kernel("unfold")
def unfold(xp: Any, self: Array, dimension: int, size: int, step: int, *, result: Meta) -> Array:
    """View windows of an axis as a new last axis."""
    if not self.ndim:
        return _strided(xp, self, result.shape, (self.itemsize,))
    axis = dimension % self.ndim
    strides = list(self.strides)
    inner = strides[axis]
    strides[axis] *= step
    return _strided(xp, self, result.shape, (*strides, inner))


@kernel("unbind.int")
def unbind(xp: Any, self: Array, dim: int) -> tuple[Array, ...]:
    """View each place of an axis."""
    return tuple(self[along(dim, self.ndim, index)] for index in range(self.shape[dim]))


@kernel("split.Tensor")
def split(xp: Any, self: Array, split_size: int, dim: int, result: Any) -> tuple[Array, ...]:
    """View pieces of an axis, `split_size` long but for the last."""
    return tuple(
        self[along(dim, self.ndim, slice(index * split_size, (index + 1) * split_size))] for index in range(len(result))
    )


@kernel("split_with_sizes")
def split_with_sizes(xp: Any, self: Array, split_sizes: Shape, dim: int) -> tuple[Array, ...]:
    """View pieces of an axis of the given lengths."""
    pieces, start = [], 0
    for length in split_sizes:
        pieces.append(self[along(dim, self.ndim, slice(start, start + length))])
        start += length
    return tuple(pieces)


kernel("detach", "alias")(lambda xp, self: self)
kernel("t")(lambda xp, self: self.T)


# ---------------------------------------------------------------- copies
@kernel("cat")
def cat(xp: Any, tensors: Sequence[Array], dim: int, result: Meta) -> Array:
    """Join along an axis; empty vectors among the tensors count for nothing."""
    joined = [tensor.astype(result.dtype.numpy, copy=False) for tensor in tensors if tensor.shape != (0,)]
    return xp.concatenate(joined, axis=dim) if joined else xp.zeros((0,), result.dtype.numpy)


@kernel("stack")
def stack(xp: Any, tensors: Sequence[Array], dim: int, result: Meta) -> Array:
    """Join along a new axis."""
    return xp.stack([tensor.astype(result.dtype.numpy, copy=False) for tensor in tensors], axis=dim)


@kernel("flip")
def flip(xp: Any, self: Array, dims: Shape) -> Array:
    """Reverse axes, in new memory."""
    reversed_ = {dim % max(self.ndim, 1) for dim in dims}
    backwards = tuple(slice(None, None, -1) if axis in reversed_ else _ALL for axis in range(self.ndim))
    return self[(*backwards, Ellipsis)].copy()


@kernel("roll")
def roll(xp: Any, self: Array, shifts: Shape, dims: Shape) -> Array:
    """Rotate axes, or without dims the elements as one vector."""
    if self.size == 0 or self.ndim == 0:
        return self.copy()
    return xp.roll(self, shifts, dims) if dims else xp.roll(self.reshape(-1), shifts[0]).reshape(self.shape)


@kernel("repeat")
def repeat(xp: Any, self: Array, repeats: Shape) -> Array:
    """Tile: element (i, j) is self[i % rows, j % columns]."""
    return xp.tile(self, repeats) if repeats else self.copy()


kernel("tril")(lambda xp, self, diagonal: xp.tril(self, diagonal))
kernel("triu")(lambda xp, self, diagonal: xp.triu(self, diagonal))


@kernel("as_strided_scatter")
def as_strided_scatter(xp: Any, self: Array, src: Array, size: Shape, stride: Shape, storage_offset: int) -> Array:
    """Copy `self`, which lies in C order, and write `src` into a view of the copy."""
    out = self.copy()
    view_at(xp, out.reshape(-1), size, stride, storage_offset)[...] = src
    return out


# ---------------------------------------------------------------- gradients of views
@kernel("select_backward")
def select_backward(xp: Any, grad_output: Array, input_sizes: Shape, dim: int, index: int) -> Array:
    """Write the gradient into one place of an axis of zeros."""
    out = xp.zeros(input_sizes, grad_output.dtype)
    out[along(dim, out.ndim, index)] = grad_output
    return out


@kernel("slice_backward")
def slice_backward(xp: Any, grad_output: Array, input_sizes: Shape, dim: int, start: int, end: int, step: int) -> Array:
    """Write the gradient into a slice of zeros."""
    out = xp.zeros(input_sizes, grad_output.dtype)
    out[along(dim, out.ndim, slice(start, end, step))] = grad_output
    return out


@kernel("diagonal_backward")
def diagonal_backward(xp: Any, grad_output: Array, input_sizes: Shape, offset: int, dim1: int, dim2: int) -> Array:
    """Write the gradient into a diagonal of zeros."""
    out = xp.zeros(input_sizes, grad_output.dtype)
    diagonal(xp, out, offset, dim1, dim2)[...] = grad_output
    return out


@kernel("unfold_backward")
def unfold_backward(xp: Any, grad_in: Array, input_sizes: Shape, dim: int, size: int, step: int) -> Array:
    """Add up windows where they overlap: all parts of `step` elements that lie as far from their window's start at once."""
    out = xp.zeros(input_sizes, grad_in.dtype)
    if not input_sizes:
        return grad_in.reshape(()).copy() if size else out
    axis, count = dim % out.ndim, grad_in.shape[dim % out.ndim]
    if not size or not grad_in.size:
        return out
    windows, parts = xp.moveaxis(grad_in, axis, -2), -(-size // step)
    blocks = xp.zeros((*windows.shape[:-2], count - 1 + parts, step), grad_in.dtype)
    for part in range(parts):
        width = min(step, size - part * step)
        blocks[..., part : part + count, :width] += windows[..., part * step : part * step + width]
    summed = blocks.reshape(*windows.shape[:-2], -1)
    reached = min(summed.shape[-1], input_sizes[axis])
    out[along(axis, out.ndim, slice(0, reached))] = xp.moveaxis(summed[..., :reached], -1, axis)
    return out


@kernel("as_strided_backward")
def as_strided_backward(
    xp: Any, grad_output: Array, input_size: Shape, input_stride: Shape, input_offset: int, size: Shape, stride: Shape,
    storage_offset: int,
) -> Array:  # fmt: skip
    """Sum the gradient into the memory that both views lie in; read that as the input does.

    Axes of stride zero are summed first; the others overlap only in `unfold`-like views, which take the slow way.
    """
    if 0 in size or 0 in input_size:
        return xp.zeros(input_size, grad_output.dtype)
    length = max(span(size, stride) + storage_offset, span(input_size, input_stride) + input_offset)
    memory = xp.zeros((length,), grad_output.dtype)
    shared = tuple(axis for axis, step in enumerate(stride) if step == 0)
    summed = grad_output.sum(axis=shared, keepdims=True, dtype=grad_output.dtype) if shared else grad_output
    size = tuple(1 if step == 0 else length for length, step in zip(size, stride, strict=True))
    if _overlaps(size, stride):
        places = view_at(xp, xp.arange(memory.size), size, stride, storage_offset)
        add_at(xp, memory, places.reshape(-1), summed.reshape(-1))
    else:
        view_at(xp, memory, size, stride, storage_offset)[...] = summed
    return view_at(xp, memory, input_size, input_stride, input_offset).copy()


def _overlaps(size: Shape, stride: Shape) -> bool:
    """Return whether elements of a view may share memory: an axis must step over all that smaller steps reach."""
    reached = 0
    for step, length in sorted((step, length) for length, step in zip(size, stride, strict=True) if length > 1):
        if step <= reached:
            return True
        reached += step * (length - 1)
    return False


# CuPy has atomic additions of no narrower numbers.
_NARROW = frozenset({"bool", "uint8", "int8", "int16"})


def add_at(xp: Any, memory: Array, places: Array, values: Array) -> None:
    """Add values at places of a vector, as often as each place occurs; of bools, this is `or`.

    On the CPU in order, so the bits are the same each time. On a GPU the order of float additions is not defined.
    """
    if memory.dtype.kind == "c":
        xp.add.at(memory.real, places, values.real)
        xp.add.at(memory.imag, places, values.imag)
    elif memory.dtype.name in _NARROW:
        wide = memory.astype(xp.int64)
        xp.add.at(wide, places, values.astype(xp.int64))
        memory[...] = wide.astype(memory.dtype)
    else:
        xp.add.at(memory, places, values)


def _cat_gradient(g: Any, call: Any) -> tuple[Any, ...]:
    """Give each tensor its part; an empty vector that was skipped gets an empty gradient."""
    parts, start = [], 0
    axis = call.dim % max(g.ndim, 1)
    for meta in call.meta("tensors"):
        length = 0 if meta.shape == (0,) else meta.shape[axis]
        part = g.slice(axis, start, start + length)
        parts.append(part.reshape(meta.shape) if meta.shape == (0,) else part)
        start += length
    return tuple(parts)


def _repeat_gradient(g: Any, call: Any) -> Any:
    """Split each axis into (repeat, size) and sum over the repeats."""
    shape = call.meta("self").shape
    new = len(call.repeats) - len(shape)
    pairs = [size for pair in zip(call.repeats, (1,) * new + shape, strict=True) for size in pair]
    return g.reshape(pairs).sum(tuple(range(0, len(pairs), 2))).reshape(shape) if pairs else g


def _inverse(dims: Shape) -> Shape:
    axes = [dim % len(dims) for dim in dims]
    return tuple(axes.index(axis) for axis in range(len(axes)))


def _pieces(call: Any) -> list[Any]:
    """Return the gradients of several outputs, zeros where an output had no use."""
    return [
        call.grads[0].new_zeros(call.output_meta(number).shape) if grad is None else grad
        for number, grad in enumerate(call.grads)
    ]


def _slice_gradient(g: Any, call: Any) -> Any:
    shape = call.meta("self").shape
    start, end, _ = slice_bounds(shape[call.dim], call.start, call.end, call.step)
    return g.slice_backward(shape, call.dim, start, end, call.step)


def _as_strided_gradient(g: Any, call: Any) -> Any:
    base: Meta = call.meta("self")
    if _overlaps(base.shape, base.strides):
        raise RuntimeError(
            "the gradient of as_strided needs a tensor whose elements do not share memory; got "
            f"{base} with strides {list(base.strides)}; clone() it first"
        )
    return g.as_strided_backward(base.shape, base.strides, 0, call.size, call.stride, call.storage_offset)


def _reversed_strided(g: Any, call: Any) -> Any:
    """Let base and view change places; see the declaration."""
    return g.as_strided_backward(
        call.size, call.stride, call.storage_offset, call.input_size, call.input_stride, call.input_offset
    )


def _scatter_src_gradient(g: Any, call: Any) -> Any:
    shape = g.meta.shape
    return g.as_strided_backward(call.size, call.stride, call.storage_offset, shape, contiguous_strides(shape), 0)


for _name in ("view", "_unsafe_view", "squeeze", "squeeze.dim", "squeeze.dims", "unsqueeze"):
    gradient(_name, self=lambda g, call: g.reshape(call.meta("self").shape))
for _name in ("alias", "expand"):  # the engine sums over what was expanded
    gradient(_name, self=lambda g, call: g)
gradient("as_strided", self=_as_strided_gradient)
gradient("as_strided_backward", grad_output=_reversed_strided)
gradient(
    "as_strided_scatter",
    self=lambda g, call: g.contiguous().as_strided_scatter(
        g.new_zeros(call.size), call.size, call.stride, call.storage_offset
    ),
    src=_scatter_src_gradient,
)
gradient("permute", self=lambda g, call: g.permute(_inverse(call.dims)))
gradient("transpose.int", self=lambda g, call: g.transpose(call.dim0, call.dim1))


def _transposed_back(g: Array, call: Any) -> Array:
    """Transpose; of what is itself a transposed matrix, the matrix: a view of a view would be copied where it is kept."""
    base = g.base
    if base is not None and g.meta.ndim == 2 and base.meta.is_contiguous and g.meta.strides == base.meta.strides[::-1]:
        whole = base.meta.shape == g.meta.shape[::-1] and g.offset == base.offset
        return base if whole and g.engine.recording is False else g.t()
    return g.t()


gradient("t", self=_transposed_back)
gradient("select.int", self=lambda g, call: g.select_backward(call.meta("self").shape, call.dim, call.index))
gradient("select_backward", grad_output=lambda g, call: g.select(call.dim, call.index))
gradient("slice.Tensor", self=_slice_gradient)
gradient("slice_backward", grad_output=lambda g, call: g.slice(call.dim, call.start, call.end, call.step))
gradient(
    "diagonal",
    self=lambda g, call: g.diagonal_backward(call.meta("self").shape, call.offset, call.dim1, call.dim2),
)
gradient("diagonal_backward", grad_output=lambda g, call: g.diagonal(call.offset, call.dim1, call.dim2))
gradient(
    "unfold",
    self=lambda g, call: g.unfold_backward(call.meta("self").shape, call.dimension, call.size, call.step),
)
gradient("unfold_backward", grad_in=lambda g, call: g.unfold(call.dim, call.size, call.step))
gradient("unbind.int", self=lambda g, call: OPS["stack"](_pieces(call), call.dim))
gradient("split.Tensor", self=lambda g, call: OPS["cat"](_pieces(call), call.dim))
gradient("split_with_sizes", self=lambda g, call: OPS["cat"](_pieces(call), call.dim))
gradient("cat", tensors=_cat_gradient)
gradient("stack", tensors=lambda g, call: g.unbind(call.dim))
gradient("flip", self=lambda g, call: g.flip(call.dims))
gradient("roll", self=lambda g, call: g.roll(tuple(-shift for shift in call.shifts), call.dims))
gradient("repeat", self=_repeat_gradient)
gradient("tril", self=lambda g, call: g.tril(call.diagonal))
gradient("triu", self=lambda g, call: g.triu(call.diagonal))
