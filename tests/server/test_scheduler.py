"""Whose batch runs next, on a simulated device: no threads, and time is what batches cost."""

from __future__ import annotations

import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from gradwire_server.lane import Lane, Turn, step_aside
from gradwire_server.scheduler import MOST_DEBT_SECONDS, QUANTUM_SECONDS, Rounds, Share

# In milliseconds: from a call on a small tensor to a program.
COSTS = st.lists(st.integers(1, 200), min_size=2, max_size=8)


def used_seconds(costs: list[float], turns: int) -> list[float]:
    """Return what sessions used that always have a batch waiting, each of its own cost."""
    rounds: Rounds[Share] = Rounds()
    shares, used = [Share() for _ in costs], [0.0] * len(costs)
    for share in shares:
        rounds.join(share)
    for _ in range(turns):
        running = rounds.next()
        assert running is not None
        number = shares.index(running)
        used[number] += costs[number]
        rounds.charge(running, costs[number])
        rounds.join(running)
    return used


@settings(max_examples=25)
@given(COSTS)
def test_sessions_that_always_want_the_device_get_equal_time(costs: list[int]) -> None:
    seconds = [cost / 1000 for cost in costs]
    used = used_seconds(seconds, turns=500)
    assert max(used) - min(used) <= max(seconds) + min(seconds) + 2 * QUANTUM_SECONDS


def test_a_debt_of_whole_quanta_ends_in_spite_of_rounding() -> None:
    for quanta in range(1, 2000):
        rounds: Rounds[Share] = Rounds()
        share = Share()
        rounds.charge(share, (quanta + 1) * QUANTUM_SECONDS)
        rounds.join(share)
        assert rounds.next() is share


def test_a_session_that_floods_keeps_nobody_waiting_for_more_than_its_running_batch() -> None:
    rounds: Rounds[Share] = Rounds()
    flood, other = Share(), Share()
    for _ in range(1000):
        rounds.charge(flood, 0.05)
        rounds.join(flood)
        rounds.join(other)
        assert rounds.next() is other
        rounds.charge(other, 0.001)
        assert rounds.next() is flood


def test_no_session_waits_for_ever_whatever_it_owes() -> None:
    rounds: Rounds[Share] = Rounds()
    debtor, others = Share(), [Share() for _ in range(3)]
    for share in others:
        rounds.join(share)
    rounds.charge(debtor, 1.0)
    rounds.join(debtor)
    used = 0.0
    while (running := rounds.next()) is not debtor:
        assert running is not None
        used += 0.001
        rounds.charge(running, 0.001)
        rounds.join(running)
    assert 2.9 < used < 3.1  # what the debtor had used, of each of the three


def test_what_is_owed_has_a_bound() -> None:
    rounds: Rounds[Share] = Rounds()
    debtor, other = Share(), Share()
    rounds.join(other)
    rounds.charge(debtor, 3600.0)
    rounds.join(debtor)
    used = 0.0
    while rounds.next() is other:
        used += 0.1
        rounds.charge(other, 0.1)
        rounds.join(other)
    assert abs(used - MOST_DEBT_SECONDS) < 0.2


def test_time_that_nobody_else_wanted_is_not_owed() -> None:
    rounds: Rounds[Share] = Rounds()
    early, late = Share(), Share()
    rounds.charge(early, 60.0)
    assert rounds.next() is None
    rounds.join(early)
    rounds.join(late)
    assert rounds.next() is early


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Client(threading.Thread):
    """A session that wants the lane once, and holds it until it is told."""

    def __init__(self, lane: Lane) -> None:
        super().__init__(daemon=True)
        self.turn, self.entered, self.told = Turn(lane), threading.Event(), threading.Event()

    def run(self) -> None:
        self.turn.lane.enter(self.turn)
        self.entered.set()
        self.told.wait()
        self.turn.lane.leave(self.turn, 0.001)


def test_one_batch_runs_at_a_time_and_the_next_when_it_left() -> None:
    lane = Lane(Clock(), overdue_seconds=1000)
    clients = [Client(lane) for _ in range(3)]
    for client in clients:
        client.start()
    for _ in clients:
        while not any(client.entered.is_set() for client in clients):
            pass
        inside = [client for client in clients if client.entered.is_set()]
        assert len(inside) == 1
        clients.remove(inside[0])
        inside[0].told.set()
        inside[0].join()


def test_an_overdue_batch_runs_on_beside_the_next_one() -> None:
    clock = Clock()
    lane = Lane(clock, overdue_seconds=10)
    long, short = Client(lane), Client(lane)
    long.start()
    long.entered.wait()
    short.start()
    while not lane.waiting:
        pass
    lane.pass_overdue()
    assert not short.entered.is_set()
    clock.now = 11
    lane.pass_overdue()
    short.entered.wait()
    for client in (short, long):
        client.told.set()
        client.join()
    again = Turn(lane)
    lane.enter(again)  # the lane is free: the overdue batch handed on nothing when it ended
    lane.leave(again, 0.0)


def test_a_batch_that_waits_for_something_else_steps_aside() -> None:
    lane = Lane(Clock(), overdue_seconds=1000)
    waiting, other = Turn(lane), Client(lane)
    lane.enter(waiting)
    step_aside()
    other.start()
    other.entered.wait()
    other.told.set()
    other.join()
    lane.leave(waiting, 0.0)
    step_aside()  # no batch runs in this thread: nothing happens


def test_a_queue_that_does_not_move_shows() -> None:
    clock = Clock()
    lane = Lane(clock, overdue_seconds=1000)
    holder, second, third = Client(lane), Client(lane), Client(lane)
    holder.start()
    holder.entered.wait()
    clock.now = 60
    assert lane.still_seconds() == 0, "nobody waits"
    for number, client in enumerate((second, third), 1):
        client.start()
        while lane.waiting < number:
            time.sleep(0.001)
    assert lane.still_seconds() == 0
    clock.now = 67
    assert lane.still_seconds() == 7
    holder.told.set()
    second.entered.wait()
    assert lane.still_seconds() == 0
    for client in (second, third):
        client.told.set()
    for client in (holder, second, third):
        client.join()
    clock.now = 99
    assert lane.still_seconds() == 0
