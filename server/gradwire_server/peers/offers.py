"""Tensors that other workers may fetch: each lies under a ticket, a secret that is good once. Waiting and no I/O."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from gradwire_protocol import codec
from gradwire_protocol.errors import HandleNotFound, LimitExceeded, WorkerLost
from gradwire_protocol.v1 import failure_pb2

__all__ = ["Offers", "of_process", "ticket_of"]

HostArray = np.ndarray[Any, Any]

# Requests that may wait at once for what was not yet offered: each holds a thread of the server's.
_MAX_WAITING = 64
_LOOK_SECONDS = 1.0
# Tensors of a session that nobody has fetched yet. A client offers one right before it tells the other worker to fetch it.
_MAX_OFFERED = 4096
_MAX_GONE = 1024


def ticket_of(high: int, low: int) -> bytes:
    """Return the ticket that a client wrote as two numbers of a call."""
    return (high << 64 | low).to_bytes(16, "big")


class Offers:
    """What the sessions of a worker offer. A session's offers go with it."""

    def __init__(self, max_waiting: int = _MAX_WAITING, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with none."""
        self._changed = threading.Condition()
        self._held: dict[bytes, tuple[bytes, HostArray | failure_pb2.Failure]] = {}
        self._owners: set[bytes] = set()
        self._waiting, self._max_waiting, self._clock = 0, max_waiting, clock

    @property
    def held_bytes(self) -> int:
        """Return the bytes that wait to be fetched."""
        with self._changed:
            return sum(values.nbytes for _, values in self._held.values() if isinstance(values, np.ndarray))

    def held_by(self, owner: bytes) -> int:
        """Return the bytes that a session's offers keep until they are fetched."""
        with self._changed:
            return sum(
                values.nbytes
                for token, values in self._held.values()
                if token == owner and isinstance(values, np.ndarray)
            )

    def put(self, ticket: bytes, values: HostArray | failure_pb2.Failure, session: Any) -> None:
        """Offer an array of a session, or the failure that stands in its place."""
        owner: bytes = session.token
        with self._changed:
            if owner not in self._owners:
                self._owners.add(owner)
                weakref.finalize(session, self.forget, owner).atexit = False
            # All are more than this session's, and counted first: one that is full is rare.
            is_full = len(self._held) >= _MAX_OFFERED and ticket not in self._held
            if is_full and sum(held[0] == owner for held in self._held.values()) >= _MAX_OFFERED:
                raise LimitExceeded(
                    f"a session may offer {_MAX_OFFERED} tensors that wait to be fetched; fetch some first"
                )
            self._held[ticket] = (owner, values)
            self._changed.notify_all()

    def forget(self, owner: bytes) -> None:
        """Take back what a session offered."""
        with self._changed:
            self._owners.discard(owner)
            for ticket in [ticket for ticket, held in self._held.items() if held[0] == owner]:
                self._held[ticket] = (b"", codec.encode_failure(WorkerLost(
                    "a copy from another worker needs the session there until it is complete; that session has ended"
                )))  # fmt: skip
            # Who fetches late learns why; nobody may come at all, so not all are remembered.
            gone = [ticket for ticket, held in self._held.items() if not held[0]]
            for ticket in gone[:-_MAX_GONE]:
                del self._held[ticket]

    def take(
        self, ticket: bytes, seconds: float, is_wanted: Callable[[], bool] = lambda: True
    ) -> HostArray | failure_pb2.Failure:
        """Wait for an offer and take it; raise HandleNotFound if none comes in time or nobody wants it any more."""
        deadline = self._clock() + seconds
        with self._changed:
            if self._waiting >= self._max_waiting:
                raise LimitExceeded(
                    f"a worker lets {self._max_waiting} copies wait for their source at once; that many wait; try again"
                )
            self._waiting += 1
            try:
                while ticket not in self._held:
                    left = deadline - self._clock()
                    if left <= 0 or not is_wanted():
                        raise HandleNotFound(
                            f"a copy from another worker needs its source to be offered within {seconds:g} s; it was not"
                        )
                    self._changed.wait(min(left, _LOOK_SECONDS))
                return self._held.pop(ticket)[1]
            finally:
                self._waiting -= 1


# One for all sessions of this process: a ticket names its offer, whichever server the request came to.
of_process = Offers()
