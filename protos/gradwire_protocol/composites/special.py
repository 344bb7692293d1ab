"""Composites of the special functions, and what takes a number where the op takes a tensor."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.ops import OPS

__all__ = ["SpecialComposites"]


class SpecialComposites(Callable_):
    """Methods of special functions that are written by hand."""

    __slots__ = ()

    def polygamma(self, n: int) -> Any:
        """Compute the nth derivative of digamma."""
        return OPS["polygamma"](n, self)
