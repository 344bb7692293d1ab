"""Shape and dtype rules shared by the op declarations, and PyTorch's words for what they refuse.

A rule sees metas, never values. It runs on the client for every new kind of call and on the worker for every interned
signature, so an error has the same class and words on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradwire_protocol.dtypes import (
    Category,
    DType,
    bool_,
    complex64,
    complex128,
    float64,
    int64,
    promote_types,
    scalar_dtype,
)
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import torch_type_name
from gradwire_protocol.signature import default_dtype

__all__ = [
    "broadcast_shapes", "compare", "expect_floating", "floating", "like", "normalize_dim", "normalize_dims", "pointwise",
    "reduced_shape", "result_type", "same_dtype",
]  # fmt: skip

Shape = tuple[int, ...]


def broadcast_shapes(*shapes: Shape) -> Shape:
    """Return the shape that all broadcast to; raise RuntimeError in PyTorch's words, for the last axis that does not fit."""
    ndim = max((len(shape) for shape in shapes), default=0)
    result = [1] * ndim
    for shape in shapes:
        for axis in range(ndim - 1, ndim - len(shape) - 1, -1):
            size = shape[axis - ndim + len(shape)]
            if result[axis] == 1:
                result[axis] = size
            elif size not in (1, result[axis]):
                raise RuntimeError(
                    f"The size of tensor a ({result[axis]}) must match the size of tensor b ({size}) at non-singleton "
                    f"dimension {axis}"
                )
    return tuple(result)


def _combine(higher: DType | None, lower: DType | None) -> DType | None:
    """Combine the dtypes of two priority classes as ATen's `combine_categories` does."""
    if higher is None or lower is None:
        return higher or lower
    if higher.is_complex:
        return higher
    if higher.is_floating_point:
        # PyTorch makes float16 complex32 here, which numpy lacks: complex64 stands in.
        return (complex128 if higher is float64 else complex64) if lower.is_complex else higher
    if higher.category is Category.BOOL or lower.category >= Category.FLOAT:
        return promote_types(higher, lower)
    return higher


def result_type(*arguments: Meta | type | None) -> DType:
    """Return the dtype that PyTorch computes in: tensors with axes outrank 0-dim tensors, which outrank numbers."""
    ranked: list[DType | None] = [None, None, None]
    for argument in arguments:
        if argument is None or argument is type(None):
            continue
        if isinstance(argument, Meta):
            rank, dtype = (0 if argument.ndim else 1), argument.dtype
        else:
            rank, dtype = 2, scalar_dtype(argument, default_dtype())
        held = ranked[rank]
        ranked[rank] = dtype if held is None else promote_types(held, dtype)
    combined = _combine(ranked[0], _combine(ranked[1], ranked[2]))
    assert combined is not None, "result_type needs at least one tensor or number"
    return combined


def _shapes(arguments: Sequence[Any]) -> list[Shape]:
    return [argument.shape for argument in arguments if isinstance(argument, Meta)]


def pointwise(*arguments: Any) -> Meta:
    """Broadcast the shapes, promote the dtypes (`add`, `mul`, `where`, ...)."""
    return Meta.of(broadcast_shapes(*_shapes(arguments)), result_type(*_numbers(arguments)))


def floating(*arguments: Any) -> Meta:
    """Broadcast and promote; integers and bools become the default float dtype (`sin`, `true_divide`, ...)."""
    dtype = result_type(*_numbers(arguments))
    if dtype.category < Category.FLOAT:
        dtype = default_dtype()
    return Meta.of(broadcast_shapes(*_shapes(arguments)), dtype)


def compare(*arguments: Any) -> Meta:
    """Broadcast; the result is bool (`eq`, `lt`, `logical_and`, ...)."""
    return Meta.of(broadcast_shapes(*_shapes(arguments)), bool_)


def _numbers(arguments: Sequence[Any]) -> list[Any]:
    return [argument for argument in arguments if isinstance(argument, Meta | type)]


def like(self: Meta, *rest: Any) -> Meta:
    """Return the shape and dtype of the first argument."""
    return Meta.of(self.shape, self.dtype)


def normalize_dim(dim: int, ndim: int) -> int:
    """Return `dim` counted from the front; a 0-dim tensor counts as having one. Raise IndexError as PyTorch."""
    size = max(ndim, 1)
    if not -size <= dim < size:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-size}, {size - 1}], but got {dim})")
    return dim % size


def normalize_dims(dim: Sequence[int] | int | None, ndim: int) -> Shape:
    """Return sorted distinct axes, all of them for None or (); raise RuntimeError for one named twice."""
    if dim is None or (not isinstance(dim, int) and not dim):
        return tuple(range(ndim))
    axes = [normalize_dim(axis, ndim) for axis in ((dim,) if isinstance(dim, int) else dim)]
    for axis in axes:
        if axes.count(axis) > 1:
            raise RuntimeError(f"dim {axis} appears multiple times in the list of dims")
    return tuple(sorted(axes)) if ndim else ()


def reduced_shape(shape: Shape, axes: Shape, keepdim: bool) -> Shape:
    """Return `shape` with `axes` reduced: to 1 with `keepdim`, else dropped."""
    if keepdim:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def expect_floating(name: str, *metas: Meta) -> None:
    """Refuse integer and bool tensors where PyTorch has no kernel for them, in its words."""
    for meta in metas:
        if meta.dtype.category < Category.FLOAT:
            raise RuntimeError(f"\"{name}\" not implemented for '{torch_type_name(meta.dtype)}'")


def same_dtype(name: str, *metas: Meta | None) -> DType:
    """Return the one dtype of all; raise RuntimeError in PyTorch's words if they differ (`mm`, `conv`: no promotion)."""
    present = [meta for meta in metas if meta is not None]
    for meta in present[1:]:
        if meta.dtype is not present[0].dtype:
            raise RuntimeError(
                f"{name}: expected all tensors to have the same dtype, but got {present[0].dtype.name} and "
                f"{meta.dtype.name}"
            )
    return present[0].dtype


def index_result(name: str, index: Meta) -> None:
    """Refuse an index tensor that is not int64, as PyTorch's gather family does."""
    if index.dtype is not int64:
        raise RuntimeError(f"{name}(): Expected dtype int64 for index")


Rule = Callable[..., Any]
