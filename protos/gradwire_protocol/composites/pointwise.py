"""Composites and overload resolution of the pointwise family."""

from __future__ import annotations

from gradwire_protocol.composites.base import Callable_

__all__ = ["PointwiseComposites"]


class PointwiseComposites(Callable_):
    """Methods of the pointwise family that are written by hand."""

    __slots__ = ()
