"""Write gradwire.json, the Grafana dashboard, from the list below: `python deploy/grafana/make_dashboard.py [--check]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_WHERE = 'instance=~"$instance"'
# Title, Grafana's unit, legend, expression; a test asks a real Prometheus for each.
PANELS = (
    ("Workers that answer", "short", "{{instance}}", f"up{{{_WHERE}}}"),
    ("Sessions", "short", "{{instance}}", f"gradwire_sessions{{{_WHERE}}}"),
    ("Sessions whose connection is lost", "short", "{{instance}}", f"gradwire_sessions_without_client{{{_WHERE}}}"),
    ("Sessions that wait for their turn", "short", "{{instance}}", f"gradwire_sessions_waiting{{{_WHERE}}}"),
    ("Batches per second", "ops", "{{instance}}", f"rate(gradwire_batches_total{{{_WHERE}}}[$__rate_interval])"),
    ("Calls per second", "ops", "{{instance}}", f"rate(gradwire_calls_total{{{_WHERE}}}[$__rate_interval])"),
    (
        "Batch duration, 99th percentile", "s", "{{instance}}",
        f"histogram_quantile(0.99, sum by (le, instance) (rate(gradwire_batch_seconds_bucket{{{_WHERE}}}[$__rate_interval])))",
    ),
    (
        "Share of time that batches run", "percentunit", "{{instance}}",
        f"rate(gradwire_batch_seconds_sum{{{_WHERE}}}[$__rate_interval])",
    ),
    (
        "Age of the longest running batch", "s", "{{instance}}",
        f"time() - gradwire_executor_last_progress_timestamp_seconds{{{_WHERE}}}",
    ),
    ("Memory", "bytes", "{{instance}} {{kind}} {{device}}", f"gradwire_memory_bytes{{{_WHERE}}}"),
    ("Handles", "short", "{{instance}}", f"gradwire_live_handles{{{_WHERE}}}"),
    ("Errors per second", "ops", "{{instance}} {{class}}", f"rate(gradwire_errors_total{{{_WHERE}}}[$__rate_interval])"),
    (
        "Refusals for a bound, per second", "ops", "{{instance}} {{quota}}",
        f"rate(gradwire_quota_rejections_total{{{_WHERE}}}[$__rate_interval])",
    ),
    (
        "Resumed sessions per second", "ops", "{{instance}} {{result}}",
        f"rate(gradwire_session_resumes_total{{{_WHERE}}}[$__rate_interval])",
    ),
    ("Versions", "short", "{{version}}", f"count by (version) (gradwire_build_info{{{_WHERE}}})"),
)  # fmt: skip
_SOURCE = {"type": "prometheus", "uid": "${source}"}


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    return {
        "uid": "gradwire", "title": "gradwire workers", "schemaVersion": 39, "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [
            {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
            {
                "name": "instance", "label": "Worker", "type": "query", "datasource": _SOURCE, "includeAll": True,
                "allValue": ".*", "multi": True, "refresh": 2, "query": "label_values(gradwire_build_info, instance)",
            },
        ]},
        "panels": [_panel(index, *panel) for index, panel in enumerate(PANELS)],
    }  # fmt: skip


def _panel(index: int, title: str, unit: str, legend: str, expression: str) -> dict[str, Any]:
    return {
        "id": index + 1, "type": "timeseries", "title": title, "datasource": _SOURCE,
        "gridPos": {"x": index % 2 * 12, "y": index // 2 * 7, "w": 12, "h": 7},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [{"refId": "A", "datasource": _SOURCE, "expr": expression, "legendFormat": legend}],
    }  # fmt: skip


def main() -> int:
    """Write the file, or with --check say whether it is stale."""
    path, text = Path(__file__).with_name("gradwire.json"), json.dumps(dashboard(), indent=2) + "\n"
    if "--check" in sys.argv[1:]:
        return int(path.read_text(encoding="utf-8") != text)
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
