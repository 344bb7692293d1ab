"""The pool's table: workers, their incarnations, and who has them on lease. Events in, instructions out.

Every method takes the time; nothing here reads a clock, starts a process or knows of Ray. Numbers (incarnations and epochs) come
from one counter that starts at the milliseconds since 1970, so that a controller which lost its memory goes on above them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from gradwire_pool.placement import Candidate, Refusal, Request, place
from gradwire_pool.records import Announcement, Bounds, Instruction, Lease, Member, State, Todo, Worker
from gradwire_protocol.errors import NoWorkerFree, WorkerLost

__all__ = ["Table", "worker_name"]

# One controller hears each of them twice a second.
MAX_WORKERS = 1024
# Each is looked at in every placement.
MAX_LEASES = 10_000
_LEASE_CHARACTERS = 32
_GONE = (State.LOST, State.ENDING)


def worker_name(index: int) -> str:
    """Return the name of the worker with an index."""
    return f"worker-{index}"


class Table:
    """Workers and leases. One per pool, in the controller."""

    def __init__(self, first_number: int, new_identity: Callable[[], str], bounds: Bounds | None = None) -> None:
        """Begin empty. `first_number` is the time in ms; `new_identity` makes names of leases that nobody can guess."""
        self.bounds = bounds or Bounds()
        self.workers: dict[str, Worker] = {}
        self.leases: dict[str, Lease] = {}
        # The same leases by worker: a placement must not look through all of them.
        self._of_worker: defaultdict[str, dict[str, Lease]] = defaultdict(dict)
        self._new_identity = new_identity
        self._number = first_number

    def next_number(self) -> int:
        """Return a number greater than all before, also before a restart."""
        self._number += 1
        return self._number

    @property
    def last_number(self) -> int:
        """Return the last number that was given."""
        return self._number

    # -- workers -------------------------------------------------------------------------------------------------------

    def scale(self, count: int, now: float) -> list[Instruction]:
        """Start workers, or drain those with the fewest leases, so that `count` of them stay; raise ValueError for too many."""
        if not 0 <= count <= MAX_WORKERS:
            raise ValueError(f"a pool has 0 to {MAX_WORKERS:,} workers; got {count:,}; start a second pool")
        staying = [w for w in self.workers.values() if w.state not in (State.DRAINING, State.ENDING)]
        surplus = sorted(staying, key=lambda w: (self.lease_count(w.name), -_index(w.name)))[: len(staying) - count]
        instructions = [i for w in surplus for i in self.drain(w.name, now)] if len(staying) > count else []
        for name in self._unused_names(count - len(staying)):
            self.workers[name] = Worker(name, State.STARTING, now)
            instructions.append(Instruction(Todo.START, name))
        return instructions

    def adopt(self, names: Sequence[str], now: float) -> None:
        """Take over workers whose actors exist already, after a restart of the controller."""
        for name in names:
            self.workers.setdefault(name, Worker(name, State.STARTING, now))

    def _unused_names(self, count: int) -> Iterator[str]:
        index = 0
        while count > 0:
            if worker_name(index) not in self.workers:
                yield worker_name(index)
                count -= 1
            index += 1

    def announce(self, said: Announcement, now: float) -> int:
        """Note that a worker is there; return its incarnation, or 0 where it is to end: it was retired or replaced."""
        worker = self.workers.get(said.worker)
        if worker is None or 0 < said.incarnation < worker.incarnation:
            return 0
        if worker.said is None or worker.said.instance != said.instance:
            self._number = max(self._number, said.incarnation)
            worker.incarnation = said.incarnation or self.next_number()
            worker.starts += 1
            worker.silent_since = None
        worker.said, worker.announced_at = said, now
        if worker.state in (State.STARTING, State.LOST) and worker.silent_since is None:
            worker.state, worker.since = State.SERVING, now
        return worker.incarnation

    def probed(self, member: Member, answered: bool, now: float) -> None:
        """Note whether a worker's process answered a health check that was sent at `now`."""
        worker = self.workers.get(member.worker)
        if worker is None or worker.incarnation != member.incarnation:
            return
        if answered:
            worker.silent_since = None
        elif worker.silent_since is None:
            worker.silent_since = now

    def tick(self, now: float) -> list[Instruction]:
        """Drop leases that ran out, and return what has to be done about workers that are silent, hung or drained."""
        for number in [n for n, lease in self.leases.items() if lease.expires_at <= now]:
            self.release(number)
        instructions = []
        for worker in list(self.workers.values()):
            instructions += self._look_at(worker, now)
        return instructions

    def _look_at(self, worker: Worker, now: float) -> list[Instruction]:
        bounds, age = self.bounds, now - worker.since
        if worker.state is State.DRAINING:
            if self.lease_count(worker.name) and age < bounds.drain_seconds:
                return []
            worker.state, worker.since = State.ENDING, now
            return [Instruction(Todo.RETIRE, worker.name)]
        if worker.state is State.SERVING:
            hung = worker.silent_since is not None and now - worker.silent_since >= bounds.hung_seconds
            if hung or now - worker.announced_at > bounds.announced_seconds:
                worker.state, worker.since = State.LOST, now
                return [Instruction(Todo.RESTART, worker.name)] if hung else []
            return []
        if age < (bounds.recreate_seconds if worker.state is State.LOST else bounds.start_seconds):
            return []
        worker.since = now
        return [Instruction(Todo.RETIRE if worker.state is State.ENDING else Todo.RECREATE, worker.name)]

    def drain(self, name: str, now: float) -> list[Instruction]:
        """Lend a worker no more, and let it go when its leases are over or `drain_seconds` are."""
        worker = self._known(name)
        if worker.state is State.ENDING:
            return []
        if worker.state is not State.DRAINING:
            worker.state, worker.since = State.DRAINING, now
        return self._look_at(worker, now)

    def retired(self, name: str) -> None:
        """Forget a worker whose actor is gone."""
        worker = self.workers.get(name)
        if worker is not None and worker.state is State.ENDING:
            del self.workers[name]

    def _known(self, name: str) -> Worker:
        worker = self.workers.get(name)
        if worker is None:
            raise ValueError(
                f"a worker's name must be one of {', '.join(sorted(self.workers)) or 'none'}; got {name!r}"
            )
        return worker

    def serving(self) -> list[Worker]:
        """Return the workers that can be reached, the draining ones among them."""
        return [w for w in self.workers.values() if w.said is not None and w.state in (State.SERVING, State.DRAINING)]

    def is_current(self, member: Member) -> bool:
        """Return whether a lent process is still the one that serves."""
        worker = self.workers.get(member.worker)
        return worker is not None and worker.incarnation == member.incarnation and worker.state not in _GONE

    def resolve(self, name: str, after: int) -> Worker | None:
        """Return the worker once it serves as a later incarnation than `after`, else None; raise WorkerLost if it never will."""
        worker = self.workers.get(name)
        if worker is None or worker.state in (State.DRAINING, State.ENDING):
            raise WorkerLost(f"{name} must stay in the pool to be replaced; it was drained; lease another worker")
        return worker if worker.state is State.SERVING and worker.incarnation > after else None

    # -- leases --------------------------------------------------------------------------------------------------------

    def lease_count(self, name: str) -> int:
        """Return how many leases a worker is part of."""
        return len(self._of_worker[name]) if name in self._of_worker else 0

    def candidates(self) -> list[Candidate]:
        """Return the workers that can be lent, as placement sees them."""
        return [self._candidate(w, w.said) for w in self.workers.values() if w.state is State.SERVING and w.said]

    def _candidate(self, worker: Worker, said: Announcement) -> Candidate:
        leases = self._of_worker[worker.name].values()
        shares = said.node if said.device.startswith("cpu") else worker.name
        # What was promised counts from the start, though it is not in use yet.
        free = min(said.available_memory_bytes, said.total_memory_bytes - self._promised_bytes(shares))
        return Candidate(
            worker.name, said.node, said.device, len(leases), said.busy, free, any(lease.exclusive for lease in leases)
        )

    def _promised_bytes(self, shares: str) -> int:
        names = [w.name for w in self.workers.values() if w.said and shares in (w.name, w.said.node)]
        return sum(lease.memory_bytes for name in names for lease in self._of_worker[name].values())

    def lease(self, request: Request, client: str, now: float) -> Lease:
        """Lend workers; raise NoWorkerFree, with what there is, where the request cannot be met."""
        if len(self.leases) >= MAX_LEASES:
            raise NoWorkerFree(f"a pool keeps {MAX_LEASES:,} leases and has that many; release some")
        chosen = place(self.candidates(), request)
        if isinstance(chosen, Refusal):
            raise NoWorkerFree(chosen.words)
        members = tuple(Member(name, self.workers[name].incarnation) for name in chosen)
        lease = Lease(
            self._new_identity(),
            members,
            now + self.bounds.lease_seconds,
            request.exclusive,
            request.memory_bytes,
            client,
        )
        return self._hold(lease)

    def _hold(self, lease: Lease) -> Lease:
        self.leases[lease.number] = lease
        for member in lease.members:
            self._of_worker[member.worker][lease.number] = lease
        return lease

    def renew(self, lease: Lease, now: float) -> Lease:
        """Prolong a lease. One that is unknown, since the controller restarted or it ran out, is taken up as the client says.

        Raises NoWorkerFree if that cannot be: one of its workers is lent exclusively by now, or is none of the pool's.
        """
        known = self.leases.get(lease.number)
        if known is None:
            self._check_taken_up(lease)
            known = self._hold(lease)
        known.expires_at = now + self.bounds.lease_seconds
        return known

    def _check_taken_up(self, lease: Lease) -> None:
        names = [m.worker for m in lease.members]
        if len(self.leases) >= MAX_LEASES or len(lease.number) != _LEASE_CHARACTERS or len(set(names)) != len(names):
            raise NoWorkerFree("a lease must be renewed in time, as it was given; this one ran out; lease again")
        taken = {c.name for c in self.candidates() if c.is_exclusive or (lease.exclusive and c.lease_count)}
        for name in names:
            if name in taken or name not in self.workers:
                raise NoWorkerFree(
                    f"a lease must be renewed in time; it ran out and {name[:40]} was lent to another or left; lease again"
                )

    def release(self, number: str) -> None:
        """End a lease; one that is over already is none the less."""
        lease = self.leases.pop(number, None)
        for member in lease.members if lease else ():
            self._of_worker[member.worker].pop(number, None)


def _index(name: str) -> int:
    return int(name.rpartition("-")[2])
