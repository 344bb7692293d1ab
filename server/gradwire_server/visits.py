"""When clients may come again that a worker has no room for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Visits"]

# A client that asks costs both sides some milliseconds; what clients that have sessions lose to that is a few per cent so.
_APART_SECONDS = 0.1
_SOONEST_SECONDS, _LATEST_SECONDS = 0.5, 10.0


class Visits:
    """Tells clients that are refused to come one after the other, so that many that wait cost no more than a few."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Expect nobody."""
        self._clock = clock
        self._last = -_LATEST_SECONDS
        self._lock = threading.Lock()

    def next_seconds(self) -> float:
        """Return for how long the next client shall wait: at least half a second, at most ten."""
        with self._lock:
            now = self._clock()
            self._last = min(max(self._last + _APART_SECONDS, now + _SOONEST_SECONDS), now + _LATEST_SECONDS)
            return self._last - now
