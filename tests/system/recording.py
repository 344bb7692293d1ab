"""A connection that records what a script sends, so that it can be sent to another worker: as a journal would."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gradwire.bulk import Bulk
from gradwire.transport import GrpcConnection, Stream
from gradwire_protocol.meta import Meta
from gradwire_protocol.v1 import worker_pb2

__all__ = ["Download", "Frame", "Recording", "Upload", "replay"]


class Frame(NamedTuple):
    """A message of the control stream, encoded as it was sent."""

    batch: int
    message: bytes


class Upload(NamedTuple):
    """A transfer to the worker, under the number that a call takes it by."""

    number: int
    values: np.ndarray[Any, Any]
    meta: Meta


class Download(NamedTuple):
    """A transfer from the worker."""

    handle: int
    meta: Meta
    values: np.ndarray[Any, Any]


Event = Frame | Upload | Download


class Recording(GrpcConnection):
    """A connection that keeps all events in order, and the answers.

    With a `successor`, another worker takes the first one's place where the connection breaks: what was answered is sent to it
    from the start, and the session goes on there.
    """

    def __init__(self, address: str, successor: str = "") -> None:
        """Connect, and record from the greeting on."""
        super().__init__(address, connect_seconds=10, public_stream=False)
        self.events: list[Event] = []
        self.answers: list[bytes] = []
        self.replayed = 0
        self._successor = successor
        self.stream = _Tape(self, self.stream)

    def bulk(self, token: bytes) -> RecordedBulk:
        """Return a bulk plane that records."""
        self._bulk = RecordedBulk(self, token)
        return self._bulk

    def reopen(self, seconds: float) -> None:
        """Take the successor's place in; without one, the first worker's again."""
        if not self._successor:
            super().reopen(seconds)
            self.stream = _Tape(self, self.stream)
            return
        self._channel.close()
        self.address = self._successor
        # What was not answered is for the link to send again.
        answered = self.answers[:]
        last = len(answered) - 1
        cut = next((at for at, e in enumerate(self.events) if isinstance(e, Frame) and e.batch > last), None)
        fresh = replay(self.events[:cut], answered, self.address)
        self._channel, self.replayed = fresh.connection._channel, len(answered) - 1
        self.stream = _Tape(self, fresh.connection.stream, welcome=fresh.welcome)
        self._bulk.move(self.address, worker_pb2.WorkerFrame.FromString(fresh.welcome).welcome.token)
        self._successor = ""


class _Tape:
    """The recording end of a control stream."""

    def __init__(self, recording: Recording, stream: Stream, welcome: bytes = b"") -> None:
        self._recording, self._stream, self._welcome = recording, stream, welcome
        self._is_greeted = not welcome

    def send(self, message: bytes) -> None:
        """Record a message, unless it is sent again, and send it."""
        frame = worker_pb2.ClientFrame.FromString(message)
        kind, events = frame.WhichOneof("frame"), self._recording.events
        if kind == "hello" and not self._is_greeted:
            return  # the replay has greeted already
        last = max((event.batch for event in reversed(events) if isinstance(event, Frame)), default=-1)
        if kind == "hello" and last < 0:
            events.append(Frame(0, message))
        elif kind == "batch" and frame.batch.number > last:
            events.append(Frame(frame.batch.number, message))
        self._stream.send(message)

    def receive(self) -> bytes:
        """Receive, and record, an answer."""
        if not self._is_greeted:
            self._is_greeted = True
            return self._welcome
        message = self._stream.receive()
        self._recording.answers.append(message)
        return message

    def close(self) -> None:
        """End the stream."""
        self._stream.close()

    def cancel(self) -> None:
        """Break the stream off."""
        self._stream.cancel()


class RecordedBulk(Bulk):
    """The bulk plane, recorded by transfer."""

    def __init__(self, recording: Recording, token: bytes) -> None:
        """Record into `recording`."""
        super().__init__(recording.address, token)
        self._recording = recording

    def upload(self, values: np.ndarray[Any, Any], meta: Meta, batch: int) -> int:
        """Record a transfer, and send it."""
        # Before it is sent: where the connection breaks meanwhile, it must be in its place.
        self._recording.events.append(Upload(self._number + 1, values.copy(), meta))
        return super().upload(values, meta, batch)

    def download(self, handle: int, meta: Meta) -> np.ndarray[Any, Any]:
        """Receive a transfer, and record it."""
        values = super().download(handle, meta)
        self._recording.events.append(Download(handle, meta, values.copy()))
        return values

    def move(self, address: str, token: bytes) -> None:
        """Send to another worker from now on, what is kept included."""
        self._address, self._token = address, token
        for kept in self._kept.values():
            kept.header.token = token


@dataclass(frozen=True, slots=True)
class Replayed:
    """A session that has replayed a recording."""

    connection: GrpcConnection
    welcome: bytes
    batches: int
    transfers: int


def replay(events: Iterable[Event], answers: list[bytes], address: str) -> Replayed:
    """Send recorded events to a fresh worker, and assert that it answers every one with the recorded bits."""
    connection = GrpcConnection(address, connect_seconds=10, public_stream=False)
    was = worker_pb2.WorkerFrame.FromString(answers[0]).welcome
    awaited: deque[int] = deque()
    bulk, welcome, batches, transfers = None, b"", 0, 0

    def receive() -> None:
        number = awaited.popleft()
        answer = connection.stream.receive()
        assert answer == answers[number], f"batch {number} has another answer than in the recording"

    for event in events:
        if isinstance(event, Frame) and event.batch == 0:
            connection.stream.send(event.message)
            welcome = connection.stream.receive()
            now = worker_pb2.WorkerFrame.FromString(welcome).welcome
            assert now.fingerprint == was.fingerprint, "no equal bits are promised: the workers' numerics differ"
            bulk = Bulk(address, now.token)
            continue
        assert bulk is not None, "a recording begins with a greeting"
        if isinstance(event, Frame):
            if len(awaited) >= was.max_unacked_batches:
                receive()
            connection.stream.send(event.message)
            awaited.append(event.batch)
            batches += 1
            continue
        transfers += 1
        if isinstance(event, Upload):
            assert bulk.upload(event.values, event.meta, 0) == event.number
        else:
            while awaited:
                receive()
            assert bulk.download(event.handle, event.meta).tobytes() == event.values.tobytes()
    while awaited:
        receive()
    assert bulk is not None
    bulk.close()
    return Replayed(connection, welcome, batches, transfers)
