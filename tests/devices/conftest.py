"""`fleet`: two devices, `cpu:0` and `cpu:1`: workers in this process, or worker processes, where the test is marked so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire.session import Session
from gradwire.workers import Fleet, placement
from tests.support import open_loopback


class Worker:
    """A worker process on a TCP port of its own."""

    def __init__(self, *flags: str) -> None:
        command = [sys.executable, "-m", "gradwire", "worker", "--listen", "127.0.0.1:0", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().rsplit(" ", 1)[-1].strip()

    def kill(self) -> None:
        """End the process at once, as a crash does."""
        self.process.kill()
        self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="session")
def processes() -> Iterator[list[Worker]]:
    """Two worker processes that tests share and leave alive."""
    running = [Worker(), Worker()]
    yield running
    for worker in running:
        worker.kill()


@pytest.fixture(params=["loopback", pytest.param("processes", marks=pytest.mark.system)])
def fleet(request: pytest.FixtureRequest) -> Iterator[list[Session]]:
    """The sessions of the devices `cpu:0` and `cpu:1`."""
    previous, sessions._current = sessions._current, None
    if request.param == "loopback":
        opened = Fleet([open_loopback()[0], open_loopback()[0]]).sessions
        sessions.use(opened[0])
    else:
        opened = gw.connect([worker.address for worker in request.getfixturevalue("processes")])
    yield opened
    gw.disconnect()
    placement.session, sessions._current = None, previous
