"""Metrics of a real worker under load, judged by promtool and scraped by a real Prometheus."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gradwire.session import Session
from gradwire.transport import GrpcConnection
from gradwire_protocol.errors import LimitExceeded
from tests.prometheus import Prometheus, needs_prometheus, promtool

pytestmark = pytest.mark.system

_DEPLOY = Path(__file__).parents[2] / "deploy"


class Watched:
    """A worker process with metrics, and a client that keeps it busy until the end."""

    def __init__(self) -> None:
        command = [
            sys.executable, "-m", "gradwire", "worker", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0",
            "--max-sessions", "1",
        ]  # fmt: skip
        self._worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._worker.stdout is not None
        self.address = self._worker.stdout.readline().rsplit(" ", 1)[-1].strip()
        self.url = self._worker.stdout.readline().rsplit(" ", 1)[-1].strip()
        self._client = subprocess.Popen(
            [sys.executable, "-c", _LOAD], env={**os.environ, "GRADWIRE_ADDRESS": self.address},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._client.stdout is not None
        assert self._client.stdout.readline() == "busy\n"

    def scrape(self) -> str:
        """Return the metrics as they are served."""
        with urllib.request.urlopen(self.url, timeout=5) as reply:
            text: str = reply.read().decode()
        return text

    def value(self, sample: str) -> float:
        """Return one sample's value."""
        line = next(line for line in self.scrape().splitlines() if line.startswith(f"{sample} "))
        return float(line.rsplit(" ", 1)[-1])

    def close(self) -> None:
        """End both processes."""
        for process in (self._client, self._worker):
            process.terminate()
            process.wait(timeout=30)
            if process.stdout is not None:
                process.stdout.close()


# Errors and handles among the load, so that every family has something to say.
_LOAD = """
import time
import gradwire as gw
kept = gw.ones(1000)
gw.ones(3).sum().item()
print("busy", flush=True)
while True:
    ((kept + 1.0) * 2.0).sum().item()
    try:
        gw.linalg.cholesky(-gw.eye(3)).sum().item()
    except gw.linalg.LinAlgError:
        pass
    time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    running = Watched()
    yield running
    running.close()


@pytest.fixture(scope="module")
def prometheus(watched: Watched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    running = Prometheus(tmp_path_factory.mktemp("prometheus"), urlsplit(watched.url).netloc)
    yield running
    running.close()


def test_the_numbers_are_those_of_the_load(watched: Watched) -> None:
    before = watched.value("gradwire_calls_total")
    time.sleep(0.3)
    assert watched.value("gradwire_calls_total") > before
    assert watched.value("gradwire_sessions") == watched.value("gradwire_sessions_opened_total") == 1
    assert watched.value("gradwire_live_handles") >= 1
    assert watched.value('gradwire_memory_bytes{device="cpu",kind="held"}') >= 4000
    assert watched.value('gradwire_errors_total{class="LinAlgError"}') >= 1
    assert abs(watched.value("gradwire_executor_last_progress_timestamp_seconds") - time.time()) < 5
    counted = watched.value("gradwire_batch_seconds_count")
    assert watched.value('gradwire_batch_seconds_bucket{le="+Inf"}') >= counted > 0


def test_a_refused_session_is_counted(watched: Watched) -> None:
    with pytest.raises(LimitExceeded):
        Session(GrpcConnection(watched.address, connect_seconds=10, public_stream=False))
    assert watched.value('gradwire_quota_rejections_total{quota="sessions"}') == 1


@needs_prometheus
def test_promtool_finds_no_fault_with_names_and_format(watched: Watched) -> None:
    checked = promtool("check", "metrics", text=watched.scrape())
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@needs_prometheus
def test_a_real_prometheus_scrapes_it(prometheus: Prometheus) -> None:
    [series] = prometheus.wait_for("rate(gradwire_batches_total[2s]) > 0")
    assert series["metric"]["job"] == "gradwire"


def test_metrics_beyond_loopback_must_be_asked_for() -> None:
    command = [sys.executable, "-m", "gradwire_server", "--listen", "127.0.0.1:0", "--metrics-listen", "0.0.0.0:0"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 2
    assert "--metrics-beyond-loopback" in refused.stderr


def dashboard_queries() -> list[str]:
    """Return the expressions of the dashboard's panels, as Grafana would send them."""
    dashboard = json.loads((_DEPLOY / "grafana" / "gradwire.json").read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [query.replace("$instance", ".*").replace("$__rate_interval", "2s") for query in found]


@needs_prometheus
@pytest.mark.parametrize("query", dashboard_queries())
def test_each_query_of_the_dashboard_has_data(prometheus: Prometheus, query: str) -> None:
    prometheus.wait_for(query)


def test_the_dashboard_is_what_its_script_writes() -> None:
    script = _DEPLOY / "grafana" / "make_dashboard.py"
    assert subprocess.run([sys.executable, script, "--check"], timeout=30, check=False).returncode == 0


@needs_prometheus
def test_alerts_fire_on_what_they_are_for() -> None:
    checked = promtool("test", "rules", str(_DEPLOY / "prometheus" / "alerts_test.yaml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_has_a_test_and_its_paragraph() -> None:
    rules = (_DEPLOY / "prometheus" / "alerts.yaml").read_text()
    tested = (_DEPLOY / "prometheus" / "alerts_test.yaml").read_text()
    headings = re.findall(r"^#+ (.+)$", (_DEPLOY.parent / "docs" / "operations.md").read_text(), re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    alerts = re.findall(r"alert: (\w+)", rules)
    linked = re.findall(r"runbook: docs/operations\.md#([\w-]+)", rules)
    assert len(alerts) == len(linked) > 0
    assert set(linked) <= anchors
    assert [alert for alert in alerts if alert not in tested] == []


@needs_prometheus
def test_the_expressions_of_alerts_name_metrics_that_exist(watched: Watched) -> None:
    served = set(re.findall(r"^(gradwire_\w+)", watched.scrape(), re.MULTILINE))
    assert set(re.findall(r"gradwire_\w+", (_DEPLOY / "prometheus" / "alerts.yaml").read_text())) <= served


def top(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gradwire", "top", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_top_shows_a_worker_and_its_session(watched: Watched) -> None:
    shown = top("--once", "--interval", "0.5", watched.address)
    assert (shown.returncode, shown.stderr) == (0, "")
    _, worker, session = shown.stdout.splitlines()
    address, device, sessions, _, _, batches, calls, *_ = worker.split()
    assert (address, device, sessions) == (watched.address, "cpu", "1/1")
    assert float(calls) >= float(batches) > 0
    assert "no client" not in session


def test_top_as_json_has_the_counts(watched: Watched) -> None:
    [worker] = json.loads(top("--once", "--json", watched.address).stdout)
    assert worker["sessions"][0]["has_client"] is True
    assert int(worker["sessions"][0]["held_bytes"]) >= 4000
    assert int(worker["calls"]) > 0


def test_top_says_which_worker_does_not_answer(watched: Watched) -> None:
    shown = top("--once", "--interval", "0", "--seconds", "0.3", watched.address, "127.0.0.1:1")
    assert shown.returncode == 1
    assert shown.stdout.splitlines()[-1].startswith("127.0.0.1:1 ")


def test_top_redraws_a_terminal_until_it_is_interrupted(watched: Watched) -> None:
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 3, 60, 0, 0))
    command = [sys.executable, "-m", "gradwire", "top", "--interval", "0.1", watched.address, watched.address]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment,
        # A shell that runs the tests in the background lets them, and what they start, ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        shown = b""
        while shown.count(b"\x1b[H\x1b[J") < 3:
            shown += os.read(screen, 1 << 16)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    os.close(screen)
    os.close(terminal)
    lines = shown.split(b"\x1b[H\x1b[J")[1].splitlines()
    assert len(lines) == 2  # the last line of three is left to the cursor
    assert all(len(line) <= 60 for line in lines)
    assert lines[1].startswith(watched.address.encode())
