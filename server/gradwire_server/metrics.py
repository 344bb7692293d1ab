"""Prometheus metrics on a port of their own: read off the sessions' numbers at each scrape, so that calls pay nothing.

No label names a session or a tenant: the number of series stays small, and a scraper learns nobody's name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gradwire_server.memory import resident_bytes
from gradwire_server.service import WorkerService
from gradwire_server.tally import BOUNDS_SECONDS, Totals

__all__ = ["Metrics", "serve_metrics"]


_BEFOREHAND = {
    "errors": ("RuntimeError",),
    "quota_rejections": (
        "sessions", "tenant_sessions", "session_bytes", "tenant_bytes", "session_handles", "uploads", "answers", "memory",
    ),
    "session_resumes": ("resumed", "expired"),
}  # fmt: skip


class Metrics(Collector):
    """The metrics of one worker."""

    def __init__(self, service: WorkerService, clock: Callable[[], float] = time.time) -> None:
        """Read a worker's numbers when asked."""
        self._service, self._clock = service, clock

    def collect(self) -> Iterator[Metric]:
        """Yield every family, from one look at the sessions."""
        totals = self._service.totals()
        yield from self._now(totals)
        yield from self._since_start(totals)
        yield self._histogram(totals)
        yield self._build()

    def _now(self, totals: Totals) -> Iterator[Metric]:
        settings = self._service.settings
        yield _gauge("sessions", "Sessions open now.", totals.sessions)
        yield _gauge("sessions_without_client", "Open sessions whose connection is lost.", totals.without_client)
        yield _gauge("session_limit", "Sessions that may be open at once (--max-sessions).", settings.max_sessions)
        yield _gauge("live_handles", "Handles that open sessions hold.", totals.handles)
        yield _gauge("batches_running", "Batches that run now.", totals.running)
        waiting = self._service.lane.waiting
        yield _gauge("sessions_waiting", "Sessions whose batch waits for its turn on the device.", waiting)
        yield _gauge("draining", "1 while the worker takes no new session.", int(self._service.draining))
        yield _gauge(
            "executor_last_progress_timestamp_seconds",
            "When the batch that has run longest began; now, when none runs.",
            self._clock() - totals.longest_running_seconds,
        )
        memory = GaugeMetricFamily(
            "gradwire_memory_bytes",
            "Memory: arrays held by sessions (views count as their own), and the whole process.",
            labels=["kind", "device"],
        )
        memory.add_metric(["held", self._service.backend.device], totals.held_bytes)
        memory.add_metric(["resident", "host"], resident_bytes())
        yield memory

    def _since_start(self, totals: Totals) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "gradwire_sessions_opened", "Sessions opened since the start.", totals.sessions_opened
        )
        yield CounterMetricFamily("gradwire_batches", "Batches applied; resends and refusals excluded.", totals.batches)
        yield CounterMetricFamily("gradwire_calls", "Calls run or failed.", totals.calls)
        yield CounterMetricFamily(
            "gradwire_sessions_expired", "Sessions ended because no client came back.", totals.sessions_expired
        )
        yield _counts("errors", "Calls that failed and batches that were refused.", "class", totals.errors)
        yield _counts("quota_rejections", "Refusals because a bound was reached.", "quota", totals.rejections)
        yield _counts("session_resumes", "Sessions that a client asked to go on with.", "result", totals.resumes)

    def _histogram(self, totals: Totals) -> Metric:
        bounds = [*map(str, BOUNDS_SECONDS), "+Inf"]
        buckets = list(zip(bounds, accumulate(totals.batch_counts), strict=True))
        batches = HistogramMetricFamily(
            "gradwire_batch_seconds", "How long batches ran, resends and refusals included."
        )
        batches.add_metric([], buckets, totals.batch_seconds)
        return batches

    def _build(self) -> Metric:
        build = GaugeMetricFamily(
            "gradwire_build_info", "1; what decides the last bits of results.", labels=["version", "fingerprint"]
        )
        build.add_metric([metadata.version("gradwire"), self._service.backend.fingerprint()], 1)
        return build


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"gradwire_{name}", help_text, value)


def _counts(name: str, help_text: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    # From 0 on for what is known beforehand: `rate` does not see a series that begins at 1.
    counter = CounterMetricFamily(f"gradwire_{name}", help_text, labels=[label])
    for value, count in {**dict.fromkeys(_BEFOREHAND[name], 0), **counts}.items():
        counter.add_metric([value], count)
    return counter


def serve_metrics(service: WorkerService, listen: str) -> str:
    """Serve a worker's metrics from threads of their own; return the URL. Raise OSError if the address cannot be had."""
    registry = CollectorRegistry()
    registry.register(Metrics(service))
    host, _, port = listen.rpartition(":")
    server: Any = start_http_server(int(port), host.strip("[]"), registry)[0]
    return f"http://{host}:{server.server_port}/metrics"
