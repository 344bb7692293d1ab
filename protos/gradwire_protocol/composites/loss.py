"""Composites and overload resolution of the loss family."""

from __future__ import annotations

from gradwire_protocol.composites.base import Callable_

__all__ = ["LossComposites"]


class LossComposites(Callable_):
    """Methods of the loss family that are written by hand."""

    __slots__ = ()
