"""A recorder's notes on one clock, the client's: what the worker did when, and whom it waited for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from gradwire import callsite
from gradwire.profiling.clocks import Offset, Trip, estimate
from gradwire.profiling.recorder import Batch, Called, Recorder, Transfer, Wait

__all__ = ["Call", "Timeline", "Work"]


@dataclass(frozen=True, slots=True)
class Call:
    """A call on the worker. `index` counts the calls of the profile."""

    index: int
    called: Called
    site: callsite.Site
    began_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True)
class Work:
    """A batch on the worker; before it the worker was idle, for lines of the client's (site, nanoseconds) and for transit.

    `transit_ns`: the message had left the client, and the worker had not begun with it.
    """

    batch: Batch
    began_ns: int
    ended_ns: int
    calls: tuple[Call, ...]
    idle: tuple[tuple[callsite.Site, int], ...]
    transit_ns: int


class Timeline:
    """All of a profile on the client's clock."""

    def __init__(self, recorder: Recorder) -> None:
        """Join the clocks; the recorder must have stopped."""
        self.recorder = recorder
        self.offset = estimate(_trips(recorder.batches)) or Offset(0, 0)
        self.stands: list[Wait | Transfer] = sorted(
            [*recorder.waits, *recorder.transfers], key=lambda stand: stand.ended_ns
        )
        self.work = self._work()
        self._ends = [work.ended_ns for work in self.work]
        self._busy = [0, *accumulate(work.ended_ns - work.began_ns for work in self.work)]

    def busy_ns(self, began_ns: int, ended_ns: int) -> int:
        """Return how long the worker worked between two times."""
        return self._busy_until(ended_ns) - self._busy_until(began_ns)

    def _busy_until(self, at_ns: int) -> int:
        index = bisect_right(self._ends, at_ns)
        if index == len(self.work):
            return self._busy[index]
        return self._busy[index] + max(at_ns - self.work[index].began_ns, 0)

    def _work(self) -> list[Work]:
        made: list[Work] = []
        ends = [stand.ended_ns for stand in self.stands]
        index, free_ns = 0, self.recorder.began_ns
        for batch in self.recorder.batches:
            timing = batch.timing
            if timing is not None and not batch.is_probe:
                began, ended = self.offset.to_client(timing.started_ns), self.offset.to_client(timing.finished_ns)
                calls = self._calls(batch, index, began + timing.prepared_ns, timing.call_ns)
                left = min(max(batch.sent_ns, free_ns), began)
                made.append(
                    Work(batch, began, ended, calls, self._idle(batch, free_ns, left, ends), max(began - left, 0))
                )
                free_ns = ended
            index += len(batch.calls)
        return made

    def _calls(self, batch: Batch, index: int, began_ns: int, spent_ns: Sequence[int]) -> tuple[Call, ...]:
        called = self.recorder.called
        made = []
        for position, (number, site, spent) in enumerate(zip(batch.calls, batch.sites, spent_ns, strict=False)):
            made.append(Call(index + position, called[number], site, began_ns, began_ns + spent))
            began_ns += spent
        return tuple(made)

    def _idle(self, batch: Batch, free_ns: int, left_ns: int, ends: list[int]) -> tuple[tuple[callsite.Site, int], ...]:
        """Say for whom the worker was idle from when it was free until a message left.

        As long as the client stood still after the worker was free, for the line that it stood at; from then on, for the line
        whose call came next.
        """
        sender = batch.sites[0] if batch.sites else batch.site
        found = bisect_right(ends, left_ns) - 1
        if found >= 0 and ends[found] > free_ns:
            pieces = [(self.stands[found].site, ends[found] - free_ns), (sender, left_ns - ends[found])]
        else:
            pieces = [(sender, left_ns - free_ns)]
        return tuple((site, spent) for site, spent in pieces if spent > 0)


def _trips(batches: Sequence[Batch]) -> list[Trip]:
    return [
        Trip(batch.began_ns, batch.timing.started_ns, batch.timing.finished_ns, batch.received_ns)
        for batch in batches
        if batch.timing is not None
    ]
