"""`OpaqueNode`: a graph node that one side describes to the other, without the call that made it."""

from __future__ import annotations

from gradwire_protocol.meta import Meta
from gradwire_protocol.tape import Edge, Node

__all__ = ["OpaqueNode"]


class OpaqueNode(Node):
    """A node known by its name, edges and outputs; what it keeps, and how it runs backward, the other side knows."""

    __slots__ = ("_keeps", "_name", "_outputs")

    def __init__(self, name: str, edges: tuple[Edge | None, ...], outputs: tuple[Meta, ...], keeps: bool) -> None:
        """Mirror a described node."""
        super().__init__(None, edges)  # type: ignore[arg-type]
        self._name = name
        self._outputs = outputs
        self._keeps = keeps

    @property
    def name(self) -> str:
        """Return PyTorch's name."""
        return self._name

    @property
    def keeps(self) -> bool:
        """Return whether the other side's node keeps anything."""
        return self._keeps

    @property
    def output_metas(self) -> tuple[Meta, ...]:
        """Return the metas of the outputs."""
        return self._outputs
