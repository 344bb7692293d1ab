"""A real Prometheus, where `make test` has unpacked one beside the environment (`tests/fetch_prometheus.sh`)."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Prometheus", "needs_prometheus", "promtool"]

_BINARIES = Path(sys.prefix) / "prometheus" / "usr" / "bin"

needs_prometheus = pytest.mark.skipif(
    not (_BINARIES / "promtool").exists(), reason="Debian's prometheus is not there: tests/fetch_prometheus.sh"
)


def promtool(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool; its exit status and what it said are the caller's to judge."""
    return subprocess.run(
        [_BINARIES / "promtool", *arguments], input=text, capture_output=True, text=True, timeout=60, check=False
    )


class Prometheus:
    """A Prometheus that scrapes one target each quarter of a second."""

    def __init__(self, folder: Path, target: str) -> None:
        """Start it with its data in `folder`."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        scrape = {"job_name": "gradwire", "static_configs": [{"targets": [target]}]}
        settings = {"global": {"scrape_interval": "250ms", "scrape_timeout": "250ms"}, "scrape_configs": [scrape]}
        (folder / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
        self._process = subprocess.Popen(
            [
                _BINARIES / "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={self.url.removeprefix('http://')}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def query(self, expression: str) -> list[Any]:
        """Return the series of an instant query."""
        asked = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{asked}", timeout=5) as reply:
            found: list[Any] = json.load(reply)["data"]["result"]
        return found

    def wait_for(self, expression: str, seconds: float = 20.0) -> list[Any]:
        """Return the series of a query as soon as there are some; fail if none come."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if found := self.query(expression):
                    return found
            except OSError:
                pass  # it still starts
            time.sleep(0.1)
        raise AssertionError(f"Prometheus has no data for {expression}")

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(timeout=20)
