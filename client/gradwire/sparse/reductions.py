"""Sums and softmax over the values that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire.functions.joining import cat
from gradwire.sparse.places import after, distinct, summed
from gradwire.sparse.tensor import SparseTensor, sparse
from gradwire_protocol.dtypes import Category, DType, bool_, int64
from gradwire_protocol.infer import normalize_dim
from gradwire_protocol.ops.pointwise import unsupported

__all__ = ["softmax", "sum_over", "total"]


def _sum_dtype(found: DType, dtype: DType | None) -> DType:
    return dtype or (int64 if found is bool_ or found.category is Category.INT else found)


def total(self: Any, dtype: DType | None = None) -> Any:
    """Return the sum of all values, dense."""
    return self.held.sum(dtype=dtype)


def sum_over(self: Any, dim: Sequence[int] | None, keepdim: bool = False, dtype: DType | None = None) -> Any:
    """Return the sum over some axes: sparse, unless all axes with places are among them and not kept."""
    self, axes = self.coalesce(), self.sparse_dim()
    dims = sorted({normalize_dim(d, self.dim()) for d in dim} if dim else range(self.dim()))
    inner = [d - axes + 1 for d in dims if d >= axes]
    held = self.held.to(_sum_dtype(self.dtype, dtype))
    if inner:
        held = held.sum(tuple(inner), keepdim=keepdim)
    left = [d for d in range(axes) if d not in dims]
    if not left and not keepdim:
        return held.sum(0)
    if len(left) == axes:
        shape = [1 if d in dims else size for d, size in enumerate(self.shape) if keepdim or d not in dims]
        return sparse(self.places, held, tuple(shape), self.coalesced)
    return _grouped(self, held, left, dims, keepdim)


def _grouped(self: Any, held: Any, left: list[int], dims: list[int], keepdim: bool) -> Any:
    """Sum the values whose places are the same along the axes that are left."""
    rows = [self.places.narrow(0, d, 1) for d in left]
    places = cat(rows) if rows else self.places.narrow(0, 0, 0)
    places, groups = distinct(places, tuple(self.shape[d] for d in left))
    values = summed(held, groups, places.shape[1])
    if keepdim:
        zeros = places.new_zeros(1, places.shape[1])
        given = iter(range(len(left)))
        places = cat([zeros if d in dims else places.narrow(0, next(given), 1) for d in range(self.sparse_dim())])
    shape = [1 if d in dims else size for d, size in enumerate(self.shape) if keepdim or d not in dims]
    return sparse(places, values, tuple(shape), not keepdim)


def softmax(self: SparseTensor, dim: int, dtype: DType | None, log: bool) -> Any:
    """Return the softmax, or its logarithm, of the values along an axis, where all other elements count as -inf."""
    self = self.coalesce()
    held = self.held if dtype is None else self.held.to(dtype)
    if not held.dtype.is_differentiable:
        raise unsupported("softmax", held.dtype)
    dim, axes = normalize_dim(dim, self.dim()), self.sparse_dim()
    name = "SparseLogSoftmaxBackward0" if log else "SparseSoftmaxBackward0"
    if dim >= axes:
        inner = dim - axes + 1
        return sparse(self.places, held.log_softmax(inner) if log else held.softmax(inner), self.shape, True, name)
    values = _group_softmax(held, *_groups(self, dim), log) if self._nnz() else held
    return sparse(self.places, values, self.shape, True, name)


def _groups(self: SparseTensor, dim: int) -> tuple[Any, int]:
    """Return for each value which of the groups along `dim` it is in, and how many there are. Waits."""
    rows = [self.places.narrow(0, d, 1) for d in range(self.sparse_dim()) if d != dim]
    if not rows:
        return self.places.new_zeros(self._nnz()), 1
    shape = tuple(self.shape[d] for d in range(self.sparse_dim()) if d != dim)
    found, groups = distinct(cat(rows), shape)
    return groups, found.shape[1]


def _group_softmax(held: Any, groups: Any, count: int, log: bool) -> Any:
    places = after(groups, held).expand(held.shape)
    most = (
        held.detach().new_full((count, *held.shape[1:]), float("-inf")).scatter_reduce(0, places, held.detach(), "amax")
    )
    shifted = held - most.index_select(0, groups)
    exponents = shifted.exp()
    sums = summed(exponents, groups, count)
    return shifted - sums.log().index_select(0, groups) if log else exponents / sums.index_select(0, groups)
