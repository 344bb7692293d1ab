"""What a session's handles stand for: an array, a pinned graph node, or the failure that poisoned it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterable, Sequence
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

    def release(self, released: Sequence[int]) -> None:
        """Drop the handles of (first, count) pairs; unknown ones are ignored, since a poisoned batch may never have made them."""
        if sum(released[1::2]) > len(self.entries):
            self._release_held(released, self.entries)
            return
        for index in range(0, len(released), 2):
            for handle in range(released[index], released[index] + released[index + 1]):
                self.entries.pop(handle, None)

    def _release_held(self, released: Sequence[int], candidates: Iterable[int]) -> None:
        """Drop those of the candidates that lie in a range: a hostile client names more handles than it ever made."""
        starts, ends = _merged(released)
        found = [(handle, bisect_right(starts, handle) - 1) for handle in candidates]
        for handle, place in found:
            if place >= 0 and handle < ends[place]:
                del self.entries[handle]

    def release_early(self, released: Sequence[int], wanted: Container[int], before: int) -> None:
        """Drop the handles below `before` of (first, count) pairs, but none that is still wanted."""
        self._release_held(released, [held for held in self.entries if held < before and held not in wanted])

    @property
    def held_bytes(self) -> int:
        """Return the bytes of all arrays held, views counted as their own."""
        # A copy, made in one step: who asks for metrics does not stop the session's own thread.
        return sum(entry.meta.nbytes for entry in list(self.entries.values()) if isinstance(entry, Array))


def _merged(released: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the starts and ends of the ranges of (first, count) pairs, in order, none overlapping."""
    starts: list[int] = []
    ends: list[int] = []
    for first, count in sorted(zip(released[::2], released[1::2], strict=True)):
        if ends and first <= ends[-1]:
            ends[-1] = max(ends[-1], first + count)
        else:
            starts.append(first)
            ends.append(first + count)
    return starts, ends


def missing(handle: int) -> str:
    """Return the message for a handle that this session does not hold; foreign and unknown ones read the same."""
    return (
        f"a call needs handles that this session holds; got handle {handle}, which was freed, never made, or belongs to "
        "another session; keep the tensor alive until its last use"
    )
