"""Locust's side: users that start clients as processes and pass on what these report. The only file that imports Locust."""

from __future__ import annotations

# First: importing Locust lets gevent replace sockets, threads and processes, before anything else of here uses them.
import gevent
import locust.stats
from gevent import subprocess
from gevent.event import Event
from locust import User, task
from locust.env import Environment
from locust.html import get_html_report

import json  # isort: skip
import sys  # isort: skip
import time  # isort: skip
from collections import Counter, defaultdict  # isort: skip
from dataclasses import dataclass, field  # isort: skip
from typing import Any  # isort: skip

from gradwire.loadtest.report import ABUSERS, jain, others, quantile  # isort: skip

__all__ = ["Outcome", "run"]

_START_SECONDS = 300.0
# What a client may need beyond its time: a step that runs, a reconnection that is tried.
_GRACE_SECONDS = 30.0
_KILL_AFTER_SECONDS = 2.0
_SAMPLE_SECONDS = 10.0
_SAMPLE_INTERVAL_SECONDS = 1.0
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


@dataclass
class Outcome:
    """What the clients reported, and the events that they wait for."""

    address: str
    roles: list[str]
    seconds: float
    reconnect_seconds: float
    ready: int = 0
    ended: int = 0
    refusals: int = 0
    go: Event = field(default_factory=Event)
    steps: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    milliseconds: defaultdict[str, list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )  # of steps without error


class _Client:
    """One user's process."""

    def __init__(self, outcome: Outcome, index: int, events: Any) -> None:
        self._outcome, self._index, self._events = outcome, index, events
        self._role = outcome.roles[index]
        command = [sys.executable, "-m", "gradwire.loadtest.client", outcome.address, self._role, str(index)]
        self.process = subprocess.Popen(
            [*command, str(outcome.reconnect_seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def heard(self) -> dict[str, Any]:
        """Return the next line, as an error where the process has ended."""
        line = self.process.stdout.readline()
        if line:
            said: dict[str, Any] = json.loads(line)
            return said
        return {"name": self._role, "milliseconds": 0.0, "error": "the client's process ended", "done": True}

    def begin(self, seconds: float) -> None:
        """Let it run."""
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()

    def report(self, said: dict[str, Any]) -> None:
        """Pass a step on to Locust."""
        error, is_refused = said.get("error", ""), bool(said.get("refused"))
        self._outcome.refusals += is_refused
        if error and self._role in ABUSERS:
            return
        if error:
            self._outcome.errors[error] += 1
        elif not is_refused:
            self._outcome.steps[self._index] += 1
        name = said["name"] if self._role != "killed" else "killed"
        if not error:
            self._outcome.milliseconds[name].append(said["milliseconds"])
        self._events.request.fire(
            request_type="gradwire", name=name, response_time=said["milliseconds"], response_length=0,
            exception=RuntimeError(error) if error else None, context={},
        )  # fmt: skip

    def end(self) -> None:
        """End the process, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()


def _drive(outcome: Outcome, index: int, events: Any) -> None:
    """Live a client's life; one to be killed lives several."""
    end = 0.0
    while True:
        client = _Client(outcome, index, events)
        try:
            first = client.heard()
            if not end:
                outcome.ready += 1
                outcome.go.wait()
                end = time.monotonic() + outcome.seconds
            if "error" in first:
                client.report(first)
                return
            left = end - time.monotonic()
            if left <= 0:
                return
            client.begin(left)
            _listen(
                client, min(left, _KILL_AFTER_SECONDS) if outcome.roles[index] == "killed" else left + _GRACE_SECONDS
            )
        finally:
            client.end()
        if outcome.roles[index] != "killed":
            return


def _listen(client: _Client, seconds: float) -> None:
    killer = gevent.spawn_later(seconds, client.process.kill)
    try:
        while True:
            said = client.heard()
            if "name" in said:
                client.report(said)
            if "done" in said:
                return
    finally:
        killer.kill()


class Watch:
    """Samples of what the worker says of itself, until `stop`: (seconds since the start, resident bytes, sessions).

    They come from `gradwire top` in a process of its own, since gevent has the sockets of this one.
    """

    def __init__(self, address: str) -> None:
        """Start to look."""
        self.samples: list[tuple[float, int, int]] = []
        self._began = time.monotonic()
        command = [
            sys.executable,
            "-m",
            "gradwire",
            "top",
            address,
            "--json",
            "--interval",
            str(_SAMPLE_INTERVAL_SECONDS),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._reader = gevent.spawn(self._read)

    def _read(self) -> None:
        for line in self._process.stdout:
            (look,) = json.loads(line)
            if "error" not in look:
                sample = int(look["resident_bytes"]), len(look["sessions"])
                self.samples.append((time.monotonic() - self._began, *sample))

    def wait_for_one(self, seconds: float) -> None:
        """Return at the next sample, or after so many seconds where the worker does not say."""
        count, end = len(self.samples), time.monotonic() + seconds
        while len(self.samples) == count and time.monotonic() < end and self._process.poll() is None:
            gevent.sleep(0.05)

    def stop(self) -> list[Any]:
        """End, and return the samples."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        return self.samples


def _user_class(outcome: Outcome) -> type[User]:
    numbers = iter(range(len(outcome.roles)))

    class Client(User):  # type: ignore[misc]
        host = outcome.address

        @task  # type: ignore[untyped-decorator]
        def live(self) -> None:
            index = next(numbers, None)
            if index is not None:
                try:
                    _drive(outcome, index, self.environment.events)
                finally:
                    outcome.ended += 1
            gevent.sleep(3600)  # Locust starts a task again when it returns

    return Client


def _measured(environment: Environment, outcome: Outcome, seconds: float) -> dict[str, Any]:
    steps = {}
    for (name, _), entry in sorted(environment.stats.entries.items()):
        ordered = sorted(outcome.milliseconds[name])  # Locust rounds its own to whole milliseconds
        milliseconds = {label: quantile(ordered, share) for label, share in _QUANTILES.items()}
        steps[name] = {
            "count": entry.num_requests,
            "errors": entry.num_failures,
            "per_second": (entry.num_requests - entry.num_failures) / seconds,
            "milliseconds": milliseconds,
        }
    counted = [outcome.steps[index] for index in others(outcome.roles)]
    return {
        "per_second": sum(counted) / seconds,
        "steps": steps,
        "jain": jain(counted),
        "steps_of_clients": counted,
        "refusals": outcome.refusals,
        "errors": sum(outcome.errors.values()),
        "error_texts": dict(outcome.errors.most_common(20)),
    }


def run(outcome: Outcome, html: str | None) -> dict[str, Any]:
    """Start the clients, let them run once all are ready, and return what was measured; write Locust's report to `html`."""
    environment = Environment(user_classes=[_user_class(outcome)], host=outcome.address)
    runner = environment.create_local_runner()
    watch = Watch(outcome.address)
    watch.wait_for_one(_SAMPLE_SECONDS)
    clients = len(outcome.roles)
    runner.start(clients, spawn_rate=clients)
    with gevent.Timeout(_START_SECONDS, TimeoutError(f"{clients} clients must be ready within {_START_SECONDS:g} s")):
        while outcome.ready < clients:
            gevent.sleep(0.05)
    runner.stats.reset_all()
    history = gevent.spawn(locust.stats.stats_history, runner)
    watch.wait_for_one(_SAMPLE_SECONDS)
    started = time.monotonic()
    outcome.go.set()
    while outcome.ended < clients and time.monotonic() < started + outcome.seconds + 2 * _GRACE_SECONDS:
        gevent.sleep(0.05)
    history.kill()
    measured = _measured(environment, outcome, outcome.seconds) | {"worker": watch.stop()}
    if html is not None:
        with open(html, "w", encoding="utf-8") as file:
            file.write(get_html_report(environment, show_download_link=False))
    runner.quit()
    return measured
