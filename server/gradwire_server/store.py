"""What a session's handles stand for: an array, a pinned graph node, or the failure that poisoned it."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from gradwire_protocol.errors import HandleNotFound
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.control import NODE_META
from gradwire_protocol.tape import Node
from gradwire_protocol.v1 import failure_pb2
from gradwire_server.engine import Array

__all__ = ["PinnedNode", "Poisoned", "Store"]


@dataclass(frozen=True, slots=True)
class Poisoned:
    """Stands where a failed call's result would be. Calls that read it fail with this, the first cause."""

    failure: failure_pb2.Failure


class PinnedNode:
    """A graph node that the client holds, and with it all that lies behind the node."""

    __slots__ = ("node", "target")

    meta: Meta = NODE_META

    def __init__(self, target: Node | Array) -> None:
        """Pin a node, or a leaf standing for its AccumulateGrad."""
        self.target = target


Entry = Array | Poisoned | PinnedNode


class Store:
    """The handles of one session. Client-chosen, defined once, never reused."""

    def __init__(self) -> None:
        """Start empty."""
        self.entries: dict[int, Entry] = {}
        self.next_handle = 1

    def define(self, handle: int, entry: Entry) -> None:
        """Bind a new handle."""
        self.entries[handle] = entry

    def array(self, handle: int) -> Array | Poisoned:
        """Return what a handle stands for; raise HandleNotFound for one that is not held or is no tensor."""
        entry = self.entries.get(handle)
        if entry is None or isinstance(entry, PinnedNode):
            raise HandleNotFound(missing(handle))
        return entry

    def release(self, first: int, count: int) -> None:
        """Drop a range of handles; unknown ones are ignored, since a poisoned batch may never have made them."""
        if count > len(self.entries):
            for handle in [held for held in self.entries if first <= held < first + count]:
                del self.entries[handle]
            return
        for handle in range(first, first + count):
            self.entries.pop(handle, None)

    def release_early(self, released: Sequence[int], wanted: Container[int], before: int) -> None:
        """Drop the handles below `before` of (first, count) pairs, but none that is still wanted."""
        ranges = [range(released[index], released[index] + released[index + 1]) for index in range(0, len(released), 2)]
        for handle in [held for held in self.entries if held < before and held not in wanted]:
            if any(handle in span for span in ranges):
                del self.entries[handle]

    @property
    def held_bytes(self) -> int:
        """Return the bytes of all arrays held, views counted as their own."""
        # A copy, made in one step: who asks for metrics does not stop the session's own thread.
        return sum(entry.meta.nbytes for entry in list(self.entries.values()) if isinstance(entry, Array))


def missing(handle: int) -> str:
    """Return the message for a handle that this session does not hold; foreign and unknown ones read the same."""
    return (
        f"a call needs handles that this session holds; got handle {handle}, which was freed, never made, or belongs to "
        "another session; keep the tensor alive until its last use"
    )
