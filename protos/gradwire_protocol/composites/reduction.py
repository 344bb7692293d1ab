"""Composites and overload resolution of the reduction family."""

from __future__ import annotations

from gradwire_protocol.composites.base import Callable_

__all__ = ["ReductionComposites"]


class ReductionComposites(Callable_):
    """Methods of the reduction family that are written by hand."""

    __slots__ = ()
