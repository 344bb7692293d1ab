"""`t`: a test that takes it runs with gradwire and, marked parity, with PyTorch, which so proves what the test expects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import gradwire
from gradwire import session as sessions
from gradwire_server.programs import executable
from tests.client.wire import NEVER, Wire
from tests.support import open_loopback

BOTH = ["gradwire", pytest.param("torch", marks=pytest.mark.parity)]


@pytest.fixture(autouse=True)
def soon_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let programs run by their kernels once and then as compiled steps, which have the same bits."""
    monkeypatch.setattr(executable, "WORTHWHILE", 2)


@pytest.fixture
def session() -> Iterator[sessions.Session]:
    """Make a session with a worker in this process the current one."""
    previous = sessions._current
    opened, _ = open_loopback()
    yield sessions.use(opened)
    sessions._current = previous


@pytest.fixture(params=BOTH)
def t(request: pytest.FixtureRequest) -> Any:
    if request.param == "torch":
        return pytest.importorskip("torch")
    request.getfixturevalue("session")
    return gradwire


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Open a session whose batches no clock closes."""
    monkeypatch.setattr(sessions, "_IDLE_SECONDS", NEVER)
    previous = sessions._current
    session, loopback = open_loopback()
    sessions.use(session)
    yield Wire(session, loopback)
    sessions._current = previous
