"""Which nodes of a graph a backward runs, and in which order. Client and worker plan alike, so neither tells the other."""

from __future__ import annotations

from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING

from gradwire_protocol.tape import Edge, Node, Variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["leaves", "plan", "reach"]

_order = attrgetter("order")


def _discover(roots: Iterable[Edge | None], *, across: bool = True) -> list[Node]:
    """Return the nodes that `roots` lead to, in an order that follows from the graph's structure alone.

    On other workers too if `across`.
    """
    stack = list(dict.fromkeys(edge.target for edge in roots if edge is not None and isinstance(edge.target, Node)))
    seen = set(stack)
    nodes = list(stack)
    while stack:
        node = stack.pop()
        if node.is_border and not across:
            continue
        for target in node.targets:
            if isinstance(target, Node) and target not in seen:
                seen.add(target)
                nodes.append(target)
                stack.append(target)
    return nodes


def plan(roots: Iterable[Edge | None], targets: Sequence[Edge] | None = None) -> list[Node]:
    """Return the nodes that a backward from `roots` runs, in running order (latest recorded first, as PyTorch).

    With `targets`, only nodes on a path to one of them; a target node itself runs only if another lies behind it.
    """
    nodes = _discover(roots)
    nodes.sort(key=_order, reverse=True)
    return nodes if targets is None else _towards(nodes, targets)


def _towards(nodes: list[Node], targets: Sequence[Edge]) -> list[Node]:
    leading = {id(edge.target) for edge in targets}
    running: list[Node] = []
    for node in reversed(nodes):
        for target in node.targets:
            if target is not None and id(target) in leading:
                leading.add(id(node))
                running.append(node)
                break
    running.reverse()
    return running


def reach(roots: Sequence[Edge | None]) -> tuple[list[Node], list[Edge | None]]:
    """Return the nodes that `roots` lead to, and all edges on the way, in an order that is the same on both sides.

    By it a graph that one side made is described to the other: an old node is named by its index here, and a leaf by that
    of an edge to it. Not the order of recording: each side gives a view its new node when it first looks, which may be
    earlier on the client. Edges that lead nowhere count, since the worker may believe in a leaf that the client does not.
    What lies beyond a border is another worker's, so it ends there.
    """
    nodes = _discover(roots, across=False)
    return nodes, [*roots, *chain.from_iterable(node.edges for node in nodes if not node.is_border)]


def leaves(edges: Iterable[Edge | None], nodes: Iterable[Node] = ()) -> list[Variable]:
    """Return the leaves that edges, and then those of nodes, lead to: each once, in order."""
    targets = [edge.target for edge in edges if edge is not None]
    leading = chain(targets, chain.from_iterable(node.targets for node in nodes))
    found = {id(target): target for target in leading if target is not None}
    return [target for target in found.values() if not isinstance(target, Node)]
