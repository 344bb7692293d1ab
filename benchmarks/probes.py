"""What must be measured in a fresh process: memory of tensors and graphs, of this client and of a worker of its own.

`python -m benchmarks.probes graph 10000` prints one line of JSON.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import gradwire as gw
from benchmarks.children import say
from benchmarks.eager_rows import chain
from benchmarks.worker import Worker, resident_bytes
from gradwire.session import Session

__all__: list[str] = []

# Values of a tensor in these probes; their bytes are not overhead.
ELEMENTS = 16
_SAMPLES = 10


def _held(worker: Worker, session: Session) -> dict[str, int]:
    session.wait()
    gc.collect()
    return {"client": resident_bytes(), "worker": worker.resident_bytes}


def graph(worker: Worker, count: int) -> dict[str, int]:
    """Return by how many bytes each side grew for a graph of `count` nodes."""
    session = worker.session()
    leaf, half = gw.ones(ELEMENTS, requires_grad=True), gw.full((ELEMENTS,), 0.5)
    chain(leaf, half, 1000).sum().backward()
    before = _held(worker, session)
    end = chain(leaf, half, count)
    after = _held(worker, session)
    end.sum().backward()
    session.close()
    return {side: after[side] - before[side] for side in before}


def _grow(worker: Worker, count: int, keep: Callable[[list[Any], Any], object]) -> dict[str, list[int]]:
    """Make `count` tensors and return how much each side holds at equal steps on the way."""
    session = worker.session()
    kept: list[Any] = []
    x = gw.ones(ELEMENTS)
    for _ in range(5000):
        y = x + 1
    del y
    seen: dict[str, list[int]] = {"client": [], "worker": []}
    for _ in range(_SAMPLES + 1):
        for side, bytes_ in _held(worker, session).items():
            seen[side].append(bytes_)
        for _ in range(count // _SAMPLES):
            keep(kept, x + 1)
    session.close()
    return seen


def live(worker: Worker, count: int) -> dict[str, list[int]]:
    """Keep all tensors."""
    return _grow(worker, count, lambda kept, tensor: kept.append(tensor))


def dropped(worker: Worker, count: int) -> dict[str, list[int]]:
    """Keep none."""
    return _grow(worker, count, lambda kept, tensor: None)


def main() -> None:
    """Run one probe."""
    probe, count = sys.argv[1:]
    probes: dict[str, Callable[[Worker, int], Any]] = {"graph": graph, "live": live, "dropped": dropped}
    with Worker() as worker:
        say(probes[probe](worker, int(count)))


if __name__ == "__main__":
    main()
