"""What a timeline adds up to: in all, per line of the user's, per op."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from gradwire import callsite
from gradwire.profiling.functions import FunctionCost, op_name, program_names
from gradwire.profiling.places import Place, expression, place_of
from gradwire.profiling.recorder import Batch, Transfer, Wait
from gradwire.profiling.timeline import Timeline

__all__ = ["LineCost", "OpCost", "Summary", "summary"]

# Calls that bring elements along in their message, which are theirs and not the message's.
_INLINE = "gw::constant"
_PROGRAMS = ("gw::program", "gw::loop")
_WAITED_FOR = ("a value", "room", "all")


@dataclass(frozen=True, slots=True)
class LineCost:
    """What one line of the user's cost.

    `waits` and `wait_seconds`: the client stood still there, mostly for what `waits_for` says (see `Wait`); in
    `wait_worker_seconds` of them the worker computed. `worker_seconds`: of its calls. `idle_seconds`: the worker was idle for
    its sake. `messages`: those that it sent off. `programs`: how many of its calls ran a program. `expression`: what waits
    there, or else the line.
    """

    place: Place
    expression: str
    calls: int
    messages: int
    waits: int
    wait_seconds: float
    wait_worker_seconds: float
    waits_for: str
    sent_bytes: int
    received_bytes: int
    worker_seconds: float
    idle_seconds: float
    programs: int
    backwards: int

    @property
    def time_seconds(self) -> float:
        """Return what decides how dear a line is: all of its times."""
        return self.wait_seconds + self.worker_seconds + self.idle_seconds


@dataclass(frozen=True, slots=True)
class OpCost:
    """What the calls of one op cost on the worker, and the line that cost most of it."""

    op: str
    calls: int
    worker_seconds: float
    place: Place


@dataclass(frozen=True, slots=True)
class Summary:
    """All of it.

    `end_seconds`: after the block, until the worker had done all. `transit_seconds`: of the worker's idle time, while a message
    for it was on its way. `error_seconds`: of the joined clocks.
    """

    wall_seconds: float
    end_seconds: float
    calls: int
    messages: int
    waits: int
    wait_seconds: float
    worker_seconds: float
    idle_seconds: float
    transit_seconds: float
    sent_bytes: int
    received_bytes: int
    error_seconds: float
    steps: int
    lines: tuple[LineCost, ...]
    ops: tuple[OpCost, ...]


class _Tallies:
    """Numbers by line and name, while they grow."""

    def __init__(self) -> None:
        self.by_place: defaultdict[Place, Counter[str]] = defaultdict(Counter)
        self.waiting: dict[Place, callsite.Site] = {}

    def add(self, site: callsite.Site, name: str, value: float) -> None:
        self.by_place[place_of(site)][name] += value  # type: ignore[assignment]

    def lines(self) -> tuple[LineCost, ...]:
        """Return the costs, the dearest line first."""
        made = [self._line(place, sums) for place, sums in self.by_place.items()]
        return tuple(sorted(made, key=lambda line: (-line.time_seconds, line.place)))

    def _line(self, place: Place, sums: Counter[str]) -> LineCost:
        site = self.waiting.get(place)
        seconds = {name: sums[f"{name}_ns"] / 1e9 for name in ("wait", "wait_worker", "worker", "idle")}
        waits_for = max(_WAITED_FOR, key=lambda name: sums[name])
        return LineCost(
            place, place.text if site is None else expression(site), sums["calls"], sums["messages"], sums["waits"],
            seconds["wait"], seconds["wait_worker"], waits_for, round(sums["sent"]), round(sums["received"]),
            seconds["worker"], seconds["idle"], sums["programs"], sums["backwards"],
        )  # fmt: skip


def summary(timeline: Timeline, functions: Sequence[FunctionCost], left_ns: int) -> Summary:
    """Add a timeline up. `left_ns`: when the user's block ended.

    Where the user does not say how many steps there were, they are as many as the calls of the busiest `backward` or of the
    compiled function that was called most.
    """
    recorder, tallies = timeline.recorder, _Tallies()
    batches = [batch for batch in recorder.batches if not batch.is_probe]
    for batch in batches:
        _add_message(tallies, timeline, batch)
    for stand in timeline.stands:
        _add_stand(tallies, timeline, stand)
    ops = _add_work(tallies, timeline)
    lines = tallies.lines()
    wall = (recorder.ended_ns - recorder.began_ns) / 1e9
    worker = sum(work.ended_ns - work.began_ns for work in timeline.work) / 1e9
    return Summary(
        wall, (recorder.ended_ns - left_ns) / 1e9, sum(len(batch.calls) for batch in batches), len(batches),
        sum(line.waits for line in lines), sum(line.wait_seconds for line in lines), worker, max(wall - worker, 0.0),
        sum(work.transit_ns for work in timeline.work) / 1e9,
        sum(line.sent_bytes for line in lines), sum(line.received_bytes for line in lines), timeline.offset.error_ns / 1e9,
        len(recorder.steps_ns) or max([0, *(line.backwards for line in lines), *(cost.calls for cost in functions)]), lines, ops,
    )  # fmt: skip


def _add_message(tallies: _Tallies, timeline: Timeline, batch: Batch) -> None:
    """Share a message among the calls in it: each its own elements, and an equal part of the rest."""
    tallies.add(batch.site, "messages", 1)
    inline = iter(batch.inline_bytes)
    share = (batch.sent_bytes - sum(batch.inline_bytes)) / max(len(batch.calls), 1)
    for number, site in zip(batch.calls, batch.sites, strict=True):
        op = timeline.recorder.called[number].op
        tallies.add(site, "calls", 1)
        tallies.add(site, "sent", share + (next(inline, 0) if op == _INLINE else 0))
        if op in _PROGRAMS:
            tallies.add(site, "programs", 1)
        elif op == "gw::backward":
            tallies.add(site, "backwards", 1)
    if not batch.calls:
        tallies.add(batch.site, "sent", batch.sent_bytes)
    # What answers is a batch's last call: it is what made the client wait.
    tallies.add(batch.sites[-1] if batch.sites else batch.site, "received", batch.received_bytes)


def _add_stand(tallies: _Tallies, timeline: Timeline, stand: Wait | Transfer) -> None:
    """Add a wait, or a transfer, for which the client stood still too."""
    if isinstance(stand, Wait):
        tallies.add(stand.site, stand.waits_for, 1)
    else:
        tallies.add(stand.site, "sent" if stand.is_upload else "received", stand.nbytes)
    tallies.add(stand.site, "waits", 1)
    tallies.add(stand.site, "wait_ns", stand.ended_ns - stand.began_ns)
    tallies.add(stand.site, "wait_worker_ns", timeline.busy_ns(stand.began_ns, stand.ended_ns))
    tallies.waiting[place_of(stand.site)] = stand.site


def _add_work(tallies: _Tallies, timeline: Timeline) -> tuple[OpCost, ...]:
    ops: defaultdict[str, Counter[Place]] = defaultdict(Counter)
    counts: Counter[str] = Counter()
    programs = program_names()
    for work in timeline.work:
        for site, spent in work.idle:
            tallies.add(site, "idle_ns", spent)
        for call in work.calls:
            spent = call.ended_ns - call.began_ns
            tallies.add(call.site, "worker_ns", spent)
            op = op_name(call.called, programs)
            counts[op] += 1
            ops[op][place_of(call.site)] += spent
    made = [OpCost(op, counts[op], sum(by.values()) / 1e9, by.most_common(1)[0][0]) for op, by in ops.items()]
    return tuple(sorted(made, key=lambda op: -op.worker_seconds))
