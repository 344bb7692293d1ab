"""Whose batch runs next when several sessions want one device: deficit round robin over measured time. No threads, no clock.

M. Shreedhar, G. Varghese, "Efficient Fair Queuing Using Deficit Round-Robin", 1996, but for this: what a batch costs is known
only after it ran, so a session pays afterwards. It may run while its credit is above zero, and runs into debt by what it took. In
each round every session that waits is given a quantum. So sessions that always want the device get equal time, however long their
batches are; one whose batches are short never waits for more than one batch of each other session.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["MOST_DEBT_SECONDS", "QUANTUM_SECONDS", "Rounds", "Share"]

# About an eager batch of a few calls. Ten times as long lets sessions take several turns in a row while others wait: the slowest
# steps of 64 clients took twice as long. Shorter only means more rounds.
QUANTUM_SECONDS = 0.0002
# A session that had the device for minutes while others wanted it waits no longer than until each of them had this much.
MOST_DEBT_SECONDS = 10.0


@dataclass(slots=True, eq=False)
class Share:
    """What one session may still use of the present round, and in which busy period that was."""

    credit_seconds: float = 0.0
    period: int = -1


S = TypeVar("S", bound=Share)


class Rounds(Generic[S]):
    """The sessions that wait, in the order in which they came."""

    def __init__(self, quantum_seconds: float = QUANTUM_SECONDS) -> None:
        """Start with none."""
        self._quantum_seconds = quantum_seconds
        self._waiting: deque[S] = deque()
        self._period = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def join(self, share: S) -> None:
        """Let a session wait. Credit that it did not use is not saved up, and debt is kept while others want the device."""
        self._enter_period(share)
        self._waiting.append(share)

    def charge(self, share: Share, seconds: float) -> None:
        """Let a session pay for a batch that ran."""
        self._enter_period(share)
        share.credit_seconds = max(share.credit_seconds - seconds, -MOST_DEBT_SECONDS)

    def next(self) -> S | None:
        """Return the session that may run now, which waits no more; None if none waits, which ends all debts."""
        if not self._waiting:
            self._period += 1
            return None
        if all(share.credit_seconds <= 0 for share in self._waiting):
            self._begin_rounds()
        for share in self._waiting:
            if share.credit_seconds > 0:
                self._waiting.remove(share)
                return share
        raise AssertionError("a round was begun, so one session has credit")

    def _enter_period(self, share: Share) -> None:
        # When nobody wanted the device, nobody was kept from it: what was used until then took it from no one.
        if share.period != self._period:
            share.period, share.credit_seconds = self._period, self._quantum_seconds
        elif share.credit_seconds > self._quantum_seconds:
            share.credit_seconds = self._quantum_seconds

    def _begin_rounds(self) -> None:
        """Begin as many rounds at once as it takes until one session is out of debt."""
        least = min(-share.credit_seconds for share in self._waiting)
        given = (int(least / self._quantum_seconds) + 1) * self._quantum_seconds
        if given <= least:  # rounded
            given += self._quantum_seconds
        for share in self._waiting:
            share.credit_seconds += given
