"""`Side`: what one worker knows of a graph that spans several, numbered as that worker numbers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradwire_protocol.planning import plan, reach
from gradwire_protocol.tape import Edge, Node, gradient_edge

if TYPE_CHECKING:
    from gradwire.session import Session
    from gradwire.tensor import Tensor

__all__ = ["Side", "sides_of"]


class Side:
    """The graph that `tensors` of one session lead to; it ends where it came from another worker."""

    def __init__(self, session: Session, tensors: Sequence[Tensor]) -> None:
        """Number nodes and leaves as the worker does."""
        self.session, self.tensors = session, tensors
        self.roots: list[Edge | None] = [gradient_edge(tensor) for tensor in tensors]
        self.nodes, edges = reach(self.roots)
        self.numbers = {id(node): index for index, node in enumerate(self.nodes)}
        self.leaves = {
            id(edge.target): index
            for index, edge in enumerate(edges)
            if edge is not None and not isinstance(edge.target, Node)
        }

    def graph_with(self, entries: Sequence[Any]) -> tuple[list[Node], list[Edge | None]]:
        """Return the graph that the worker describes new nodes by, when gradients `entries` come in."""
        return reach([*self.roots, *(gradient_edge(entry) for entry in entries)])


def sides_of(tensors: Sequence[Tensor]) -> list[Side]:
    """Return the sides of the graph that `tensors` lead to: one, where it is all on one worker."""
    roots: dict[int, list[Any]] = {}
    for tensor in tensors:
        roots.setdefault(id(tensor.session), []).append(tensor)
    for node in plan([gradient_edge(tensor) for tensor in tensors]):
        for anchor in getattr(node, "anchors", ()):
            roots.setdefault(id(anchor.session), []).append(anchor)
    return [Side(held[0].session, held) for held in roots.values()]
