"""`prefetch`: batches on their way to the worker before they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

__all__ = ["prefetch"]

T = TypeVar("T")


def prefetch(loader: Iterable[T], depth: int = 2) -> Iterator[T]:
    """Yield the batches of `loader`, keeping the next `depth` of them begun.

    The elements of a batch travel while the script goes on, so a batch that was made `depth` steps ago is on the worker
    when its step runs, even in a script that waits for the loss of every step. Memory for `depth` batches more is in use.
    Making a batch takes time of the script's own thread; a DataLoader with `num_workers` makes them in others, and needs no
    `prefetch`.

    Raises ValueError for a depth below 1. What the loader raises comes when its batch is due, after those before it.
    """
    if depth < 1:
        raise ValueError(f"prefetch needs a depth of at least 1; got {depth}")
    return _ahead(iter(loader), depth)


def _ahead(batches: Iterator[T], depth: int) -> Iterator[T]:
    ready: deque[T] = deque()
    error: BaseException | None = None
    while True:
        try:
            if error is None:
                ready.extend(islice(batches, depth + 1 - len(ready)))
        except Exception as raised:
            error = raised
        if not ready:
            if error is not None:
                raise error
            return
        yield ready.popleft()
