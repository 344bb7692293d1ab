"""Uploads through shared memory. What the worker is not known to have read still lies in its slot, and can be named again.

So nothing is copied for the case that the connection breaks: a slot is filled anew only when the worker says that it is free.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from gradwire.transport import Stream
from gradwire_protocol.bulk import Bytes
from gradwire_protocol.errors import BatchMalformed
from gradwire_protocol.shared_memory import Segment
from gradwire_protocol.v1 import bulk_pb2

__all__ = ["SlotUploads"]


class _Filled(NamedTuple):
    """A slot that the worker may still read: of which transfer, from which byte on, and how many."""

    header: bulk_pb2.UploadHeader
    start: int
    slot: int
    size_bytes: int


class SlotUploads:
    """One transfer after the other, over one stream after the other. Used by one thread at a time."""

    def __init__(self, segment: Segment) -> None:
        """Fill the slots of a segment."""
        self._secret, self._slots, self._slot_bytes = segment.secret, segment.uploads, segment.slot_bytes
        self._free = deque(range(len(segment.uploads)))
        self._filled: deque[_Filled] = deque()
        self._stream_number = 0
        self._announced: bulk_pb2.UploadHeader | None = None  # whose slots the stream expects
        self._header = bulk_pb2.UploadHeader()
        self._data: Bytes = np.empty(0, np.uint8)
        self._position = 0

    @property
    def is_owed(self) -> bool:
        """Return whether there are slots of which the worker did not say that it read them."""
        return bool(self._filled)

    def begin(self, header: bulk_pb2.UploadHeader, data: Bytes) -> None:
        """Begin a transfer, which `go_on` sends."""
        header.secret = self._secret
        self._header, self._data, self._position = header, data, 0

    def go_on(self, stream: Stream) -> None:
        """Send what was not sent yet of the transfer; raise WorkerLost, to be called again with the next stream."""
        if self._announced is not self._header:
            self._announce(stream, self._header, self._position)
        while self._position < self._data.nbytes:
            while not self._free:
                self._freed(bulk_pb2.Freed.FromString(stream.receive()).slots)
            piece = self._data[self._position : self._position + self._slot_bytes]
            index = self._free.popleft()
            np.copyto(self._slots[index][: piece.nbytes], piece)
            filled = _Filled(self._header, self._position, index, piece.nbytes)
            self._filled.append(filled)
            self._position += piece.nbytes
            _send(stream, filled)
        self._data = np.empty(0, np.uint8)

    def again(self, stream: Stream) -> None:
        """Name over a new stream all slots that are owed."""
        self._stream_number += 1
        self._announced = None
        for filled in self._filled:
            if self._announced is not filled.header:
                self._announce(stream, filled.header, filled.start)
            _send(stream, filled)

    def forgo(self) -> None:
        """Take the transfer back that was begun. Its stream must be gone: half of it may be there."""
        self._free.extend(filled.slot for filled in self._filled if filled.header is self._header)
        self._filled = deque(filled for filled in self._filled if filled.header is not self._header)
        self._data = np.empty(0, np.uint8)

    def _announce(self, stream: Stream, header: bulk_pb2.UploadHeader, start: int) -> None:
        header.stream, header.start = self._stream_number, start
        stream.send(bulk_pb2.Part(header=header).SerializeToString())
        self._announced = header

    def _freed(self, count: int) -> None:
        if not 0 < count <= len(self._filled):
            raise BatchMalformed(f"slots are freed once each; {len(self._filled)} were in use, and {count} came back")
        for _ in range(count):
            self._free.append(self._filled.popleft().slot)


def _send(stream: Stream, filled: _Filled) -> None:
    stream.send(bulk_pb2.Part(slot=bulk_pb2.Slot(index=filled.slot, bytes=filled.size_bytes)).SerializeToString())
