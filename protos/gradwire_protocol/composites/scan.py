"""Composites of scans and differences."""

from __future__ import annotations

from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.axis_names import named_dim
from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.composites.results import return_type
from gradwire_protocol.dtypes import bool_
from gradwire_protocol.infer import normalize_dim
from gradwire_protocol.registry import OPS

__all__ = ["ScanComposites"]

_CummaxResult = return_type("cummax", "values", "indices")
_CumminResult = return_type("cummin", "values", "indices")


def _joinable(self: Any, other: Any, axis: int) -> None:
    """Refuse what cannot stand before or behind `self` along an axis."""
    mine, theirs = self.meta.shape, other.meta.shape
    if len(mine) != len(theirs):
        raise RuntimeError("diff expects prepend or append to be the same dimension as input")
    for other_axis, (size, given) in enumerate(zip(mine, theirs, strict=True)):
        if other_axis != axis and size != given:
            raise RuntimeError(
                "diff expects the shape of tensor to prepend or append to match that of input except along the "
                f"differencing dimension; input.size({other_axis}) = {size}, but got tensor.size({other_axis}) = {given}"
            )


class ScanComposites(Callable_):
    """Methods of the scan family that are written by hand."""

    __slots__ = ()

    def cummax(self, dim: int | None = None, *, axis: int | None = None) -> Any:
        """Return (values, indices) of the largest element so far along `dim`; NaN stays, the last of equals counts."""
        return _CummaxResult(*OPS["cummax"](self, named_dim("cummax", dim, axis)))

    def cummin(self, dim: int | None = None, *, axis: int | None = None) -> Any:
        """Return (values, indices) of the smallest element so far along `dim`; NaN stays, the last of equals counts."""
        return _CumminResult(*OPS["cummin"](self, named_dim("cummin", dim, axis)))

    def diff(self, n: int = 1, dim: int = -1, prepend: Self | None = None, append: Self | None = None) -> Self:
        """Subtract from each element the one before it along `dim`, `n` times over; bools are compared."""
        result: Any = self
        if not result.meta.ndim:
            raise RuntimeError("diff expects input to be at least one-dimensional")
        if n < 0:
            raise RuntimeError(f"order must be non-negative but got {n}")
        axis = normalize_dim(dim, result.meta.ndim)
        if n == 0:
            return result.clone()  # type: ignore[no-any-return]
        for other in (prepend, append):
            if other is not None:
                _joinable(result, other, axis)
        parts = [part for part in (prepend, result, append) if part is not None]
        if len(parts) > 1:
            result = OPS["cat"](parts, axis)
        for _ in range(min(n, result.meta.shape[axis])):
            later, earlier = (result.narrow(axis, start, result.meta.shape[axis] - 1) for start in (1, 0))
            result = later.logical_xor(earlier) if result.meta.dtype is bool_ else later - earlier
        return result  # type: ignore[no-any-return]
