"""A session as the gRPC edge holds it: the stream that it has now, the lock between its calls and its transfers, shared memory.

A session has one stream at a time, the one that came last. What an earlier one still brings is not applied: its client sends
it again on the new one, where the session's record answers what was applied already.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from gradwire_protocol.errors import HandleNotFound
from gradwire_protocol.shared_memory import Segment
from gradwire_protocol.v1 import call_pb2
from gradwire_server.backend import Backend
from gradwire_server.lane import Lane, Turn
from gradwire_server.programs.shared import SharedPrograms
from gradwire_server.quotas import Tenant
from gradwire_server.session import Session
from gradwire_server.slotted import Slotted
from gradwire_server.tally import Tally

__all__ = ["Opened", "Progress"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a session is: the last batch applied, and the one that runs (0 for none) with its seconds so far."""

    applied: int
    running: int
    running_seconds: float


class Opened:
    """An open session."""

    def __init__(
        self,
        backend: Backend,
        lane: Lane,
        programs: SharedPrograms,
        tenant: str = "",
        quotas: Tenant | None = None,
    ) -> None:
        """Open a session on a backend and its lane; `programs` and `quotas` are what a tenant's sessions share."""
        self.tenant = tenant
        self.session = Session(backend, shared=programs, tenant=quotas)
        self.tally = Tally()
        self.lock = self.session.lock
        self.is_wanted = False  # a batch waits for the lock, which a download holds
        self.is_draining = False
        self._stream = 0  # the number of the stream that the session has
        self._cancel: Callable[[], object] | None = None
        self._attaching = threading.Lock()
        self._turn = Turn(lane)
        self._has_batch = False  # one that runs, or waits for its turn
        self._running: tuple[int, float] | None = None  # a batch and when it began
        self._ran_at = float("-inf")
        self._is_over = False
        self._segment: Segment | None = None
        self.uploaded, self.downloaded = Slotted(), Slotted()  # in that memory
        self._sharing = threading.Lock()
        self._is_closed = False

    def attach(self, cancel: Callable[[], object]) -> int:
        """Give the session to a new stream, and return its number; `cancel` ends it when another one comes."""
        with self._attaching:
            before, self._cancel = self._cancel, cancel
            self._stream += 1
            number = self._stream
        if before is not None:
            before()
        return number

    @property
    def has_stream(self) -> bool:
        """Return whether the session has a stream now."""
        return self._cancel is not None

    def detach(self, stream: int) -> bool:
        """Note that a stream is over; return whether the session had it until now."""
        with self._attaching:
            if stream != self._stream or self._cancel is None:
                return False
            self._cancel = None
            return True

    def apply(self, batch: call_pb2.Batch, stream: int, look: Callable[[], object] = int) -> call_pb2.Ack | None:
        """Run a batch when no download reads the session's arrays; None if its stream is not the session's any more.

        `look` is called now and then, by the same thread, while the batch waits for an upload.
        """
        if not self.lock.acquire(blocking=False):
            self.is_wanted = True
            self.lock.acquire()
            self.is_wanted = False
        try:
            if stream != self._stream or self._is_over:
                return None
            self._has_batch = True
            self.session.uploads.look = look
            ack = self._in_turn(batch)
            if ack is not None:
                ack.draining = self.is_draining
            return ack
        finally:
            self.session.uploads.look = int  # a cycle else, in which the session would outlive its end
            self._has_batch, self._ran_at = False, time.monotonic()
            self.lock.release()

    def _in_turn(self, batch: call_pb2.Batch) -> call_pb2.Ack | None:
        """Run a batch when it is the session's turn on the device; None if the session ended while it waited."""
        turn = self._turn
        turn.lane.enter(turn)
        if self._is_closed:
            turn.lane.leave(turn, 0.0)
            return None
        # From here on: a batch that waits for others is none that takes long. It pays for what it computes, not for waiting.
        self._running, used = (batch.number, time.monotonic()), time.thread_time()
        try:
            return self.tally.run(self.session.apply, batch)
        finally:
            self._running = None
            turn.lane.leave(turn, time.thread_time() - used)

    @property
    def unanswered_batches(self) -> int:
        """Return how many batches the session took and has not answered: one that runs or waits, and one more behind its lock."""
        return int(self._has_batch) + int(self.is_wanted)

    def is_quiet(self, seconds: float) -> bool:
        """Return whether no batch runs or waits for its turn, nor ran in so many seconds."""
        return not self._has_batch and time.monotonic() - self._ran_at >= seconds

    def finish(self, seconds: float) -> bool:
        """Wait up to so long for what runs, and let no batch start after it; return whether it was done in time."""
        self._is_over = True
        is_done = self.lock.acquire(timeout=seconds)
        if is_done:
            self.lock.release()
        return is_done

    def progress(self) -> Progress:
        """Return how far the session is, without waiting for what runs."""
        running = self._running
        if running is None:
            return Progress(self.session.applied, 0, 0.0)
        return Progress(self.session.applied, running[0], time.monotonic() - running[1])

    def share(self) -> Segment | None:
        """Return memory to share with the client, made at the first call; None where there is none to share."""
        with self._sharing:
            if self._segment is None and not self._is_closed:
                self._segment = Segment.create()
            return self._segment

    def segment(self, secret: bytes) -> Segment | None:
        """Return the memory of a transfer in slots, None for one in chunks (no secret)."""
        if not secret:
            return None
        segment = self._segment
        if segment is None or not segment.is_secret(secret):
            raise HandleNotFound(
                "a transfer in slots needs the secret of the session's shared memory; this has another"
            )
        return segment

    def close(self) -> None:
        """End what waits on the session, and stop sharing memory."""
        self.session.uploads.close()
        self.session.meter.close()
        with self._sharing:
            self._is_closed = True
            if self._segment is not None:
                self._segment.close()
                self._segment = None
