"""`Profile`: what `with gw.profile() as p:` gives."""

from __future__ import annotations

import os
import time
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gradwire.profiling.findings import findings
from gradwire.profiling.functions import FunctionCost, Marks
from gradwire.profiling.picture import picture
from gradwire.profiling.ranges import running
from gradwire.profiling.recorder import Recorder
from gradwire.profiling.summary import Summary, summary
from gradwire.profiling.table import SORTS, head, line_table, op_table
from gradwire.profiling.timeline import Timeline
from gradwire.profiling.trace import write_trace

if TYPE_CHECKING:
    from gradwire.session import Session

__all__ = ["Profile"]

# Empty round trips at the start and at the end, by which the clocks are joined.
_PROBES = 8


class Profile:
    """Where the time between client and worker goes, from the start of a `with` block to its end.

    `print(p)` shows it by line of the user's code; `p.lines`, `p.ops`, `p.functions` and `p.summary` are the same as records.
    """

    def __init__(self, session: Session | None = None) -> None:
        """Prepare to profile a session, by default the current one."""
        self._session = session
        self._recorder: Recorder | None = None
        self._marks: Marks | None = None
        self._left_ns = 0
        self._functions: tuple[FunctionCost, ...] = ()
        self._worker = ""

    # -- running -------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Wait until the worker has done what came before, and begin. Raises RuntimeError if the session is profiled already."""
        from gradwire import session as sessions

        if self._recorder is not None:
            raise RuntimeError("a profile runs once; it ran; make another one with gradwire.profile()")
        session = self._session = self._session or sessions.current()
        with session.lock:
            if session.profiler is not None:
                raise RuntimeError("a session is profiled by one profile at a time; another one runs; end it first")
            session.flush()
            session.drain()
            recorder = self._recorder = Recorder(session)
            recorder.learn(session.signatures.values())
            self._worker = f"{session.device} at {session.address}"
            self._marks = Marks()
            session.profiler = recorder
            _probe(recorder)
            recorder.first_call, recorder.began_ns = session.call_count, time.perf_counter_ns()
        running.append(recorder)
        return self

    def stop(self) -> None:
        """End; wait until the worker has done all, so that its times are here. Failures of calls are left to the next wait."""
        recorder = self._recorder
        if recorder is None or not self.is_running:
            return
        running.remove(recorder)
        session = recorder.session
        self._left_ns = time.perf_counter_ns()
        try:
            with session.lock:
                if not session.is_closed:
                    session.flush()
                    session.drain()
                    recorder.ended_ns = time.perf_counter_ns()
                    _probe(recorder)
        finally:
            session.profiler = None
            recorder.ended_ns = recorder.ended_ns or time.perf_counter_ns()
            assert self._marks is not None
            self._functions = self._marks.since()

    @property
    def is_running(self) -> bool:
        """Return whether it has begun and not ended."""
        return self._recorder in running

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def step(self) -> None:
        """Say that a step ends here. Without it, steps are counted by calls of `backward` or of programs."""
        if self.is_running:
            assert self._recorder is not None
            self._recorder.steps_ns.append(time.perf_counter_ns())

    # -- results -------------------------------------------------------------------------------------------------------

    @cached_property
    def timeline(self) -> Timeline:
        """Return all that happened, on the client's clock."""
        if self._recorder is None or self.is_running:
            raise RuntimeError("a profile has results when it has ended; leave the `with` block, or call stop(), first")
        return Timeline(self._recorder)

    @cached_property
    def summary(self) -> Summary:
        """Return what it adds up to; `lines` and `ops` are in it."""
        return summary(self.timeline, self._functions, self._left_ns)

    @property
    def functions(self) -> tuple[FunctionCost, ...]:
        """Return how compiled functions ran."""
        return self._functions

    @property
    def findings(self) -> list[str]:
        """Return what it says in sentences."""
        return findings(self.summary, self._functions)

    def table(self, by: str = "line", *, sort_by: str = "time", limit: int = 20) -> str:
        """Return a table by "line" or by "op"; lines can be sorted by any of their numbers."""
        if by not in ("line", "op"):
            raise ValueError(f'a table is by "line" or by "op"; got {by!r}')
        if sort_by not in SORTS or (by == "op" and sort_by not in ("time", "worker_seconds")):
            raise ValueError(f"lines can be sorted by {', '.join(SORTS)}, ops by worker_seconds; got {sort_by!r}")
        total = self.summary
        return "\n".join(op_table(total.ops, limit) if by == "op" else line_table(total.lines, sort_by, limit))

    def __str__(self) -> str:
        """Return what it adds up to, the sentences, and the table by line."""
        said = [f"* {sentence}" for sentence in self.findings]
        parts = ["\n".join(head(self.summary, self._worker)), "\n".join(said), self.table()]
        return "\n\n".join(part for part in parts if part)

    def __repr__(self) -> str:
        return f"<gradwire.profile, {'running' if self.is_running else 'ended' if self._recorder else 'not started'}>"

    def export_chrome_trace(self, path: str | os.PathLike[str], **metadata: Any) -> None:
        """Write a trace for Perfetto (ui.perfetto.dev) or chrome://tracing; compressed if the path ends in `.gz`."""
        write_trace(self.timeline, self._worker, path, metadata)

    export = export_chrome_trace

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw it, as an SVG file: client and worker over time, and the dearest lines."""
        if not os.fspath(path).endswith(".svg"):
            raise ValueError(f"a plot is an SVG file, so its name must end in .svg; got {os.fspath(path)!r}")
        picture(self.timeline, self.summary, head(self.summary, self._worker)[0]).write(path)


def _probe(recorder: Recorder) -> None:
    """Make some round trips that do nothing."""
    session = recorder.session
    recorder.is_probing = True
    for _ in range(_PROBES):
        session.flush(always=True)
        session.drain()
    recorder.is_probing = False
