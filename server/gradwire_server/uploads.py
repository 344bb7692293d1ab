"""Arrays on their way from the bulk plane to the `gw::upload` calls that take them.

The transfers of a session run beside its calls, in threads of their own: a call may come before its elements, and waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from gradwire_protocol import codec, limits
from gradwire_protocol.errors import BatchMalformed, HandleNotFound, QuotaExceeded, WorkerLost
from gradwire_protocol.meta import Meta
from gradwire_protocol.v1 import failure_pb2
from gradwire_server.lane import step_aside

__all__ = ["Uploads"]

HostArray = np.ndarray[Any, Any]

# More than a client holds without an acknowledgement.
_REMEMBERED = 1024

_LOOK_SECONDS = 0.25


class Uploads:
    """The uploads of one session. Each number is begun once, then finished or failed, then taken once."""

    def __init__(self, room_bytes: int = limits.UPLOAD_ROOM_BYTES, stall_seconds: float = limits.STALL_SECONDS) -> None:
        """Start with none. Past `room_bytes` a new one waits; a call waits `stall_seconds` for the next byte."""
        self._room_bytes, self._stall_seconds = room_bytes, stall_seconds
        self._changed = threading.Condition()
        self._ready: dict[int, HostArray | failure_pb2.Failure] = {}
        self._last = 0
        self._whole: set[int] = set()  # of the last numbers, those that came whole: a client may send them again
        self._unwanted: set[int] = set()  # their calls were refused before they came
        self._moved_at = 0.0
        self._takers = 0
        self._is_closed = False
        self.ready_bytes = 0
        self.look: Callable[[], object] = int  # called now and then while a call waits: is its client still there?

    def begin(self, number: int) -> bool:
        """Begin a transfer; wait while many are ready that no call took yet, unless one waits for this.

        A client whose connection broke sends again what it does not know to have come. Returns whether this one is needed.
        """
        with self._changed:
            if number <= self._last - _REMEMBERED:
                raise BatchMalformed(f"an upload is one of the last {_REMEMBERED}; got {number} after {self._last}")
            if number in self._whole:
                return False
            self._last = max(self._last, number)
            self.moved()
            while self.ready_bytes > self._room_bytes and not self._takers and not self._is_closed:
                self._changed.wait()
            if self._is_closed:
                raise WorkerLost("an upload needs a session that is open; this one has ended")
        return True

    def moved(self) -> None:
        """Note that a transfer goes on."""
        self._moved_at = time.monotonic()

    def finish(self, number: int, values: HostArray) -> None:
        """Hand over what was received."""
        with self._changed:
            if number in self._whole:
                return  # it came on two streams at a time
            self._note(number)
            if number in self._unwanted:
                self._unwanted.discard(number)
                return
            self._ready[number] = values
            self.ready_bytes += values.nbytes
            self._changed.notify_all()

    def _note(self, number: int) -> None:
        self._whole.add(number)
        if len(self._whole) > 2 * _REMEMBERED:
            self._whole = {held for held in self._whole if held > self._last - _REMEMBERED}

    def fail(self, number: int, error: BaseException) -> None:
        """Let the call that takes this upload fail with what went wrong."""
        with self._changed:
            self._note(number)
            if number not in self._unwanted:
                self._ready[number] = codec.encode_failure(error)
            self._changed.notify_all()

    def drop(self, number: int) -> None:
        """Do without an upload whose call was refused, whether it is there or still comes."""
        with self._changed:
            found = self._ready.pop(number, None)
            if found is None:
                self._unwanted = {held for held in self._unwanted if held > number - _REMEMBERED} | {number}
            elif not isinstance(found, failure_pb2.Failure):
                self.ready_bytes -= found.nbytes
                self._changed.notify_all()

    def take(self, number: int, meta: Meta) -> HostArray:
        """Wait for an upload and return it; raise what ended it, or HandleNotFound if it does not come."""
        with self._changed:
            found = self._ready.pop(number, None)
            if found is None:
                found = self._wait(number)
            if isinstance(found, failure_pb2.Failure):
                error = codec.decode_failure(found)
                if isinstance(error, QuotaExceeded):
                    error.quota = "uploads"
                raise error
            self.ready_bytes -= found.nbytes
            self._changed.notify_all()
        if found.shape != meta.shape or found.dtype != meta.dtype.numpy:
            raise HandleNotFound(f"upload {number} must be {meta}, as its call says; it is {found.dtype}{found.shape}")
        return found

    def _wait(self, number: int) -> HostArray | failure_pb2.Failure:
        step_aside()
        self._takers += 1
        self._changed.notify_all()
        began = time.monotonic()
        try:
            while number not in self._ready:
                left = max(began, self._moved_at) + self._stall_seconds - time.monotonic()
                if left <= 0 or self._is_closed:
                    raise HandleNotFound(
                        f"upload {number} must arrive for its call to run; nothing came for {self._stall_seconds:g} s; the "
                        "connection for large tensors was lost; send it again"
                    )
                self._changed.wait(min(left, _LOOK_SECONDS))
                self.look()
        finally:
            self._takers -= 1
        return self._ready.pop(number)

    def close(self) -> None:
        """End all waiting."""
        with self._changed:
            self._is_closed = True
            self._ready.clear()
            self.ready_bytes = 0
            self._changed.notify_all()
