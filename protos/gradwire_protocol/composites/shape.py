"""Composites and overload resolution of the shape family."""

from __future__ import annotations

from gradwire_protocol.composites.base import Callable_

__all__ = ["ShapeComposites"]


class ShapeComposites(Callable_):
    """Methods of the shape family that are written by hand."""

    __slots__ = ()
