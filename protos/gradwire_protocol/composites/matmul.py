"""Composites and overload resolution of the matmul family."""

from __future__ import annotations

from gradwire_protocol.composites.base import Callable_

__all__ = ["MatmulComposites"]


class MatmulComposites(Callable_):
    """Methods of the matmul family that are written by hand."""

    __slots__ = ()
