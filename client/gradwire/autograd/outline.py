"""The graph that a backward with create_graph made on the worker, mirrored here from its description."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradwire_protocol import codec
from gradwire_protocol.errors import GradwireError
from gradwire_protocol.opaque import OpaqueNode
from gradwire_protocol.tape import Edge, Node
from gradwire_protocol.v1 import call_pb2

if TYPE_CHECKING:
    from gradwire.session import Session

__all__ = ["Graph", "read_outline"]

Graph = tuple[
    list[Node], list[Edge | None]
]  # what `planning.reach` returns: the graph that the worker describes new nodes by


def read_outline(session: Session, graph: Graph, made: Sequence[Any]) -> None:
    """Wait for the answer of the last call, and give its results `made` their nodes."""
    value = session.answer()
    if not value.HasField("outline"):
        raise GradwireError("a backward with create_graph answers with its graph; none came; please report it")
    _bind(value.outline, graph, made)


def _bind(outline: call_pb2.Outline, graph: Graph, made: Sequence[Any]) -> None:
    """Mirror the nodes that the worker made, and hang the gradients on them."""
    (old, edges_), new, kinds = graph, list[Node](), call_pb2.Outline.Edge

    def edge(message: call_pb2.Outline.Edge) -> Edge | None:
        if message.kind == kinds.LEAF:
            return edges_[message.index]
        if message.kind == kinds.NONE:
            return None
        return Edge((old if message.kind == kinds.OLD else new)[message.index], message.output)

    for message in outline.nodes:
        edges = tuple(edge(item) for item in message.edges)
        outputs = tuple(codec.decode_meta(meta) for meta in message.outputs)
        new.append(OpaqueNode(message.name, edges, outputs, message.keeps))  # type: ignore[arg-type]
    for tensor, result in zip(made, outline.results, strict=True):
        found = edge(result)
        if found is not None:
            assert isinstance(found.target, Node)
            tensor.node, tensor.output_nr = found.target, found.output_nr
