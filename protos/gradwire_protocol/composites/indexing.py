"""Composites and overload resolution of the indexing family."""

from __future__ import annotations

from gradwire_protocol.composites.base import Callable_

__all__ = ["IndexingComposites"]


class IndexingComposites(Callable_):
    """Methods of the indexing family that are written by hand."""

    __slots__ = ()
