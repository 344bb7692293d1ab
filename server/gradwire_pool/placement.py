"""Which workers a client gets: a pure function of what the workers are, what they have, and what is asked.

Never looks at a clock, a process or the network: the table gives it candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

__all__ = ["Candidate", "Refusal", "Request", "place"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A worker that serves, as placement sees it."""

    name: str
    node: str
    device: str
    lease_count: int
    # The share of one processor that it used lately. Above 1 where its kernels have threads.
    busy: float
    # What is left on the node (the workers of a CPU node share it) or on the device.
    free_memory_bytes: int
    # Lent to one client that asked to be alone.
    is_exclusive: bool = False

    @property
    def kind(self) -> str:
        """Return `cpu` or `cuda`."""
        return self.device.partition(":")[0]

    @property
    def memory(self) -> str:
        """Name the memory that it computes in: the node's, or its own device's."""
        return self.node if self.kind == "cpu" else self.name


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for."""

    workers: int
    device: str = ""
    memory_bytes: int = 0
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was chosen: requirement, what there is, what to do."""

    words: str


def place(candidates: Sequence[Candidate], request: Request) -> tuple[str, ...] | Refusal:
    """Return the names of the chosen workers, the least loaded first, or why there are not enough.

    Fewest leases come first, then the least busy, then the most memory. Several workers are taken from one node where no
    other choice would have fewer leases: tensors between them then go through shared memory.
    """
    if request.workers < 1:
        return Refusal(f"a lease needs at least 1 worker; got {request.workers}")
    open_ones = [c for c in candidates if _suits(c, request)]
    chosen = _take(sorted(open_ones, key=_load), request)
    if chosen is None:
        return Refusal(_words(candidates, open_ones, request))
    return tuple(c.name for c in _on_one_node(open_ones, request, sum(c.lease_count for c in chosen)) or chosen)


def _suits(candidate: Candidate, request: Request) -> bool:
    if request.device and request.device != candidate.kind:
        return False
    if candidate.is_exclusive or (request.exclusive and candidate.lease_count):
        return False
    return candidate.free_memory_bytes >= request.memory_bytes


def _load(candidate: Candidate) -> tuple[int, float, int, str]:
    # Rounded: the figures of two idle workers must not shuffle them.
    return (candidate.lease_count, round(candidate.busy, 1), -(candidate.free_memory_bytes >> 30), candidate.name)


def _take(ordered: Sequence[Candidate], request: Request) -> list[Candidate] | None:
    """Return the first workers that fit together, or None: each takes its share of the memory that some of them have in common."""
    left: dict[str, int] = {}
    chosen: list[Candidate] = []
    for candidate in ordered:
        free = left.get(candidate.memory, candidate.free_memory_bytes)
        if free >= request.memory_bytes and len(chosen) < request.workers:
            left[candidate.memory] = free - request.memory_bytes
            chosen.append(candidate)
    return chosen if len(chosen) == request.workers else None


def _on_one_node(candidates: Sequence[Candidate], request: Request, leases: int) -> list[Candidate] | None:
    """Return a choice from a single node with no more leases than `leases`, or None."""
    if request.workers == 1:
        return None
    by_node = groupby(sorted(candidates, key=lambda c: (c.node, _load(c))), key=lambda c: c.node)
    found = [chosen for _, members in by_node if (chosen := _take(list(members), request)) is not None]
    least = [chosen for chosen in found if sum(c.lease_count for c in chosen) <= leases]
    return min(least, key=lambda chosen: [_load(c) for c in chosen], default=None)


def _words(candidates: Sequence[Candidate], open_ones: Sequence[Candidate], request: Request) -> str:
    asked = [f"{request.workers} worker{'s' if request.workers > 1 else ''}"]
    asked += [f"with device {request.device}"] if request.device else []
    asked += [f"with {request.memory_bytes:,} bytes free each"] if request.memory_bytes else []
    asked += ["of its own"] if request.exclusive else []
    taken = sum(c.is_exclusive for c in candidates)
    return (
        f"a lease needs {' '.join(asked)}; the pool serves on {len(candidates)}, of which {len(open_ones)} would suit and {taken} "
        "are lent exclusively; ask for less, wait, or add workers with: gradwire pool scale N"
    )
