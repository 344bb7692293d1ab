"""The load test's scenarios against what they are to reach: `python benchmarks/load.py [--write] [--minutes 10] [SCENARIO ...]`.

Each scenario starts a worker of its own and loads it by `gradwire loadtest`, whose clients are processes with the real client in
them. `--write` leaves a report, and each run's numbers, in docs/loadtest.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(_ROOT))

from benchmarks.record import Goal, table  # noqa: E402
from benchmarks.report import machine  # noqa: E402
from benchmarks.worker import Worker  # noqa: E402
from gradwire.loadtest.report import growth  # noqa: E402

_OUT = _ROOT / "docs" / "loadtest"
_CLIENTS_THAT_DISTURB = "flood,never-reading"
_KIB = 1 << 10
_HEAD = """# Load test of {day}

By `gradwire loadtest`; what each scenario does is in `benchmarks/load.py`. [{numbers}]({numbers}) has all numbers of each run.
"""


@dataclass
class Bench:
    """The runs of one invocation, and what they showed."""

    minutes: float
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    reached: list[tuple[str, Goal, float]] = field(default_factory=list)

    def load(
        self, name: str, worker: Worker, profile: str, clients: int, seconds: float, *flags: str
    ) -> dict[str, Any]:
        """Load a worker, and keep what was measured under a name."""
        with tempfile.TemporaryDirectory() as folder:
            found = Path(folder) / "run.json"
            command = [
                sys.executable,
                "-m",
                "gradwire",
                "loadtest",
                worker.address,
                "--profile",
                profile,
                "--json",
                str(found),
            ]
            print(f"== {name}", flush=True)
            subprocess.run([*command, "--clients", str(clients), "--duration", str(seconds), *flags], check=False)
            run: dict[str, Any] = json.loads(found.read_text())
        self.runs[name] = run
        return run

    def reach(self, name: str, goal: Goal, value: float) -> None:
        """Note what was reached."""
        self.reached.append((name, goal, value))
        print(f"   {goal.what}: {goal.shown(value)}, {goal.wanted}: {goal.verdict(value)}", flush=True)


def many(bench: Bench) -> None:
    """64 training clients against 4."""
    with Worker() as worker:
        few = bench.load("train, 4 clients", worker, "train", 4, 20)
    with Worker() as worker:
        all_of_them = bench.load("train, 64 clients", worker, "train", 64, 30)
    bench.reach("64 clients", Goal("errors", 0, ""), all_of_them["errors"])
    rate = all_of_them["per_second"] / few["per_second"]
    bench.reach("64 clients", Goal("total rate / that of 4 clients", 0.85, at_least=True), rate)
    bench.reach("64 clients", Goal("Jain index"), all_of_them["jain"])


def fair(bench: Bench) -> None:
    """8 equal sessions, and the same beside one that floods and one that never reads."""
    with Worker() as worker:
        equal = bench.load("train, 8 clients", worker, "train", 8, 20)
        flags = ("--abusers", _CLIENTS_THAT_DISTURB)
        beside = bench.load(
            "train, 8 clients beside one that floods and one that never reads", worker, "abuse", 10, 20, *flags
        )
    bench.reach("8 equal clients", Goal("Jain index", 0.95, "", at_least=True), equal["jain"])
    bench.reach("8 beside two that disturb", Goal("Jain index"), beside["jain"])
    ratio = beside["steps"]["train"]["milliseconds"]["p99"] / equal["steps"]["train"]["milliseconds"]["p99"]
    bench.reach("8 beside two that disturb", Goal("p99 / p99 without them", 1.5), ratio)
    rate = beside["per_second"] / equal["per_second"]
    bench.reach("8 beside two that disturb", Goal("rate / rate without them"), rate)


def overload(bench: Bench) -> None:
    """A worker that takes 16 sessions, and 64 clients that want one."""
    with Worker(max_sessions=16) as worker:
        peak = bench.load("train, 16 clients of a worker that takes 16", worker, "train", 16, 20)
        over = bench.load("train, 64 clients of a worker that takes 16", worker, "train", 64, 20)
        after = bench.load("train, 16 clients, right after that", worker, "train", 16, 10)
    bench.reach("4x overload", Goal("goodput / peak", 0.9, at_least=True), over["per_second"] / peak["per_second"])
    bench.reach("4x overload", Goal("p99 of a refusal", 50, "ms"), over["steps"]["refused"]["milliseconds"]["p99"])
    bench.reach("4x overload", Goal("errors", 0, ""), over["errors"])
    bench.reach("after overload", Goal("goodput / peak", 0.9, at_least=True), after["per_second"] / peak["per_second"])


def idle(bench: Bench) -> None:
    """500 sessions that do nothing."""
    with Worker(max_sessions=600) as worker:
        bench.load("warm-up", worker, "idle", 1, 2)
        run = bench.load("500 idle sessions", worker, "idle", 500, 10)
    del bench.runs["warm-up"]
    (_, before, _), *_, (_, after, sessions) = run["worker"]
    bench.reach("idle", Goal("memory of a session", 200, "KiB"), (after - before) / max(sessions, 1) / _KIB)
    bench.reach("idle", Goal("sessions", 500, "", at_least=True), sessions)


def mixed(bench: Bench) -> None:
    """8 clients that train, call eagerly and upload, for minutes."""
    with Worker() as worker:
        run = bench.load(f"mixed, 8 clients, {bench.minutes:g} minutes", worker, "mixed", 8, bench.minutes * 60)
    bench.reach("mixed", Goal("errors", 0, ""), run["errors"])
    held = run["worker"][-1][1]
    bench.reach(
        "mixed",
        Goal("growth in the second half, of the memory held, per hour", 0.05, ""),
        growth(run["worker"]) * 3600 / held,
    )


_SCENARIOS: dict[str, Callable[[Bench], None]] = {
    "many": many, "fair": fair, "overload": overload, "idle": idle, "mixed": mixed,
}  # fmt: skip


def report(bench: Bench, command: str) -> str:
    """Return the report."""
    goals = [
        (name, goal.what, goal.shown(value), goal.wanted, goal.verdict(value)) for name, goal, value in bench.reached
    ]
    steps = [
        (
            name, step, str(found["count"]), str(found["errors"]), f"{found['per_second']:.1f}",
            *(f"{found['milliseconds'][quantile]:.2f}" for quantile in ("p50", "p95", "p99", "max")),
        )
        for name, run in bench.runs.items() for step, found in run["steps"].items()
    ]  # fmt: skip
    about = f"{machine()}. One worker on the CPU, on TCP loopback; clients and worker share the cores."
    runs = table(("run", "step", "count", "errors", "a second", "p50 ms", "p95 ms", "p99 ms", "max ms"), steps)
    verdicts = table(("scenario", "what", "reached", "to reach", ""), goals)
    return "\n".join([f"## `{command}`", "", about, "", *verdicts, *runs])


def keep(bench: Bench, text: str) -> None:
    """Add a report to those of the day, and the numbers of each run to theirs."""
    _OUT.mkdir(exist_ok=True)
    page, numbers = (_OUT / f"{datetime.date.today()}.{kind}" for kind in ("md", "json"))
    before = page.read_text() if page.exists() else _HEAD.format(day=datetime.date.today(), numbers=numbers.name)
    page.write_text(f"{before.rstrip()}\n\n{text.rstrip()}\n")
    known = json.loads(numbers.read_text()) if numbers.exists() else {}
    numbers.write_text(json.dumps(known | bench.runs) + "\n")


def main() -> None:
    """Run the scenarios that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(_SCENARIOS)}")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the mixed scenario")
    parser.add_argument("--write", action="store_true", help="leave a report in docs/loadtest")
    given = parser.parse_args()
    bench = Bench(given.minutes)
    for name in given.scenarios or _SCENARIOS:
        _SCENARIOS[name](bench)
    text = report(bench, " ".join(["python benchmarks/load.py", *sys.argv[1:]]))
    print(text)
    if given.write:
        keep(bench, text)


if __name__ == "__main__":
    main()
