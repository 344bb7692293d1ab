"""The link to one worker: what was sent and not acknowledged, and the way back after the connection broke.

Batches go out and acknowledgements come in through it. When the connection breaks it is made anew, the session on the worker
is gone on with, and the batches in flight are sent again: to the caller that is a pause. Everything runs in the caller's
thread, but for heartbeats.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from gradwire import callsite
from gradwire.heartbeat import Pulse, Watcher
from gradwire.resume import attempts, log
from gradwire.transport import Connection
from gradwire_protocol import codec, limits
from gradwire_protocol.errors import GradwireError, SessionExpired, WorkerLost, WorkerUnreachable
from gradwire_protocol.registry import table_digest
from gradwire_protocol.v1 import worker_pb2

__all__ = ["Link", "Sent"]

_HEARTBEAT_SECONDS = 3.0
# Nobody will read what comes back to a session that is being closed, or goes on with a worker that said that it stops.
_LAST_SECONDS = 2.0


class Sent(NamedTuple):
    """A batch on its way: its number, the lines its calls are from, and its bytes, to send them again."""

    number: int
    sites: list[callsite.Site]
    message: bytes


class Link:
    """A session's link. `loss` says, at the end, what was lost with the worker; `is_gone` whether its process ended."""

    def __init__(
        self,
        connection: Connection,
        reconnect_seconds: float = 0.0,
        is_gone: Callable[[], bool] = lambda: False,
        loss: Callable[[], str] = lambda: "",
    ) -> None:
        """Greet the worker; raise VersionMismatch, LimitExceeded or WorkerDraining if it gives no session."""
        self.address = connection.address
        self.is_closed = False
        self.in_flight: deque[Sent] = deque()
        self._connection = connection
        self._reconnect_seconds, self._is_gone, self._loss = reconnect_seconds, is_gone, loss
        self._said_draining = False
        self.welcome = self._greet_first()
        self.bulk: Any = connection.bulk(self.welcome.token)
        self.bulk.is_gone = is_gone
        self.bulk.retry_seconds = reconnect_seconds
        self._pulse = Pulse()
        self._watcher: Watcher | None = None
        if reconnect_seconds:
            self._watcher = Watcher(self._pulse, self._ask, self._give_up)

    def _greet_first(self) -> worker_pb2.Welcome:
        """Greet; once more, over a new connection, where that broke meanwhile: there is nothing yet that could happen twice."""
        try:
            return self._greet(b"")
        except WorkerLost as error:
            lost = error
        for seconds in attempts(min(self._reconnect_seconds, _LAST_SECONDS)):
            if self._is_gone() or self._connection.is_gone():
                break
            try:
                self._connection.reopen(seconds)
                return self._greet(b"")
            except (WorkerLost, WorkerUnreachable):
                continue
        raise lost

    def _greet(self, resume: bytes) -> worker_pb2.Welcome:
        from gradwire import __version__

        hello = worker_pb2.Hello(
            protocol_version=limits.PROTOCOL_VERSION, op_table_digest=table_digest(), client=f"gradwire {__version__}",
            resume=resume,
        )  # fmt: skip
        stream = self._connection.stream
        stream.send(worker_pb2.ClientFrame(hello=hello).SerializeToString())
        frame = worker_pb2.WorkerFrame.FromString(stream.receive())
        if frame.WhichOneof("frame") == "refused":
            raise codec.decode_failure(frame.refused)
        return frame.welcome

    # -- batches and acknowledgements ----------------------------------------------------------------------------------

    def send(self, sent: Sent) -> None:
        """Send a batch; raise WorkerLost if it cannot be, now or later."""
        self.in_flight.append(sent)
        try:
            self._connection.stream.send(sent.message)
        except WorkerLost as error:
            self._reconnect(error)

    def receive(self) -> bytes:
        """Wait for the next message of the worker's; raise WorkerLost if there will be none."""
        while True:
            self._pulse.awaited_since = time.monotonic()
            try:
                return self._connection.stream.receive()
            except WorkerLost as error:
                self._reconnect(error)
            finally:
                self._pulse.awaited_since = None

    def note_draining(self) -> None:
        """Tell the script, once, that its worker is about to stop."""
        if not self._said_draining:
            self._said_draining = True
            log.warning(
                "the worker at %s is about to stop: save what is to be kept, and connect to another worker",
                self.address,
            )

    def hurry(self) -> None:
        """Try no longer than shortly to go on after a break: the session is being closed."""
        self._reconnect_seconds = min(self._reconnect_seconds, _LAST_SECONDS)

    def end(self) -> None:
        """Tell the worker that the session is over."""
        self.is_closed = True
        try:
            self._connection.stream.send(worker_pb2.ClientFrame(end=worker_pb2.End()).SerializeToString())
            self._connection.stream.close()
        except WorkerLost:
            pass  # the worker ends it when its lease is over

    def close(self) -> None:
        """Release what the link holds."""
        if self._watcher is not None:
            self._watcher.stop()
        self.is_closed = True
        self.bulk.close()
        self._connection.close()

    # -- after a break -------------------------------------------------------------------------------------------------

    def _reconnect(self, cause: WorkerLost) -> None:
        """Go on with the session over a new connection; end it and raise WorkerLost where that cannot be."""
        began, error = time.monotonic(), cause
        self._pulse.awaited_since = None  # it is known that nothing comes
        if self._said_draining:
            self.hurry()
        for seconds in attempts(self._reconnect_seconds):
            if self._is_gone() or self._connection.is_gone():
                break
            try:
                self._connection.reopen(seconds)
                self.welcome = self._greet(self.welcome.token)
                self.bulk.reconnect()
                for sent in self.in_flight:
                    self._connection.stream.send(sent.message)
            except SessionExpired as expired:
                error = expired
                break
            except (WorkerLost, WorkerUnreachable):
                continue
            except GradwireError:
                self.is_closed = True  # such as AccessDenied: trying again would not help
                raise
            log.warning(
                "%s; went on after %.1f s, with %d batches sent again",
                cause, time.monotonic() - began, len(self.in_flight),
            )  # fmt: skip
            return
        self.is_closed = True
        raise self._connection.lost(self._described(error, time.monotonic() - began)) from None

    def _described(self, error: WorkerLost, seconds: float) -> WorkerLost:
        tried = f" Tried to reach it again for {seconds:.0f} s." if seconds >= 1 else ""
        return type(error)(
            f"{error}.{tried} The worker at {self.address} is lost{self._loss()}: start one, connect again, and restore what "
            "was last saved"
        )

    # -- heartbeats, in a thread of their own --------------------------------------------------------------------------

    def _ask(self) -> None:
        self._connection.heartbeat(self.welcome.token, _HEARTBEAT_SECONDS)
        self.bulk.check()

    def _give_up(self, silence_seconds: float) -> None:
        log.warning(
            "the worker at %s has not answered for %.0f s, not even a heartbeat: it hangs, or cannot be reached; trying to "
            "connect again", self.address, silence_seconds,
        )  # fmt: skip
        self._connection.stream.cancel()
