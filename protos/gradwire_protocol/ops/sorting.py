"""Sorting, and what is defined by an order: ranks, the most frequent, the distinct.

Every sort is stable, NaN is the largest, and -0 equals 0. What PyTorch leaves open where elements are equal is here the
first of them. Refusals: pytorch/aten/src/ATen/native/Sorting.cpp and Unique.cpp.
"""

from __future__ import annotations

from gradwire_protocol import infer
from gradwire_protocol.dtypes import bool_, int64
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.pointwise import unsupported
from gradwire_protocol.registry import op

__all__: list[str] = []

Pair = tuple[Meta, Meta]
Unique = tuple[Meta, Meta, Meta, Meta]


# ---------------------------------------------------------------- sort, topk
def _sort(self: Meta, dim: int, descending: bool) -> Pair:
    if self.dtype.is_complex:
        raise RuntimeError(" Sort does not support complex dtypes on CPU")
    infer.normalize_dim(dim, self.ndim)
    return infer.like(self), Meta.of(self.shape, int64)


def _argsort(self: Meta, dim: int, descending: bool) -> Meta:
    return _sort(self, dim, descending)[1]


def _topk(self: Meta, k: int, dim: int, largest: bool, sorted: bool) -> Pair:
    axis = infer.normalize_dim(dim, self.ndim)
    if not 0 <= k <= (self.shape[axis] if self.ndim else 1):
        raise RuntimeError("selected index k out of range")
    if self.dtype.is_complex:
        raise RuntimeError(" topk does not support complex dtypes on CPU")
    if self.dtype is bool_:
        raise RuntimeError("topk does not support bool dtypes on CPU")
    shape = (*self.shape[:axis], k, *self.shape[axis + 1 :]) if self.ndim else ()
    return Meta.of(shape, self.dtype), Meta.of(shape, int64)


_SORTED = "(Tensor values, Tensor indices)"
op(f"sort(Tensor self, int dim=-1, bool descending=False) -> {_SORTED}", _sort, {"self": "result1"})
op(f"sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> {_SORTED}",
   lambda self, stable, dim, descending: _sort(self, dim, descending), {"self": "result1"},
   node="SortBackward1")  # fmt: skip
op("argsort(Tensor self, int dim=-1, bool descending=False) -> Tensor", _argsort)
op(f"topk(Tensor self, int k, int dim=-1, bool largest=True, bool sorted=True) -> {_SORTED}", _topk,
   {"self": "result1"})  # fmt: skip


# ---------------------------------------------------------------- one element of each row
def _picked(name: str, self: Meta, dim: int, keepdim: bool) -> Pair:
    """Return the metas of (values, indices) where one element of each row along `dim` is picked."""
    axis = infer.normalize_dim(dim, self.ndim)
    if self.ndim and self.shape[axis] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")
    shape = infer.reduced_shape(self.shape, (axis,), keepdim)
    return Meta.of(shape, self.dtype), Meta.of(shape, int64)


def _kthvalue(self: Meta, k: int, dim: int, keepdim: bool) -> Pair:
    result = _picked("kthvalue", self, dim, keepdim)
    axis = infer.normalize_dim(dim, self.ndim)
    if not 1 <= k <= (self.shape[axis] if self.ndim else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {axis}")
    _countable("kthvalue_cpu", self)
    return result


def _countable(kernel: str, self: Meta) -> None:
    if self.dtype.is_complex or self.dtype is bool_:
        raise unsupported(kernel, self.dtype)


def _mode(self: Meta, dim: int, keepdim: bool) -> Pair:
    result = _picked("mode", self, dim, keepdim)
    if self.dtype.is_complex:
        raise unsupported("mode_cpu", self.dtype)
    return result


def _nanmedian(self: Meta) -> Meta:
    _countable("median_cpu", self)
    return Meta.of((), self.dtype)


def _nanmedian_dim(self: Meta, dim: int, keepdim: bool) -> Pair:
    _countable("median_out", self)
    return _picked("median", self, dim, keepdim)


op(f"kthvalue(Tensor self, int k, int dim=-1, bool keepdim=False) -> {_SORTED}", _kthvalue, {"self": "result1"})
op(f"mode(Tensor self, int dim=-1, bool keepdim=False) -> {_SORTED}", _mode, {"self": "result1"})
op("nanmedian(Tensor self) -> Tensor", _nanmedian, {"self": "self result"})
op(f"nanmedian.dim(Tensor self, int dim, bool keepdim=False) -> {_SORTED}", _nanmedian_dim, {"self": "result1"},
   node="NanmedianBackward1")  # fmt: skip


# ---------------------------------------------------------------- the distinct ones
def _unique(self: Meta, return_inverse: bool, return_counts: bool) -> Unique:
    if self.dtype.is_complex:
        raise unsupported("unique", self.dtype)
    return _padded(self, (self.numel,), self.numel, self.shape, return_inverse, return_counts)


def _unique_dim(self: Meta, dim: int, return_inverse: bool, return_counts: bool) -> Unique:
    if not self.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    axis = infer.normalize_dim(dim, self.ndim)
    if 0 in self.shape[:axis] + self.shape[axis + 1 :]:
        raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
    if self.dtype.is_complex:
        raise unsupported("unique_dim", self.dtype)
    return _padded(self, self.shape, self.shape[axis], (self.shape[axis],), return_inverse, return_counts)


def _padded(
    self: Meta, shape: tuple[int, ...], most: int, inverse: tuple[int, ...], return_inverse: bool, return_counts: bool
) -> Unique:
    """Return the metas of values and counts as long as they can get, and of their number; (0,) for what is not asked."""
    return (
        Meta.of(shape, self.dtype),
        Meta.of(inverse if return_inverse else (0,), int64),
        Meta.of((most if return_counts else 0,), int64),
        Meta.of((), int64),
    )


# Only the values tell how many distinct elements there are. So values and counts come as long as they can get, zeros
# behind, and `size` says how much of them holds; the caller waits for it and cuts.
_FOUND = "(Tensor values, Tensor inverse, Tensor counts, Tensor size)"
_ASKED = "bool return_inverse=False, bool return_counts=False"
for _name in ("unique", "unique_consecutive"):
    op(f"gw::{_name}(Tensor self, {_ASKED}) -> {_FOUND}", _unique)
    op(f"gw::{_name}_dim(Tensor self, int dim, {_ASKED}) -> {_FOUND}", _unique_dim)
