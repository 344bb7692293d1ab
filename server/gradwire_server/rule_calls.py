"""What a gradient rule meets: the recorded call, as `Call` shows it, and the way of its gradients back to the inputs' shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire_protocol.dtypes import Category
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.signature import Signature, resolve, tensor_span
from gradwire_protocol.tape import Edge, Kept, Node
from gradwire_server.engine import Array
from gradwire_server.rules import gradient_for

__all__ = ["Call", "run_rules", "to_input"]


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


def _on_edge(value: Array | None, edge: Edge | None) -> Array:
    """Return a kept value whose gradient goes where the recorded call's does, whatever became of the tensor since.

    So a backward with create_graph leads to no node or leaf that the client does not know of.
    """
    if value is None:
        raise RuntimeError(
            "a kept value that a hook packed must be there again before its node runs; it was dropped, and not restored"
        )
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


def run_rules(node: Node, grads: Sequence[Array | None]) -> list[Array | None]:
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
