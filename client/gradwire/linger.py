"""Heavy calls that closely follow others wait a moment for company: one message costs the worker as much as a small step.

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


class Linger:
    """Says which heavy calls wait, and calls `send` where one has waited long enough. For one thread at a time."""

    def __init__(
        self, send: Callable[[], object], seconds: float, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        """Prepare; the thread starts when it is needed first."""
        self._send, self._seconds, self._sleep = send, seconds, sleep
        self._has_begun = self._is_over = False
        self._began = threading.Semaphore(0)
        self._thread: threading.Thread | None = None

    def is_due(self, op: Op, heavy_calls: int, sent_at: float | None) -> bool:
        """Return whether a heavy call goes out at once; if not, see to it that it soon does.

        It is one of so many in its batch; the last batch that is unanswered was sent at `sent_at`.
        """
        if op.is_awaited or sent_at is None or heavy_calls >= MOST_HEAVY:
            return True
        if time.perf_counter() - sent_at > self._seconds:
            return True
        self._begin()
        return False

    def _begin(self) -> None:
        if self._has_begun or self._is_over:
            return
        self._has_begun = True
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
            self._sleep(self._seconds)
            self._has_begun = False
            self._send()
