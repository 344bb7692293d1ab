"""What several of these tests stand on: sessions of their own, a worker of their own behind a relay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import gradwire as gw
from gradwire import session as sessions
from tests.system.relay import Relay
from tests.system.test_worker import Worker


@pytest.fixture
def own_session() -> Iterator[None]:
    """Let a test choose its sessions, and give the others theirs back."""
    previous, sessions._current = sessions._current, None
    yield
    gw.disconnect()
    sessions._current = previous


@pytest.fixture(params=["own queues", "grpcio's server"])
def relay(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """A relay in front of a worker of its own; large tensors go through it too."""
    monkeypatch.setenv("GRADWIRE_SHARED_MEMORY", "0")
    previous, sessions._current = sessions._current, None
    worker = Worker(*(["--public-server"] if request.param == "grpcio's server" else []))
    made = Relay(worker.address)
    made.worker = worker  # type: ignore[attr-defined]
    yield made
    gw.disconnect()
    made.close()
    worker.process.kill()
    worker.close()
    sessions._current = previous
