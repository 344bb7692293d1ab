"""Transfers without a socket: what one side writes, the other reads; what was damaged is found."""

from __future__ import annotations

import numpy as np
import pytest

from gradwire_protocol.bulk import Checksum, Receiver, Ring, chunk_parts, data_of, data_part, pieces
from gradwire_protocol.errors import BatchMalformed, TransferDamaged
from gradwire_protocol.shared_memory import Segment
from gradwire_protocol.v1 import bulk_pb2

CHUNK = 100_000


def noise(count: int) -> np.ndarray:
    """Return random bytes."""
    return np.random.default_rng(count).integers(0, 256, count, dtype=np.uint8)


def receive(messages: list[bytes], count: int) -> np.ndarray:
    """Return what a receiver of `count` bytes makes of messages."""
    into = np.zeros(count, np.uint8)
    receiver = Receiver(into, "an upload", None)
    for message in messages:
        receiver.take(message)
    assert receiver.is_done
    return into


@pytest.mark.parametrize("count", [0, 1, 127, 128, 16_383, 16_384, CHUNK - 1, CHUNK, CHUNK + 1, 7 * CHUNK + 3])
def test_chunks_arrive_as_they_were_sent(count: int) -> None:
    data = noise(count)
    messages = list(chunk_parts(pieces(data, CHUNK)))
    np.testing.assert_array_equal(receive(messages, count), data)
    assert b"".join(bulk_pb2.Part.FromString(message).data for message in messages) == data.tobytes()


@pytest.mark.parametrize("count", [0, 1, 127, 128, 300, 70_000])
def test_a_data_part_is_the_message_that_protobuf_writes(count: int) -> None:
    data = noise(count)
    message = data_part(data)
    assert message == bulk_pb2.Part(data=data.tobytes()).SerializeToString()
    assert bytes(data_of(message) or b"") == data.tobytes()


@pytest.mark.parametrize(
    "message", [b"", b"\x12", b"\x12\x05abc", b"\x12\x03abcd", b"\x12" + b"\xff" * 12, b"\x25abcd"]
)
def test_other_messages_are_no_data_parts(message: bytes) -> None:
    assert data_of(message) is None


@pytest.mark.parametrize("position", [10, CHUNK + 7, 3 * CHUNK + 50, 3 * CHUNK + 1233])
def test_a_changed_byte_is_found(position: int) -> None:
    data = noise(3 * CHUNK + 1234)
    messages = list(chunk_parts(pieces(data, CHUNK)))
    which, place = divmod(position, CHUNK)
    broken = bytearray(messages[which])
    broken[-len(pieces_of(data)[which]) + place] ^= 16
    messages[which] = bytes(broken)
    with pytest.raises(TransferDamaged, match="send it again"):
        receive(messages, data.nbytes)


def pieces_of(data: np.ndarray) -> list[np.ndarray]:
    """Return the chunks of bytes."""
    return list(pieces(data, CHUNK))


def test_chunks_or_lines_that_change_places_are_found() -> None:
    data = noise(4 * CHUNK)
    messages = list(chunk_parts(pieces(data, CHUNK)))
    messages[0], messages[1] = messages[1], messages[0]
    with pytest.raises(TransferDamaged):
        receive(messages, data.nbytes)
    lines = data[:65_536].reshape(-1, 4096)
    whole, swapped = Checksum(), Checksum()
    whole.add(lines.reshape(-1))
    swapped.add(lines[::-1].reshape(-1).copy())
    assert whole.value != swapped.value


def test_too_little_and_too_much_are_refused() -> None:
    data = noise(3 * CHUNK)
    messages = list(chunk_parts(pieces(data, CHUNK)))
    with pytest.raises(BatchMalformed, match="send it again"):
        receive([*messages[:1], messages[-1]], data.nbytes)
    with pytest.raises(BatchMalformed, match="more came"):
        receive([*messages[:3], messages[0]], data.nbytes)
    with pytest.raises(BatchMalformed, match="goes on with its elements"):
        receive([bulk_pb2.Part(slot=bulk_pb2.Slot(index=0, bytes=1)).SerializeToString()], 8)


@pytest.fixture
def pair() -> tuple[Segment, Segment]:
    """Return a segment as its maker and as another process sees it."""
    import os

    mine = Segment.create(slots=3, slot_bytes=4096)
    if mine is None:
        pytest.skip("this system shares no memory")
    theirs = Segment.open(os.getpid(), mine.descriptor, mine.nonce, 3, 4096)
    assert theirs is not None
    return mine, theirs


@pytest.mark.parametrize("count", [0, 1, 4096, 4097, 50_000])
def test_slots_carry_the_same_whatever_their_number(pair: tuple[Segment, Segment], count: int) -> None:
    mine, theirs = pair
    data, into = noise(count), np.zeros(count, np.uint8)
    receiver = Receiver(into, "a download", theirs.downloads)
    pending: list[bytes] = []
    ring = Ring(mine.downloads, lambda: receiver.take(pending.pop(0)))
    for message in ring.parts(pieces(data, 4096)):
        pending.append(message)
        assert len(pending) <= 3, "a slot is written again only when it was read"
    for message in pending:
        receiver.take(message)
    assert receiver.is_done
    np.testing.assert_array_equal(into, data)


@pytest.mark.parametrize("slot", [(3, 10), (0, 4097), (0, 0)])
def test_a_slot_that_cannot_be_is_refused(pair: tuple[Segment, Segment], slot: tuple[int, int]) -> None:
    part = bulk_pb2.Part(slot=bulk_pb2.Slot(index=slot[0], bytes=slot[1]))
    receiver = Receiver(np.zeros(10_000, np.uint8), "an upload", pair[1].uploads)
    with pytest.raises(BatchMalformed):
        receiver.take(part.SerializeToString())


def test_only_the_segment_that_the_worker_named_is_opened(
    pair: tuple[Segment, Segment], monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    mine, theirs = pair
    assert theirs.is_secret(mine.secret)
    assert not theirs.is_secret(mine.nonce)
    own = os.getpid()
    assert Segment.open(own, mine.descriptor, bytes(32), 3, 4096) is None
    assert Segment.open(own, mine.descriptor, mine.nonce, 4, 4096) is None
    with open(__file__, "rb") as other:
        assert Segment.open(own, other.fileno(), mine.nonce, 3, 4096) is None
    assert Segment.open(1 << 30, 3, mine.nonce, 3, 4096) is None
    with pytest.raises(OSError, match="not permitted"):
        os.ftruncate(mine.descriptor, 0)
    monkeypatch.setenv("GRADWIRE_SHARED_MEMORY", "0")
    assert Segment.create() is None
    assert Segment.open(own, mine.descriptor, mine.nonce, 3, 4096) is None
