"""Threads that make a DataLoader's batches ahead of their use, in the order of the sampler.

PyTorch starts processes; a process here would have a session of its own, and could not hand over tensors. Each thread has
what a process would: a number, a shallow copy of the data set, and random numbers of its own.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from itertools import cycle
from typing import Any

__all__ = ["Crew", "WorkerInfo", "check_workers", "get_worker_info"]


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a data set may ask in a thread that reads it: which one of how many, its seed, its copy of the data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Local(threading.local):
    info: WorkerInfo | None = None


_local = _Local()
_END = object()


def get_worker_info() -> WorkerInfo | None:
    """Return what the calling thread is to a DataLoader; None outside of its threads."""
    return _local.info


def check_workers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool, context: object
) -> None:
    """Raise ValueError for options that exclude each other or cannot be."""
    if num_workers < 0:
        raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to enable "
            "multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")
    if context is not None:
        raise ValueError(
            f"DataLoader reads ahead in threads of this process, so there is no multiprocessing_context to choose; got "
            f"{context!r}; leave it out"
        )


def _base_seed(generator: Any) -> int:
    """Draw a seed for a pass from the loader's generator, without asking the worker for it."""
    from gradwire.random import default_generator

    seed, offset = (generator or default_generator).take(1)
    # Knuth's MMIX constants: neighbouring (seed, offset) pairs must not give neighbouring seeds.
    return int((seed * 6364136223846793005 + offset * 1442695040888963407) % (1 << 62))


class Crew:
    """The threads of one pass, or of all passes of a loader whose workers persist. One executor each keeps their order."""

    def __init__(self, dataset: Any, count: int, init: Callable[[int], Any] | None, generator: Any) -> None:
        base = _base_seed(generator)
        self._infos = [WorkerInfo(i, count, base + i, copy.copy(dataset)) for i in range(count)]
        self._threads = [
            ThreadPoolExecutor(1, thread_name_prefix=f"gradwire-dataloader-{info.id}") for info in self._infos
        ]
        self._started = [
            thread.submit(_start, info, init) for thread, info in zip(self._threads, self._infos, strict=True)
        ]

    def end(self) -> None:
        """Let the threads finish what they are at, and no more."""
        for thread in self._threads:
            thread.shutdown(wait=False, cancel_futures=True)

    def batches(
        self, fetch: Callable[[Any, Any], Any], indices: Iterable[Any], ahead: int, timeout: float
    ) -> Iterator[Any]:
        """Yield `fetch(dataset, i)` for all i in order, made by the threads in turn, at most `ahead` before their use."""
        turns = cycle(range(len(self._threads)))
        pending: deque[tuple[int, Future[Any]]] = deque()
        for index in indices:
            turn = next(turns)
            pending.append((turn, self._threads[turn].submit(fetch, self._infos[turn].dataset, index)))
            if len(pending) >= max(ahead, 1):
                yield self._result(*pending.popleft(), timeout)
        while pending:
            yield self._result(*pending.popleft(), timeout)

    def streams(self, batches: Callable[[Any], Iterator[Any]], ahead: int, timeout: float) -> Iterator[Any]:
        """Yield the batches of each thread's own pass over its data set, in turn, until all have ended."""
        made = [_Lazily(batches, info.dataset) for info in self._infos]
        turns = deque(range(len(self._threads)))
        pending: deque[tuple[int, Future[Any]]] = deque()
        while turns or pending:
            while turns and len(pending) < max(ahead, len(turns)):
                pending.append((turns[0], self._threads[turns[0]].submit(made[turns[0]].next)))
                turns.rotate(-1)
            turn, future = pending.popleft()
            batch = self._result(turn, future, timeout)
            if batch is not _END:
                yield batch
            elif turn in turns:
                turns.remove(turn)

    def _result(self, turn: int, future: Future[Any], timeout: float) -> Any:
        try:
            self._started[turn].result(timeout or None)
            return future.result(timeout or None)
        except FutureTimeoutError:
            if future.done():
                raise  # the data set's own
            raise RuntimeError(f"DataLoader timed out after {timeout} seconds") from None
        except Exception as error:
            error.add_note(f"Caught in DataLoader worker {turn} (a thread).")
            raise


class _Lazily:
    """A pass over a data set, begun in the thread that reads it."""

    def __init__(self, batches: Callable[[Any], Iterator[Any]], dataset: Any) -> None:
        self._begin = batches
        self._dataset = dataset
        self._iterator: Iterator[Any] | None = None

    def next(self) -> Any:
        """Return the next batch, or `_END`."""
        if self._iterator is None:
            self._iterator = self._begin(self._dataset)
        return next(self._iterator, _END)


def _start(info: WorkerInfo, init: Callable[[int], Any] | None) -> None:
    from gradwire.random import Generator, use_in_this_thread

    _local.info = info
    use_in_this_thread(Generator().manual_seed(info.seed))
    if init is not None:
        init(info.id)
