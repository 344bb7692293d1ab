"""What a profile says in sentences: where the time of a step goes, and what would save it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradwire.profiling.functions import FunctionCost
from gradwire.profiling.summary import LineCost, Summary
from gradwire.profiling.text import bytes_text, ms, of

__all__ = ["findings"]

# Less than this part of the time is not worth a sentence; no more sentences of one kind than this.
_WORTH = 0.05
_MOST = 3
# What a line does that waits for something.
_WAITS = {"a value": "reads", "room": "waits for the worker to catch up in", "all": "waits until all ran in"}


def findings(summary: Summary, functions: Sequence[FunctionCost]) -> list[str]:
    """Return sentences, the dearest first."""
    if not summary.wall_seconds or not summary.calls:
        return []
    found = [*_waits(summary), *_idle(summary), *_busy(summary), *_bytes(summary)]
    found.sort(key=lambda pair: -pair[0])
    return [sentence for _, sentence in found] + [_function(cost) for cost in functions]


def _waits(summary: Summary) -> Iterator[tuple[float, str]]:
    for line in _dearest(summary, "wait_seconds"):
        often = line.waits >= summary.steps > 0
        wait, computed, whole = (
            seconds / summary.steps if often else seconds
            for seconds in (line.wait_seconds, line.wait_worker_seconds, summary.wall_seconds)
        )
        text = (
            f"{line.place} {_WAITS[line.waits_for]} {line.expression} {_often(summary, line.waits)}: "
            f"{of(wait, whole)}; in {ms(computed)} of them the worker computes"
        )
        if line.waits_for == "a value" and wait - computed > wait / 4:
            text += "; read it less often, or add up on the worker and read at the end"
        yield line.wait_seconds, text


def _idle(summary: Summary) -> Iterator[tuple[float, str]]:
    if summary.idle_seconds < _WORTH * summary.wall_seconds:
        return
    line = max(summary.lines, key=lambda line: line.idle_seconds)
    step = " a step" if summary.steps else ""
    text = f"the worker is idle {of(_each(summary, summary.idle_seconds), _each(summary, summary.wall_seconds))}{step}"
    if line.idle_seconds > summary.idle_seconds / 4:
        text += f", {ms(_each(summary, line.idle_seconds))} of them for {line.place} ({line.expression})"
    if summary.transit_seconds > summary.idle_seconds / 4:
        text += f", {ms(_each(summary, summary.transit_seconds))} while a message is on its way"
    yield summary.idle_seconds, text
    if summary.steps and summary.idle_seconds > summary.wall_seconds / 2 and not any(x.programs for x in summary.lines):
        yield (
            0.0,
            "no call ran as a program; gradwire.compile makes one message of a step and spares the client's Python",
        )


def _busy(summary: Summary) -> Iterator[tuple[float, str]]:
    if summary.worker_seconds < summary.wall_seconds / 2 or not summary.ops:
        return
    op, step = summary.ops[0], " a step" if summary.steps else ""
    text = (
        f"the worker computes {of(_each(summary, summary.worker_seconds), _each(summary, summary.wall_seconds))}{step}; "
        f"dearest is {op.op}, {ms(_each(summary, op.worker_seconds))} ms in {op.calls:,} calls, most of it at {op.place}"
    )
    yield op.worker_seconds, text


def _bytes(summary: Summary) -> Iterator[tuple[float, str]]:
    """Name lines that send or fetch so much that it shows."""
    for line in sorted(summary.lines, key=lambda line: -line.sent_bytes - line.received_bytes)[:_MOST]:
        for count, verb in ((line.sent_bytes, "sends"), (line.received_bytes, "fetches")):
            if count >= 1_000_000:
                rate = f" {_often(summary, summary.steps)}" if summary.steps else ""
                yield 0.0, f"{line.place} {verb} {bytes_text(count // max(summary.steps, 1))}{rate} ({line.expression})"


def _function(cost: FunctionCost) -> str:
    text = f"{cost.name} ran as a program in {cost.hits} of {cost.calls} calls"
    if cost.hits == cost.calls:
        return text
    ran = [f"{cost.recordings} recorded"] if cost.recordings else []
    ran += [f"{cost.eager_calls} as ever"] if cost.eager_calls else []
    why = "; ".join(reason if count == 1 else f"{reason} ({count} times)" for reason, count in cost.reasons)
    return f"{text}, {' and '.join(ran)}: {why}"


def _dearest(summary: Summary, name: str) -> list[LineCost]:
    lines = sorted(summary.lines, key=lambda line: -getattr(line, name))[:_MOST]
    return [line for line in lines if getattr(line, name) >= _WORTH * summary.wall_seconds]


def _each(summary: Summary, seconds: float) -> float:
    """Return the seconds a step, or all where there are no steps."""
    return seconds / max(summary.steps, 1)


def _often(summary: Summary, count: int) -> str:
    times = "once" if count == 1 else f"{count:,} times"
    if not summary.steps:
        return times
    if count == summary.steps:
        return "every step"
    return (
        f"{count / summary.steps:.1f} times a step" if count > summary.steps else f"{times} in {summary.steps:,} steps"
    )
