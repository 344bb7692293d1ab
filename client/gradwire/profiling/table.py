"""A profile as text: what it adds up to, the sentences, and a table by line or by op."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradwire.profiling.summary import LineCost, OpCost, Summary
from gradwire.profiling.text import aligned, bytes_text, ms

__all__ = ["SORTS", "head", "line_table", "op_table"]

# What lines can be sorted by, and how.
SORTS: dict[str, Callable[[LineCost], float]] = {
    "time": lambda line: line.time_seconds,
    "calls": lambda line: line.calls,
    "messages": lambda line: line.messages,
    "waits": lambda line: line.waits,
    "wait_seconds": lambda line: line.wait_seconds,
    "worker_seconds": lambda line: line.worker_seconds,
    "idle_seconds": lambda line: line.idle_seconds,
    "sent_bytes": lambda line: line.sent_bytes,
    "received_bytes": lambda line: line.received_bytes,
    "programs": lambda line: line.programs,
}
_LINE_HEAD = (
    "line", "calls", "messages", "waits", "wait ms", "worker ms", "idle ms", "up", "down", "programs", "source",
)  # fmt: skip
_OP_HEAD = ("op", "calls", "worker ms", "% of worker", "us a call", "most of it at")


def head(summary: Summary, worker: str) -> list[str]:
    """Return what a profile adds up to."""
    wall = summary.wall_seconds or 1e-9
    steps = f", {summary.steps} steps of {ms(summary.wall_seconds / summary.steps)} ms" if summary.steps else ""
    joined = f"clocks joined to within {summary.error_seconds * 1e6:,.0f} us"
    return [
        f"{ms(summary.wall_seconds)} ms{steps}: {summary.calls:,} calls in {summary.messages:,} messages, "
        f"{bytes_text(summary.sent_bytes)} up, {bytes_text(summary.received_bytes)} down",
        f"client: waited {ms(summary.wait_seconds)} ms ({summary.wait_seconds / wall:.0%}), {summary.waits:,} times, and at the "
        f"end {ms(summary.end_seconds)} ms until the worker had done all",
        f"worker: computed {ms(summary.worker_seconds)} ms ({summary.worker_seconds / wall:.0%}), was idle "
        f"{ms(summary.idle_seconds)} ms, {ms(summary.transit_seconds)} of them while a message was on its way",
        f"worker {worker}, {joined}",
    ]


def line_table(lines: Sequence[LineCost], sort_by: str, limit: int) -> list[str]:
    """Return the dearest lines by `sort_by`, at most `limit`."""
    chosen = sorted(lines, key=lambda line: -SORTS[sort_by](line))[:limit]
    rows = [
        (
            str(line.place), f"{line.calls:,}", f"{line.messages:,}", _count(line.waits), _time(line.wait_seconds),
            ms(line.worker_seconds), _time(line.idle_seconds), bytes_text(line.sent_bytes), bytes_text(line.received_bytes),
            _count(line.programs), line.place.text,
        )
        for line in chosen
    ]  # fmt: skip
    return [*aligned(_LINE_HEAD, rows, (0, len(_LINE_HEAD) - 1)), *_rest(len(lines) - len(chosen), "lines")]


def op_table(ops: Sequence[OpCost], limit: int) -> list[str]:
    """Return the dearest ops, at most `limit`."""
    total = sum(op.worker_seconds for op in ops) or 1e-9
    rows = [
        (
            op.op, f"{op.calls:,}", ms(op.worker_seconds), f"{op.worker_seconds / total:.1%}",
            f"{op.worker_seconds / op.calls * 1e6:,.1f}", str(op.place),
        )
        for op in ops[:limit]
    ]  # fmt: skip
    return [*aligned(_OP_HEAD, rows, (0, len(_OP_HEAD) - 1)), *_rest(len(ops) - len(rows), "ops")]


def _rest(count: int, what: str) -> list[str]:
    return [f"and {count} more {what}"] if count > 0 else []


def _count(value: int) -> str:
    return f"{value:,}" if value else ""


def _time(seconds: float) -> str:
    return ms(seconds) if seconds else ""
