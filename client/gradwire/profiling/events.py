"""A profile as torch.profiler's events: one per call and per named part of the script, averages of them, and their table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gradwire.profiling.functions import op_name, program_names
from gradwire.profiling.places import place_of
from gradwire.profiling.recorder import Range
from gradwire.profiling.timeline import Call, Timeline

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "Interval", "events_of"]

# PyTorch's names of what is sorted by; the worker's device is where its "cuda" times are from.
_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0}


@dataclass(frozen=True, slots=True)
class Interval:
    """From one time to another, in microseconds since the profile began."""

    start: float
    end: float

    def elapsed_us(self) -> float:
        """Return how long it is."""
        return self.end - self.start


@dataclass(slots=True)
class _Times:
    """Times in microseconds. The worker's are those of calls; the client's those of named parts of the script."""

    key: str
    count: int = 0
    worker_time_total: float = 0.0
    self_worker_time_total: float = 0.0  # without what a named part only contains
    client_time_total: float = 0.0
    on_device: bool = False  # the worker computes on a GPU
    is_user_annotation: bool = False
    input_shapes: list[list[int]] = field(default_factory=list)
    stack: list[str] = field(default_factory=list)

    @property
    def cpu_time_total(self) -> float:
        """Return the worker's time of calls; of a named part, the client's."""
        return self.client_time_total if self.is_user_annotation else self.worker_time_total

    @property
    def self_cpu_time_total(self) -> float:
        """Return the worker's time of the calls themselves."""
        return self.self_worker_time_total

    @property
    def device_time_total(self) -> float:
        """Return the worker's time where it computes on a GPU, else 0."""
        return self.worker_time_total if self.on_device else 0.0

    @property
    def self_device_time_total(self) -> float:
        """Return the worker's time of the calls themselves where it computes on a GPU, else 0."""
        return self.self_worker_time_total if self.on_device else 0.0

    @property
    def worker_time(self) -> float:
        """Return the mean of the worker's time."""
        return self.worker_time_total / max(self.count, 1)

    @property
    def cpu_time(self) -> float:
        """Return the mean of `cpu_time_total`."""
        return self.cpu_time_total / max(self.count, 1)

    @property
    def device_time(self) -> float:
        """Return the mean of `device_time_total`."""
        return self.device_time_total / max(self.count, 1)

    def add(self, other: _Times) -> None:
        """Add another's times and count."""
        self.count += other.count
        self.worker_time_total += other.worker_time_total
        self.self_worker_time_total += other.self_worker_time_total
        self.client_time_total += other.client_time_total


@dataclass(slots=True)
class FunctionEvent(_Times):
    """One call on the worker, or one named part of the script."""

    time_range: Interval = Interval(0.0, 0.0)

    @property
    def name(self) -> str:
        """Return the op, or the part's name."""
        return self.key


@dataclass(slots=True)
class FunctionEventAvg(_Times):
    """All events of one key."""


_SORTS = (
    "count", "cpu_time", "cpu_time_total", "self_cpu_time_total", "device_time", "device_time_total",
    "self_device_time_total", "worker_time", "worker_time_total", "self_worker_time_total", "client_time_total",
)  # fmt: skip


class EventList(list[Any]):
    """Events, or averages of them."""

    def key_averages(self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0) -> EventList:
        """Return one average per name, and per input shapes and source location if asked."""
        found: dict[Any, FunctionEventAvg] = {}
        for event in self:
            shapes = event.input_shapes if group_by_input_shapes else []
            stack = event.stack[:group_by_stack_n]
            key = event.key, event.is_user_annotation, str(shapes), *stack
            if key not in found:
                found[key] = FunctionEventAvg(
                    event.key, on_device=event.on_device, is_user_annotation=event.is_user_annotation,
                    input_shapes=shapes, stack=stack,
                )  # fmt: skip
            found[key].add(event)
        return EventList(found.values())

    def total_average(self) -> FunctionEventAvg:
        """Return all of them as one."""
        total = FunctionEventAvg("Total")
        for event in self:
            total.add(event)
        return total

    @property
    def self_cpu_time_total(self) -> float:
        """Return the worker's time in microseconds."""
        return float(sum(event.self_worker_time_total for event in self))

    def table(
        self, sort_by: str | None = None, row_limit: int = 100, max_src_column_width: int | None = 75,
        max_name_column_width: int | None = 55, max_shapes_column_width: int | None = 80, header: str | None = None,
        top_level_events_only: bool = False, time_unit: str | None = None,
    ) -> str:  # fmt: skip
        """Return a table. Worker times are those of calls on the worker, client times those of named parts of the script."""
        if top_level_events_only:
            raise RuntimeError(
                "gradwire's profiler sees each call by itself, none inside of another; leave out top_level_events_only=True"
            )
        if time_unit is not None and time_unit not in _UNITS:
            raise ValueError(f"a time unit must be s, ms or us; got {time_unit!r}")
        if not self:
            return ""
        rows = _sorted(self, sort_by)
        shown = rows if row_limit < 0 else rows[:row_limit]
        widths = max_name_column_width, max_shapes_column_width, max_src_column_width
        lines = _table_lines(shown, self.self_cpu_time_total, time_unit, widths)
        head = ["=" * len(lines[0]), header] if header is not None else []
        waits = f"Worker time total: {_time(self.self_cpu_time_total, time_unit)}"
        return "\n".join([*head, *lines, waits, ""])

    def __str__(self) -> str:
        """Return the table."""
        return self.table()


def _sorted(events: Sequence[Any], sort_by: str | None) -> list[Any]:
    if sort_by is None:
        return list(events)
    name = sort_by.replace("cuda", "device")
    if name not in _SORTS:
        raise AttributeError(f"events can be sorted by {', '.join(_SORTS)}; got {sort_by!r}")
    # On a CPU worker a script that sorts by CUDA's times means the worker's.
    if "device" in name and not any(event.on_device for event in events):
        name = name.replace("device", "worker")
    return sorted(events, key=lambda event: getattr(event, name), reverse=True)


def _table_lines(
    events: Sequence[Any], total: float, unit: str | None, widths: tuple[int | None, int | None, int | None]
) -> list[str]:
    columns: list[tuple[str, list[str]]] = [
        ("Name", [_cut(event.key, widths[0]) for event in events]),
        ("Worker %", [f"{event.self_worker_time_total / (total or 1):.2%}" for event in events]),
        ("Worker total", [_time(event.worker_time_total, unit) for event in events]),
        ("Worker time avg", [_time(event.worker_time, unit) for event in events]),
        (
            "Client total",
            [_time(event.client_time_total, unit) if event.is_user_annotation else "" for event in events],
        ),
        ("# of Calls", [str(event.count) for event in events]),
    ]
    if any(event.input_shapes for event in events):
        columns.append(("Input Shapes", [_cut(str(event.input_shapes), widths[1]) for event in events]))
    if any(event.stack for event in events):
        columns.append(
            ("Source Location", [_cut(event.stack[0] if event.stack else "", widths[2]) for event in events])
        )
    sizes = [max(len(name), *map(len, cells)) for name, cells in columns]
    rule = "  ".join("-" * size for size in sizes)
    rows = ["  ".join(cell.rjust(size) for cell, size in zip(row, sizes, strict=True))
            for row in ([name for name, _ in columns], *zip(*[cells for _, cells in columns], strict=True))]  # fmt: skip
    return [rule, rows[0], rule, *rows[1:], rule]


def _cut(text: str, width: int | None) -> str:
    return text if width is None or len(text) <= width else f"{text[: width - 3]}..."


def _time(us: float, unit: str | None) -> str:
    """Return a time in a unit, or in the one that suits it, with PyTorch's three digits."""
    unit = unit or ("s" if us >= 1e6 else "ms" if us >= 1e3 else "us")
    return f"{us / _UNITS[unit]:.3f}{unit}"


def events_of(timelines: Iterable[Timeline], *, on_device: bool, record_shapes: bool, with_stack: bool) -> EventList:
    """Return the events of profiles."""
    made, programs = EventList(), program_names()
    for timeline in timelines:
        begin_ns = timeline.recorder.began_ns
        calls = [call for work in timeline.work for call in work.calls]
        for call in calls:
            made.append(_of_call(call, begin_ns, programs, on_device, record_shapes, with_stack))
        spent = [call.ended_ns - call.began_ns for call in calls]
        for part in timeline.recorder.ranges:
            made.append(_of_range(part, begin_ns, sum(spent[part.first_call : part.end_call]), on_device))
    return made


def _of_call(
    call: Call, begin_ns: int, programs: dict[str, str], on_device: bool, record_shapes: bool, with_stack: bool
) -> FunctionEvent:
    name = op_name(call.called, programs)
    if not name.startswith("gw::") and not call.called.digest:
        name = f"aten::{name.partition('.')[0]}"
    spent = (call.ended_ns - call.began_ns) / 1e3
    shapes = [[] if meta is None else list(meta.shape) for meta in call.called.metas] if record_shapes else []
    stack = [str(place_of(call.site))] if with_stack else []
    span = Interval((call.began_ns - begin_ns) / 1e3, (call.ended_ns - begin_ns) / 1e3)
    return FunctionEvent(name, 1, spent, spent, 0.0, on_device, False, shapes, stack, span)


def _of_range(part: Range, begin_ns: int, worker_ns: int, on_device: bool) -> FunctionEvent:
    span = Interval((part.began_ns - begin_ns) / 1e3, (part.ended_ns - begin_ns) / 1e3)
    return FunctionEvent(part.name, 1, worker_ns / 1e3, 0.0, span.elapsed_us(), on_device, True, time_range=span)
