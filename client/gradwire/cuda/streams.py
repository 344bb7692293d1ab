"""`torch.cuda.Stream` and `Event`: a session's calls run in one order, so a stream orders nothing, and an event is a wait."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

__all__ = ["Event", "Stream", "current_stream", "default_stream", "set_stream", "stream"]


def _need_cuda(name: str) -> None:
    from gradwire import cuda

    if not cuda.is_available():
        raise RuntimeError(f"torch.cuda.{name} requires CUDA support")


def _wait() -> None:
    from gradwire import session

    session.current().wait()


class Stream:
    """The one order in which a session's calls run; all streams are it."""

    def __init__(self, device: Any = None, priority: int = 0) -> None:
        _need_cuda("Stream")
        self.priority = priority

    def synchronize(self) -> None:
        """Wait until all calls so far have run."""
        _wait()

    def query(self) -> bool:
        """Return True, having waited: a worker is not asked how far it is."""
        _wait()
        return True

    def wait_stream(self, stream: Stream) -> None:
        """Return at once: later calls run after earlier ones."""

    def wait_event(self, event: Event) -> None:
        """Return at once: later calls run after earlier ones."""

    def record_event(self, event: Event | None = None) -> Event:
        """Record an event, or a new one, and return it."""
        event = event or Event()
        event.record(self)
        return event

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream)

    def __hash__(self) -> int:
        return 0


class Event:
    """A moment in a session's calls. Recording waits for the calls before it, so that the time between two is theirs."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        _need_cuda("Event")
        if interprocess:
            raise RuntimeError("an event of a session is of one process; got interprocess=True; leave it out")
        self._timing = enable_timing
        self._at: float | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Wait until all calls so far have run, and note the time."""
        _wait()
        self._at = time.perf_counter()

    def wait(self, stream: Stream | None = None) -> None:
        """Return at once: later calls run after earlier ones."""

    def synchronize(self) -> None:
        """Return at once: recording waited."""

    def query(self) -> bool:
        """Return True: recording waited."""
        return True

    def elapsed_time(self, end_event: Event) -> float:
        """Return the milliseconds to another event, the way to the worker and back included."""
        if not (self._timing and end_event._timing):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self._at is None or end_event._at is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        return (end_event._at - self._at) * 1000.0


class stream:
    """A context in which a stream is the current one, which changes nothing; None is accepted, as in PyTorch."""

    def __init__(self, stream: Stream | None) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def current_stream(device: Any = None) -> Stream:
    """Return the stream."""
    return Stream()


def default_stream(device: Any = None) -> Stream:
    """Return the stream."""
    return Stream()


def set_stream(stream: Stream) -> None:
    """Accept a stream; there is one."""
