"""A pool on a real Ray, as a user starts, asks and ends it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from gradwire.credentials import NOTHING, Credentials
from gradwire.pool import Gateway
from gradwire_pool.home import Home, Started, marked_processes

__all__ = ["RunningPool", "command", "free_port", "is_alive", "parent_of", "until"]

T = TypeVar("T")


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `gradwire pool`."""
    return subprocess.run(
        [sys.executable, "-m", "gradwire", "pool", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(attempt: Callable[[], T | None], seconds: float) -> T:
    """Return what `attempt` returns once it is true; fail when the time is up."""
    deadline = time.monotonic() + seconds
    while not (found := attempt()):
        assert time.monotonic() < deadline, f"it did not happen within {seconds:g} s"
        time.sleep(0.02)
    return found


def _stat(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["X"]


def is_alive(process: int) -> bool:
    """Return whether a process runs: one that nobody has reaped yet does not."""
    return _stat(process)[0] not in "XZ"


def parent_of(process: int) -> int:
    return int(_stat(process)[1])


class RunningPool:
    """A pool on a port of its own."""

    def __init__(
        self, *flags: str, credentials: Credentials = NOTHING, host: str = "127.0.0.1", **environment: str
    ) -> None:
        self.port = free_port()
        self.address = f"{host}:{self.port}"
        self.home = Home(self.port)
        started = time.monotonic()
        done = command("up", "--port", str(self.port), *flags, **environment)
        assert done.returncode == 0, done.stderr
        self.up_seconds = time.monotonic() - started
        self.gateway = Gateway(self.address, credentials=credentials)

    def started(self) -> Started:
        found = self.home.read()
        assert found is not None
        return found

    def worker(self, name: str) -> Any:
        return next((w for w in self.gateway.status().workers if w.name == name), None)

    def serving(self, name: str, after: int = 0) -> Any:
        """Return the worker if it serves as a later incarnation than `after`."""
        found = self.worker(name)
        return found if found and found.state == "serving" and found.incarnation > after else None

    def all_serve(self, count: int) -> bool:
        states = [w.state for w in self.gateway.status().workers]
        return states == ["serving"] * count

    def processes(self) -> list[int]:
        return list(marked_processes(self.started().mark))

    def down(self, **environment: str) -> subprocess.CompletedProcess[str]:
        self.gateway.close()
        return command("down", "--port", str(self.port), **environment)
