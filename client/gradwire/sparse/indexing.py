"""Other orders and parts of the axes of a sparse tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire.functions.joining import cat
from gradwire.sparse.places import joined
from gradwire.sparse.tensor import SparseTensor, sparse
from gradwire_protocol.infer import normalize_dim

__all__ = ["cat_of", "index_select", "item_of", "permute", "select", "t", "transpose", "unbind", "unsqueeze"]


def permute(self: Any, dims: Sequence[int]) -> Any:
    """Reorder the axes: those with places among themselves, and dense ones among themselves."""
    order = [normalize_dim(dim, self.dim()) for dim in dims]
    if sorted(order) != list(range(self.dim())):
        raise RuntimeError("permute(sparse_coo): duplicate dims are not allowed" if len(order) == self.dim() else (
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering "
            f"of dimensions i.e. input.dim() = {self.dim()} is not equal to len(dims) = {len(order)}"
        ))  # fmt: skip
    axes = self.sparse_dim()
    if any((new < axes) != (old < axes) for new, old in enumerate(order)):
        raise RuntimeError(
            "permute(sparse_coo): transpositions between sparse and dense dimensions are not allowed.Only transpositions "
            "within sparse and dense dimensions are supported."
        )
    if order == list(range(self.dim())):
        return self
    outer = order[:axes]
    kept = outer == list(range(axes))
    places = self.places if kept else cat([self.places.narrow(0, dim, 1) for dim in outer])
    inner = [0, *(dim - axes + 1 for dim in order[axes:])]
    held = self.held.permute(inner) if inner != list(range(len(inner))) else self.held
    shape = tuple(self.shape[dim] for dim in order)
    return sparse(places, held, shape, (kept and self.coalesced) or self._nnz() < 2)


def transpose(self: Any, dim0: int, dim1: int) -> Any:
    """Swap two axes."""
    dim0, dim1 = normalize_dim(dim0, self.dim()), normalize_dim(dim1, self.dim())
    axes = self.sparse_dim()
    if (dim0 < axes) != (dim1 < axes) or min(dim0, dim1) >= axes:
        raise RuntimeError(
            f"sparse transpose: transposed dimensions must be sparse Got sparse_dim: {axes}, d0: {dim0}, d1: {dim1}"
        )
    order = list(range(self.dim()))
    order[dim0], order[dim1] = dim1, dim0
    return permute(self, order)


def t(self: Any) -> Any:
    """Swap the axes of a matrix."""
    if self.sparse_dim() > 2 or self.dense_dim():
        raise RuntimeError(
            f"t() expects a tensor with <= 2 sparse and 0 dense dimensions, but got {self.sparse_dim()} sparse and "
            f"{self.dense_dim()} dense dimensions"
        )
    return self if self.dim() < 2 else transpose(self, 0, 1)


def unsqueeze(self: Any, dim: int) -> Any:
    """Insert an axis of size 1; it has places if it stands before the last axis that has."""
    dim, axes = normalize_dim(dim, self.dim() + 1), self.sparse_dim()
    shape = (*self.shape[:dim], 1, *self.shape[dim:])
    if dim > axes:
        return sparse(self.places, self.held.unsqueeze(dim - axes + 1), shape, self.coalesced)
    zeros = self.places.new_zeros(1, self.places.shape[1])
    places = cat([self.places.narrow(0, 0, dim), zeros, self.places.narrow(0, dim, axes - dim)])
    return sparse(places, self.held, shape)


def _checked(self: Any, dim: int, index: int) -> int:
    size = self.shape[dim]
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(self.shape)} at dimension {dim}"
        )
    return int(index % size)


def select(self: Any, dim: int, index: int) -> Any:
    """Return one slice of an axis, sparse unless that was the last axis with places. Waits for the number of entries."""
    dim, axes = normalize_dim(dim, self.dim()), self.sparse_dim()
    index = _checked(self, dim, index)
    shape = (*self.shape[:dim], *self.shape[dim + 1 :])
    if dim >= axes:
        return sparse(self.places, self.held.select(dim - axes + 1, index), shape, self.coalesced)
    found = (self.places.select(0, dim) == index).nonzero().view(-1)
    held = self.held.index_select(0, found)
    if axes == 1:
        return held.sum(0)
    rest = cat([self.places.narrow(0, 0, dim), self.places.narrow(0, dim + 1, axes - dim - 1)])
    return sparse(rest.index_select(1, found), held, shape, (self.coalesced and not dim) or held.shape[0] < 2)


def unbind(self: Any, dim: int = 0) -> Any:
    """Return all slices of an axis."""
    return tuple(select(self, dim, index) for index in range(self.shape[normalize_dim(dim, self.dim())]))


def index_select(self: Any, dim: int, index: Any) -> Any:
    """Return the slices of an axis that a vector names, in its order. Waits for the number of entries."""
    dim, axes = normalize_dim(dim, self.dim()), self.sparse_dim()
    if isinstance(index, SparseTensor):
        return NotImplemented
    shape = (*self.shape[:dim], index.numel(), *self.shape[dim + 1 :])
    if dim >= axes:
        return sparse(self.places, self.held.index_select(dim - axes + 1, index), shape, self.coalesced)
    entries, chosen = joined(self.places.select(0, dim), index.reshape(-1), self.shape[dim])
    old = self.places.index_select(1, entries)
    rows = [old.narrow(0, 0, dim), chosen.unsqueeze(0), old.narrow(0, dim + 1, axes - dim - 1)]
    return sparse(cat(rows), self.held.index_select(0, entries), shape)


def cat_of(tensors: Sequence[Any], dim: int) -> Any:
    """Join sparse tensors along an axis."""
    first = tensors[0]
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, SparseTensor):
            raise RuntimeError(
                "Concatenating sparse tensors, but a dense tensor was found at position "
                f"{position if position or isinstance(first, SparseTensor) else 0}."
            )
        _check_joinable(first, tensor, position, dim)
    dim, axes = normalize_dim(dim, first.dim()), first.sparse_dim()
    if dim >= axes:
        return _cat_dense(tensors, dim)
    shape = (*first.shape[:dim], sum(tensor.shape[dim] for tensor in tensors), *first.shape[dim + 1 :])
    parts, start = [], 0
    for tensor in tensors:
        row = tensor.places.narrow(0, dim, 1) + start
        parts.append(cat([tensor.places.narrow(0, 0, dim), row, tensor.places.narrow(0, dim + 1, axes - dim - 1)]))
        start += tensor.shape[dim]
    return sparse(cat(parts, 1), cat([tensor.held for tensor in tensors]), shape)


def _check_joinable(first: Any, tensor: Any, position: int, dim: int) -> None:
    wrapped = normalize_dim(dim, first.dim())
    same = tensor.dim() == first.dim() and tensor.sparse_dim() == first.sparse_dim()
    if not same or any(a != b for d, (a, b) in enumerate(zip(first.shape, tensor.shape, strict=True)) if d != wrapped):
        raise RuntimeError(
            f"All tensors must have the same shape: {list(first.shape)} (except in the concatenating dimension), but found "
            f"shape: {list(tensor.shape)} at position {position}"
        )


def _cat_dense(tensors: Sequence[Any], dim: int) -> Any:
    """Join along a dense axis: each value gets zeros where the other tensors' columns are."""
    axes, total = tensors[0].sparse_dim(), sum(tensor.shape[dim] for tensor in tensors)
    inner, start, parts = dim - axes + 1, 0, []
    for tensor in tensors:
        held = tensor.held
        around = [
            (*held.shape[:inner], size, *held.shape[inner + 1 :]) for size in (start, total - start - tensor.shape[dim])
        ]
        parts.append(cat([held.new_zeros(around[0]), held, held.new_zeros(around[1])], inner))
        start += tensor.shape[dim]
    shape = (*tensors[0].shape[:dim], total, *tensors[0].shape[dim + 1 :])
    return sparse(cat([tensor.places for tensor in tensors], 1), cat(parts), shape)


def _without_ellipsis(items: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    """Return the indices with whole slices in the place of the first `...`."""
    for position, item in enumerate(items):
        if item is ...:
            named = sum(other is not None for other in items) - 1
            return (*items[:position], *(slice(None),) * (ndim - named), *items[position + 1 :])
    return items


def item_of(self: Any, index: Any) -> Any:
    """Return the part that numbers, None, `...` and whole slices name; other indices are refused."""
    found, dim = self, 0
    items = _without_ellipsis(index if isinstance(index, tuple) else (index,), self.dim())
    if sum(item is not None for item in items) > self.dim():
        raise IndexError(f"too many indices for tensor of dimension {self.dim()}")
    for item in items:
        if item is None:
            found, dim = found.unsqueeze(dim), dim + 1
        elif isinstance(item, int) and not isinstance(item, bool):
            found = found.select(dim, item)
        elif item == slice(None) if isinstance(item, slice) else False:
            dim += 1
        else:
            raise NotImplementedError(
                "Could not run 'aten::as_strided' with arguments from the 'SparseCPU' backend. Sparse tensors are indexed by "
                f"numbers, None, '...' and ':' here; got {type(item).__name__}; call index_select, or to_dense() first."
            )
    return found
