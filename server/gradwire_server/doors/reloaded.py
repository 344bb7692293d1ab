"""What is read from files that may change while the worker runs: certificates and tokens are renewed without a restart."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Reloaded"]

log = logging.getLogger("gradwire.doors")

# Looked at no more often: a burst of connections must not become a burst of system calls.
_LOOK_SECONDS = 1.0

Value = TypeVar("Value")
State = tuple[tuple[int, int, int], ...]


class Reloaded(Generic[Value]):
    """The value of `load`, loaded again once one of its files changed. Any thread may ask for it."""

    def __init__(
        self, paths: Sequence[str], load: Callable[[], Value], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Load; raise what `load` raises, since a worker must not start with files that it cannot use."""
        self._paths, self._load, self._clock = tuple(paths), load, clock
        self._lock = threading.Lock()
        # Before the files are read: what changes in between is seen as a change.
        self._state = self._look()
        self._value = load()
        self._looked = clock()

    def get(self) -> Value:
        """Return the value by the files of at most a second ago; of files that cannot be used, the value before them."""
        if self._clock() - self._looked >= _LOOK_SECONDS and self._lock.acquire(blocking=False):
            try:
                self._looked = self._clock()
                self._refresh()
            finally:
                self._lock.release()
        return self._value

    def _refresh(self) -> None:
        state = self._look()
        if state == self._state:
            return
        self._state = state  # also of a file that cannot be used: it is logged once, not each second
        try:
            self._value = self._load()
        except (OSError, ValueError) as error:
            log.error("a changed file cannot be used, so what it held before stays in force: %s", error)
        else:
            log.warning("read again: %s", ", ".join(self._paths))

    def _look(self) -> State:
        return tuple(_state(path) for path in self._paths)


def _state(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino
