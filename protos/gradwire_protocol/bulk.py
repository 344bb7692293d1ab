"""How large tensors travel: in checksummed chunks inside of messages, or in slots of memory that both sides see.

The same on both sides and in both directions; no I/O. Chunks are `Part` messages written and read by hand, because a
protobuf object around them would copy every byte twice more.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np

from gradwire_protocol import codec, limits
from gradwire_protocol.errors import BatchMalformed, TransferDamaged
from gradwire_protocol.v1 import bulk_pb2

__all__ = ["Checksum", "Receiver", "Ring", "as_bytes", "chunk_parts", "chunk_writers", "data_of", "data_part", "pieces"]

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_DATA = 0x12  # field 2, length-delimited: Part.data

# Words added up side by side. A prime, so that pages or lines that change places change sums too.
_COLUMNS = 2039


def as_bytes(values: np.ndarray[Any, Any]) -> Bytes:
    """View the memory of a C-contiguous array as bytes."""
    return values.reshape(-1).view(np.uint8)


def pieces(data: Bytes, size: int) -> Iterator[Bytes]:
    """Yield views of `size` bytes each, the last one shorter."""
    for start in range(0, data.nbytes, size):
        yield data[start : start + size]


def data_part(data: Bytes) -> bytes:
    """Return `Part(data=...)` as it travels, with one copy."""
    length, varint = data.nbytes, bytearray()
    while length > 127:
        varint.append(length & 127 | 128)
        length >>= 7
    varint.append(length)
    return b"".join((bytes((_DATA,)), varint, data.data))


def data_of(message: bytes) -> memoryview | None:
    """Return the data of a message that is `Part(data=...)` and nothing else, without a copy; else None."""
    if not message or message[0] != _DATA:
        return None
    length = shift = 0
    for position in range(1, min(len(message), 11)):
        byte = message[position]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            whole = position + 1 + length == len(message)
            return memoryview(message)[position + 1 :] if whole else None
    return None


class Checksum:
    """Of chunks, in order: their 64-bit words added up in columns, and the CRC-32 of the sums.

    Six times as fast as CRC-32 over the bytes, which would be the slowest part of a transfer. Found: any change to
    one word, chunks that are lost, doubled or change places, and nearly all else; it is no defence against an attacker.
    """

    def __init__(self) -> None:
        """Start with no chunk."""
        self.value = 0

    def add(self, chunk: Bytes) -> None:
        """Take the next chunk."""
        rows = chunk.nbytes // (8 * _COLUMNS)
        folded = rows * 8 * _COLUMNS
        if rows:
            words = chunk[:folded].view("<u8").reshape(rows, _COLUMNS)
            self.value = zlib.crc32(np.add.reduce(words, axis=0), self.value)
        self.value = zlib.crc32(chunk[folded:].data, self.value)


def chunk_parts(chunks: Iterable[Bytes]) -> Iterator[bytes]:
    """Yield the messages of a transfer in chunks: each chunk, then the checksum."""
    for write in chunk_writers(chunks):
        yield write()


def chunk_writers(chunks: Iterable[Bytes]) -> Iterator[Callable[[], bytes]]:
    """Yield what writes the messages of a transfer in chunks; each is called once, in this order, maybe by another thread."""
    checksum = Checksum()

    def written(chunk: Bytes) -> bytes:
        checksum.add(chunk)
        return data_part(chunk)

    for chunk in chunks:
        yield partial(written, chunk)
    yield lambda: bulk_pb2.Part(checksum=checksum.value).SerializeToString()


class Ring:
    """Slots of shared memory that this side fills in turn and the other side empties.

    The message that names a slot follows the copy into it, through a socket: that orders the two on any processor.
    """

    def __init__(
        self,
        slots: Sequence[Bytes],
        wait: Callable[[], int],
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Fill `slots`, each in a `turn`; `wait` returns how many the other side freed, waiting for one or more."""
        self._slots, self._wait, self._turn = slots, wait, turn
        self._next = self._held = 0

    def freed(self, count: int) -> None:
        """Note that the other side has read the oldest `count` slots."""
        if not 0 < count <= self._held:
            raise BatchMalformed(f"slots are freed once each; {self._held} were in use, and {count} came back")
        self._held -= count

    def parts(self, data: Iterable[Bytes]) -> Iterator[bytes]:
        """Copy each piece into a slot, which must have room for it, and yield the message that says so."""
        for piece in data:
            while self._held == len(self._slots):
                self.freed(self._wait())
            index = self._next
            with self._turn():
                np.copyto(self._slots[index][: piece.nbytes], piece)
            self._next, self._held = (index + 1) % len(self._slots), self._held + 1
            yield bulk_pb2.Part(slot=bulk_pb2.Slot(index=index, bytes=piece.nbytes)).SerializeToString()


class Receiver:
    """The receiving end of one transfer: messages in, bytes into memory made once."""

    def __init__(self, into: Bytes, what: str, slots: Sequence[Bytes] | None) -> None:
        """Fill `into` from chunks, or from `slots`; `what` names the transfer in errors."""
        self._into, self._what, self._slots = into, what, slots
        self._checksum = Checksum()
        self.position = 0
        self._again_bytes = 0  # that came already, and come once more
        self.is_done = slots is not None and not into.nbytes

    def again(self, start: int) -> None:
        """Go on with a transfer in slots whose bytes from `start` on come, though some of them may be here already."""
        if not 0 <= start <= self.position:
            raise BatchMalformed(f"{self._what} goes on at or before byte {self.position}; got {start}")
        self._again_bytes = self.position - start
        self._look_done()

    def take(self, message: bytes) -> int:
        """Take the next message; return how many slots it freed.

        Raises TransferDamaged, when the transfer is over, if its checksum does not fit; BatchMalformed if the message does
        not belong here; and the error that the other side sent instead of the elements.
        """
        data = data_of(message)
        if data is not None and self._slots is None:
            start = self.position
            self._put(np.frombuffer(data, np.uint8))
            # After the copy: there it is aligned, and still in cache.
            self._checksum.add(self._into[start : self.position])
            return 0
        part = bulk_pb2.Part.FromString(message)
        kind = part.WhichOneof("part")
        if kind == "slot" and self._slots is not None:
            return self._take_slot(part.slot)
        if kind == "failure":
            raise codec.decode_failure(part.failure)
        if kind != "checksum" or self._slots is not None:
            raise BatchMalformed(f"{self._what} goes on with its elements; got {kind}")
        self._end(part.checksum)
        return 0

    def _take_slot(self, slot: bulk_pb2.Slot) -> int:
        assert self._slots is not None
        if slot.index >= len(self._slots) or not 0 < slot.bytes <= self._slots[slot.index].nbytes:
            raise BatchMalformed(f"a slot is one of {len(self._slots)}; got {slot.index} with {slot.bytes} bytes")
        if self._again_bytes:
            if slot.bytes > self._again_bytes:
                raise BatchMalformed(f"{self._what} comes again in the pieces that it came in; got {slot.bytes} bytes")
            self._again_bytes -= slot.bytes
        else:
            self._put(self._slots[slot.index][: slot.bytes])
        self._look_done()
        return 1

    def _look_done(self) -> None:
        self.is_done = self.position == self._into.nbytes and not self._again_bytes

    def _put(self, data: Bytes) -> None:
        end = self.position + data.nbytes
        if end > self._into.nbytes:
            raise BatchMalformed(f"{self._what} has {self._into.nbytes} bytes; more came")
        np.copyto(self._into[self.position : end], data)
        self.position = end

    def _end(self, checksum: int) -> None:
        if self.position != self._into.nbytes:
            raise BatchMalformed(f"{self._what} has {self._into.nbytes} bytes; {self.position} came; send it again")
        self.is_done = True
        if checksum != self._checksum.value:
            raise TransferDamaged(
                f"{self._what} must arrive with the checksum {checksum:08x} that it was sent with; what came has "
                f"{self._checksum.value:08x}, so bytes changed on the way; nothing of it was used; send it again"
            )


assert limits.CHUNK_BYTES + 16 <= limits.MAX_MESSAGE_BYTES
