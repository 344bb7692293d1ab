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


def findings(summary: Summary, functions: Sequence[FunctionCost]) -> list[str]:
    """Return sentences, the dearest first."""
    if not summary.wall_seconds or not summary.calls:
        return []
    found = [*_waits(summary), *_idle(summary), *_busy(summary), *_bytes(summary)]
    found.sort(key=lambda pair: -pair[0])
    return [sentence for _, sentence in found] + [_function(cost) for cost in functions]


def _waits(summary: Summary) -> Iterator[tuple[float, str]]:
    for line in _dearest(summary, "wait_seconds"):
        verb = "reads" if line.read else "waits in"
        idle = line.wait_seconds - line.wait_worker_seconds
        computing = f"in {ms(_each(summary, line.wait_worker_seconds))} of them the worker computes"
        advice = ""
        if line.read and idle > line.wait_seconds / 4:
            advice = "; read it less often, or keep it on the worker and read it at the end"
        yield line.wait_seconds, (
            f"{line.place} {verb} {line.expression} {_often(summary, line.waits)}: "
            f"{of(_each(summary, line.wait_seconds), _each(summary, summary.wall_seconds))}; {computing}{advice}"
        )


def _idle(summary: Summary) -> Iterator[tuple[float, str]]:
    if summary.idle_seconds < _WORTH * summary.wall_seconds:
        return
    lines = sorted(summary.lines, key=lambda line: -line.idle_seconds)[:1]
    for line in lines:
        if line.idle_seconds < _WORTH * summary.wall_seconds:
            continue
        cause = "while the client waits there" if line.waits else "until the call there comes"
        yield line.idle_seconds, (
            f"the worker is idle {of(_each(summary, summary.idle_seconds), _each(summary, summary.wall_seconds))}; "
            f"most of it, {ms(_each(summary, line.idle_seconds))} ms, at {line.place} ({line.expression}), {cause}"
        )
    if summary.calls > 20 * max(summary.messages, 1) or not summary.steps:
        return
    if not any(line.programs for line in summary.lines) and summary.worker_seconds < summary.wall_seconds / 2:
        yield 0.0, "no call ran as a program: gradwire.compile makes one message of a step, and spares the client's Python"


def _busy(summary: Summary) -> Iterator[tuple[float, str]]:
    if summary.worker_seconds < summary.wall_seconds / 2:
        return
    op = summary.ops[0]
    yield op.worker_seconds, (
        f"the worker computes {of(_each(summary, summary.worker_seconds), _each(summary, summary.wall_seconds))}; its "
        f"dearest op is {op.op}, {ms(_each(summary, op.worker_seconds))} ms in {op.calls:,} calls, most of it at {op.place}"
    )


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
    """Return the seconds of a step, or of all where there are no steps."""
    return seconds / max(summary.steps, 1)


def _often(summary: Summary, count: int) -> str:
    if not summary.steps:
        return f"{count} times" if count != 1 else "once"
    if count == summary.steps:
        return "every step"
    return f"{count / summary.steps:.1f} times a step" if count > summary.steps else f"{count} times in {summary.steps} steps"
