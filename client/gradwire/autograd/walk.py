"""`Walk`: a backward with the client's own code in it, in parts.

The worker runs what lies between two stops (a node with hooks, a custom function) in one call, and hands out the gradients
that leave it. Each node runs once, in the order of a backward without stops.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gradwire.autograd import anomaly_mode
from gradwire.autograd.function import FunctionNode
from gradwire.autograd.grad_mode import set_grad_enabled
from gradwire.autograd.outline import read_outline
from gradwire.autograd.owners import Cuts
from gradwire.autograd.sides import Side, sides_of
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.part import EDGE, LEAF, NODE, Exit, Part
from gradwire_protocol.tape import Edge, Node

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = ["Key", "Walk", "key_of", "stops"]

Key = tuple[int, int]  # (id of a node or leaf, output number)

_PART = OPS["gw::backward_part"]


def key_of(edge: Edge) -> Key:
    """Return what names an edge's end while the graph is held."""
    return id(edge.target), edge.output_nr


def stops(nodes: Iterable[Node]) -> bool:
    """Return whether a backward through `nodes` needs the client in between."""
    return anomaly_mode.mode.enabled or any(node.hooks is not None or node.is_client for node in nodes)


def meta_at(edge: Edge) -> Meta:
    """Return the meta of a gradient that arrives at an edge's end."""
    target = edge.target
    meta = target.output_metas[edge.output_nr] if isinstance(target, Node) else target.meta
    return Meta.of(meta.shape, meta.dtype)


class Walk:
    """One backward from `tensors`. `pending` are the gradients that wait at an edge's end."""

    def __init__(self, tensors: Sequence[Tensor], *, retain_graph: bool, create_graph: bool) -> None:
        """Number the graph behind the roots, as its workers do for each part."""
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.watched = anomaly_mode.mode.enabled
        self.pending: dict[Key, tuple[Edge, Any]] = {}
        self.captured: dict[Key, Any] = {}
        self.wanted: set[Key] = set()
        self._sides = sides_of(tensors)
        self._side_of = {number: side for side in self._sides for number in side.numbers}

    def add(self, edge: Edge, gradient: Any) -> None:
        """Let a gradient arrive."""
        held = self.pending.get(key_of(edge))
        self.pending[key_of(edge)] = (edge, gradient if held is None else held[1] + gradient)

    def run(self, nodes: Iterable[Node], wanted: Iterable[Edge] = (), cuts: Cuts | None = None) -> None:
        """Run `nodes`, in this order; keep what passes the ends of `wanted` in `captured`, but for what `cuts` takes."""
        self.wanted = {key_of(edge) for edge in wanted}
        batch: list[Node] = []
        with set_grad_enabled(self.create_graph):
            for node in nodes:
                if node.hooks is None and not node.is_client and not self.watched:
                    batch.append(node)
                else:
                    self._run_batch(batch)
                    batch = [node] if self._visit_watched(node) else []
                if cuts is not None and cuts.is_after(node):
                    self._run_batch(batch)
                    batch = []
                    cuts.done(node, self)
            self._run_batch(batch)
            if cuts is not None:
                cuts.end(self)
        for key in self.wanted & self.pending.keys():
            self.captured[key] = self.pending[key][1]

    def _visit_watched(self, node: Node) -> bool:
        """Visit a node, so that an error names its forward call while anomalies are looked for."""
        if not self.watched:
            return self._visit(node)
        with anomaly_mode.watching(node):
            return self._visit(node)

    def _visit(self, node: Node) -> bool:
        """Run the client's part of a node; return whether the worker still has to run the node itself."""
        keys = [(id(node), number) for number in range(len(node.output_metas))]
        grads: list[Any] = [self.pending.pop(key)[1] if key in self.pending else None for key in keys]
        # As in PyTorch, a custom function runs all the same: with zeros, or with None if it asked for that.
        if all(gradient is None for gradient in grads) and not isinstance(node, FunctionNode):
            return False
        if node.hooks is not None:
            grads = node.hooks.on_outputs(grads)
        for key, gradient in zip(keys, grads, strict=True):
            if key in self.wanted and gradient is not None:
                self.captured[key] = gradient
        if node.hooks is not None and node.hooks.saved is not None:
            node.hooks.saved.restore(node)
        if not node.is_client and not self.watched and not node.hooks.after:
            for number, gradient in enumerate(grads):
                if gradient is not None:
                    self.add(Edge(node, number), gradient)
            return True
        made = node.backward(grads, self) if node.is_client else self._run_alone(node, grads)  # type: ignore[attr-defined]
        if node.hooks is not None:
            made = node.hooks.on_inputs(made, grads)
        if self.watched and anomaly_mode.mode.check_nan:
            anomaly_mode.check_nan(node, made)
        for edge, gradient in zip(node.edges, made, strict=True):
            if edge is not None and gradient is not None:
                self.add(edge, gradient)
        return False

    def _run_batch(self, batch: Sequence[Node]) -> None:
        """Run worker nodes that gradients reach. Those of two workers do not meet: a border would lie between them."""
        if len(self._sides) == 1:
            self._run_on(self._sides[0], batch)
            return
        for side in self._sides:
            self._run_on(side, [node for node in batch if self._side_of[id(node)] is side])

    def _run_on(self, side: Side, batch: Sequence[Node]) -> None:
        """Run nodes of one worker, and take what leaves them."""
        running: list[Node] = []
        reached = dict.fromkeys(self.pending)
        leaving: dict[Key, Edge] = {}
        for node in batch:
            keys = [(id(node), number) for number in range(len(node.output_metas))]
            if not any(key in reached for key in keys):
                continue
            running.append(node)
            for edge in node.edges:
                if edge is not None:
                    reached[key_of(edge)] = None
                    leaving[key_of(edge)] = edge
        if not running:
            return
        inside = {id(node) for node in running}
        entering = [self.pending.pop(key) for key in list(self.pending) if key[0] in inside]
        for edge, _ in entering:
            leaving.setdefault(key_of(edge), edge)
        out = [edge for key, edge in leaving.items() if key[0] not in inside or key in self.wanted]
        exits = tuple(_exit(side, edge) for edge in out)
        for edge, gradient in zip(out, self._call(side, running, entering, exits), strict=True):
            if key_of(edge)[0] in inside:
                self.captured[key_of(edge)] = gradient
            else:
                self.add(edge, gradient)

    def _run_alone(self, node: Node, grads: Sequence[Any]) -> list[Any]:
        """Let the worker run one node and return its gradients edge by edge."""
        side = self._side_of[id(node)]
        entering = [(Edge(node, number), gradient) for number, gradient in enumerate(grads) if gradient is not None]
        places = [(index, edge) for index, edge in enumerate(node.edges) if edge is not None]
        exits = tuple(Exit(EDGE, index, 0, meta_at(edge)) for index, edge in places)
        made = dict(zip((index for index, _ in places), self._call(side, [node], entering, exits), strict=True))
        return [made.get(index) for index in range(len(node.edges))]

    def _call(
        self, side: Side, running: Sequence[Node], entering: Sequence[tuple[Edge, Any]], exits: tuple[Exit, ...]
    ) -> list[Any]:
        from gradwire.tensor import call

        part = Part(
            tuple(side.numbers[id(node)] for node in running),
            tuple((side.numbers[id(edge.target)], edge.output_nr) for edge, _ in entering),
            exits,
        )
        entries = [gradient for _, gradient in entering]
        session, graph = side.session, None
        if self.create_graph:
            for entry in entries:
                if entry.leaf_requires_grad:
                    entry.announce()
            graph = side.graph_with(entries)
        made: Any = call(
            _PART, side.tensors, entries, part.encode(), self.retain_graph, self.create_graph, session=session
        )
        if graph is not None:
            read_outline(session, graph, made)
        for node in running:
            if not self.retain_graph:
                node.release()
            elif node.hooks is not None and node.hooks.saved is not None:
                node.hooks.saved.drop(node)
        return list(made)


def _exit(side: Side, edge: Edge) -> Exit:
    if isinstance(edge.target, Node):
        return Exit(NODE, side.numbers[id(edge.target)], edge.output_nr, meta_at(edge))
    return Exit(LEAF, side.leaves[id(edge.target)], 0, meta_at(edge))
