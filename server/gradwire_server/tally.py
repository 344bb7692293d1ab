"""What sessions do, in numbers: counted by each session for itself and added up only when somebody asks."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gradwire_protocol.v1 import call_pb2

if TYPE_CHECKING:
    from gradwire_server.opened import Opened

__all__ = ["BOUNDS_SECONDS", "Tally", "Totals"]

# Upper bounds of the histogram of batches: from one call on a small tensor to a program that trains for a minute.
BOUNDS_SECONDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0)


class Tally:
    """The batches of one session. Only the thread that runs them writes, so counting takes no lock."""

    __slots__ = ("_clock", "_last", "counts", "errors", "repeated", "seconds")

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Start at zero."""
        self._clock = clock
        self.counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self.seconds = 0.0
        self.errors: Counter[str] = Counter()
        self._last = 0  # the highest number that ran
        self.repeated = 0  # batches that came again, and were answered from the session's record

    def run(self, apply: Callable[[call_pb2.Batch], call_pb2.Ack], batch: call_pb2.Batch) -> call_pb2.Ack:
        """Run a batch, and count it."""
        began = self._clock()
        ack = apply(batch)
        taken = self._clock() - began
        self.seconds += taken
        self.counts[bisect_left(BOUNDS_SECONDS, taken)] += 1
        if ack.failures:
            self.errors.update(failure.error for failure in ack.failures)
        elif ack.HasField("refused"):
            self.errors[ack.refused.error] += 1
            return ack
        if batch.number > self._last:
            self._last = batch.number
        else:
            self.repeated += 1
        return ack


@dataclass(slots=True)
class Totals:
    """The numbers of a worker: of all sessions that it had."""

    sessions: int = 0  # open now
    without_client: int = 0
    sessions_opened: int = 0
    sessions_expired: int = 0
    batches: int = 0
    calls: int = 0
    handles: int = 0
    held_bytes: int = 0
    running: int = 0  # batches, now
    longest_running_seconds: float = 0.0
    batch_counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_SECONDS) + 1))
    batch_seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    resumes: Counter[str] = field(default_factory=Counter)  # by how they went
    rejections: Counter[str] = field(default_factory=Counter)  # by the bound that was reached

    def keep(self, opened: Opened) -> None:
        """Add what a session did, which stays when it has ended."""
        statistics, tally = opened.session.statistics(), opened.tally
        self.batches += statistics.batches
        self.calls += statistics.calls
        self.batch_counts = [had + more for had, more in zip(self.batch_counts, tally.counts, strict=True)]
        self.batch_seconds += tally.seconds
        self.errors.update(dict(tally.errors))
        self.rejections.update(dict(opened.session.meter.rejections))

    def with_open(self, sessions: Iterable[Opened]) -> Totals:
        """Return these totals with what open sessions did and hold."""
        total = replace(
            self, errors=Counter(self.errors), rejections=Counter(self.rejections), resumes=Counter(self.resumes)
        )
        for opened in sessions:
            total.keep(opened)
            statistics, running = opened.session.statistics(), opened.progress()
            total.sessions += 1
            total.without_client += not opened.has_stream
            total.handles += statistics.handles
            total.held_bytes += statistics.held_bytes
            total.running += running.running > 0
            total.longest_running_seconds = max(total.longest_running_seconds, running.running_seconds)
        return total
