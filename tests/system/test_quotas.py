"""Quotas of a real worker: one session is refused, uploads too; another one on the same worker notices nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire.session import Session
from gradwire.transport import GrpcConnection
from gradwire_protocol.errors import QuotaExceeded
from tests.system.test_worker import Worker

pytestmark = pytest.mark.system


@pytest.fixture
def worker() -> Iterator[Worker]:
    """Start a worker with small quotas, and leave the current session as it was."""
    previous = sessions._current
    found = Worker("--max-session-bytes", "4MiB", "--max-tenant-sessions", "2")
    yield found
    sessions._current = previous
    assert found.end() == 0


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
    for session in (greedy, canary):
        session.close()
