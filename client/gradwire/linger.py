"""Heavy calls that closely follow others wait a moment for company: one message costs the worker as much as a small step.

So does one whose result will be read at once, as the one before it was: the read goes along with it.

No thread watches the clock for other calls. Here one does, since nothing may follow a heavy call for long, and the worker could
have begun.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gradwire_protocol.registry import Op

__all__ = ["MOST_HEAVY", "Linger"]

# Heavy calls that a batch gathers while the worker is at earlier ones.
MOST_HEAVY = 8
# A read that comes within this of a heavy call could as well have gone with it; what follows later finds the call under way.
_AT_ONCE_SECONDS = 0.0002
# For how long one that is expected to be read waits where it is not. The thread wakes once in this time, not for each.
_EXPECTING_SECONDS = 0.002


class Linger:
    """Says which heavy calls wait, and calls `send` where one has waited long enough. For one thread at a time."""

    def __init__(
        self,
        send: Callable[[], object],
        seconds: float,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Prepare; the thread starts when it is needed first."""
        self._send, self._seconds, self._sleep, self._clock = send, seconds, sleep, clock
        self._has_begun = self._is_over = False
        self._was_read = False  # at once: the last heavy call that found the worker idle
        self._unread_at: float | None = None  # when the present one came
        self._pause_seconds = seconds
        self._began = threading.Semaphore(0)
        self._thread: threading.Thread | None = None

    def is_due(self, op: Op, heavy_calls: int, sent_at: float | None) -> bool:
        """Return whether a heavy call goes out at once; if not, see to it that it soon does.

        It is one of so many in its batch; the last batch that is unanswered was sent at `sent_at`.
        """
        if op.is_awaited or heavy_calls >= MOST_HEAVY:
            return True
        now = self._clock()
        if sent_at is None:
            self._was_read &= self._unread_at is None
            self._unread_at = now
            if not self._was_read:
                return True
            self._begin(_EXPECTING_SECONDS)
            return False
        if now - sent_at > self._seconds:
            return True
        self._begin(self._seconds)
        return False

    def waited(self) -> None:
        """Note that the script waits for what it called."""
        if self._unread_at is not None:
            self._was_read = self._clock() - self._unread_at < _AT_ONCE_SECONDS
            self._unread_at = None

    def _begin(self, seconds: float) -> None:
        if self._has_begun or self._is_over:
            return
        self._has_begun, self._pause_seconds = True, seconds
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="gradwire-linger", daemon=True)
            self._thread.start()
        self._began.release()

    def stop(self) -> None:
        """End the thread."""
        self._is_over = True
        self._began.release()

    def _run(self) -> None:
        while True:
            self._began.acquire()
            if self._is_over:
                return
            self._sleep(self._pause_seconds)
            self._has_begun = False
            self._send()
