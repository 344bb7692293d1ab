"""Sessions of one worker take turns: equals get equal shares beside some that disturb, and no wait of one holds up another."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from gradwire.loadtest.report import jain
from gradwire.session import Session
from gradwire.transport import GrpcConnection, ask
from gradwire_protocol.errors import WorkerLost, WorkerUnreachable
from gradwire_server.backend import open_backend
from gradwire_server.lane import Lane, Turn
from gradwire_server.service import WorkerServer
from gradwire_server.settings import parse
from tests.support import open_loopback
from tests.system.onlooker import Onlooker, name_of, wait_until
from tests.system.test_worker import Worker

pytestmark = pytest.mark.system

_EQUALS = 4
_BATCHES = 800  # of the equals together, after which the shares are looked at

_SCRIPT = """
import json, select, sys, time
import gradwire as gw
from gradwire import session as sessions

gw.connect(*sys.argv[2:])
start = gw.ones(16)
large = gw.ones(400, 400)

def equal():
    x = start
    for _ in range(10):
        x = (x + start) * 0.5
    assert x.sum().item() == 16.0

def flood():
    for _ in range(30):
        large @ large
    sessions.current().flush()

step = {"equal": equal, "flood": flood}[sys.argv[1]]
step()
print(sessions.current()._link.welcome.token.hex(), flush=True)
sys.stdin.readline()
taken = []
while not select.select([sys.stdin], [], [], 0)[0]:
    began = time.perf_counter()
    step()
    taken.append((time.perf_counter() - began) * 1e3)
taken.sort()
print(json.dumps({"steps": len(taken), "p50": taken[len(taken) // 2], "p99": taken[int(len(taken) * 0.99)]}), flush=True)
"""


class Client:
    """A script that takes steps in a session of its own, from `go` to `stop`."""

    def __init__(self, role: str, address: str) -> None:
        command = [sys.executable, "-c", _SCRIPT, role, address]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ready(self) -> str:
        """Wait until it is warm; return its session's name."""
        return name_of(bytes.fromhex(self._line()))

    def say(self) -> None:
        """Tell it to begin, and then to stop."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def numbers(self) -> dict[str, float]:
        """Return how many steps it took, and their milliseconds."""
        found: dict[str, float] = json.loads(self._line())
        return found

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def worker() -> Iterator[Worker]:
    running = Worker()
    yield running
    running.process.kill()
    running.close()


class NeverReads:
    """Sends large batches, whose answers are large too, and reads no answer."""

    def __init__(self, address: str, batches: int) -> None:
        session, loopback = open_loopback()
        self.messages = self._recorded(session, loopback, batches)
        self.connection = GrpcConnection(address, connect_seconds=10, public_stream=False, is_alone=True)
        self.token = Session(self.connection)._link.welcome.token
        self.thread = threading.Thread(target=self._run, daemon=True)

    @staticmethod
    def _recorded(session: Session, loopback: Any, batches: int) -> list[bytes]:
        """Return a script's messages, as a worker session answers them that is not the one they are sent to."""
        import gradwire as gw
        from gradwire import session as sessions

        previous, sessions._current = sessions._current, session
        try:
            values = gw.ones(8000)
            for _ in range(batches):
                (values + 1.0).tolist()
        finally:
            sessions._current = previous
        recorded: list[bytes] = loopback.sent[1:]
        return recorded

    def _run(self) -> None:
        with suppress(WorkerLost):
            for message in self.messages:
                self.connection.stream.send(message)


def test_equals_get_equal_shares_beside_one_that_floods_and_one_that_never_reads(
    worker: Worker, record_property: Any
) -> None:
    equals = [Client("equal", worker.address) for _ in range(_EQUALS)]
    flood, silent = Client("flood", worker.address), NeverReads(worker.address, 1500)
    try:
        names = [client.ready() for client in equals]
        flood.ready()
        with Onlooker(worker.address) as onlooker:

            def batches() -> list[int]:
                found = {session.name: session.batches for session in onlooker.status().sessions}
                return [found[name] for name in names]

            before = batches()
            silent.thread.start()
            for client in (flood, *equals):
                client.say()
            wait_until(lambda: sum(batches()) - sum(before) >= _BATCHES, "the equals take their steps", 120)
            shares = [now - then for now, then in zip(batches(), before, strict=True)]
            applied = onlooker.session(silent.token).batches
        for client in (flood, *equals):
            client.say()
        numbers = [client.numbers() for client in equals]
    finally:
        for client in (flood, *equals):
            client.end()
        silent.connection.close()
    print("shares", shares, "Jain", round(jain(shares), 3), "never read", applied, "flood, equals", numbers)
    assert min(shares) >= sum(shares) / _EQUALS / 2, "each of the equals gets at least half of the mean"
    assert min(each["steps"] for each in numbers) > 0
    assert applied < len(silent.messages), "who does not read is held up himself, by what he left unread"


_MEETING = """
import sys
import gradwire as gw
from gradwire.collectives import Group

pair = gw.connect(sys.argv[1:])
group = Group(pair)
a, b = gw.ones(1000), gw.ones(1000, device="cpu:1")
for step in range(15):
    one, two = group.all_reduce([a * 0.5, b * 1.5])  # 0.5 a + 1.5 b
    a, b = one * 0.5, two.to("cpu:0").to("cpu:1") * 0.5
assert a.tolist() == b.tolist() == [1.0] * 1000
print("met")
"""


@pytest.mark.parity
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="gloo comes inside of PyTorch")
def test_sessions_that_meet_on_two_busy_workers_whatever_the_order_of_turns() -> None:
    workers = [Worker(), Worker()]
    addresses = [worker.address for worker in workers]
    floods = [Client("flood", address) for address in addresses]
    try:
        for flood in floods:
            flood.ready()
            flood.say()
        meeting = [
            subprocess.Popen([sys.executable, "-c", _MEETING, *order], stdout=subprocess.PIPE, text=True)
            for order in (addresses, addresses[::-1], addresses)
        ]
        assert [process.communicate(timeout=120)[0].strip() for process in meeting] == ["met"] * 3
    finally:
        for flood in floods:
            flood.end()
        for worker in workers:
            worker.process.kill()
            worker.close()


@pytest.mark.parametrize("flags", [[], ["--public-server"]])
def test_a_worker_in_which_nobody_gets_a_turn_answers_no_heartbeat(flags: list[str]) -> None:
    class Clock:
        now = 0.0

        def __call__(self) -> float:
            return self.now

    server = WorkerServer(open_backend("cpu"), parse(["--listen", "127.0.0.1:0", "--drain-seconds", "1", *flags]), int)
    clock = Clock()
    server.service.lane = lane = Lane(clock, overdue_seconds=1000)
    holder, waiting = Turn(lane), Turn(lane)
    thread = threading.Thread(target=lane.enter, args=[waiting])
    server.start()
    try:
        lane.enter(holder)
        thread.start()
        wait_until(lambda: lane.waiting, "a batch waits")
        assert ask(server.address, "/gradwire.v1.Worker/Heartbeat", b"", 5.0)
        clock.now = 6.0
        with pytest.raises(WorkerUnreachable, match="UNAVAILABLE"):
            ask(server.address, "/gradwire.v1.Worker/Heartbeat", b"", 5.0)
        assert server.service.totals().longest_running_seconds == 6.0
    finally:
        lane.leave(holder, 0.0)
        thread.join()
        server.drain()
