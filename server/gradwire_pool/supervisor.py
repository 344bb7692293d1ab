"""Keeps one worker process running, and says where it is. Knows nothing of Ray: what it announces to is a function.

The worker is a child process and not a part of the actor's: the interpreter's lock is its own, a crash of it costs no new actor,
Ray's token is not in its environment, and it is started by the same command line as a worker without a pool.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gradwire_pool.gauges import Busy, device_memory_bytes, host_memory_bytes
from gradwire_pool.records import Announcement

__all__ = ["BEAT_SECONDS", "Plan", "Supervisor"]

log = logging.getLogger("gradwire.pool")

BEAT_SECONDS = 0.5
# Reading a GPU's memory starts a process.
_DEVICE_MEMORY_SECONDS = 10.0
# A worker that cannot start (a wrong flag, no memory) must not eat the machine by trying.
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    worker: str
    node: str
    host: str
    device: str
    # The pool's gateway, for collectives.
    gateway: str
    flags: tuple[str, ...] = ()
    # The name by which others reach the worker; empty where that is `host`.
    known_as: str = ""

    def command(self) -> list[str]:
        """Return the command line of the worker."""
        child = str(Path(__file__).with_name("child.py"))
        listen = ("--listen", f"{self.host}:0", "--device", self.device, "--until-stdin-closes")
        return [sys.executable, "-I", "-S", child, str(os.getpid()), *listen, *self.flags]

    def reached_at(self, address: str) -> str:
        """Return the address that others are told, of a worker that listens at `address`."""
        return f"{self.known_as}:{address.rpartition(':')[2]}" if self.known_as else address

    def environment(self) -> dict[str, str]:
        """Return the worker's environment: this one without Ray's, whose token runs code, and without its thread counts."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_") and k != "OMP_NUM_THREADS"}
        return {**kept, "GRADWIRE_GATEWAY": self.gateway, "GRADWIRE_WORKER": self.worker}


class Supervisor:
    """One worker's process: started, watched, announced, started again."""

    def __init__(self, plan: Plan, announce: Callable[[Announcement], int]) -> None:
        """Say what to run, and whom to tell; `announce` returns the incarnation, 0 to end, and may raise if nobody listens."""
        self._plan = plan
        self._announce = announce
        self._process: subprocess.Popen[str] | None = None
        self._incarnation = 0
        self._is_ending = False
        self._lock = threading.Lock()
        self._device_memory = (0, 0)
        self._device_memory_at = -_DEVICE_MEMORY_SECONDS

    def run(self) -> None:
        """Keep the worker running until `end`. Returns in the thread that started it: the worker dies with this thread."""
        pause = 0.0
        while not self._is_ending:
            started = time.monotonic()
            try:
                self._run_once()
            except (OSError, ValueError, RuntimeError):
                log.exception("%s could not be started", self._plan.worker)
            lasted = time.monotonic() - started
            pause = min(max(2 * pause, 0.1), _LONGEST_PAUSE_SECONDS) if lasted < 5 else 0.0
            time.sleep(0.0 if self._is_ending else pause)

    def _run_once(self) -> None:
        with self._lock:
            if self._is_ending:
                return
            self._incarnation = 0
            process = self._process = subprocess.Popen(
                self._plan.command(),
                env=self._plan.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        with process:
            assert process.stdout is not None
            assert process.stdin is not None
            line = process.stdout.readline()
            if line:
                self._tell(process, self._plan.reached_at(line.rsplit(" ", 1)[-1].strip()))
        log.warning("%s ended with status %s", self._plan.worker, process.returncode)

    def _tell(self, process: subprocess.Popen[str], address: str) -> None:
        instance, busy = uuid.uuid4().hex, Busy(process.pid)
        while True:
            try:
                given = self._announce(self._say(process.pid, instance, address, busy.read()))
            except Exception:
                # The controller restarts, or the network is cut. The worker serves those who have it.
                log.info("%s was not heard", self._plan.worker, exc_info=True)
            else:
                if given == 0:
                    log.warning("%s was replaced, and ends", self._plan.worker)
                    self.end(0.0)
                self._incarnation = given
            try:
                process.wait(timeout=BEAT_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            return

    def _say(self, process: int, instance: str, address: str, busy: float) -> Announcement:
        plan = self._plan
        available, total = host_memory_bytes() if plan.device == "cpu" else self._read_device_memory()
        return Announcement(
            plan.worker, instance, self._incarnation, address, plan.device, plan.node, process, busy, available, total
        )

    def _read_device_memory(self) -> tuple[int, int]:
        if time.monotonic() - self._device_memory_at >= _DEVICE_MEMORY_SECONDS:
            self._device_memory, self._device_memory_at = device_memory_bytes(), time.monotonic()
        return self._device_memory

    def kill(self) -> None:
        """End the worker's process at once; another one follows."""
        with self._lock:
            if self._process is not None:
                self._process.send_signal(signal.SIGKILL)

    def end(self, grace_seconds: float) -> None:
        """Let the worker finish what runs, for up to `grace_seconds`, and start no other."""
        with self._lock:
            self._is_ending = True
            process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGTERM if grace_seconds else signal.SIGKILL)
        try:
            process.wait(timeout=grace_seconds or None)
        except subprocess.TimeoutExpired:
            process.kill()
