"""A profile in Chrome's trace format, which Perfetto, chrome://tracing and TensorBoard open.

The format is the "Trace Event Format": complete events ("X") on tracks (pid, tid), flows ("s", "f") from message to batch,
microseconds. Client and worker are processes of their own; times are the client's clock, from the start of the profile.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from typing import Any

from gradwire.profiling.functions import op_name, program_names
from gradwire.profiling.places import expression, place_of
from gradwire.profiling.recorder import Wait
from gradwire.profiling.text import bytes_text
from gradwire.profiling.timeline import Timeline

__all__ = ["trace", "write_trace"]

_CLIENT, _WORKER = 1, 2
_WAITS, _MESSAGES, _STEPS, _RANGES = 1, 2, 3, 10
_CALLS, _BATCHES = 1, 2
_TRACKS = {
    (_CLIENT, _WAITS): "waits, by line",
    (_CLIENT, _MESSAGES): "messages, by line",
    (_CLIENT, _STEPS): "steps",
    (_WORKER, _CALLS): "calls, by op",
    (_WORKER, _BATCHES): "batches",
}

Event = dict[str, Any]


def write_trace(timeline: Timeline, worker: str, path: str | os.PathLike[str], metadata: dict[str, Any]) -> None:
    """Write a trace, compressed if the path ends in `.gz`."""
    text = json.dumps(trace(timeline, worker, metadata), separators=(",", ":"))
    if os.fspath(path).endswith(".gz"):
        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.write(text)
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def trace(timeline: Timeline, worker: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return a trace as what JSON is made of."""
    facts = {
        "gradwire clock error us": timeline.offset.error_ns / 1e3,
        "gradwire worker clock ahead us": timeline.offset.ahead_ns / 1e3,
        "gradwire worker": worker,
    }
    events = [*_tracks(timeline, worker), *_waits(timeline), *_messages(timeline), *_steps(timeline), *_ranges(timeline),
              *_work(timeline)]  # fmt: skip
    return {"traceEvents": events, "displayTimeUnit": "ms", **facts, **metadata}


def _tracks(timeline: Timeline, worker: str) -> Iterator[Event]:
    error = timeline.offset.error_ns / 1e3
    names = {_CLIENT: "client", _WORKER: f"worker {worker} (clock joined to within {error:.0f} us)"}
    tracks = dict(_TRACKS)
    for thread in _threads(timeline):
        tracks[_CLIENT, _RANGES + thread] = "record_function" if thread == 0 else f"record_function, thread {thread}"
    for pid, name in names.items():
        yield {"ph": "M", "pid": pid, "tid": 0, "name": "process_name", "args": {"name": name}}
        yield {"ph": "M", "pid": pid, "tid": 0, "name": "process_sort_index", "args": {"sort_index": pid}}
    for (pid, tid), name in tracks.items():
        yield {"ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": name}}
        yield {"ph": "M", "pid": pid, "tid": tid, "name": "thread_sort_index", "args": {"sort_index": tid}}


def _event(
    timeline: Timeline, track: tuple[int, int], name: str, kind: str, began: int, ended: int, **args: Any
) -> Event:
    start = timeline.recorder.began_ns
    return {
        "ph": "X", "pid": track[0], "tid": track[1], "name": name, "cat": kind, "ts": (began - start) / 1e3,
        "dur": max(ended - began, 0) / 1e3, "args": args,
    }  # fmt: skip


def _waits(timeline: Timeline) -> Iterator[Event]:
    for stand in timeline.stands:
        words = expression(stand.site)
        if isinstance(stand, Wait):
            args: dict[str, Any] = {
                "source": words,
                "worker computes us": timeline.busy_ns(stand.began_ns, stand.ended_ns) / 1e3,
            }
        else:
            args = {"source": words, "bytes": stand.nbytes, "direction": "up" if stand.is_upload else "down"}
        name = f"{place_of(stand.site)} {words}"
        yield _event(timeline, (_CLIENT, _WAITS), name, "wait", stand.began_ns, stand.ended_ns, **args)


def _messages(timeline: Timeline) -> Iterator[Event]:
    """Give each message, and the arrow from it to its batch."""
    for number, work in enumerate(timeline.work, 1):
        batch = work.batch
        name = f"{place_of(batch.site)}"
        yield _event(
            timeline, (_CLIENT, _MESSAGES), name, "message", batch.began_ns, batch.sent_ns, calls=len(batch.calls),
            bytes=batch.sent_bytes, up=bytes_text(batch.sent_bytes), answer_bytes=batch.received_bytes,
        )  # fmt: skip
        flow = {"cat": "message", "name": "message", "id": number}
        start = timeline.recorder.began_ns
        yield {**flow, "ph": "s", "pid": _CLIENT, "tid": _MESSAGES, "ts": (batch.began_ns - start) / 1e3}
        yield {**flow, "ph": "f", "bp": "e", "pid": _WORKER, "tid": _BATCHES, "ts": (work.began_ns - start) / 1e3}


def _steps(timeline: Timeline) -> Iterator[Event]:
    recorder = timeline.recorder
    before = recorder.began_ns
    for number, at in enumerate(recorder.steps_ns, 1):
        yield _event(timeline, (_CLIENT, _STEPS), f"step {number}", "step", before, at)
        before = at


def _threads(timeline: Timeline) -> dict[int, int]:
    """Number the threads that named parts of the script, by number."""
    idents = dict.fromkeys(part.thread for part in timeline.recorder.ranges)
    return dict(enumerate(idents))


def _ranges(timeline: Timeline) -> Iterator[Event]:
    numbers = {ident: number for number, ident in _threads(timeline).items()}
    for part in timeline.recorder.ranges:
        track = (_CLIENT, _RANGES + numbers[part.thread])
        calls = part.end_call - part.first_call
        yield _event(timeline, track, part.name, "user_annotation", part.began_ns, part.ended_ns, calls=calls)


def _work(timeline: Timeline) -> Iterator[Event]:
    programs = program_names()
    for work in timeline.work:
        name = f"batch of {len(work.calls)} calls" if len(work.calls) != 1 else "batch of 1 call"
        yield _event(timeline, (_WORKER, _BATCHES), name, "batch", work.began_ns, work.ended_ns)
        for call in work.calls:
            inputs = [str(meta) for meta in call.called.metas]
            line = str(place_of(call.site))
            yield _event(
                timeline, (_WORKER, _CALLS), op_name(call.called, programs), "cpu_op", call.began_ns, call.ended_ns, line=line,
                inputs=inputs,
            )  # fmt: skip
