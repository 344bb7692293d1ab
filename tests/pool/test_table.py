"""Workers, incarnations and leases: events and a clock in, instructions out."""

from __future__ import annotations

from itertools import count

import pytest

from gradwire_pool.placement import Request
from gradwire_pool.records import Announcement, Instruction, Lease, Member, State, Todo
from gradwire_pool.table import MAX_LEASES, Table
from gradwire_protocol.errors import NoWorkerFree, WorkerLost

GIB = 1 << 30
START = 1_000


class Pool:
    """A table with a clock that tests move, and workers that announce themselves as told."""

    def __init__(self, workers: int = 2, first_number: int = START) -> None:
        identities = count()
        self.table = Table(first_number, lambda: f"lease-{next(identities):026}")
        self.now = 0.0
        assert [i.todo for i in self.table.scale(workers, 0.0)] == [Todo.START] * workers
        for index in range(workers):
            self.announce(f"worker-{index}")

    def announce(self, name: str, instance: str = "first", incarnation: int = 0) -> int:
        said = Announcement(name, instance, incarnation, f"{name}:{instance}", "cpu", "a", 1, 0.0, 8 * GIB, 16 * GIB)
        return self.table.announce(said, self.now)

    def later(self, seconds: float, *announcing: str) -> list[Instruction]:
        """Let time pass in beats, while some workers go on announcing themselves."""
        end, found = self.now + seconds, []
        while self.now < end:
            self.now = min(self.now + 0.5, end)
            for name in announcing:
                worker = self.table.workers[name]
                assert worker.said is not None
                self.announce(name, worker.said.instance, worker.incarnation)
            found += self.table.tick(self.now)
        return found

    def lease(self, **asked: object) -> Lease:
        return self.table.lease(Request(**{"workers": 1, **asked}), "test", self.now)  # type: ignore[arg-type]

    def state(self, name: str) -> State:
        return self.table.workers[name].state


def test_a_new_process_gets_a_later_incarnation_and_the_same_process_keeps_its_own() -> None:
    pool = Pool()
    first = pool.table.workers["worker-0"].incarnation
    assert first > START
    assert pool.announce("worker-0", "first", first) == first
    assert pool.announce("worker-0", "second") > pool.table.workers["worker-1"].incarnation > first


def test_a_process_that_was_replaced_and_comes_back_is_told_to_end() -> None:
    pool = Pool()
    old = pool.table.workers["worker-0"].incarnation
    new = pool.announce("worker-0", "second")
    assert pool.announce("worker-0", "first", old) == 0
    assert pool.table.workers["worker-0"].incarnation == new


def test_a_silent_worker_is_lost_after_its_lease_and_made_again_if_it_stays_away() -> None:
    pool = Pool()
    assert pool.later(2.0, "worker-1") == []
    assert pool.state("worker-0") is State.SERVING
    assert pool.later(0.5, "worker-1") == []
    assert (pool.state("worker-0"), pool.state("worker-1")) == (State.LOST, State.SERVING)
    assert pool.later(9.5, "worker-1") == []
    assert pool.later(0.5, "worker-1") == [Instruction(Todo.RECREATE, "worker-0")]
    assert pool.later(9.5, "worker-1") == [], "it is given the same time again"


def test_a_hung_worker_is_restarted_once_and_serves_again_as_another_process() -> None:
    pool = Pool()
    worker = pool.table.workers["worker-0"]
    member = Member("worker-0", worker.incarnation)
    pool.table.probed(member, False, pool.now)
    pool.later(9.0, "worker-0", "worker-1")
    pool.table.probed(member, False, pool.now)
    assert pool.later(1.0, "worker-0", "worker-1") == [Instruction(Todo.RESTART, "worker-0")]
    assert pool.later(2.0, "worker-0", "worker-1") == []
    assert pool.state("worker-0") is State.LOST, "its actor's announcements do not make a hung process serve"
    pool.announce("worker-0", "second")
    assert pool.state("worker-0") is State.SERVING
    pool.table.probed(member, False, pool.now)
    assert worker.silent_since is None, "a late answer about the old process says nothing of the new one"


def test_an_answered_probe_starts_the_count_again() -> None:
    pool = Pool(1)
    member = Member("worker-0", pool.table.workers["worker-0"].incarnation)
    for answered in (False, True, False):
        pool.table.probed(member, answered, pool.now)
        assert pool.later(9.0, "worker-0") == []


def test_a_lease_ends_when_it_is_not_renewed() -> None:
    pool = Pool()
    lease = pool.lease(exclusive=True)
    pool.later(20.0, "worker-0", "worker-1")
    pool.table.renew(lease, pool.now)
    pool.later(29.5, "worker-0", "worker-1")
    assert pool.lease(exclusive=True).members != lease.members
    with pytest.raises(NoWorkerFree, match="1 worker of its own"):
        pool.lease(exclusive=True)
    pool.later(0.5, "worker-0", "worker-1")
    assert pool.lease(exclusive=True).members == lease.members


def test_leases_spread_and_what_they_promise_of_memory_counts() -> None:
    pool = Pool()
    assert {pool.lease(memory_bytes=7 * GIB).members[0].worker for _ in range(2)} == {"worker-0", "worker-1"}
    with pytest.raises(NoWorkerFree, match="bytes free each"):
        pool.lease(memory_bytes=7 * GIB)  # the two workers share a node of 16 GiB
    first = next(iter(pool.table.leases))
    pool.table.release(first)
    pool.table.release(first)
    assert pool.lease(memory_bytes=7 * GIB)


def test_a_table_that_lost_its_memory_takes_over_workers_and_leases() -> None:
    before = Pool()
    lease = before.lease(exclusive=True)
    held = {name: w.incarnation for name, w in before.table.workers.items()}
    after = Table(START - 900, lambda: "later" * 7)  # even a clock that was set back
    after.adopt(list(held), 0.0)
    for name, incarnation in held.items():
        said = Announcement(name, "first", incarnation, "a", "cpu", "a", 1, 0.0, 8 * GIB, 16 * GIB)
        assert after.announce(said, 0.0) == incarnation
    assert after.next_number() > max(held.values())
    after.renew(lease, 1.0)
    assert after.lease(Request(1, exclusive=True), "", 1.0).members[0].worker != lease.members[0].worker
    with pytest.raises(NoWorkerFree, match=r"it ran out and worker-\d was lent to another"):
        after.renew(Lease("f" * 32, lease.members, 0.0), 1.0)
    for strange in (Lease("short", lease.members, 0.0), Lease("f" * 32, (Member("elsewhere", 1),), 0.0)):
        with pytest.raises(NoWorkerFree, match="ran out"):
            after.renew(strange, 1.0)
    assert len(after.leases) == 2


def test_resolve_waits_for_a_later_incarnation_and_says_when_there_will_be_none() -> None:
    pool = Pool()
    old = pool.table.workers["worker-0"].incarnation
    assert pool.table.resolve("worker-0", old) is None
    pool.announce("worker-0", "second")
    found = pool.table.resolve("worker-0", old)
    assert found is not None
    assert found.said is not None
    assert found.said.address == "worker-0:second"
    pool.lease(workers=2)
    pool.table.drain("worker-0", pool.now)
    with pytest.raises(WorkerLost, match="worker-0 must stay in the pool"):
        pool.table.resolve("worker-0", old)


def test_a_draining_worker_is_lent_no_more_and_goes_with_its_last_lease() -> None:
    pool = Pool()
    lease = pool.lease(workers=2)
    assert pool.table.drain("worker-0", pool.now) == []
    assert {pool.lease().members[0].worker for _ in range(3)} == {"worker-1"}
    pool.table.release(lease.number)
    assert pool.later(0.5, "worker-0", "worker-1") == [Instruction(Todo.RETIRE, "worker-0")]
    assert pool.state("worker-0") is State.ENDING, "its actor still has the name"
    pool.table.retired("worker-0")
    assert pool.announce("worker-0", "first", 1) == 0, "a last word of it does not bring it back"
    assert "worker-0" not in pool.table.workers


def test_a_draining_worker_goes_at_the_latest_when_its_time_is_up() -> None:
    pool = Pool()
    lease = pool.lease(workers=2)
    pool.table.drain("worker-0", pool.now)
    for _ in range(3):
        assert pool.later(9.5, "worker-0", "worker-1") == []
        pool.table.renew(lease, pool.now)
    assert pool.later(1.5, "worker-0", "worker-1") == [Instruction(Todo.RETIRE, "worker-0")]


def test_scaling_takes_idle_workers_first_and_fills_free_names() -> None:
    pool = Pool(4)
    kept = pool.lease().members[0].worker
    gone = {i.worker for i in pool.table.scale(1, pool.now)}
    assert gone == {f"worker-{n}" for n in range(4)} - {kept}
    assert pool.table.scale(2, pool.now) == [Instruction(Todo.START, "worker-4")], "the others have their names still"
    for name in gone:
        pool.table.retired(name)
    assert pool.table.scale(3, pool.now) == [Instruction(Todo.START, "worker-1" if kept == "worker-0" else "worker-0")]
    assert pool.later(59.5, kept) == []
    assert {i.todo for i in pool.later(0.5, kept)} == {Todo.RECREATE}, "what does not come up is made again"
    with pytest.raises(ValueError, match=r"must be one of worker-0, worker-\d, worker-4; got 'worker-9'"):
        pool.table.drain("worker-9", pool.now)


def test_a_table_is_bounded() -> None:
    pool = Pool(1)
    with pytest.raises(ValueError, match="a pool has 0 to 1,024 workers; got 4,294,967,295"):
        pool.table.scale(2**32 - 1, pool.now)
    for _ in range(MAX_LEASES):
        pool.lease()
    with pytest.raises(NoWorkerFree, match="keeps 10,000 leases and has that many"):
        pool.lease()
