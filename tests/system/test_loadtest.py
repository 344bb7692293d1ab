"""`gradwire loadtest` on a real worker, with real clients in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradwire.loadtest.report import comparison, jain, roles
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
    process = loadtest(running, "--duration", "8", "--reconnect-seconds", "1", "--json", str(found))
    time.sleep(5)
    running.process.kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out
    assert json.loads(found.read_text())["errors"] == 2
    assert "WorkerLost" in err


def test_fairness_is_one_for_equals_and_a_share_for_one_alone() -> None:
    assert jain([7, 7, 7]) == pytest.approx(1.0)
    assert jain([9, 0, 0]) == pytest.approx(1 / 3)
    assert jain([0, 0]) == 0.0


def test_abusers_need_others_to_disturb() -> None:
    assert roles("abuse", 6) == ["flood", "never-reading", "malformed", "killed", "train", "train"]
    with pytest.raises(ValueError, match="clients beside its 4 abusers"):
        roles("abuse", 4)


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
