"""The backward pass: walk the plan, run gradient rules, sum gradients back to their inputs' shapes.

Iterative, so a chain of any length works. While the engine records (`create_graph`), so are the rules' own calls, which
are ordinary differentiable calls. Nothing outside is changed until the walk is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

from gradwire_protocol.errors import BatchMalformed
from gradwire_protocol.meta import Meta
from gradwire_protocol.opaque import OpaqueNode
from gradwire_protocol.ops.shape import span
from gradwire_protocol.part import EDGE, LEAF, Part
from gradwire_protocol.planning import plan, reach
from gradwire_protocol.tape import CopySlices, Edge, Node, Storage, Variable
from gradwire_server.engine import Array, Engine
from gradwire_server.prepared_gradients import Gradient, layout, prepared_gradient
from gradwire_server.rule_calls import run_rules

__all__ = ["OwnBackwardNode", "gradients", "part_gradients"]

Key = int | tuple[int, int]  # the id of a node or leaf; with its number, for another output than a node's first

# Whose sum is one ufunc: all but bfloat16, which is summed in float32.
_ADDED_DIRECTLY = frozenset("efdFD")


class OwnBackwardNode(Node):
    """A node that runs its own backward instead of an op's rules."""

    __slots__ = ()

    def backward(self, grads: Sequence[Array | None]) -> list[Array | None]:
        """Return one gradient per input, given those of the outputs."""
        raise NotImplementedError


def _run_slices(node: CopySlices, grads: Sequence[Array | None]) -> list[Array | None]:
    g = grads[0]
    assert g is not None
    base = node.output_metas[0]
    geometry = (node.view.shape, node.view.strides, node.offset)
    memory = _laid_out(g, base)
    inner = run_rules(node.function, [memory.as_strided(*geometry).clone()])
    if node.edges[0] is None:
        return [None, *inner[1:]]
    into_view = inner[0] if inner[0] is not None else g.new_zeros(node.view.shape)
    scattered = memory.as_strided_scatter(into_view, *geometry)
    into_base = scattered if base.is_contiguous else scattered.as_strided(base.shape, base.strides, 0)
    return [into_base, *inner[1:]]


def _laid_out(g: Array, base: Meta) -> Array:
    """Return the gradient of a viewed tensor as memory in which its views have their own strides and offsets."""
    if not base.is_contiguous:
        return g.as_strided_backward((span(base.shape, base.strides),), (1,), 0, base.shape, base.strides, 0)
    return g if g.base is None and g.meta.is_contiguous else g.clone()


def run_node(node: Node, grads: Sequence[Array | None]) -> list[Array | None]:
    """Return the gradients of a node's inputs, given those of its outputs."""
    node.check()
    if isinstance(node, OpaqueNode):
        raise BatchMalformed(
            f"a backward must stop at {node.name}, whose own is the client's to run; this one goes through it"
        )
    if isinstance(node, CopySlices):
        return _run_slices(node, grads)
    if isinstance(node, OwnBackwardNode):
        return node.backward(grads)
    needed = list(grads)
    if needed[0] is None:
        # Rules may rely on the first output's gradient; PyTorch materialises it as zeros too.
        template = next(g for g in needed if g is not None)
        meta = node.output_metas[0]
        needed[0] = template.new_zeros(meta.shape, dtype=meta.dtype)
    return run_rules(node, needed)


class _Sums:
    """Gradients that arrived so far, by where they go: arrays, or plain ones of the backend (see `prepared_gradients`)."""

    def __init__(self, engine: Engine | None, wanted: Iterable[Key]) -> None:
        """Start with none. Those at `wanted` stay here when their nodes have run."""
        self.engine = engine
        self.prepares = engine is not None and engine.prepares_gradients and not engine.recording
        self._wanted = frozenset(wanted)
        self._found: dict[Key, Gradient] = {}
        self._further = False  # whether any arrived for another output than a node's first
        self._shared: set[int] = set()  # ids of plain arrays that went to several places
        self._own: set[Key] = set()  # the sums that were made here, and so may be added to in place
        # One for each plain array that became an `Array`, so that those which share memory show it. An array that takes the
        # place of one that is gone shares its storage; that costs a copy at most.
        self._storages: dict[int, Storage] = {}

    def add(self, target: Node | Variable, output: int, gradient: Gradient) -> None:
        """Add a gradient to what arrived at a leaf, or for an output of a node."""
        key: Key = id(target)
        if output:
            key, self._further = (id(target), output), True
        held = self._found.get(key)
        self._found[key] = gradient if held is None else self._sum(key, _meta_at(target, output), held, gradient)

    def _sum(self, key: Key, meta: Meta, held: Gradient, gradient: Gradient) -> Gradient:
        first, second = (_plain(held), _plain(gradient)) if self.prepares else (None, None)
        if self.engine is None or first is None or second is None or first.dtype.char not in _ADDED_DIRECTLY:
            return self._array(held, meta).add(self._array(gradient, meta))
        xp = self.engine.backend.xp
        if key in self._own:
            return xp.add(first, second, out=first)
        self._own.add(key)
        return xp.asarray(xp.add(first, second))

    def take(self, node: Node) -> tuple[Gradient | None, dict[int, Gradient]]:
        """Return what arrived for a node's first output, and for its others, by number."""
        first = self._take(id(node))
        if not self._further:
            return first, {}
        others = {number: self._take((id(node), number)) for number in range(1, len(node.output_metas))}
        return first, {number: g for number, g in others.items() if g is not None}

    def _take(self, key: Key) -> Gradient | None:
        if key not in self._wanted:
            return self._found.pop(key, None)
        found = self._found.get(key)
        self.share(found)
        return found

    def share(self, gradient: Gradient) -> None:
        """Take note that a plain array goes to several places: from now on no view of it passes for memory of its own."""
        if type(gradient) is not Array:
            self._shared.add(id(gradient))

    def is_sole(self, gradient: Gradient) -> bool:
        """Return whether a plain array is nowhere else. One that took the place of a shared one that is gone is not, either."""
        return id(gradient) not in self._shared

    def arrays(self, node: Node, first: Gradient | None, others: dict[int, Gradient]) -> list[Array | None]:
        """Return the gradients of a node's outputs as its rule takes them."""
        grads = [first, *map(others.get, range(1, len(node.output_metas)))]
        return [None if g is None else self._array(g, meta) for g, meta in zip(grads, node.output_metas, strict=True)]

    def at(self, edge: Edge) -> Array | None:
        """Return what arrived at an edge."""
        found = self._found.get(key_of(edge))
        return None if found is None else self._array(found, _meta_at(*edge))

    def _array(self, gradient: Gradient, meta: Meta) -> Array:
        if type(gradient) is Array:
            return gradient
        assert self.engine is not None
        storage = self._storages.setdefault(id(gradient), Storage())
        return Array(self.engine, gradient, layout(gradient, meta), storage)


def key_of(edge: Edge) -> Key:
    """Return where an edge leads, for a table."""
    return (id(edge.target), edge.output_nr) if edge.output_nr else id(edge.target)


def _plain(gradient: Gradient) -> Any:
    """Return a gradient's elements as a contiguous array, None where they are not."""
    data = gradient.data if type(gradient) is Array else gradient
    return data if data.flags.c_contiguous else None


def _meta_at(target: Node | Variable, output: int) -> Meta:
    return target.output_metas[output] if isinstance(target, Node) else target.meta


def gradients(
    roots: Sequence[Edge],
    seeds: Sequence[Array],
    targets: Sequence[Edge],
    *,
    retain_graph: bool,
) -> list[Array | None]:
    """Return the gradient that arrives at each target edge, None where none does.

    The plan is the client's own, so both run and free the same nodes. Raises what `Node.check` raises.
    """
    nodes = plan(roots, targets)
    sums = _Sums(seeds[0].engine if seeds else None, map(key_of, targets))
    for edge, seed in zip(roots, seeds, strict=True):
        sums.add(*edge, seed)
    for node in nodes:
        _step(node, sums)
    if not retain_graph:
        for node in nodes:
            node.release()
    return [sums.at(edge) for edge in targets]


def _step(node: Node, sums: _Sums) -> None:
    first, others = sums.take(node)
    if first is None and not others:
        return
    made = None
    if sums.prepares and not others and type(node) is Node:
        assert sums.engine is not None
        prepared = prepared_gradient(sums.engine, node, first)
        if prepared is not None:
            node.check()
            made = prepared.run(node, first, type(first) is not Array and sums.is_sole(first))
            if prepared.shares:
                sums.share(first)
    if made is None:
        made = run_node(node, sums.arrays(node, first, others))
    for target, number, gradient in zip(node.targets, node.numbers or repeat(0), made, strict=False):
        if target is not None and gradient is not None:
            sums.add(target, number, gradient)


def part_gradients(
    roots: Sequence[Edge], part: Part, entries: Sequence[Array], *, retain_graph: bool
) -> list[Array | None]:
    """Run a part of a backward from `roots`; return what leaves it, None where nothing does.

    Raises IndexError for a part that names what the graph does not have.
    """
    nodes, edges = reach(roots)
    running = [nodes[index] for index in part.run]
    by_edge = any(item.kind == EDGE for item in part.exits)
    targets = [] if by_edge else [_exit_edge(item, nodes, edges) for item in part.exits]
    sums = _Sums(entries[0].engine if entries else None, map(key_of, targets))
    for (index, output), gradient in zip(part.entries, entries, strict=True):
        sums.add(nodes[index], output, gradient)
    if by_edge:
        return _edge_gradients(running[0], sums, part)
    for node in running:
        _step(node, sums)
        if not retain_graph:
            node.release()
    return [sums.at(edge) for edge in targets]


def _exit_edge(item: Any, nodes: Sequence[Node], edges: Sequence[Edge | None]) -> Edge:
    if item.kind != LEAF:
        return Edge(nodes[item.number], item.output)
    edge = edges[item.number]
    if edge is None:
        raise IndexError(f"a part's exit must name an edge that leads to a leaf; edge {item.number} leads nowhere")
    return Edge(edge.target, 0)


def _edge_gradients(node: Node, sums: _Sums, part: Part) -> list[Array | None]:
    """Run one node, whose gradients are wanted edge by edge: two edges may lead to the same place."""
    found = run_node(node, sums.arrays(node, *sums.take(node)))
    return [found[item.number] for item in part.exits]
