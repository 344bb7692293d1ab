"""Reading and writing at places that index tensors name. Values of indices are the worker's to check, shapes are ours.

A bool mask is no index here: the shape of what it picks depends on its values, so `__getitem__` makes integer indices
of it first.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradwire_protocol.dtypes import DType, bool_, int32, int64
from gradwire_protocol.infer import like, normalize_dim
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import op, torch_type_name

__all__ = ["INDEX_DTYPES", "at_least_1d", "check_number", "indexed_shape", "scattered"]

Shape = tuple[int, ...]
Indices = tuple[Meta | None, ...]

INDEX_DTYPES = (int64, int32)


# ---------------------------------------------------------------- index, index_put
def _broadcast(shapes: Sequence[Shape]) -> Shape:
    ndim = max(map(len, shapes))
    padded = [(1,) * (ndim - len(shape)) + shape for shape in shapes]
    result = []
    for sizes in zip(*padded, strict=True):
        wide = {size for size in sizes if size != 1}
        if len(wide) > 1:
            listed = ", ".join(str(list(shape)) for shape in shapes)
            raise IndexError(f"shape mismatch: indexing tensors could not be broadcast together with shapes {listed}")
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def indexed_shape(shape: Shape, indices: Sequence[Shape | None]) -> Shape:
    """Return the shape of `self[indices]`: each entry is the shape of an index tensor, or None for all of an axis.

    The axes of the broadcast indices stand where the indexed axes stood; in front, if those were not neighbours.
    """
    if len(indices) > len(shape):
        raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
    axes = [axis for axis, index in enumerate(indices) if index is not None]
    if not axes:
        return shape
    picked = _broadcast([index for index in indices if index is not None])
    if 0 in [shape[axis] for axis in axes] and 0 not in picked:
        raise IndexError("index is out of bounds for dimension with size 0")
    together = axes[-1] - axes[0] == len(axes) - 1
    first = axes[0] if together else 0
    rest = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    return (*rest[:first], *picked, *rest[first:])


def _check_indices(indices: Indices) -> None:
    for index in indices:
        if index is not None and index.dtype is bool_:
            raise IndexError(
                "index needs int64 or int32 tensors, since the number of elements that a bool mask picks is not known "
                f"from its shape; got {index}; index with [mask], or with mask.nonzero(as_tuple=True)"
            )
        if index is not None and index.dtype not in INDEX_DTYPES:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")


def _index(self: Meta, indices: Indices) -> Meta:
    _check_indices(indices)
    return Meta.of(indexed_shape(self.shape, [None if i is None else i.shape for i in indices]), self.dtype)


def _index_put(self: Meta, indices: Indices, values: Meta, accumulate: bool) -> Meta:
    if values.dtype is not self.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{torch_type_name(self.dtype)} for the destination and {torch_type_name(values.dtype)} for the source."
        )
    target = _index(self, indices).shape
    tail = target[len(target) - values.ndim :] if values.ndim <= len(target) else None
    if tail is None or any(size not in (1, into) for size, into in zip(values.shape, tail, strict=True)):
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to indexing result of "
            f"shape {list(target)}"
        )
    return like(self)


# ---------------------------------------------------------------- gather, scatter
def at_least_1d(shape: Shape) -> Shape:
    """Return the shape of a vector for that of a tensor without axes."""
    return shape or (1,)


def _check_index_dtype(name: str, index: Meta, words: str = "int32/int64") -> None:
    if index.dtype not in INDEX_DTYPES:
        raise RuntimeError(f"{name}(): Expected dtype {words} for index")


def _larger(index: Shape, than: Shape, dim: int) -> bool:
    return any(axis != dim and size > than[axis] for axis, size in enumerate(index))


def _gather(self: Meta, dim: int, index: Meta) -> Meta:
    axis = normalize_dim(dim, self.ndim)
    if index.numel:
        _check_index_dtype("gather", index)
    mine, wanted = at_least_1d(self.shape), at_least_1d(index.shape)
    if index.numel:
        if len(mine) != len(wanted):
            raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
        for other, size in enumerate(wanted):
            if other != axis and size > mine[other]:
                raise RuntimeError(
                    f"Size does not match at dimension {other} expected index {list(index.shape)} to be no larger than "
                    f"self {list(self.shape)} apart from dimension {axis}"
                )
    return Meta.of(index.shape, self.dtype)


def scattered(self: Meta, dim: int, index: Meta, src: Meta) -> Meta:
    """Check that `src` can be written at `index`, and return the meta of self."""
    axis = _scatter_axis(self, dim, index)
    if src.dtype is not self.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if not index.numel:
        return like(self)
    mine, wanted, given = at_least_1d(self.shape), at_least_1d(index.shape), at_least_1d(src.shape)
    if len(wanted) != len(given):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    if _larger(wanted, mine, axis) or _larger(wanted, given, -1):
        raise RuntimeError(
            f"Expected index {list(index.shape)} to be no larger than self {list(self.shape)} apart from dimension "
            f"{axis} and to be no larger size than src {list(src.shape)}"
        )
    return like(self)


def _scatter_axis(self: Meta, dim: int, index: Meta) -> int:
    axis = normalize_dim(dim, self.ndim)
    if index.numel:
        _check_index_dtype("scatter", index)
    if index.numel and len(at_least_1d(self.shape)) != len(at_least_1d(index.shape)):
        raise RuntimeError("Index tensor must have the same number of dimensions as self tensor")
    return axis


def _scattered_number(self: Meta, dim: int, index: Meta, value: type) -> Meta:
    axis = _scatter_axis(self, dim, index)
    check_number(self.dtype, value)
    if index.numel and _larger(at_least_1d(index.shape), at_least_1d(self.shape), axis):
        raise RuntimeError(
            f"Expected index {list(index.shape)} to be no larger than self {list(self.shape)} apart from dimension "
            f"{axis}"
        )
    return like(self)


def check_number(dtype: DType, value: type) -> None:
    """Refuse a complex number for a tensor of real ones, in PyTorch's words."""
    if value is complex and not dtype.is_complex:
        names = {
            "float16": "c10::Half",
            "bfloat16": "c10::BFloat16",
            "float32": "float",
            "float64": "double",
            "bool": "bool",
        }
        name = names.get(dtype.name, f"{dtype.name}_t")
        raise RuntimeError(f"value cannot be converted to type {name} without overflow")


# ---------------------------------------------------------------- index_select, index_add, index_fill
def _index_select(self: Meta, dim: int, index: Meta) -> Meta:
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    _check_index_dtype("index_select", index, "int32 or int64")
    axis = normalize_dim(dim, self.ndim)
    if not self.ndim:
        if index.numel != 1:
            raise RuntimeError(f"index_select(): Index to scalar can have only 1 value, got {index.numel} value(s)")
        return like(self)
    return Meta.of((*self.shape[:axis], index.numel, *self.shape[axis + 1 :]), self.dtype)


def _index_add(self: Meta, dim: int, index: Meta, source: Meta, alpha: type) -> Meta:
    if index.ndim > 1:
        raise IndexError(
            f"index_add_(): Index is supposed to be a vector, but got dim: {index.ndim} with type: "
            f"{torch_type_name(index.dtype)} and size: {list(index.shape)}"
        )
    if index.dtype not in INDEX_DTYPES:
        raise RuntimeError("index_add_(): Expected dtype int32/int64 for index")
    if source.dtype is not self.dtype:
        raise RuntimeError(
            f"index_add_(): self ({torch_type_name(self.dtype)}) and source ({torch_type_name(source.dtype)}) must "
            "have the same scalar type"
        )
    check_number(self.dtype, alpha)
    axis = normalize_dim(dim, self.ndim)
    mine, given = at_least_1d(self.shape), at_least_1d(source.shape)
    length = given[axis] if axis < len(given) else 0
    if index.numel != length:
        raise RuntimeError(
            f"index_add_(): Number of indices ({index.numel}) should be equal to source.size(dim): ({length}), for "
            f"dim: {axis}"
        )
    if mine[:axis] + mine[axis + 1 :] != given[:axis] + given[axis + 1 :]:
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = "
            f"{list(self.shape)} source.shape = {list(source.shape)}"
        )
    return like(self)


def _index_fill(self: Meta, dim: int, index: Meta, value: type | Meta) -> Meta:
    normalize_dim(dim, self.ndim)
    if index.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    if index.dtype is not int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if isinstance(value, Meta) and value.ndim:
        raise RuntimeError(
            f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s)."
        )
    given = value.dtype.is_complex if isinstance(value, Meta) else value is complex
    if given and not self.dtype.is_complex:
        raise RuntimeError("index_fill_(): Converting complex Scalar to non-complex type is not supported")
    return like(self)


op("index.Tensor(Tensor self, Tensor?[] indices) -> Tensor", _index, {"self": "indices"})
op("index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor", _index_put,
   {"self": "indices", "values": "indices"}, inplace=True)  # fmt: skip

op("gather(Tensor self, int dim, Tensor index) -> Tensor", _gather, {"self": "index"})
op("scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor", scattered,
   {"self": "index", "src": "index"}, inplace=True)  # fmt: skip
op("scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor", _scattered_number, {"self": "index"},
   node="ScatterBackward1", inplace=True)  # fmt: skip
op("scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor", scattered, {"self": "", "src": "index"},
   inplace=True)  # fmt: skip

op("index_select(Tensor self, int dim, Tensor index) -> Tensor", _index_select, {"self": "index"})
op("index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor", _index_add,
   {"self": "", "source": "index"}, inplace=True)  # fmt: skip
op("index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor", _index_fill,
   {"self": "index"}, inplace=True)  # fmt: skip
op("index_fill.int_Tensor(Tensor self, int dim, Tensor index, Tensor value) -> Tensor", _index_fill,
   {"self": "index", "value": "index"}, node="IndexFillBackward1", inplace=True)  # fmt: skip
