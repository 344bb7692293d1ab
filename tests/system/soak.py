"""A soak: clients train, are killed and replaced, and cut off, while the worker must hold what the living hold and no more.

    python -m tests.system.soak --seconds 600 --clients 4 --seed 7

In each round every client goes on to its next barrier. There its session must hold on the worker as many handles, and bytes, as
live objects of the client stand for, and its losses must have the bits of every other client of its seed. A session whose client
was killed must be gone within its lease and 2 s, and the worker's memory with it.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from gradwire_protocol.v1 import admin_pb2
from tests.system.onlooker import Onlooker
from tests.system.relay import Relay
from tests.system.test_worker import Worker

__all__ = ["LEASE_SECONDS", "Found", "soak"]

LEASE_SECONDS = 2.0
_GRACE_SECONDS = 2.0
_BARRIER_SECONDS = 60.0
# A block of its own for malloc, which gives it back at once; and far less than what all of the dead held.
_BALLAST_BYTES = 48 * 1024 * 1024
_SLACK_BYTES = 160 * 1024 * 1024  # of which LLVM, that a worker loads when small updates are worth it, has 80
_SEEDS = 2  # of trainings; clients share them, so that their losses can be compared
_LEG_SECONDS = 0.4  # about: when in a round something is done

Events = queue.SimpleQueue[tuple["Client", str]]


@dataclass(slots=True)
class Found:
    """What a soak saw."""

    seed: int
    rounds: int = 0
    barriers: int = 0  # of single clients: each is a comparison of handles and bytes
    compared: int = 0  # digests of losses that another client had found before
    killed: int = 0
    cut: int = 0
    repeated_batches: int = 0  # of sessions that lived to the end
    longest_gone_seconds: float = 0.0  # from a client's death to the end of its session
    grown_bytes: int = 0  # of the worker's memory, from the first round to the end


class Client:
    """A client process in one of the soak's places."""

    def __init__(self, place: int, address: str, events: Events) -> None:
        self.place, self.name = place, ""
        self.is_killed = self.is_waiting = False
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (as long as the process)
        command = [sys.executable, "-m", "tests.system.soaking", address, str(place // 2 % _SEEDS), str(_BALLAST_BYTES)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, args=(events,), daemon=True)
        self._listener.start()

    def _listen(self, events: Events) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            events.put((self, line))
        events.put((self, ""))

    def go(self) -> None:
        """Let it go on to its next barrier."""
        assert self.process.stdin is not None
        self.is_waiting = False
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def errors(self) -> str:
        """Return what it said of its end."""
        self._errors.seek(0)
        return self._errors.read()

    def end(self, *, kill: bool = False) -> None:
        """End it in good order, or as a crash would."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.is_killed = self.is_killed or kill
        if kill:
            self.process.kill()
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self._listener.join()
        self.process.stdout.close()
        self._errors.close()


class Soak:
    """Clients by place, of which every other one goes through a relay of its own; the dead, until they are gone."""

    def __init__(self, worker: Worker, clients: int, seed: int) -> None:
        self.found = Found(seed)
        self._draw = random.Random(seed)
        self._address = worker.address
        self._onlooker = Onlooker(worker.address)
        self._relays = {place: Relay(worker.address) for place in range(1, clients, 2)}
        self._events: Events = queue.SimpleQueue()
        self._dead: dict[str, float] = {}  # when it was killed, by name
        self._digests: dict[tuple[int, int], str] = {}
        self._clients = [self._started(place) for place in range(clients)]

    def _started(self, place: int) -> Client:
        address = self._relays[place].address if place in self._relays else self._address
        return Client(place, address, self._events)

    def run(self, seconds: float) -> Found:
        """Go through rounds for so long."""
        self._await_all()
        before = self._settled()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._round()
        after = self._settled()
        self.found.cut = sum(relay.cuts for relay in self._relays.values())
        self.found.repeated_batches = sum(session.repeated_batches for session in after.sessions)
        self.found.grown_bytes = after.resident_bytes - before.resident_bytes
        assert self.found.grown_bytes < _SLACK_BYTES, f"what the dead held must be free; {self.found}"
        return self.found

    def _round(self) -> None:
        """Let all clients go on to their next barriers, and do something to some of them on the way."""
        plan = self._plan()
        began = time.monotonic()
        for client in self._clients:
            client.go()
        self._await_all(lambda: self._do_due(plan, time.monotonic() - began))
        self._do_due(plan, _LEG_SECONDS)  # what is left is done to them while they wait
        self._await_all()
        self.found.rounds += 1

    def _plan(self) -> list[tuple[float, str, int]]:
        """Return what is to be done after how many seconds, and to whom, the last first."""
        plan = []
        for place in range(len(self._clients)):
            when, chance = self._draw.uniform(0, _LEG_SECONDS), self._draw.random()
            if chance < 0.12:
                plan.append((when, "kill", place))
            elif place in self._relays and chance < 0.6:
                plan.append((when, "cut", place))
        return sorted(plan, reverse=True)

    def _do_due(self, plan: list[tuple[float, str, int]], passed_seconds: float) -> None:
        while plan and plan[-1][0] <= passed_seconds:
            _, what, place = plan.pop()
            if what == "cut":
                self._relays[place].cut_after(self._draw.randrange(1, 60_000), self._draw.choice(["up", "down"]))
                continue
            client = self._clients[place]
            client.end(kill=True)
            if client.name:
                self._dead[client.name] = time.monotonic()
            self._clients[place] = self._started(place)
            self.found.killed += 1

    def _await_all(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Wait until every client is at a barrier, and check it there."""
        deadline = time.monotonic() + _BARRIER_SECONDS
        while not all(client.is_waiting for client in self._clients):
            assert time.monotonic() < deadline, f"clients must come to their barriers within {_BARRIER_SECONDS:g} s"
            meanwhile()
            self._bury()
            try:
                client, line = self._events.get(timeout=0.05)
            except queue.Empty:
                continue
            if not client.is_killed:
                assert line, f"client {client.name} ended by itself: {client.errors()}"
                self._check(client, line)

    def _check(self, client: Client, line: str) -> None:
        """Compare what a client says of itself with what the worker says of its session, and with others of its seed."""
        said = json.loads(line)
        client.name, client.is_waiting = said["name"], True
        session = next(each for each in self._onlooker.status().sessions if each.name == client.name)
        assert (session.handles, session.held_bytes) == (said["handles"], said["bytes"]), (
            f"at barrier {said['leg']} the worker holds {session.handles} handles with {session.held_bytes} bytes for client "
            f"{client.name}, which has {said['handles']} with {said['bytes']}"
        )
        self.found.barriers += 1
        key = client.place // 2 % _SEEDS, said["leg"]
        self.found.compared += key in self._digests
        assert self._digests.setdefault(key, said["digest"]) == said["digest"], f"losses of seed {key} must be equal"

    def _bury(self) -> admin_pb2.WorkerStatusReply:
        """Look whose sessions are gone; fail for one that is there too long."""
        asked = time.monotonic()
        status = self._onlooker.status()
        open_names = {session.name for session in status.sessions}
        for name, killed_at in list(self._dead.items()):
            if name not in open_names:
                self.found.longest_gone_seconds = max(self.found.longest_gone_seconds, asked - killed_at)
                del self._dead[name]
            else:
                assert asked - killed_at <= LEASE_SECONDS + _GRACE_SECONDS, f"session {name} outlived its lease"
        return status

    def _settled(self) -> admin_pb2.WorkerStatusReply:
        """Wait until the dead are gone, and return what the worker holds then, which is what the living hold."""
        status = self._bury()
        deadline = time.monotonic() + LEASE_SECONDS + _GRACE_SECONDS
        while self._dead or len(status.sessions) > len(self._clients):  # one may have died before it said its name
            assert time.monotonic() < deadline, "sessions of the dead must end"
            time.sleep(0.05)
            status = self._bury()
        assert {session.name for session in status.sessions} == {client.name for client in self._clients}
        return status

    def close(self) -> None:
        """End the clients and relays."""
        for client in self._clients:
            client.end(kill=not client.is_waiting)
        for relay in self._relays.values():
            relay.close()
        self._onlooker.__exit__(None, None, None)


def soak(seconds: float, clients: int = 4, seed: int | None = None, *flags: str) -> Found:
    """Soak a worker of its own for so many seconds; return what was seen, or raise AssertionError, which names the seed."""
    chosen = secrets.randbelow(2**32) if seed is None else seed
    worker = Worker("--lease-seconds", str(LEASE_SECONDS), *flags)
    made = Soak(worker, clients, chosen)
    try:
        return made.run(seconds)
    except BaseException as error:
        error.add_note(
            f"seed {chosen}: python -m tests.system.soak --seconds {seconds:g} --seed {chosen}; {made.found}"
        )
        raise
    finally:
        made.close()
        worker.end()


def main() -> None:
    """Soak as the arguments say, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--public-server", action="store_true", help="as the worker's flag")
    given = parser.parse_args()
    flags = ["--public-server"] if given.public_server else []
    print(json.dumps(asdict(soak(given.seconds, given.clients, given.seed, *flags)), indent=2))


if __name__ == "__main__":
    main()
