"""Composites and overload resolution of the shape family."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.axis_names import named_dim
from gradwire_protocol.composites.base import Callable_, ints, sizes
from gradwire_protocol.infer import normalize_dim
from gradwire_protocol.ops import OPS
from gradwire_protocol.ops.shape import infer_size, view_strides

__all__ = ["ShapeComposites"]

_AS_STRIDED, _CLONE_VIEW, _VIEW = OPS["as_strided"], OPS["_unsafe_view"], OPS["view"]
_PERMUTE, _TRANSPOSE, _EXPAND = OPS["permute"], OPS["transpose.int"], OPS["expand"]
_SQUEEZE, _SQUEEZE_DIM, _SQUEEZE_DIMS = OPS["squeeze"], OPS["squeeze.dim"], OPS["squeeze.dims"]
_SLICE, _SPLIT, _SPLIT_SIZES = OPS["slice.Tensor"], OPS["split.Tensor"], OPS["split_with_sizes"]
_FLIP, _REPEAT, _ROLL = OPS["flip"], OPS["repeat"], OPS["roll"]


def _either(given: tuple[Any, ...], named: Sequence[int] | None) -> tuple[int, ...]:
    """Return integers given as `f(2, 3)`, `f((2, 3))`, or by PyTorch's name for them."""
    return sizes(given) if named is None else tuple(named)


class ShapeComposites(Callable_):
    """Methods of the shape family that are written by hand."""

    __slots__ = ()

    # -- views of the same elements in another shape
    def view(self, *shape: Any, size: Sequence[int] | None = None) -> Self:
        """Return the same memory in another shape, of which one size may be -1."""
        return self._call(_VIEW, (self,), (_either(shape, size),))  # type: ignore[no-any-return]

    def view_as(self, other: Callable_) -> Self:
        """Return `self.view(other.shape)`."""
        return self.view(other.meta.shape)

    def reshape(self, *size_: Any, shape: Sequence[int] | None = None) -> Self:
        """Return a view in another shape where strides allow it, else a copy in that shape."""
        size = infer_size(_either(size_, shape), self.meta.numel)
        if view_strides(self.meta, size) is not None:
            return self._call(_VIEW, (self,), (size,))  # type: ignore[no-any-return]
        return self._call(_CLONE_VIEW, (self._clone(),), (size,))  # type: ignore[no-any-return]

    def reshape_as(self, other: Callable_) -> Self:
        """Return `self.reshape(other.shape)`."""
        return self.reshape(other.meta.shape)

    def _clone(self) -> Self:
        return self._call(OPS["clone"], (self,))  # type: ignore[no-any-return]

    def contiguous(self) -> Self:
        """Return self if its elements lie in C order, else a copy that does."""
        return self if self.meta.is_contiguous else self._clone()

    def ravel(self) -> Self:
        """Return the elements as a vector, without a copy where they lie in C order."""
        return self.contiguous().view(-1)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Self:
        """Return the axes `start_dim` to `end_dim` as one."""
        shape = self.meta.shape
        start, end = normalize_dim(start_dim, len(shape)), normalize_dim(end_dim, len(shape))
        if start > end:
            raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
        if not shape:
            return self.reshape(1)
        if start == end:
            return self
        return self.reshape(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])

    def unflatten(self, dim: int, sizes: Sequence[int]) -> Self:
        """Return axis `dim` as several axes, one of whose sizes may be -1."""
        shape, wanted = self.meta.shape, list(sizes)
        axis = normalize_dim(dim, len(shape))
        if not shape:
            raise RuntimeError(
                "unflatten got an unexpected error:\nDimension specified as 0 but tensor has no dimensions"
            )
        if not wanted:
            raise RuntimeError("unflatten: sizes must be non-empty")
        try:
            divided = infer_size(tuple(wanted), shape[axis])
        except RuntimeError as error:
            if "is invalid for input" not in str(error):
                raise
            raise RuntimeError(
                f"unflatten: Provided sizes {wanted} don't multiply up to the size of dim {axis} ({shape[axis]}) in "
                "the input tensor"
            ) from None
        return self.view(*shape[:axis], *divided, *shape[axis + 1 :])

    def squeeze(self, dim: int | Sequence[int] | None = None, *, axis: int | Sequence[int] | None = None) -> Self:
        """Drop axes of size 1: all of them, or those of `dim`."""
        dim = dim if axis is None else named_dim("squeeze", dim, axis)
        if dim is None:
            return self._call(_SQUEEZE, (self,))  # type: ignore[no-any-return]
        if isinstance(dim, int):
            return self._call(_SQUEEZE_DIM, (self,), (dim,))  # type: ignore[no-any-return]
        return self._call(_SQUEEZE_DIMS, (self,), (tuple(dim),))  # type: ignore[no-any-return]

    def as_strided(self, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Self:
        """Return a view of self's storage; `storage_offset` counts from the storage's start, by default self's own."""
        viewed: Any = self
        offset = viewed.offset if storage_offset is None else storage_offset
        if viewed.base is not None:
            # Only the base reaches all of the storage.
            viewed = viewed.base
        statics = (tuple(size), tuple(stride), offset - viewed.offset)
        return viewed._call(_AS_STRIDED, (viewed,), statics)  # type: ignore[no-any-return]

    # -- views with the axes in another order
    def permute(self, *axes: Any, dims: Sequence[int] | None = None) -> Self:
        """Return the axes in the order `dims`."""
        return self._call(_PERMUTE, (self,), (_either(axes, dims),))  # type: ignore[no-any-return]

    def numpy_T(self) -> Self:
        """Return the axes in reversed order; ATen's name of what users write as `.T`."""
        return self._call(_PERMUTE, (self,), (tuple(range(self.meta.ndim))[::-1],))  # type: ignore[no-any-return]

    def swapaxes(self, axis0: int, axis1: int) -> Self:
        """Return `self.transpose(axis0, axis1)`."""
        return self._call(_TRANSPOSE, (self,), (axis0, axis1))  # type: ignore[no-any-return]

    def swapdims(self, dim0: int, dim1: int) -> Self:
        """Return `self.transpose(dim0, dim1)`."""
        return self._call(_TRANSPOSE, (self,), (dim0, dim1))  # type: ignore[no-any-return]

    def movedim(self, source: int | Sequence[int], destination: int | Sequence[int]) -> Self:
        """Move the axes `source` to the places `destination`; the others keep their order."""
        from_, to = ints(source) or (), ints(destination) or ()
        if len(from_) != len(to):
            raise RuntimeError(
                f"movedim: Invalid source or destination dims: source ({list(from_)} dims) should contain the same "
                f"number of dims as destination ({list(to)} dims)"
            )
        order = dict(zip(self._places("destination", to), self._places("source", from_), strict=True))
        rest = iter([axis for axis in range(self.meta.ndim) if axis not in order.values()])
        dims = [order[axis] if axis in order else next(rest) for axis in range(self.meta.ndim)]
        return self.permute(dims) if dims else self._call(OPS["alias"], (self,))

    def _places(self, name: str, dims: Sequence[int]) -> list[int]:
        axes = [normalize_dim(dim, self.meta.ndim) for dim in dims]
        if len(set(axes)) < len(axes):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(dims)})")
        return axes if self.meta.ndim else []

    moveaxis = movedim

    # -- views of more, or fewer, elements
    def expand(self, *sizes: Any, size: Sequence[int] | None = None) -> Self:
        """Return a view with axes of size 1 repeated, and new axes in front; -1 keeps a size."""
        return self._call(_EXPAND, (self,), (_either(sizes, size),))  # type: ignore[no-any-return]

    def expand_as(self, other: Callable_) -> Self:
        """Return `self.expand(other.shape)`."""
        return self._call(_EXPAND, (self,), (other.meta.shape,))  # type: ignore[no-any-return]

    def broadcast_to(self, size: Sequence[int]) -> Self:
        """Return `self.expand(size)`."""
        return self._call(_EXPAND, (self,), (tuple(size),))  # type: ignore[no-any-return]

    def narrow(self, dim: int, start: int, length: int) -> Self:
        """Return `length` places of axis `dim` from `start` on, which may count from the end."""
        if not self.meta.ndim:
            raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
        if length < 0:
            raise RuntimeError("narrow(): length must be non-negative.")
        size = self.meta.shape[normalize_dim(dim, self.meta.ndim)]
        if not -size <= start <= size:
            raise IndexError(f"start out of range (expected to be in range of [{-size}, {size}], but got {start})")
        first = start + size if start < 0 else start
        if first + length > size:
            raise RuntimeError(f"start ({first}) + length ({length}) exceeds dimension size ({size}).")
        return self._call(_SLICE, (self,), (dim, first, first + length, 1))  # type: ignore[no-any-return]

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Self, ...]:
        """Return views of pieces of axis `dim`: all `split_size` long but the last, or of the given lengths."""
        if isinstance(split_size, int):
            return self._call(_SPLIT, (self,), (split_size, dim))  # type: ignore[no-any-return]
        return self._call(_SPLIT_SIZES, (self,), (tuple(split_size), dim))  # type: ignore[no-any-return]

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Self, ...]:
        """Return at most `chunks` views of equal pieces of axis `dim`; the last may be shorter."""
        if not self.meta.ndim:
            raise RuntimeError("chunk expects at least a 1-dimensional tensor")
        if chunks <= 0:
            raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
        size = self.meta.shape[normalize_dim(dim, self.meta.ndim)]
        return self.split(-(-size // chunks) if size else [0] * chunks, dim)

    # -- copies
    def flip(self, *axes: Any, dims: Sequence[int] | None = None) -> Self:
        """Return a copy with the elements of the axes `dims` in reversed order."""
        return self._call(_FLIP, (self,), (_either(axes, dims),))  # type: ignore[no-any-return]

    def roll(self, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Self:
        """Return a copy rotated by `shifts` along `dims`; without them, as one vector."""
        return self._call(_ROLL, (self,), (ints(shifts), () if dims is None else ints(dims)))  # type: ignore[no-any-return]

    def repeat(self, *counts: Any, repeats: Sequence[int] | None = None) -> Self:
        """Return copies of self side by side, `repeats` of them along each axis."""
        return self._call(_REPEAT, (self,), (_either(counts, repeats),))  # type: ignore[no-any-return]

    def tile(self, *counts: Any, dims: Sequence[int] | None = None) -> Self:
        """Return copies of self side by side, as `repeat`, but with fewer counts than axes allowed."""
        repeats = _either(counts, dims)
        return self.repeat((1,) * (self.meta.ndim - len(repeats)) + repeats)

    def fliplr(self) -> Self:
        """Return a copy with axis 1 in reversed order."""
        if self.meta.ndim < 2:
            raise RuntimeError("Input must be >= 2-d.")
        return self.flip(1)

    def flipud(self) -> Self:
        """Return a copy with axis 0 in reversed order."""
        if self.meta.ndim < 1:
            raise RuntimeError("Input must be >= 1-d.")
        return self.flip(0)

    def rot90(self, k: int = 1, dims: Sequence[int] = (0, 1)) -> Self:
        """Return a copy turned by k quarter turns from the first towards the second of two axes."""
        ndim, count = self.meta.ndim, len(dims)
        if count != 2:
            raise RuntimeError(f"expected total rotation dims == 2, but got dims = {count}")
        if ndim < 2:
            raise RuntimeError(f"expected total dims >= 2, but got total dims = {ndim}")
        first, second = dims
        if first == second or abs(first - second) == ndim:
            raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {first} and dim1 = {second}")
        for index, dim in enumerate(dims):
            if not -ndim <= dim < ndim:
                raise RuntimeError(f"Rotation dim{index} out of range, dim{index} = {dim}")
        if k % 2 == 0:
            return self.flip(first, second) if k % 4 else self._clone()
        turned: Any = self.flip(second if k % 4 == 1 else first)
        return turned.transpose(first, second)  # type: ignore[no-any-return]
