"""Whose turn it is in the shared memory of a session, and transfers that a broken stream left half received.

After a break a client sends over a new stream what it does not know to have been read, and fills a slot anew once that stream
says that it is free. What still comes on an older stream names slots as they were, so none of it may be read or written any more.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from gradwire_protocol.bulk import Receiver
from gradwire_protocol.errors import BatchMalformed, WorkerLost

__all__ = ["Slotted"]


class _Half(NamedTuple):
    number: int
    host: np.ndarray[Any, Any]
    receiver: Receiver


class Slotted:
    """The slots of one direction. Streams have numbers that grow; the highest seen has the slots."""

    def __init__(self) -> None:
        """Nobody has them."""
        self._lock = threading.Lock()
        self._stream = 0
        self._half: _Half | None = None  # the last one begun: a stream carries one transfer after the other

    def claim(self, stream: int) -> None:
        """Give the slots to a stream; raise WorkerLost if a newer one has them."""
        with self._lock:
            self._stream = max(self._stream, stream)
            self._check(stream)

    @contextmanager
    def turn(self, stream: int) -> Iterator[None]:
        """Read or write slots for a stream; raise WorkerLost if a newer one has them."""
        with self._lock:
            self._check(stream)
            yield

    def _check(self, stream: int) -> None:
        if stream != self._stream:
            raise WorkerLost(f"slots belong to a session's newest stream, number {self._stream}; this is {stream}")

    def begin(self, stream: int, number: int, host: np.ndarray[Any, Any], receiver: Receiver) -> None:
        """Keep what is received of a transfer, until the next one begins or this one is whole."""
        with self.turn(stream):
            self._half = _Half(number, host, receiver)

    def go_on(self, stream: int, number: int, start: int) -> tuple[np.ndarray[Any, Any], Receiver]:
        """Return a transfer that a stream left, to be received from `start` on; raise BatchMalformed if it is not there."""
        with self.turn(stream):
            half = self._half
            if half is None or half.number != number:
                raise BatchMalformed(f"upload {number} can go on at byte {start} only after its start; send all of it")
            half.receiver.again(start)
            return half.host, half.receiver

    def end(self, number: int) -> None:
        """Forget a transfer, which is whole."""
        with self._lock:
            if self._half is not None and self._half.number == number:
                self._half = None
