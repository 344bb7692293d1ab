"""A session with one worker: the pending batch, what is in flight, and what came back.

Calls are appended to packed columns and sent when a batch is full, when a heavy call is in it, when the last send is a
while ago, or at a wait. Everything runs in the caller's thread, but for heavy calls that lingered; finalizers append to a list.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradwire import callsite, embedded
from gradwire.casualties import LastCheckpoint, casualties
from gradwire.columns import Columns, encoded_signature
from gradwire.counts import Counts, Statistics
from gradwire.failures import Failures
from gradwire.linger import Linger
from gradwire.link import Link, Sent
from gradwire.transport import Connection
from gradwire.workers import Fleet, mixed_devices, placement
from gradwire_protocol import codec, limits
from gradwire_protocol.errors import GradwireError, WorkerLost
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import Op
from gradwire_protocol.signature import Signature
from gradwire_protocol.v1 import call_pb2, tensor_pb2, worker_pb2

if TYPE_CHECKING:
    from gradwire.pool import Lent
    from gradwire.profiling.recorder import Recorder
    from gradwire.programs.recording import Recording
    from gradwire.tensor import Tensor

__all__ = ["Session", "Statistics", "current", "disconnect", "use"]

# A call that follows the last send by more than this goes out at once: the worker is idle, and waiting for a full batch
# would only delay it.
_IDLE_SECONDS = 0.0005


class Session:
    """A client's session with one worker. Made by `connect`, or by the first call for the embedded worker."""

    def __init__(
        self, connection: Connection, worker: embedded.EmbeddedWorker | None = None, reconnect_seconds: float = 0.0
    ) -> None:
        """Greet a worker; raise VersionMismatch, LimitExceeded or WorkerDraining if it gives no session."""
        self.address = connection.address
        self.lock = threading.RLock()
        self.released: list[int] = []
        self.signatures: dict[Any, Signature] = {}
        self.recorder: Recording | None = None
        self.profiler: Recorder | None = None
        self.fleet: Fleet | None = None  # of the sessions that one `connect` opened, where it was several
        self.name = ""  # of the device, among those
        self.lent: Lent | None = None  # the pool's lease that the worker is part of
        self.last_checkpoint: LastCheckpoint | None = None
        self._embedded = worker
        self._counts = Counts()
        self._next_handle = 1
        self._first_signature = self._next_signature = self._signature_bytes = 0
        self._number = 0
        self._sent_at = 0.0
        self._columns = Columns(1, 0)
        self._failures = Failures()
        self._linger = Linger(self._send_lingering, _IDLE_SECONDS)
        self._broken: Exception | None = None  # what came of sending what lingered
        self._link = Link(connection, reconnect_seconds, self._is_gone, self._loss)
        self.welcome = self._link.welcome

    def _is_gone(self) -> bool:
        return self._embedded is not None and self._embedded.process.poll() is not None

    def _loss(self) -> str:
        """Say what goes with the worker."""
        return casualties(self)

    @property
    def is_closed(self) -> bool:
        """Return whether the session is over."""
        return self._link.is_closed

    @property
    def device(self) -> str:
        """Return the name of the worker's device: `cpu` or `cuda:N`; among several workers the one that tells them apart."""
        return self.name or self.welcome.device

    def statistics(self) -> Statistics:
        """Return what was sent, received and waited for so far."""
        return self._counts.statistics(self._next_signature)

    @property
    def call_count(self) -> int:
        """Return how many calls were appended so far."""
        return self._counts.calls + len(self._columns.calls)

    # -- appending -----------------------------------------------------------------------------------------------------

    def intern(self, key: Any, signature: Signature) -> Signature:
        """Give a new signature its number; it travels with the batch that is being filled."""
        with self.lock:
            found = self.signatures.get(key)
            if found is not None:
                return found
            self._number_signature(signature)
            self.signatures[key] = signature
        return signature

    def intern_program(self, signature: Signature, encoded: bytes, lines: list[str]) -> Signature:
        """Give the run of a program its number; the program travels with it. `lines` are the user's, of its calls."""
        key = (signature.op, signature.statics, signature.needs)
        with self.lock:
            found = self.signatures.get(key)
            if found is not None:
                return found
            self._failures.program_lines[signature.statics[0]] = lines
            self._columns.programs.append(encoded)
            self._columns.tensor_bytes += len(encoded)
            return self.intern(key, signature)

    def _number_signature(self, signature: Signature) -> None:
        """Number a signature; where the table is full, start a new one, so that a long script never runs out.

        Numbers grow for ever here and are sent relative to the table's first, so one of an old table is seen as such.
        """
        encoded = encoded_signature(signature)  # first: what the wire cannot hold must not take a number
        self._signature_bytes += encoded.ByteSize()
        is_full = self._next_signature - self._first_signature >= limits.MAX_SIGNATURES
        if is_full or self._signature_bytes > limits.MAX_SIGNATURE_BYTES:
            self.flush()
            self._signature_bytes = encoded.ByteSize()
            self.signatures.clear()
            self._first_signature = self._next_signature
            self._columns.first_signature, self._columns.reset_signatures = 0, True
        self._columns.signatures.append(encoded)
        signature.number = self._next_signature
        self._next_signature += 1

    def append(
        self,
        signature: Signature,
        tensors: Sequence[Tensor | None],
        scalars: Sequence[Any],
        data: tensor_pb2.InlineTensor | None = None,
        frames: int = 4,
    ) -> int:
        """Append a call and return the handle of its first output. Never waits, except for credit.

        The user's frame is no nearer than `frames` to `callsite.current`; each frame that is looked at costs a look-up.
        """
        handles = []
        for tensor in tensors:
            if tensor is None:
                handles.append(0)
            elif tensor.session is self:
                handles.append(tensor.handle)
            else:
                raise mixed_devices(self, tensor.session)
        self.lock.acquire()  # `with` costs twice as much
        try:
            number = signature.number - self._first_signature
            if number < 0:
                # Another thread started a new table since this one was looked up.
                self._number_signature(signature)
                number = signature.number - self._first_signature
            columns = self._columns
            if scalars and not signature.usual:
                columns.push(scalars)
            calls = columns.calls
            calls.append(number)
            columns.inputs += handles
            columns.sites.append(callsite.current(frames))
            if data is not None:
                columns.tensors.append(data)
                columns.tensor_bytes += len(data.data)
            first = self._next_handle
            self._next_handle = first + len(signature.outputs)
            if self.recorder is not None:
                self.recorder.note(signature, tensors, scalars, data, first)
            count, is_heavy = len(calls), signature.op.is_heavy
            if (
                count >= limits.MAX_BATCH_CALLS
                or columns.tensor_bytes >= limits.MAX_BATCH_BYTES
                or (is_heavy and self._is_due(signature.op))
                # The clock is read at the first call and every eighth: it costs as much as the call's columns.
                or (count & 7 == 1 and not is_heavy and time.perf_counter() - self._sent_at > _IDLE_SECONDS)
            ):
                self.flush()
        finally:
            self.lock.release()
        return first

    def _is_due(self, op: Op) -> bool:
        self._columns.heavy_calls += 1
        sent_at = self._sent_at if self._link.in_flight else None
        return self.recorder is not None or self._linger.is_due(op, self._columns.heavy_calls, sent_at)

    def _send_lingering(self) -> None:
        """Send heavy calls that nothing followed, in the lingering thread: the script gets an error when it sends next."""
        with self.lock:
            if self._columns.heavy_calls and not self.is_closed:
                try:
                    self.flush()
                except Exception as error:
                    self._broken = error

    def flush(self, *, always: bool = False) -> None:
        """Send what was appended, if anything; `always`, even if nothing."""
        with self.lock:
            if self._broken is not None:
                raise self._broken
            columns, released = self._columns, self.released[:]
            if not columns.calls and not released and not columns.signatures and not always:
                return
            if self.is_closed:
                raise WorkerLost(f"the session with {self.address} is closed; its tensors are gone; connect again")
            del self.released[: len(released)]
            if self.recorder is not None:
                self.recorder.released.update(released)
            self._number += 1
            frame = worker_pb2.ClientFrame()
            batch = frame.batch
            batch.number, batch.first_handle = self._number, columns.first_handle
            batch.calls.extend(columns.calls)
            batch.inputs.extend(columns.inputs)
            batch.acknowledged = self._link.in_flight[0].number - 1 if self._link.in_flight else self._number - 1
            columns.fill_rare(batch)
            if released:
                batch.released.extend(codec.released_ranges(released))
            self._columns = Columns(self._next_handle, self._next_signature - self._first_signature)
            self._send(frame, columns)

    def _send(self, frame: worker_pb2.ClientFrame, columns: Columns) -> None:
        profiler = self.profiler
        if profiler is not None:
            profiler.sending(frame.batch, columns, self._first_signature)
        message = frame.SerializeToString()
        while len(self._link.in_flight) >= self.welcome.max_unacked_batches:
            if self.fleet is not None:
                self.fleet.flush_others(self)
            self._receive()
        self._link.send(Sent(self._number, columns.sites, message))
        self._counts.calls += len(columns.calls)
        self._counts.messages += 1
        self._counts.sent_bytes += len(message)
        self._sent_at = time.perf_counter()
        if profiler is not None:
            profiler.sent(len(message))

    # -- answers -------------------------------------------------------------------------------------------------------

    def _receive(self) -> call_pb2.Ack:
        message = self._link.receive()
        self._counts.received_bytes += len(message)
        ack = worker_pb2.WorkerFrame.FromString(message).ack
        if self.profiler is not None:
            self.profiler.received(ack, len(message))
        sent = self._link.in_flight.popleft()
        if ack.number != sent.number:
            raise GradwireError(
                f"answers come in the order of batches; expected {sent.number}, got {ack.number}; please report it"
            )
        self._link.bulk.acknowledged(ack.number)
        if ack.draining:
            self._link.note_draining()
        if ack.HasField("refused"):
            self._link.is_closed = True
            self._failures.refused(ack.refused)
        for failure in ack.failures:
            self._failures.note(failure, sent.sites)
        return ack

    def wait(self) -> call_pb2.Ack | None:
        """Send what is pending, wait until all of it ran, and raise the first failure among it.

        Returns the last acknowledgement with values, which answer the last calls: a batch of mere releases may follow it.
        """
        if self.fleet is not None:
            self.fleet.flush_others(self)
        with self.lock:
            self._linger.waited()
            self.flush()
            started = time.perf_counter()
            answered = self.drain()
            self._counts.waits += 1
            self._counts.wait_seconds += time.perf_counter() - started
            self._sent_at = time.perf_counter()
            if self.profiler is not None:
                self.profiler.waited(started, answered)
            self._failures.raise_first()
            return answered

    def drain(self) -> call_pb2.Ack | None:
        """Wait until all that was sent ran; return the last answer with values. What failed is for `wait` to raise."""
        answered = None
        with self.lock:
            while self._link.in_flight:
                ack = self._receive()
                answered = ack if ack.values else answered
        return answered

    def answer(self) -> call_pb2.Value:
        """Wait, and return the value that the last call answered; raise its failure if it is poisoned."""
        ack = self.wait()
        if ack is None:
            raise GradwireError("a call that answers a value was sent, and no value came; please report it")
        value = ack.values[-1]
        if value.HasField("failure"):
            raise self._failures.error_of(value.failure)
        return value

    # -- the bulk plane ------------------------------------------------------------------------------------------------

    def upload(self, values: np.ndarray[Any, Any], meta: Meta) -> int:
        """Copy a large array and send it beside the calls; return the number that a gw::upload call takes it by."""
        # What came before can run while this one is on its way, and takes the uploads that wait for it.
        self.flush()
        started = time.perf_counter()
        number: int = self._link.bulk.upload(values, meta, self._number + 1)
        self._counts.sent_bytes += meta.nbytes
        if self.profiler is not None:
            self.profiler.transferred(started, meta.nbytes, is_upload=True)
        return number

    def download(self, handle: int, meta: Meta) -> np.ndarray[Any, Any]:
        """Return the elements of a tensor that is too large for an acknowledgement."""
        started = time.perf_counter()
        values: np.ndarray[Any, Any] = self._link.bulk.download(handle, meta)
        self._counts.received_bytes += meta.nbytes
        self._counts.wait_seconds += time.perf_counter() - started
        if self.profiler is not None:
            self.profiler.transferred(started, meta.nbytes, is_upload=False)
        return values

    def close(self) -> None:
        """Wait for what is in flight, end the session, and stop an embedded worker. Raises nothing."""
        if self.fleet is not None:
            self.fleet.settle()
        with self.lock:
            if not self.is_closed:
                self._link.hurry()
                try:
                    if self._columns.calls or self._link.in_flight:  # and not for mere releases
                        self.wait()
                except (GradwireError, RuntimeError, IndexError, TypeError, ValueError) as error:
                    print(f"gradwire: a call failed that nothing waited for: {error}", file=sys.stderr)
                if not self.is_closed:
                    self._link.end()
            self._linger.stop()
            self._link.close()
            if self._embedded is not None:
                self._embedded.stop()
                self._embedded = None


_current: Session | None = None
_current_lock = threading.Lock()


def use(session: Session) -> Session:
    """Make a session the one that new tensors live in."""
    global _current
    _current = session
    if session.fleet is not None:
        session.fleet.main = session
    return session


def current() -> Session:
    """Return the session that new tensors live in, opening the default one at first use."""
    if placement.session is not None:
        return placement.session
    if _current is not None and not _current.is_closed:
        return _current
    with _current_lock:
        if _current is None:
            from gradwire.connecting import connect

            session: Session = connect()
            return session
    raise WorkerLost(f"the session with {_current.address} has ended and its tensors are gone; call gradwire.connect()")


def disconnect() -> None:
    """End the current session, those connected with it, and an embedded worker. The next call opens a new one."""
    global _current
    session, _current, placement.session = _current, None, None
    if session is None:
        return
    for each in [session] if session.fleet is None else session.fleet.sessions:
        each.close()
        atexit.unregister(each.close)
