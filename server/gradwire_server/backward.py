"""The backward pass: walk the plan, run gradient rules, sum gradients back to their inputs' shapes.

Iterative, so a chain of any length works. While the engine records (`create_graph`), so are the rules' own calls, which
are ordinary differentiable calls. Nothing outside is changed until the walk is complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire_protocol.dtypes import Category
from gradwire_protocol.errors import KernelError
from gradwire_protocol.meta import Meta
from gradwire_protocol.opaque import OpaqueNode
from gradwire_protocol.ops import OPS
from gradwire_protocol.ops.shape import span
from gradwire_protocol.part import EDGE, LEAF, Part
from gradwire_protocol.planning import plan, reach
from gradwire_protocol.signature import Signature, resolve, tensor_span
from gradwire_protocol.tape import CopySlices, Edge, Kept, Node
from gradwire_server.engine import Array
from gradwire_server.rules import gradient_for

__all__ = ["Call", "OwnBackwardNode", "gradients", "part_gradients", "to_input"]

Key = tuple[int, int]  # (id of a node or leaf, output number)


class OwnBackwardNode(Node):
    """A node that runs its own backward instead of an op's rules."""

    __slots__ = ()

    def backward(self, grads: Sequence[Array | None]) -> list[Array | None]:
        """Return one gradient per input, given those of the outputs."""
        raise NotImplementedError


class Call:
    """What a gradient rule sees of the recorded call: kept values and arguments by name, metas, what is needed."""

    __slots__ = ("_node", "grads")

    def __init__(self, node: Node, grads: Sequence[Array | None]) -> None:
        """View `node` while the gradients of its outputs are `grads` (None where an output had no use)."""
        self._node = node
        self.grads = grads

    def __getattr__(self, name: str) -> Any:
        node = self._node
        kept = node.kept.get(name)
        if kept is not None:
            return _unpack(node, name, kept)
        signature = node.signature
        op = signature.op
        position = op.positions.get(name)
        if position is None:
            raise AttributeError(f"{op.name} keeps no {name!r}; declare it in the contract's keeps")
        if op.arguments[position].type.startswith("Tensor"):
            if op.arguments[position].optional and self.meta(name) is None:
                return None
            raise AttributeError(f"{op.name} did not keep {name!r}; declare it in the contract's keeps")
        values = op.arrange(signature.metas, signature.statics, node.scalars, signature.lengths)
        return values[position]

    def meta(self, name: str) -> Any:
        """Return the meta of a tensor argument (a tuple of them for a list)."""
        signature = self._node.signature
        position = signature.op.positions[name]
        return signature.op.arrange(signature.metas, signature.statics, signature.kinds, signature.lengths)[position]

    def output_meta(self, number: int = 0) -> Meta:
        """Return the meta of an output."""
        return self._node.output_metas[number]

    def needs(self, name: str) -> bool:
        """Return whether a gradient of the named argument (any of a list) is wanted."""
        first, count = tensor_span(self._node.signature.op, name, self._node.signature.lengths)
        return any(self._node.edges[first : first + count])


def _unpack(node: Node, name: str, kept: Kept | tuple[Kept, ...]) -> Any:
    """Return kept values as a rule may differentiate them."""
    if type(kept) is Kept and kept.output >= 0:
        return _on_edge(kept.value, Edge(node, kept.output))
    signature = node.signature
    first, count = tensor_span(signature.op, name, signature.lengths)
    edges = [node.edges[index] for index in range(first, first + count) if signature.metas[index] is not None]
    if type(kept) is Kept:
        return _on_edge(kept.value, edges[0])
    return tuple(_on_edge(item.value, edge) for item, edge in zip(kept, edges, strict=True))


def _on_edge(value: Array, edge: Edge | None) -> Array:
    """Return a kept value whose gradient goes where the recorded call's does, whatever became of the tensor since.

    So a backward with create_graph leads to no node or leaf that the client does not know of.
    """
    if not value.engine.recording:
        return value
    if edge is not None and edge.target is value:
        value.leaf_requires_grad = True
        return value
    alias = value.alias()
    if edge is not None and isinstance(edge.target, Node):
        alias.node, alias.output_nr = edge.target, edge.output_nr
    elif edge is not None:
        # A leaf's value that was unpacked, so another array: its gradient goes to the leaf all the same.
        alias.node = Node(resolve(OPS["alias"], (value.meta,), (), (), (), 1, value.meta.dtype), (edge,))
    return alias


def to_input(gradient: Array, meta: Meta) -> Array:
    """Undo broadcasting and promotion: sum over broadcast axes, cast to the input's dtype."""
    if gradient.meta.shape != meta.shape:
        gradient = gradient.sum_to_size(meta.shape)
    if gradient.meta.dtype is not meta.dtype:
        if gradient.meta.dtype.is_complex and meta.dtype.category < Category.COMPLEX:
            gradient = OPS["real"](gradient)
        if gradient.meta.dtype is not meta.dtype:
            gradient = gradient._to_dtype(meta.dtype)
    return gradient


def _is_complex(signature: Signature, grads: Sequence[Array | None]) -> bool:
    """Return whether complex numbers take part in a call or its gradients."""
    return any(meta is not None and meta.dtype.is_complex for meta in signature.metas) or any(
        g is not None and g.meta.dtype.is_complex for g in grads
    )


def _run_rules(node: Node, grads: Sequence[Array | None]) -> list[Array | None]:
    """Run the gradient rules of an op's node: one gradient per flattened tensor input."""
    signature = node.signature
    rules = gradient_for(signature.op)
    conjugates = not rules.speaks_complex and _is_complex(signature, grads)
    if conjugates:
        grads = [None if g is None else g.conj() for g in grads]
    call = Call(node, grads)
    first_gradient = grads[0]
    joint = rules.joint(first_gradient, call) if rules.joint is not None else None
    results: list[Array | None] = [None] * len(node.edges)
    for name in signature.op.differentiable:
        first, count = tensor_span(signature.op, name, signature.lengths)
        if not any(node.edges[first : first + count]):
            continue
        found = joint.get(name) if joint is not None else rules.rules[name](first_gradient, call)
        values = found if isinstance(found, tuple | list) else (found,) * count
        for index, value in enumerate(values, first):
            meta = signature.metas[index]
            if value is not None and meta is not None and node.edges[index] is not None:
                results[index] = to_input(value.conj() if conjugates else value, meta)
    return results


def _run_slices(node: CopySlices, grads: Sequence[Array | None]) -> list[Array | None]:
    g = grads[0]
    assert g is not None
    base = node.output_metas[0]
    geometry = (node.view.shape, node.view.strides, node.offset)
    memory = _laid_out(g, base)
    inner = _run_rules(node.function, [memory.as_strided(*geometry).clone()])
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
        raise KernelError(f"the backward of {node.name} is the client's to run; please report it")
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
    return _run_rules(node, needed)


class _Sums:
    """Gradients that arrived so far, by where they go."""

    def __init__(self) -> None:
        self.found: dict[Key, Array] = {}

    def add(self, edge: Edge, gradient: Array) -> None:
        key = (id(edge.target), edge.output_nr)
        held = self.found.get(key)
        self.found[key] = gradient if held is None else held.add(gradient)


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
    sums = _Sums()
    for edge, seed in zip(roots, seeds, strict=True):
        sums.add(edge, seed)
    wanted = {(id(edge.target), edge.output_nr) for edge in targets}
    for node in nodes:
        _step(node, sums, wanted)
    if not retain_graph:
        for node in nodes:
            node.release()
    return [sums.found.get((id(edge.target), edge.output_nr)) for edge in targets]


def _step(node: Node, sums: _Sums, wanted: set[Key]) -> None:
    keys = [(id(node), number) for number in range(len(node.output_metas))]
    grads = [sums.found.get(key) if key in wanted else sums.found.pop(key, None) for key in keys]
    if all(g is None for g in grads):
        return
    for edge, gradient in zip(node.edges, run_node(node, grads), strict=True):
        if edge is not None and gradient is not None:
            sums.add(edge, gradient)


def part_gradients(
    roots: Sequence[Edge], part: Part, entries: Sequence[Array], *, retain_graph: bool
) -> list[Array | None]:
    """Run a part of a backward from `roots`; return what leaves it, None where nothing does.

    Raises IndexError for a part that names what the graph does not have.
    """
    nodes, edges = reach(roots)
    running = [nodes[index] for index in part.run]
    sums = _Sums()
    for (index, output), gradient in zip(part.entries, entries, strict=True):
        sums.add(Edge(nodes[index], output), gradient)
    if any(item.kind == EDGE for item in part.exits):
        return _edge_gradients(running[0], sums, part)
    targets = [_exit_key(item, nodes, edges) for item in part.exits]
    for node in running:
        _step(node, sums, set(targets))
        if not retain_graph:
            node.release()
    return [sums.found.get(key) for key in targets]


def _exit_key(item: Any, nodes: Sequence[Node], edges: Sequence[Edge | None]) -> Key:
    if item.kind != LEAF:
        return id(nodes[item.number]), item.output
    edge = edges[item.number]
    if edge is None:
        raise IndexError(f"a part's exit must name an edge that leads to a leaf; edge {item.number} leads nowhere")
    return id(edge.target), 0


def _edge_gradients(node: Node, sums: _Sums, part: Part) -> list[Array | None]:
    """Run one node, whose gradients are wanted edge by edge: two edges may lead to the same place."""
    found = run_node(node, [sums.found.get((id(node), number)) for number in range(len(node.output_metas))])
    return [found[item.number] for item in part.exits]
