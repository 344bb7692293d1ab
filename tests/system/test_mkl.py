"""A training on worker processes with and without MKL: the same losses, and another fingerprint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from tests.system.test_worker import Worker
from tests.system.training import train

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def _own_session() -> Iterator[None]:
    previous, sessions._current = sessions._current, None
    yield
    gw.disconnect()
    sessions._current = previous


def _trained(monkeypatch: pytest.MonkeyPatch, switch: str) -> tuple[str, list[str], bool]:
    """Train on a worker with GRADWIRE_MKL set so: its fingerprint, the losses' bits, and whether MKL's core was loaded."""
    monkeypatch.setenv("GRADWIRE_MKL", switch)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # the worker sets them by its --threads
        monkeypatch.delenv(name, raising=False)
    worker = Worker()
    try:
        gw.connect(worker.address)
        losses, _ = train(6)
        # Loaded by MKL itself, at its first call.
        has_multiplied = "libmkl_core" in Path(f"/proc/{worker.process.pid}/maps").read_text(encoding="utf-8")
        return sessions.current().welcome.fingerprint, losses, has_multiplied
    finally:
        gw.disconnect()
        worker.end()


def test_losses_agree_with_and_without_mkl(monkeypatch: pytest.MonkeyPatch) -> None:
    used, by_mkl, has_multiplied = _trained(monkeypatch, "1")
    off, by_numpy, is_loaded = _trained(monkeypatch, "0")
    assert "mkl=none" in off
    assert not is_loaded
    values = [[float.fromhex(loss) for loss in losses] for losses in (by_mkl, by_numpy)]
    np.testing.assert_allclose(*values, rtol=1e-4)
    if "mkl=none" in used:
        pytest.skip("no MKL (pip install 'gradwire[mkl]', on x86-64 Linux): the worker has numpy's products alone")
    assert used != off
    assert has_multiplied, "a training that never met MKL shows nothing"
    assert _trained(monkeypatch, "1") == (used, by_mkl, True), "a second worker has the same bits"
