"""`RecomputedNode`: stands for a part of the graph that is thrown away and run again when a gradient comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gradwire.autograd.anomaly_mode import mode as anomaly_mode
from gradwire.autograd.anomaly_mode import remember
from gradwire.autograd.grad_mode import enable_grad
from gradwire.autograd.saved_tensors import suspended
from gradwire_protocol.opaque import OpaqueNode
from gradwire_protocol.ops import OPS
from gradwire_protocol.planning import reach
from gradwire_protocol.tape import Edge, Node, gradient_edge, next_order

if TYPE_CHECKING:
    from gradwire.autograd.walk import Walk
    from gradwire.tensor import Tensor

__all__ = ["RecomputedNode", "recomputed"]

_CHECKPOINT = OPS["gw::checkpoint"]


def _made_since(order: int, outputs: Sequence[Tensor]) -> list[Node]:
    """Return the nodes made since `order` that lead to `outputs`, the latest first."""
    nodes, _ = reach([gradient_edge(output) for output in outputs])
    return sorted((node for node in nodes if node.order > order), key=lambda node: node.order, reverse=True)


def _leading_out(nodes: Sequence[Node]) -> Iterator[tuple[Node, int, Edge]]:
    """Yield the edges that leave `nodes`, one to each place, in an order that follows from what was computed."""
    inside, seen = {id(node) for node in nodes}, set()
    for node in nodes:
        for index, edge in enumerate(node.edges):
            if edge is None or id(edge.target) in inside or (id(edge.target), edge.output_nr) in seen:
                continue
            seen.add((id(edge.target), edge.output_nr))
            yield node, index, edge


class RecomputedNode(OpaqueNode):
    """Holds how to compute its outputs again, and nothing that was computed."""

    __slots__ = ("compute",)

    is_client = True
    compute: Callable[[], Sequence[Any]] | None  # returns the outputs, recorded

    def release(self) -> None:
        """Let the arguments go."""
        self.compute = None
        self.freed = True

    def backward(self, grads: Sequence[Any], walk: Walk) -> list[Any]:
        """Compute again, and send the gradients through what that recorded."""
        from gradwire.autograd.walk import Walk, key_of

        self.check()
        assert self.compute is not None
        order = next_order()
        with enable_grad(), suspended():
            outputs = list(self.compute())
        if [output.meta.shape for output in outputs] != [meta.shape for meta in self.output_metas]:
            raise RuntimeError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than during "
                f"the forward pass: {[str(meta) for meta in self.output_metas]} became {[str(o.meta) for o in outputs]}."
            )
        inner = Walk(outputs, retain_graph=walk.retain_graph, create_graph=walk.create_graph)
        for output, gradient in zip(outputs, grads, strict=True):
            edge = gradient_edge(output)
            if gradient is not None and edge is not None:
                inner.add(edge, gradient)
        inner.run(_made_since(order, outputs), [edge for edge in self.edges if edge is not None])
        return [None if edge is None else inner.captured.get(key_of(edge)) for edge in self.edges]


def recomputed(compute: Callable[[], Sequence[Any]]) -> list[Any]:
    """Run `compute`, which returns tensors, and forget the graph that it recorded until a backward needs it."""
    from gradwire.tensor import call

    order = next_order()
    # What is kept inside is thrown away, so hooks of saved tensors are not asked, as in PyTorch.
    with suspended():
        outputs = list(compute())
    made = [index for index, output in enumerate(outputs) if output.node is not None and output.node.order > order]
    if not made:
        return outputs
    chosen = [outputs[index] for index in made]
    known, _ = reach([gradient_edge(output) for output in chosen])
    numbers = {id(node): number for number, node in enumerate(known)}
    made_inside = _made_since(order, chosen)
    if any(inner.is_border for inner in made_inside) or len({id(output.session) for output in chosen}) > 1:
        raise RuntimeError(
            "torch.utils.checkpoint: a checkpoint needs to compute on one device, to which its arguments are brought before; "
            "this one copies tensors from one to another, or returns tensors of several"
        )
    leading = list(_leading_out(made_inside))
    node = RecomputedNode(
        "CheckpointBackward", tuple(edge for _, _, edge in leading), tuple(output.meta for output in chosen), keeps=True
    )
    node.compute = lambda: [outputs[index] for outputs in [compute()] for index in made]
    nodes, edges = tuple(numbers[id(inner)] for inner, _, _ in leading), tuple(index for _, index, _ in leading)
    call(_CHECKPOINT, chosen, node.name, nodes, edges, session=chosen[0].session)
    for number, output in enumerate(chosen):
        output.node, output.output_nr, output.base = node, number, None
    if anomaly_mode.enabled:
        remember(chosen)
    return outputs
