"""The queue for a worker's device, while several real clients train: by `gradwire top` on a terminal, `Admin` and metrics."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from gradwire.transport import ask
from gradwire_protocol.v1 import admin_pb2

pytestmark = pytest.mark.system

_CLIENTS = 4
_CLEAR = "\x1b[H\x1b[J"
_TRAINING = """
import sys
import gradwire as gw
from gradwire import nn

gw.connect(sys.argv[1])
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
optimizer = gw.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
x, y = gw.randn(64, 64), gw.randint(0, 4, (64,))
print("ready", flush=True)
while True:
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    loss.item()
"""


class Trained:
    """A worker with metrics, and clients that train on it, each a process."""

    def __init__(self) -> None:
        command = [
            sys.executable,
            "-m",
            "gradwire",
            "worker",
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
        ]
        self.worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.address, self._url = self._last_word(self.worker), self._last_word(self.worker)
        client = [sys.executable, "-c", _TRAINING, self.address]
        self._clients = [subprocess.Popen(client, stdout=subprocess.PIPE, text=True) for _ in range(_CLIENTS)]
        assert [self._last_word(one) for one in self._clients] == ["ready"] * _CLIENTS

    @staticmethod
    def _last_word(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().rsplit(" ", 1)[-1].strip()

    def status(self) -> admin_pb2.WorkerStatusReply:
        """Ask the worker what `gradwire top` asks."""
        return admin_pb2.WorkerStatusReply.FromString(ask(self.address, "/gradwire.v1.Admin/Status", b"", 10.0))

    def waiting(self) -> float:
        """Return the gauge."""
        with urllib.request.urlopen(self._url, timeout=10) as reply:
            lines = reply.read().decode().splitlines()
        [value] = [line.split()[1] for line in lines if line.startswith("gradwire_sessions_waiting ")]
        return float(value)

    def end_clients(self) -> None:
        """Let nobody want the device any more."""
        for client in self._clients:
            client.kill()
            client.wait(30)
            assert client.stdout is not None
            client.stdout.close()
        self._clients = []

    def close(self) -> None:
        """End all processes."""
        self.end_clients()
        self.worker.kill()
        self.worker.communicate(timeout=30)


@pytest.fixture
def trained() -> Iterator[Trained]:
    running = Trained()
    yield running
    running.close()


def wait_for(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, what


def frames(address: str) -> Iterator[list[list[str]]]:
    """Yield what `gradwire top` draws on a terminal, each time its lines as words."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 140, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-m", "gradwire", "top", "--interval", "0.05", address]
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment)
    shown = ""
    try:
        while select.select([screen], [], [], 60)[0]:
            shown += os.read(screen, 1 << 16).decode()
            *whole, shown = shown.split(_CLEAR)
            yield from ([line.split() for line in drawn.splitlines()] for drawn in whole if drawn)
            shown = _CLEAR + shown if whole else shown
    finally:
        process.kill()
        process.wait(30)
        os.close(screen)
        os.close(terminal)


def test_top_shows_a_queue_while_several_clients_train(trained: Trained) -> None:
    of_worker, of_sessions = 0, 0
    looks = frames(trained.address)
    for _ in range(200):
        head, worker, *sessions = next(looks)
        # "worker / session" are three words of the head and one of a line; a session shows neither a device nor a bound.
        column = head.index("queue") - 2
        assert len(sessions) == _CLIENTS
        of_worker = max(of_worker, int(worker[column]))
        of_sessions = max(of_sessions, sum(int(session[column - 2]) for session in sessions))
        if of_worker and of_sessions > 1:
            break
    looks.close()  # type: ignore[attr-defined]
    assert 0 < of_worker < _CLIENTS
    assert 1 < of_sessions <= _CLIENTS


def test_the_queue_is_empty_again_when_nobody_trains(trained: Trained) -> None:
    wait_for(lambda: trained.waiting() > 0, "the gauge of sessions that wait must rise while clients train")
    wait_for(lambda: trained.status().waiting_sessions > 0, "so must what Admin says")
    trained.end_clients()
    wait_for(lambda: not sum(one.unanswered_batches for one in trained.status().sessions), "batches must have ended")
    assert trained.status().waiting_sessions == trained.waiting() == 0
