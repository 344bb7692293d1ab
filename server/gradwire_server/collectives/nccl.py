"""Collectives between GPU workers: NCCL, through nccl4py on CuPy arrays. Extra `[nccl]`. It has not run on a GPU yet.

NCCL does not say when a peer is gone: a collective then hangs. So nothing here blocks on a stream; waits poll an event and the
communicator's own error, and abort at the deadline.
"""

from __future__ import annotations

import time
from typing import Any

from gradwire_server.collectives.interface import Collective, Meeting

__all__ = ["open_nccl"]

_POLL_SECONDS = 0.0005


def open_nccl(meeting: Meeting, rank: int, size: int, host: str, seconds: float) -> Collective:
    """Meet the other members; raise RuntimeError without nccl4py, TimeoutError if they do not come."""
    try:
        import cupy
        from nccl import core
    except ImportError as error:
        raise RuntimeError(
            f"collectives between GPU workers need NCCL: pip install 'gradwire[nccl]' for each worker; {error}"
        ) from None
    if rank == 0:
        # In this process, since the call opens the socket that the others connect to.
        meeting.set("nccl", core.get_unique_id().as_bytes)
    identity = core.UniqueId.from_bytes(meeting.get("nccl", seconds))
    opened = core.Communicator.init(size, rank, identity, core.NCCLConfig(blocking=False))
    made = _Nccl(cupy, core, opened, seconds)
    made.settle(seconds)
    return made


class _Work:
    """A collective on the group's stream, and the arrays that it uses until then."""

    def __init__(self, group: _Nccl, event: Any, *held: Any) -> None:
        self._group, self._event, self._held = group, event, held

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._event.done:
            self._group.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"a collective must complete within {seconds:g} s; it did not")
            time.sleep(_POLL_SECONDS)


class _Nccl:
    def __init__(self, cupy: Any, core: Any, opened: Any, seconds: float) -> None:
        self._cupy, self._core, self._opened, self._seconds = cupy, core, opened, seconds
        self._stream = cupy.cuda.Stream(non_blocking=True)

    def check(self) -> bool:
        """Return whether nothing is being set up any more; raise RuntimeError for what the communicator reports."""
        state = str(self._opened.get_async_error()).rpartition(".")[2].lower()
        if "progress" in state:
            return False
        if "success" not in state:
            raise RuntimeError(f"NCCL reports {state}")
        return True

    def settle(self, seconds: float) -> None:
        """Wait until the communicator is ready for its next call."""
        deadline = time.monotonic() + seconds
        while not self.check():
            if time.monotonic() > deadline:
                self.abort()
                raise TimeoutError(f"NCCL must be ready within {seconds:g} s; it was not")
            time.sleep(_POLL_SECONDS)

    def _after_compute(self) -> None:
        """Let the group's stream wait for what the present one was given, which made the arrays."""
        event = self._cupy.cuda.Event(disable_timing=True)
        event.record(self._cupy.cuda.get_current_stream())
        self._stream.wait_event(event)

    def _work(self, *held: Any) -> _Work:
        self.settle(self._seconds)
        event = self._cupy.cuda.Event(disable_timing=True)
        event.record(self._stream)
        return _Work(self, event, *held)

    def all_reduce(self, values: Any) -> _Work:
        self._after_compute()
        self._opened.allreduce(values, values, self._core.SUM, stream=self._stream)
        return self._work(values)

    def reduce_scatter(self, values: Any, into: Any) -> _Work:
        self._after_compute()
        self._opened.reduce_scatter(values, into, self._core.SUM, stream=self._stream)
        return self._work(values, into)

    def all_gather(self, values: Any, into: Any) -> _Work:
        self._after_compute()
        self._opened.allgather(values, into, stream=self._stream)
        return self._work(values, into)

    def broadcast(self, values: Any, root: int) -> _Work:
        self._after_compute()
        self._opened.broadcast(values, values, root, stream=self._stream)
        return self._work(values)

    def barrier(self) -> _Work:
        return self.all_reduce(self._cupy.zeros(1, "float32"))

    def abort(self) -> None:
        self._opened.abort()

    def close(self) -> None:
        self._opened.abort()
