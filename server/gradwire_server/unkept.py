"""A transfer that is received to keep its stream whole, and not kept: one that came already, or one over its quota."""

from __future__ import annotations

from gradwire_protocol import codec
from gradwire_protocol.bulk import data_of
from gradwire_protocol.errors import BatchMalformed
from gradwire_protocol.v1 import bulk_pb2

__all__ = ["Unkept"]


class Unkept:
    """A `Receiver` without memory: it counts."""

    def __init__(self, size_bytes: int, *, is_slotted: bool) -> None:
        """Expect so many bytes, in chunks or in slots."""
        self._size_bytes, self._is_slotted = size_bytes, is_slotted
        self.position = 0
        self.is_done = is_slotted and not size_bytes

    def take(self, message: bytes) -> int:
        """Count the next message; return how many slots it freed. Raises what came instead of elements."""
        data = None if self._is_slotted else data_of(message)
        if data is not None:
            return self._count(len(data), 0)
        part = bulk_pb2.Part.FromString(message)
        kind = part.WhichOneof("part")
        if kind == "slot" and self._is_slotted:
            freed = self._count(part.slot.bytes, 1)
            self.is_done = self.position == self._size_bytes
            return freed
        if kind == "failure":
            raise codec.decode_failure(part.failure)
        if kind != "checksum" or self._is_slotted or self.position != self._size_bytes:
            raise BatchMalformed(f"a transfer goes on with its elements; got {kind} after {self.position} bytes")
        self.is_done = True
        return 0

    def _count(self, size_bytes: int, freed: int) -> int:
        self.position += size_bytes
        if self.position > self._size_bytes:
            raise BatchMalformed(f"a transfer has {self._size_bytes} bytes; more came")
        return freed
