"""Composites of the creation family: tensors like another one."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.composites.base import Callable_, sizes
from gradwire_protocol.dtypes import DType
from gradwire_protocol.ops import OPS

__all__ = ["CreationComposites"]


class CreationComposites(Callable_):
    """`new_*` and `*_like`."""

    __slots__ = ()

    def new_zeros(self, *size: Any, dtype: DType | None = None) -> Any:
        """Return zeros of the given sizes and this dtype."""
        return OPS["new_full"](self, sizes(size), 0, dtype=dtype)

    def new_ones(self, *size: Any, dtype: DType | None = None) -> Any:
        """Return ones of the given sizes and this dtype."""
        return OPS["new_full"](self, sizes(size), 1, dtype=dtype)

    def new_empty(self, *size: Any, dtype: DType | None = None) -> Any:
        """Return zeros: memory that shows what it held before would be another session's."""
        return OPS["new_full"](self, sizes(size), 0, dtype=dtype)

    def zeros_like(self, *, dtype: DType | None = None) -> Any:
        """Return zeros of this shape."""
        return OPS["full_like"](self, 0, dtype=dtype)

    def ones_like(self, *, dtype: DType | None = None) -> Any:
        """Return ones of this shape."""
        return OPS["full_like"](self, 1, dtype=dtype)

    def empty_like(self, *, dtype: DType | None = None) -> Any:
        """Return zeros of this shape; see `new_empty`."""
        return OPS["full_like"](self, 0, dtype=dtype)
