"""One batch on its way through a session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.tape import Edge, gradient_edge
from gradwire_protocol.v1 import call_pb2
from gradwire_server.control import OutlineMarker
from gradwire_server.engine import Array

__all__ = ["Run"]


class Run:
    """One batch while it runs: its columns, how far each is consumed, and what it answered."""

    def __init__(self, batch: call_pb2.Batch) -> None:
        """Unpack the columns."""
        self.number = batch.number
        self.handle = batch.first_handle
        self.inputs = list(batch.inputs)
        self.released = batch.released
        self.floats: Iterator[float] = iter(batch.floats)
        self.ints: Iterator[int] = iter(batch.ints)
        self.tensors = iter(batch.tensors)
        self.position = 0
        self.call = 0
        self.ack = call_pb2.Ack(number=batch.number)

    def answer(self, **fields: Any) -> None:
        """Add a value to the acknowledgement, given the fields of its message."""
        self.ack.values.add(**fields)

    def next_tensor(self, meta: Meta) -> bytes:
        """Return the next inline tensor's bytes."""
        return next(self.tensors).data

    def outline_marker(self, roots: Sequence[Edge], seeds: Sequence[Array | None]) -> OutlineMarker:
        """Number the graph that the client knows before a backward adds to it."""
        return OutlineMarker([*roots, *(gradient_edge(seed) for seed in seeds if seed is not None)])

    def numbers(self, kinds: tuple[type, ...]) -> tuple[Any, ...]:
        """Take the varying numbers of one call from the columns."""
        return tuple([self._number(kind) for kind in kinds])

    def _number(self, kind: type) -> Any:
        if kind is float:
            return next(self.floats)
        if kind is int:
            return next(self.ints)
        if kind is bool:
            return bool(next(self.ints))
        return complex(next(self.floats), next(self.floats)) if kind is complex else None
