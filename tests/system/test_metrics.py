"""Metrics of a real worker under load, judged by promtool and scraped by a real Prometheus."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from gradwire.session import Session
from gradwire.transport import GrpcConnection
from gradwire_protocol.errors import LimitExceeded
from tests.prometheus import Prometheus, needs_prometheus, promtool

pytestmark = pytest.mark.system


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
