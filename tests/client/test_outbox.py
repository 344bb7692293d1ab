"""The thread that sends uploads: it outlives what goes wrong in it, and says so."""

from __future__ import annotations

import threading

import pytest

from gradwire.bulk import Outbox
from gradwire_protocol.errors import WorkerLost


class _Stream:
    """A stream that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    def receive(self) -> bytes:
        raise AssertionError("nothing is received here")

    def close(self) -> None:
        """End."""

    cancel = close


def test_messages_are_written_in_order_by_a_thread_of_its_own() -> None:
    stream, threads = _Stream(), set[int]()

    def write(number: int) -> bytes:
        threads.add(threading.get_ident())
        return bytes((number,))

    outbox = Outbox(stream)
    for number in range(5):
        outbox.send(lambda number=number: write(number))
    outbox.close()
    assert stream.sent == [bytes((number,)) for number in range(5)]
    assert threading.get_ident() not in threads


def test_a_message_that_cannot_be_written_ends_the_stream_and_nobody_waits_for_room() -> None:
    def fail() -> bytes:
        raise MemoryError("no room for a chunk")

    stream = _Stream()
    outbox = Outbox(stream, room=1)
    outbox.send(fail)
    with pytest.raises(WorkerLost, match=r"could not be sent: MemoryError: no room for a chunk"):
        for _ in range(1000):
            outbox.send(lambda: b"later")
    assert outbox.is_broken
    assert b"later" not in stream.sent
    outbox.close()
