"""Noticing a worker that hangs: while an answer is awaited for long, ask how far it is, over a connection of its own.

A worker that runs one long batch answers; one that is frozen, or cannot be reached, does not. gRPC's own keepalive sees less: it
is answered by a process whose interpreter hangs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Pulse", "Watcher"]

_CHECK_SECONDS = 1.0
_AWAITED_SECONDS = 2.0
SILENCE_SECONDS = 8.0


class Pulse:
    """When an answer is awaited, when the worker was last heard, and so when to ask and when to give up. No clock of its own."""

    def __init__(self) -> None:
        """Nothing is awaited."""
        self.awaited_since: float | None = None  # written by whoever waits
        self._heard_at = 0.0

    def heard(self, now: float) -> None:
        """Note that the worker answered a heartbeat."""
        self._heard_at = now

    def silence(self, now: float) -> float:
        """Return for how long nothing was heard that was awaited."""
        since = self.awaited_since
        return 0.0 if since is None else now - max(since, self._heard_at)

    def is_asking(self, now: float) -> bool:
        """Return whether a heartbeat is due."""
        return self.silence(now) > _AWAITED_SECONDS

    def is_lost(self, now: float) -> bool:
        """Return whether the worker has been silent for too long."""
        return self.silence(now) > SILENCE_SECONDS


class Watcher:
    """A thread that asks. `ask` raises what it likes if there is no answer; `give_up` is told after how many silent seconds."""

    def __init__(self, pulse: Pulse, ask: Callable[[], object], give_up: Callable[[float], object]) -> None:
        """Watch until `stop`."""
        self._pulse, self._ask, self._give_up = pulse, ask, give_up
        self._over = threading.Event()
        threading.Thread(target=self._run, name="gradwire-heartbeat", daemon=True).start()

    def stop(self) -> None:
        """End the thread, at its next look."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(_CHECK_SECONDS):
            if self._pulse.is_asking(time.monotonic()):
                self.look()

    def look(self) -> None:
        """Ask once; give up if the silence is too long."""
        try:
            self._ask()
            self._pulse.heard(time.monotonic())
        except Exception:
            silence = self._pulse.silence(time.monotonic())
            if self._pulse.is_lost(time.monotonic()):
                self._pulse.heard(time.monotonic())  # the next connection gets as long
                self._give_up(silence)
