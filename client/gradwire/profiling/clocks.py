"""How far the worker's clock is ahead of the client's, from the times of messages and answers.

A batch leaves at t0 and its answer is here at t3, by the client's clock; the worker works on it from t1 to t2, by its own.
The worker cannot start before the message left, nor the answer be here before the worker ended, so the difference between the
clocks is at most t1 - t0 and at least t2 - t3. This is NTP's bound (RFC 5905, section 8: half of a round trip's delay, either
way); the overlap of the bounds of all batches is narrower than that of the best one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Offset", "Trip", "estimate"]


@dataclass(frozen=True, slots=True)
class Trip:
    """A round trip, in nanoseconds: the client's `sent` and `received`, the worker's `started` and `finished`."""

    sent: int
    started: int
    finished: int
    received: int

    @property
    def most(self) -> int:
        """Return the most that the worker's clock can be ahead."""
        return self.started - self.sent

    @property
    def least(self) -> int:
        """Return the least that the worker's clock can be ahead."""
        return self.finished - self.received


@dataclass(frozen=True, slots=True)
class Offset:
    """The worker's clock is `ahead_ns` ahead of the client's, give or take `error_ns`."""

    ahead_ns: int
    error_ns: int

    def to_client(self, worker_ns: int) -> int:
        """Return a time of the worker's by the client's clock."""
        return worker_ns - self.ahead_ns


def estimate(trips: Iterable[Trip]) -> Offset | None:
    """Return the offset that fits all round trips; None of none.

    Clocks that run at different rates leave no offset that fits all of a long profile; then the error covers what the
    offset was at the start, at the end and between.
    """
    bounds = [(trip.least, trip.most) for trip in trips]
    if not bounds:
        return None
    low, high = max(least for least, _ in bounds), min(most for _, most in bounds)
    middle = (low + high) // 2
    return Offset(middle, max((abs(high - low) + 1) // 2, 1))
