"""Composites and overload resolution of the sorting family: named results, and the two forms of `sort` and `nanmedian`.

`axis` and `keepdims` are numpy's names of `dim` and `keepdim`, which PyTorch takes too.
"""

from __future__ import annotations

from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.composites.results import return_type
from gradwire_protocol.registry import OPS

__all__ = ["SortingComposites"]

_SORT, _STABLE, _ARGSORT, _TOPK = OPS["sort"], OPS["sort.stable"], OPS["argsort"], OPS["topk"]

_SortResult = return_type("sort", "values", "indices")
_TopkResult = return_type("topk", "values", "indices")
_KthvalueResult = return_type("kthvalue", "values", "indices")
_ModeResult = return_type("mode", "values", "indices")
_NanmedianResult = return_type("nanmedian", "values", "indices")


class SortingComposites(Callable_):
    """Methods of the sorting family that are written by hand."""

    __slots__ = ()

    def sort(
        self, dim: int = -1, descending: bool = False, stable: bool | None = None, *, axis: int | None = None
    ) -> Any:
        """Return (values, indices) in order along `dim`. Always stable, NaN is the largest."""
        dim = dim if axis is None else axis
        if stable is None:
            return _SortResult(*self._call(_SORT, (self,), (dim, descending)))
        return _SortResult(*self._call(_STABLE, (self,), (stable, dim, descending)))

    def argsort(
        self, dim: int = -1, descending: bool = False, stable: bool = False, *, axis: int | None = None
    ) -> Self:
        """Return the indices that sort along `dim`; always stable."""
        dim = dim if axis is None else axis
        return self._call(_ARGSORT, (self,), (dim, descending))  # type: ignore[no-any-return]

    def msort(self) -> Self:
        """Return the elements in order along the first axis."""
        return self.sort(0).values  # type: ignore[no-any-return]

    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, axis: int | None = None) -> Any:
        """Return (values, indices) of the `k` largest (or smallest) along `dim`, in order."""
        dim = dim if axis is None else axis
        return _TopkResult(*self._call(_TOPK, (self,), (k, dim, largest, sorted)))

    def kthvalue(
        self, k: int, dim: int = -1, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
    ) -> Any:
        """Return (values, indices) of the `k`-th smallest along `dim`, counted from 1."""
        return _KthvalueResult(*OPS["kthvalue"](self, k, dim if axis is None else axis, keepdim or keepdims))

    def mode(self, dim: int = -1, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False) -> Any:
        """Return (values, indices) of the most frequent along `dim`, the smallest of such; the index is its last."""
        return _ModeResult(*OPS["mode"](self, dim if axis is None else axis, keepdim or keepdims))

    def nanmedian(
        self, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
    ) -> Any:
        """Return the median of what is not NaN; with `dim` (values, indices) along it."""
        dim = dim if axis is None else axis
        if dim is None:
            return OPS["nanmedian"](self)
        return _NanmedianResult(*OPS["nanmedian.dim"](self, dim, keepdim or keepdims))
