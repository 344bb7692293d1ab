"""Views and copies that change a tensor's shape, order or place, not its elements.

A view's strides and offset follow PyTorch's rules (aten/src/ATen/native/TensorShape.cpp), since users see them and
since `view` depends on them. Offsets are relative to the viewed tensor's first element.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradwire_protocol import limits
from gradwire_protocol.errors import LimitExceeded
from gradwire_protocol.infer import like, normalize_dim, normalize_dims, result_type
from gradwire_protocol.meta import Meta, View, contiguous_strides
from gradwire_protocol.registry import op, torch_type_name

__all__ = ["expand", "infer_size", "slice_bounds", "span", "view_strides"]

Shape = tuple[int, ...]


def span(size: Shape, stride: Shape) -> int:
    """Return how many elements of memory a view reaches over; 0 if it has none."""
    if 0 in size:
        return 0
    return 1 + sum((length - 1) * step for length, step in zip(size, stride, strict=True))


def infer_size(size: Shape, numel: int) -> Shape:
    """Replace a -1 in `size` by what `numel` leaves for it; raise RuntimeError in PyTorch's words."""
    wanted = list(size)
    for index, length in enumerate(wanted):
        if length < -1:
            raise RuntimeError(f"invalid shape dimension {length} at index {index} of shape {wanted}")
    if wanted.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    known = math.prod(length for length in wanted if length != -1)
    if -1 not in wanted and known == numel:
        return size
    if -1 not in wanted or (known and numel % known) or (not known and numel):
        raise RuntimeError(f"shape '{wanted}' is invalid for input of size {numel}")
    if not known:
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {wanted} because the unspecified dimension size -1 can be "
            "any value and is ambiguous"
        )
    return tuple(numel // known if length == -1 else length for length in wanted)


def view_strides(self: Meta, size: Shape) -> Shape | None:
    """Return the strides with which `self` can be seen as `size`, or None if its memory must be copied for that.

    Runs of axes that lie in memory as one (each stride is the next one's times its size) may be divided anew; an axis
    of `size` may not reach over two runs.
    """
    if self.numel == 0:
        return self.strides if size == self.shape else contiguous_strides(size)
    strides = [0] * len(size)
    filled = len(size) - 1
    for elements, step in _runs(self):
        taken = 1
        while filled >= 0 and (taken < elements or size[filled] == 1):
            strides[filled] = taken * step
            taken *= size[filled]
            filled -= 1
        if taken != elements:
            return None
    return tuple(strides) if filled < 0 else None


def _runs(self: Meta) -> list[tuple[int, int]]:
    """Return (elements, innermost stride) of the runs of axes that lie in memory as one, last first."""
    if not self.shape:
        return [(1, 1)]
    found, elements, step = [], 1, self.strides[-1]
    for axis in range(self.ndim - 1, -1, -1):
        elements *= self.shape[axis]
        if axis == 0:
            found.append((elements, step))
        elif self.shape[axis - 1] != 1 and self.strides[axis - 1] != elements * step:
            found.append((elements, step))
            elements, step = 1, self.strides[axis - 1]
    return found


def _view(self: Meta, size: Shape) -> View:
    found = infer_size(size, self.numel)
    strides = view_strides(self, found)
    if strides is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return View(Meta.strided(found, self.dtype, strides))


def _unsafe_view(self: Meta, size: Shape) -> Meta:
    return Meta.of(_view(self, size).meta.shape, self.dtype)


def _check_strided(self: Meta, size: Shape, stride: Shape, storage_offset: int, storage: int) -> None:
    """Refuse a view that reaches outside of `storage` elements: nothing else keeps a kernel inside its memory."""
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(step < 0 for step in stride):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    if storage_offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {storage_offset}")
    if any(length < 0 for length in size):
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(size)} and strides={list(stride)}")
    needed = span(size, stride)
    if needed and needed + storage_offset > storage:
        item = self.dtype.itemsize
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {storage_offset}, and itemsize "
            f"{item} requiring a storage size of {(needed + storage_offset) * item} are out of bounds for storage of "
            f"size {storage * item}"
        )


def _as_strided(self: Meta, size: Shape, stride: Shape, storage_offset: int) -> View:
    _check_strided(self, size, stride, storage_offset, span(self.shape, self.strides))
    return View(Meta.strided(size, self.dtype, stride), storage_offset)


def _as_strided_scatter(self: Meta, src: Meta, size: Shape, stride: Shape, storage_offset: int) -> Meta:
    if not self.is_contiguous:
        raise RuntimeError(
            f"as_strided_scatter needs self in C order; got {self} with strides {list(self.strides)}; use contiguous()"
        )
    _check_strided(self, size, stride, storage_offset, self.numel)
    if src.shape != size:
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice size = "
            f"{list(size)}"
        )
    return Meta.of(self.shape, self.dtype)


def _as_strided_backward(
    grad_output: Meta, input_size: Shape, input_stride: Shape, input_offset: int, size: Shape, stride: Shape,
    storage_offset: int,
) -> Meta:  # fmt: skip
    for lengths, steps, offset in ((input_size, input_stride, input_offset), (size, stride, storage_offset)):
        if len(lengths) != len(steps) or min((*lengths, *steps, offset)) < 0:
            raise RuntimeError(
                "as_strided_backward needs a stride per size and an offset, none of them negative; got sizes "
                f"{list(lengths)}, strides {list(steps)}, offset {offset}"
            )
    if grad_output.shape != size:
        raise RuntimeError(f"as_strided_backward needs a gradient of shape {list(size)}; got {grad_output}")
    return Meta.of(input_size, grad_output.dtype)


def _permute(self: Meta, dims: Shape) -> View:
    if len(dims) != self.ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {self.ndim} is not equal to len(dims) = {len(dims)}"
        )
    axes = [normalize_dim(dim, self.ndim) for dim in dims]
    if len(set(axes)) < len(axes):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return _axes(self, axes)


def _axes(self: Meta, axes: Sequence[int]) -> View:
    """View the given axes of `self`, in that order; the others must have one element."""
    shape, strides = tuple(self.shape[a] for a in axes), tuple(self.strides[a] for a in axes)
    return View(Meta.strided(shape, self.dtype, strides))


def _transpose(self: Meta, dim0: int, dim1: int) -> View:
    first, second = normalize_dim(dim0, self.ndim), normalize_dim(dim1, self.ndim)
    axes = list(range(self.ndim))
    if axes:
        axes[first], axes[second] = axes[second], axes[first]
    return _axes(self, axes)


def _t(self: Meta) -> View:
    if self.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {self.ndim}D")
    return _axes(self, range(self.ndim)[::-1])


def _squeeze(self: Meta, dim: Shape | int | None = None) -> View:
    dropped = range(self.ndim) if dim is None else normalize_dims(dim, self.ndim) if dim != () else ()
    return _axes(self, [axis for axis, size in enumerate(self.shape) if size != 1 or axis not in dropped])


def _unsqueeze(self: Meta, dim: int) -> View:
    axis = normalize_dim(dim, self.ndim + 1)
    step = 1 if axis == self.ndim else self.shape[axis] * self.strides[axis]
    shape = (*self.shape[:axis], 1, *self.shape[axis:])
    return View(Meta.strided(shape, self.dtype, (*self.strides[:axis], step, *self.strides[axis:])))


def expand(self: Meta, size: Shape) -> View:
    """Return `self` broadcast to `size`, -1 keeping a size; raise RuntimeError in PyTorch's words."""
    new = len(size) - self.ndim
    if new < 0:
        raise RuntimeError(
            f"expand(torch.{torch_type_name(self.dtype)}Tensor{{{list(self.shape)}}}, size={list(size)}): the number "
            f"of sizes provided ({len(size)}) must be greater or equal to the number of dimensions in the tensor "
            f"({self.ndim})"
        )
    shape, strides = list(size), [0] * len(size)
    for axis in range(len(size) - 1, -1, -1):
        if axis >= new:
            held, step = self.shape[axis - new], self.strides[axis - new]
        else:
            held, step = 1, shape[axis + 1] * strides[axis + 1] if axis + 1 < len(size) else 0
        shape[axis] = _expanded(self, size, axis, held, axis < new)
        strides[axis] = step if shape[axis] == held else 0
    return View(Meta.strided(tuple(shape), self.dtype, tuple(strides)))


def _expanded(self: Meta, size: Shape, axis: int, held: int, is_new: bool) -> int:
    """Return the size of an expanded axis that had `held` elements."""
    if size[axis] == -1:
        if is_new:
            raise RuntimeError(
                f"The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {axis}"
            )
        return held
    if size[axis] != held and (held != 1 or size[axis] < 0):
        raise RuntimeError(
            f"The expanded size of the tensor ({size[axis]}) must match the existing size ({held}) at non-singleton "
            f"dimension {axis}.  Target sizes: {list(size)}.  Tensor sizes: {list(self.shape)}"
        )
    return size[axis]


def _replaced(values: Shape, axis: int, *new: int) -> Shape:
    return (*values[:axis], *new, *values[axis + 1 :])


def _select(self: Meta, dim: int, index: int) -> View:
    if not self.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    axis = normalize_dim(dim, self.ndim)
    size = self.shape[axis]
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(self.shape)} at dimension {axis}"
        )
    meta = Meta.strided(_replaced(self.shape, axis), self.dtype, _replaced(self.strides, axis))
    return View(meta, index % size * self.strides[axis])


def slice_bounds(size: int, start: int | None, end: int | None, step: int) -> tuple[int, int, int]:
    """Return (start, end, length) of a slice of an axis, as Python counts them; refuse a step that is not positive."""
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    first, last, _ = slice(start, end, step).indices(size)
    return first, max(first, last), len(range(first, last, step))


def _slice(self: Meta, dim: int, start: int | None, end: int | None, step: int) -> View:
    if not self.ndim:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    axis = normalize_dim(dim, self.ndim)
    first, _, length = slice_bounds(self.shape[axis], start, end, step)
    strides = _replaced(self.strides, axis, self.strides[axis] * step)
    return View(Meta.strided(_replaced(self.shape, axis, length), self.dtype, strides), first * self.strides[axis])


def _pieces(self: Meta, axis: int, lengths: Sequence[int]) -> tuple[View, ...]:
    views, first = [], 0
    for length in lengths:
        meta = Meta.strided(_replaced(self.shape, axis, length), self.dtype, self.strides)
        views.append(View(meta, first * self.strides[axis]))
        first += length
    return tuple(views)


def _check_pieces(count: int) -> None:
    if count > limits.MAX_OUTPUTS:
        raise LimitExceeded(
            f"one call makes at most {limits.MAX_OUTPUTS} tensors; got {count}; cut it into larger pieces first"
        )


def _unbind(self: Meta, dim: int) -> tuple[View, ...]:
    axis = normalize_dim(dim, self.ndim)
    if not self.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    _check_pieces(self.shape[axis])
    meta = Meta.strided(_replaced(self.shape, axis), self.dtype, _replaced(self.strides, axis))
    return tuple(View(meta, index * self.strides[axis]) for index in range(self.shape[axis]))


def _split(self: Meta, split_size: int, dim: int) -> tuple[View, ...]:
    if not self.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if split_size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={split_size}")
    axis = normalize_dim(dim, self.ndim)
    size = self.shape[axis]
    if split_size == 0 and size:
        raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {size}")
    # A piece of nothing is still a piece.
    count = max(-(-size // split_size), 1) if split_size else 1
    _check_pieces(count)
    return _pieces(self, axis, [min(split_size, size - index * split_size) for index in range(count)])


def _split_with_sizes(self: Meta, split_sizes: Shape, dim: int) -> tuple[View, ...]:
    if not self.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    axis = normalize_dim(dim, self.ndim)
    if any(length < 0 for length in split_sizes):
        raise RuntimeError(
            "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes="
            f"{list(split_sizes)}"
        )
    if sum(split_sizes) != self.shape[axis]:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {self.shape[axis]} (input tensor's size at "
            f"dimension {dim}), but got split_sizes={list(split_sizes)}"
        )
    return _pieces(self, axis, split_sizes)


def _diagonal(self: Meta, offset: int, dim1: int, dim2: int) -> View:
    first, second = normalize_dim(dim1, self.ndim), normalize_dim(dim2, self.ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rows, columns = self.shape[first], self.shape[second]
    length = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    start = self.strides[second] * offset if offset >= 0 else self.strides[first] * -offset
    rest = [axis for axis in range(self.ndim) if axis not in (first, second)]
    shape = (*(self.shape[axis] for axis in rest), length)
    strides = (*(self.strides[axis] for axis in rest), self.strides[first] + self.strides[second])
    return View(Meta.strided(shape, self.dtype, strides), start if length else 0)


def _unfold(self: Meta, dimension: int, size: int, step: int) -> View:
    """View the windows of `size` places of an axis, every `step` places, as a new last axis."""
    axis = normalize_dim(dimension, self.ndim)
    length, stride = (self.shape[axis], self.strides[axis]) if self.ndim else (1, 1)
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > length:
        raise RuntimeError(f"maximum size for tensor at dimension {axis} is {length} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not self.ndim:
        return View(Meta.strided((size,), self.dtype, (1,)))
    shape = _replaced(self.shape, axis, (length - size) // step + 1)
    strides = _replaced(self.strides, axis, step * stride)
    return View(Meta.strided((*shape, size), self.dtype, (*strides, stride)))


def _unfold_backward(grad_in: Meta, input_sizes: Shape, dim: int, size: int, step: int) -> Meta:
    view = _unfold(Meta.of(input_sizes, grad_in.dtype), dim, size, step)
    return _into(view, grad_in, input_sizes, "unfold_backward")


def _joined(tensors: Sequence[Meta], dim: int) -> list[Meta]:
    """Return the tensors that `cat` joins: an empty vector is allowed among others for the sake of old code."""
    for position, meta in enumerate(tensors):
        if not meta.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {position}) cannot be concatenated")
    return [meta for meta in tensors if meta.shape != (0,)]


def _cat(tensors: tuple[Meta, ...], dim: int) -> Meta:
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    joined = _joined(tensors, dim)
    dtype = result_type(*tensors)
    if not joined:
        normalize_dim(dim, 1)
        return Meta.of((0,), dtype)
    first = joined[0]
    axis = normalize_dim(dim, first.ndim)
    for position, meta in enumerate(tensors):
        if meta.shape != (0,):
            _check_joined(first, meta, axis, position)
    return Meta.of(_replaced(first.shape, axis, sum(meta.shape[axis] for meta in joined)), dtype)


def _check_joined(first: Meta, meta: Meta, axis: int, position: int) -> None:
    if meta.ndim != first.ndim:
        raise RuntimeError(f"Tensors must have same number of dimensions: got {first.ndim} and {meta.ndim}")
    for index, (expected, size) in enumerate(zip(first.shape, meta.shape, strict=True)):
        if index != axis and expected != size:
            raise RuntimeError(
                f"Sizes of tensors must match except in dimension {axis}. Expected size {expected} but got size {size} "
                f"for tensor number {position} in the list."
            )


def _stack(tensors: tuple[Meta, ...], dim: int) -> Meta:
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    shape = tensors[0].shape
    axis = normalize_dim(dim, len(shape) + 1)
    for position, meta in enumerate(tensors):
        if meta.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and {list(meta.shape)} "
                f"at entry {position}"
            )
    return Meta.of((*shape[:axis], len(tensors), *shape[axis:]), result_type(*tensors))


def _flip(self: Meta, dims: Shape) -> Meta:
    if dims:
        normalize_dims(dims, self.ndim)
    return like(self)


def _roll(self: Meta, shifts: Shape, dims: Shape) -> Meta:
    if not shifts:
        raise RuntimeError("`shifts` required")
    # Without dims, the elements are rolled as one long vector.
    if len(shifts) != len(dims) and (dims or len(shifts) > 1):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    if dims and not self.ndim:
        raise IndexError(f"Dimension specified as {dims[0]} but tensor has no dimensions")
    for dim in dims:
        normalize_dim(dim, self.ndim)
    return like(self)


def _repeat(self: Meta, repeats: Shape) -> Meta:
    if len(repeats) < self.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    padded = (1,) * (len(repeats) - self.ndim) + self.shape
    shape = tuple(size * count for size, count in zip(padded, repeats, strict=True))
    if min(repeats, default=0) < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    return Meta.of(shape, self.dtype)


def _triangle(name: str, self: Meta) -> Meta:
    if self.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    return like(self)


def _into(view: View, grad_output: Meta, input_sizes: Shape, name: str) -> Meta:
    """Return the meta of zeros of `input_sizes` with `grad_output` written into `view` of them."""
    if grad_output.shape != view.meta.shape:
        raise RuntimeError(f"{name} needs a gradient of shape {list(view.meta.shape)}; got {grad_output}")
    return Meta.of(input_sizes, grad_output.dtype)


def _select_backward(grad_output: Meta, input_sizes: Shape, dim: int, index: int) -> Meta:
    view = _select(Meta.of(input_sizes, grad_output.dtype), dim, index)
    return _into(view, grad_output, input_sizes, "select_backward")


def _slice_backward(grad_output: Meta, input_sizes: Shape, dim: int, start: int, end: int, step: int) -> Meta:
    view = _slice(Meta.of(input_sizes, grad_output.dtype), dim, start, end, step)
    return _into(view, grad_output, input_sizes, "slice_backward")


def _diagonal_backward(grad_output: Meta, input_sizes: Shape, offset: int, dim1: int, dim2: int) -> Meta:
    view = _diagonal(Meta.of(input_sizes, grad_output.dtype), offset, dim1, dim2)
    return _into(view, grad_output, input_sizes, "diagonal_backward")


_SELF = {"self": ""}
_GRAD = {"grad_output": ""}

# Views: the result is `self`'s memory.
op("as_strided(Tensor(a) self, int[] size, int[] stride, int storage_offset=0) -> Tensor(a)", _as_strided, _SELF)
op("detach(Tensor(a) self) -> Tensor(a)", lambda self: View(self))
op("alias(Tensor(a) self) -> Tensor(a)", lambda self: View(self), _SELF)
op("view(Tensor(a) self, int[] size) -> Tensor(a)", _view, _SELF)
op("permute(Tensor(a) self, int[] dims) -> Tensor(a)", _permute, _SELF)
op("transpose.int(Tensor(a) self, int dim0, int dim1) -> Tensor(a)", _transpose, _SELF)
op("t(Tensor(a) self) -> Tensor(a)", _t, _SELF)
op("squeeze(Tensor(a) self) -> Tensor(a)", _squeeze, _SELF)
op("squeeze.dim(Tensor(a) self, int dim) -> Tensor(a)", _squeeze, _SELF, node="SqueezeBackward1")
op("squeeze.dims(Tensor(a) self, int[] dim) -> Tensor(a)", _squeeze, _SELF, node="SqueezeBackward2")
op("unsqueeze(Tensor(a) self, int dim) -> Tensor(a)", _unsqueeze, _SELF)
op("expand(Tensor(a) self, int[] size) -> Tensor(a)", expand, _SELF)
op("select.int(Tensor(a) self, int dim, int index) -> Tensor(a)", _select, _SELF)
op("slice.Tensor(Tensor(a) self, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor(a)", _slice, _SELF)
op("diagonal(Tensor(a) self, int offset=0, int dim1=0, int dim2=1) -> Tensor(a)", _diagonal, _SELF)
op("unfold(Tensor(a) self, int dimension, int size, int step) -> Tensor(a)", _unfold, _SELF)
op("unbind.int(Tensor(a) self, int dim=0) -> Tensor(a)[]", _unbind, _SELF)
op("split.Tensor(Tensor(a) self, int split_size, int dim=0) -> Tensor(a)[]", _split, _SELF)
op("split_with_sizes(Tensor(a) self, int[] split_sizes, int dim=0) -> Tensor(a)[]", _split_with_sizes, _SELF)

# PyTorch's view of a tensor that nobody else holds: it shares memory, but autograd may treat it as a new tensor.
op("_unsafe_view(Tensor self, int[] size) -> Tensor", _unsafe_view, _SELF)

# Copies.
op("cat(Tensor[] tensors, int dim=0) -> Tensor", _cat, {"tensors": ""})
op("stack(Tensor[] tensors, int dim=0) -> Tensor", _stack, {"tensors": ""})
op("flip(Tensor self, int[] dims) -> Tensor", _flip, _SELF)
op("roll(Tensor self, int[1] shifts, int[1] dims=[]) -> Tensor", _roll, _SELF)
op("repeat(Tensor self, int[] repeats) -> Tensor", _repeat, _SELF)
op("tril(Tensor self, int diagonal=0) -> Tensor", lambda self, diagonal: _triangle("tril", self), _SELF, inplace=True)
op("triu(Tensor self, int diagonal=0) -> Tensor", lambda self, diagonal: _triangle("triu", self), _SELF, inplace=True)
op("as_strided_scatter(Tensor self, Tensor src, int[] size, int[] stride, int storage_offset=0) -> Tensor",
   _as_strided_scatter, {"self": "", "src": ""})  # fmt: skip

# Gradients of views: zeros with the gradient in the view's place.
op("select_backward(Tensor grad_output, int[] input_sizes, int dim, int index) -> Tensor", _select_backward, _GRAD)
op("slice_backward(Tensor grad_output, int[] input_sizes, int dim, int start, int end, int step) -> Tensor",
   _slice_backward, _GRAD)  # fmt: skip
op("diagonal_backward(Tensor grad_output, int[] input_sizes, int offset, int dim1, int dim2) -> Tensor",
   _diagonal_backward, _GRAD)  # fmt: skip
op("unfold_backward(Tensor grad_in, int[] input_sizes, int dim, int size, int step) -> Tensor", _unfold_backward,
   {"grad_in": ""})  # fmt: skip
# Not ATen's, where it is C++ inside of autograd: sums the elements of a view where they overlap in the memory of its
# base, then reads that memory by the base's strides. Its own gradient is itself with base and view changing places.
op("as_strided_backward(Tensor grad_output, int[] input_size, int[] input_stride, int input_offset, int[] size, "
   "int[] stride, int storage_offset) -> Tensor", _as_strided_backward, _GRAD)  # fmt: skip
