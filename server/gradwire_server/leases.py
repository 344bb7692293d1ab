"""Sessions without a stream: since when, and which of them are over. No thread and no clock of its own."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Leases"]


class Leases:
    """The leases of a worker's sessions, by token. A session whose stream is there has none to run out."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        """Keep a session for so many seconds after its stream went."""
        self.seconds = seconds
        self._clock = clock
        self._left_at: dict[bytes, float] = {}

    def left(self, token: bytes) -> None:
        """Note that a session's stream is gone."""
        self._left_at[token] = self._clock()

    def taken(self, token: bytes) -> None:
        """Note that a session has a stream, or is over."""
        self._left_at.pop(token, None)

    def expired(self) -> list[bytes]:
        """Return the sessions that were left for longer than their lease, the longest first."""
        latest = self._clock() - self.seconds
        return [token for token, left in list(self._left_at.items()) if left <= latest]

    def __len__(self) -> int:
        return len(self._left_at)
