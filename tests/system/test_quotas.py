"""Quotas of a real worker: one session is refused, uploads too; another one on the same worker notices nothing."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire.session import Session
from gradwire.transport import GrpcConnection
from gradwire_protocol.dtypes import float32
from gradwire_protocol.errors import QuotaExceeded
from gradwire_protocol.meta import Meta
from tests.system.test_worker import Worker

pytestmark = pytest.mark.system


@pytest.fixture
def worker() -> Iterator[Worker]:
    """Start a worker with small quotas, and leave the current session as it was."""
    previous = sessions._current
    found = Worker("--max-session-bytes", "4MiB", "--max-tenant-sessions", "2", "--metrics-listen", "127.0.0.1:0")
    yield found
    sessions._current = previous
    assert found.end() == 0


def rejections(worker: Worker) -> dict[str, float]:
    """Return how often each quota was reached, as the worker's metrics count it."""
    assert worker.process.stdout is not None
    with urllib.request.urlopen(worker.process.stdout.readline().rsplit(" ", 1)[-1].strip(), timeout=5) as reply:
        found = re.findall(
            r'^gradwire_quota_rejections_total{quota="(\w+)"} (\S+)', reply.read().decode(), re.MULTILINE
        )
    assert len(found) == 8
    return {quota: float(count) for quota, count in found if float(count)}


def test_a_session_over_its_quota_goes_on_and_its_neighbour_notices_nothing(worker: Worker) -> None:
    canary = Session(GrpcConnection(worker.address, connect_seconds=10, public_stream=False))
    sessions.use(canary)
    kept = gw.arange(1000)
    greedy = Session(GrpcConnection(worker.address, connect_seconds=10, public_stream=False))
    sessions.use(greedy)
    with pytest.raises(QuotaExceeded, match="--max-tenant-sessions"):
        Session(GrpcConnection(worker.address, connect_seconds=10, public_stream=False))
    with pytest.raises(QuotaExceeded, match="--max-session-bytes"):
        gw.zeros(2_000_000).sum().item()
    with pytest.raises(QuotaExceeded, match="--max-session-bytes"):
        gw.tensor(np.ones(2_000_000, np.float32)).sum().item()
    held = gw.tensor(np.ones(600_000, np.float32))
    assert held.sum().item() == 600_000
    with pytest.raises(QuotaExceeded, match="are held, and this call makes"):
        gw.tensor(np.ones(700_000, np.float32)).sum().item()
    del held
    assert gw.tensor(np.ones(700_000, np.float32)).sum().item() == 700_000
    sessions.use(canary)
    assert kept.sum().item() == 499_500
    assert rejections(worker) == {"tenant_sessions": 1, "session_bytes": 3}
    for session in (greedy, canary):
        session.close()


@pytest.mark.parametrize("shared_memory", ["1", "0"], ids=["slots", "chunks"])
def test_an_upload_that_finds_too_many_waiting_counts_as_one(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, shared_memory: str
) -> None:
    monkeypatch.setenv("GRADWIRE_SHARED_MEMORY", shared_memory)
    session = Session(GrpcConnection(worker.address, connect_seconds=10, public_stream=False))
    sessions.use(session)
    values = np.ones(400_000, np.float32)
    # Two wait, whose calls are yet to come, as while the worker is busy; with a third they would be more than 4 MiB.
    early = [session._link.bulk.upload(values, Meta.of(values.shape, float32), 1) for _ in range(2)]
    refused = gw.tensor(values)
    with pytest.raises(QuotaExceeded, match=r"uploads may be 4 MiB \(--max-session-bytes\); 3.052 MiB are held"):
        refused.sum().item()
    del refused
    assert gw.ones(3).sum().item() == 3.0
    assert early == [1, 2]
    assert rejections(worker) == {"uploads": 1}
    session.close()
