"""`gradwire loadtest` on a real worker, with real clients in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gradwire.loadtest.report import comparison, growth, jain, quantile, roles
from tests.system.test_worker import Worker

pytestmark = pytest.mark.system

pytest.importorskip("gevent", reason="the load test needs gradwire[loadtest]")


@pytest.fixture
def running() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.process.kill()
    worker.close()


def loadtest(worker: Worker, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gradwire", "loadtest", worker.address, "--clients", "2", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sessions(worker: Worker) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "gradwire", "top", worker.address, "--once", "--json"]
    (look,) = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    found: list[dict[str, Any]] = look["sessions"]
    return found


def test_two_clients_train_and_are_reported(running: Worker, tmp_path: Path) -> None:
    html, found = tmp_path / "report.html", tmp_path / "report.json"
    process = loadtest(running, "--duration", "3", "--html", str(html), "--json", str(found))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    run = json.loads(found.read_text())
    assert run["errors"] == 0
    assert len(run["steps_of_clients"]) == 2 and min(run["steps_of_clients"]) > 10
    assert run["steps"]["train"]["count"] == sum(run["steps_of_clients"])
    assert 0 < run["steps"]["train"]["milliseconds"]["p50"] <= run["steps"]["train"]["milliseconds"]["p99"]
    assert "train" in html.read_text() and html.read_text().lstrip().lower().startswith("<!doctype html>")
    assert "Jain" in out


def test_a_killed_worker_is_an_error(running: Worker, tmp_path: Path) -> None:
    found = tmp_path / "report.json"
    process = loadtest(running, "--duration", "30", "--reconnect-seconds", "1", "--json", str(found))
    while min((int(session["batches"]) for session in sessions(running)), default=0) < 50 or len(sessions(running)) < 2:
        assert process.poll() is None, process.communicate()
    running.process.kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out
    assert json.loads(found.read_text())["errors"] == 2
    assert "WorkerLost" in err


def test_clients_that_a_full_worker_refuses_ask_again(tmp_path: Path) -> None:
    worker, found = Worker("--max-sessions", "1"), tmp_path / "report.json"
    try:
        _, err = loadtest(worker, "--duration", "3", "--json", str(found)).communicate(timeout=60)
    finally:
        worker.process.kill()
        worker.close()
    run = json.loads(found.read_text())
    assert run["errors"] == 0, err
    assert run["refusals"] == run["steps"]["refused"]["count"] > 1
    assert sorted(count > 0 for count in run["steps_of_clients"]) == [False, True]
    assert max(sessions for _, _, sessions in run["worker"]) == 1


def test_idle_clients_are_sessions_of_their_own(running: Worker, tmp_path: Path) -> None:
    found = tmp_path / "report.json"
    process = loadtest(running, "--profile", "idle", "--duration", "2", "--json", str(found))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert max(sessions for _, _, sessions in json.loads(found.read_text())["worker"]) == 2
    assert "at most 2 sessions" in out


def test_fairness_is_one_for_equals_and_a_share_for_one_alone() -> None:
    assert jain([7, 7, 7]) == pytest.approx(1.0)
    assert jain([9, 0, 0]) == pytest.approx(1 / 3)
    assert jain([0, 0]) == 0.0


def test_abusers_need_others_to_disturb() -> None:
    assert roles("abuse", 6) == ["flood", "never-reading", "malformed", "killed", "train", "train"]
    with pytest.raises(ValueError, match="clients beside its 4 abusers"):
        roles("abuse", 4)


def test_idle_clients_share_processes() -> None:
    assert roles("idle", 120) == ["idle:50", "idle:50", "idle:20"]


def test_growth_is_that_of_the_second_half() -> None:
    # Seconds, bytes, sessions: a start, and then a kilobyte a second.
    warming = [(float(at), 5000.0 * at, 1) for at in range(5)]
    assert growth([*warming, *((float(at), 20_000 + 1000.0 * at, 1) for at in range(5, 10))]) == pytest.approx(1000)
    assert growth([*warming, *((float(at), 20_000, 1) for at in range(5, 10))]) == 0


def test_a_quantile_is_one_of_the_numbers() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0.0, 0.5, 0.51, 0.99, 1.0)] == [1, 2, 3, 4, 4]
    assert quantile([], 0.5) == 0


def test_a_comparison_names_the_ratio() -> None:
    step = {"per_second": 10.0, "milliseconds": {"p50": 1, "p95": 2, "p99": 4}}
    one = {"clients": 4, "per_second": 10.0, "errors": 0, "jain": 1.0, "steps": {"train": step}}
    lines = comparison(one, {**one, "per_second": 5.0}).splitlines()
    assert next(line.split() for line in lines if line.startswith("per_second")) == [
        "per_second",
        "10.00",
        "5.00",
        "0.50",
    ]
