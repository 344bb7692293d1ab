"""Writing at places with more than assignment: reduced, by flat index, or into a view of a copy.

Refusals: pytorch/aten/src/ATen/native/TensorAdvancedIndexing.cpp.
"""

from __future__ import annotations

from typing import Any

from gradwire_protocol.dtypes import bool_, int64
from gradwire_protocol.infer import like, normalize_dim
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.indexing import INDEX_DTYPES, at_least_1d, scattered
from gradwire_protocol.ops.pointwise import unsupported
from gradwire_protocol.registry import OPS, op, torch_type_name

__all__: list[str] = []


# ---------------------------------------------------------------- reductions at places
def _check_reduce(self: Meta, reduce: str, kernel: str) -> None:
    if self.dtype.is_complex and reduce in ("amax", "amin"):
        raise unsupported(f"{kernel}_{reduce}", self.dtype)
    if self.dtype is bool_ and reduce == "mean":
        raise unsupported(f"{kernel}_mean", self.dtype)


def _scatter_reduce(self: Meta, dim: int, index: Meta, src: Meta, reduce: str, include_self: bool) -> Meta:
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    result = scattered(self, dim, index, src)
    _check_reduce(self, reduce, "scatter_gather_tensor_cpu_reduce")
    return result


def _index_reduce(self: Meta, dim: int, index: Meta, source: Meta, reduce: str, include_self: bool) -> Meta:
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    if index.ndim > 1:
        raise IndexError(
            f"index_reduce_(): Index is supposed to be a vector, but got dim: {index.ndim} with type: "
            f"{torch_type_name(index.dtype)} and size: {list(index.shape)}"
        )
    if index.dtype not in INDEX_DTYPES:
        raise RuntimeError(
            f"index_reduce_(): Expected dtype int32/int64 for index but got: {torch_type_name(index.dtype)}"
        )
    if self.dtype is not source.dtype:
        raise RuntimeError(
            f"index_reduce_(): self ({torch_type_name(self.dtype)}) and source ({torch_type_name(source.dtype)}) must "
            "have the same scalar type"
        )
    _check_source_shape(self, normalize_dim(dim, self.ndim), index, source)
    _check_reduce(self, reduce, "index_reduce_func_cpu")
    return like(self)


def _check_source_shape(self: Meta, axis: int, index: Meta, source: Meta) -> None:
    mine, given = at_least_1d(self.shape), at_least_1d(source.shape)
    length = given[axis] if axis < len(given) else 0
    if index.numel != length:
        raise RuntimeError(
            f"index_reduce_(): Number of indices ({index.numel}) should be equal to source.size(dim): ({length}), for "
            f"dim: {axis}"
        )
    if mine[:axis] + mine[axis + 1 :] != given[:axis] + given[axis + 1 :]:
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = "
            f"{list(self.shape)} source.shape = {list(source.shape)}"
        )


op("scatter_reduce.two(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor",
   _scatter_reduce, {"self": "self index src result", "src": "self index src result"}, inplace=True)  # fmt: skip
op("index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> Tensor",
   _index_reduce, {"self": "self index source result", "source": "self index source result"},
   inplace=True)  # fmt: skip


# ---------------------------------------------------------------- index_copy, put, take
def _index_copy(self: Meta, dim: int, index: Meta, source: Meta) -> Meta:
    axis = normalize_dim(dim, self.ndim)
    if index.ndim > 1:
        raise IndexError(f"index_copy_(): Index should have dimension 1 or 0 (got {index.ndim})")
    if not source.ndim and index.numel != 1:
        raise IndexError(f"index_copy_(): When source is scalar, index should have one element (got {index.numel})")
    if source.ndim != self.ndim and source.ndim and self.ndim:
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, their dimensionality must match. Source "
            f"dimensionality ({source.ndim}), destination dimensionality ({self.ndim})"
        )
    if index.dtype is not int64:
        raise RuntimeError(f"index_copy_(): Expected a long tensor for index, but got {torch_type_name(index.dtype)}")
    if self.dtype is not source.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got (self) "
            f"{torch_type_name(self.dtype)} and (source) {torch_type_name(source.dtype)}"
        )
    _check_slices(self, axis, index, source)
    return like(self)


def _check_slices(self: Meta, axis: int, index: Meta, source: Meta) -> None:
    mine = self.shape[:axis] + self.shape[axis + 1 :]
    given = source.shape[:axis] + source.shape[axis + 1 :]
    if mine != given:
        differing = next((i for i, (a, b) in enumerate(zip(mine, given, strict=False)) if a != b), 0)
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: "
            f"{' '.join(map(str, mine))} at dimension {axis} and source slice shape: {' '.join(map(str, given))} at "
            f"dimension {differing}."
        )
    if source.ndim and index.numel != source.shape[axis]:
        raise IndexError(
            f"index_copy_(): Number of indices ({index.numel}) should be equal to source.size(dim) "
            f"({source.shape[axis]})"
        )


def _check_long(name: str, index: Meta) -> None:
    if index.dtype is not int64:
        raise RuntimeError(f"{name}(): Expected a long tensor for index, but got {torch_type_name(index.dtype)}")


def _put(self: Meta, index: Meta, source: Meta, accumulate: bool) -> Meta:
    _check_long("put_", index)
    if self.dtype is not source.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{torch_type_name(self.dtype)} and source.dtype = {torch_type_name(source.dtype)}"
        )
    if source.numel != index.numel:
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source.numel}, index.numel() = {index.numel}"
        )
    if not self.numel and index.numel:
        raise IndexError("put_(): Tried to put elements into an empty tensor")
    return like(self)


def _take(self: Meta, index: Meta) -> Meta:
    _check_long("take", index)
    if not self.numel and index.numel:
        raise IndexError("take(): tried to take from an empty tensor")
    return Meta.of(index.shape, self.dtype)


op("index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor", _index_copy,
   {"self": "index", "source": "index"}, inplace=True)  # fmt: skip
op("put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor", _put,
   {"self": "index", "source": "index"}, inplace=True)  # fmt: skip
op("take(Tensor self, Tensor index) -> Tensor", _take, {"self": "index"})


# ---------------------------------------------------------------- into a view of a copy
def _declare_view_scatter(name: str, view: str, where: str) -> None:
    """Declare the op that writes `src` where `view` of the result would look."""

    def infer(self: Meta, src: Meta, *where: Any) -> Meta:
        wanted = OPS[view].infer(self, *where).meta.shape
        if src.shape != wanted:
            raise RuntimeError(
                f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice size = "
                f"{list(wanted)}"
            )
        return like(self)

    op(f"{name}(Tensor self, Tensor src, {where}) -> Tensor", infer, {"self": "", "src": ""})


_declare_view_scatter("select_scatter", "select.int", "int dim, int index")
_declare_view_scatter("slice_scatter", "slice.Tensor", "int dim=0, int? start=None, int? end=None, int step=1")
_declare_view_scatter("diagonal_scatter", "diagonal", "int offset=0, int dim1=0, int dim2=1")
