"""A worker of a training is killed: the training goes on with a replacement, or without one, as if nothing had happened."""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire import nn
from gradwire import session as sessions
from gradwire.errors import GroupBroken, WorkerLost
from gradwire.nn.parallel import DistributedDataParallel
from gradwire.workers import reconnect
from tests.devices.conftest import Worker
from tests.system.pools import RunningPool

pytestmark = [
    pytest.mark.system,
    # Not a comparison, but where PyTorch is, gloo is.
    pytest.mark.parity,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="gloo comes inside of PyTorch"),
]

STEPS, KILLED_AT = 8, 4


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    """Three workers, the third a spare."""
    previous, sessions._current = sessions._current, None
    running = [Worker(), Worker(), Worker()]
    yield running
    gw.disconnect()
    sessions._current = previous
    for worker in running:
        worker.kill()


def _step(model: nn.Module, optimizer: Any, number: int) -> float:
    draw = np.random.default_rng(number)
    x = gw.tensor(draw.normal(size=(8, 4)), dtype=gw.float32)
    y = gw.tensor(draw.normal(size=(8, 2)), dtype=gw.float32)
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return float(loss.item())


def _model() -> nn.Module:
    gw.manual_seed(4)
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))


def _undisturbed() -> tuple[list[float], list[Any]]:
    model = _model()
    optimizer = gw.optim.Adam(model.parameters(), lr=0.02)
    return [_step(model, optimizer, number) for number in range(STEPS)], [
        p.detach().numpy() for p in model.parameters()
    ]


@pytest.mark.parametrize(("victim", "has_spare"), [(1, True), (1, False), (0, True)])
def test_a_training_goes_on_after_a_kill(workers: list[Worker], victim: int, has_spare: bool) -> None:
    gw.connect([worker.address for worker in workers[:2]], reconnect_seconds=1)
    expected, weights = _undisturbed()
    parallel = DistributedDataParallel(_model())
    optimizer = gw.optim.Adam(parallel.parameters(), lr=0.02)
    losses: list[float] = []
    while len(losses) < STEPS:
        if len(losses) == KILLED_AT and parallel.epoch == 1:
            os.kill(workers[victim].process.pid, signal.SIGKILL)
        began = time.monotonic()
        try:
            losses.append(_step(parallel, optimizer, len(losses)))
        except (GroupBroken, WorkerLost) as error:
            assert time.monotonic() - began < 10
            assert workers[victim].address in str(error) or f"cpu:{victim}" in str(error)
            if has_spare:
                reconnect(f"cpu:{victim}", workers[2].address)
            parallel.reform()
            if not has_spare:
                break
            assert parallel.epoch == 2
    while len(losses) < STEPS:
        losses.append(_step(parallel, optimizer, len(losses)))
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-5)
    assert len(parallel._replicas) == (2 if has_spare else 1)
    rows = [[p.detach().numpy() for p in replica.parameters()] for replica in parallel._replicas]
    for own, wanted in zip(rows[0], weights, strict=True):
        np.testing.assert_allclose(own, wanted, rtol=1e-4, atol=1e-5)
    assert all(np.array_equal(a, b) for row in rows[1:] for a, b in zip(rows[0], row, strict=True))


def test_without_any_worker_left_it_says_so(workers: list[Worker]) -> None:
    gw.connect([worker.address for worker in workers[:2]], reconnect_seconds=1)
    parallel = DistributedDataParallel(_model())
    for worker in workers[:2]:
        worker.process.kill()
    with pytest.raises(WorkerLost, match="none of these workers lives; load a checkpoint"):
        parallel.reform()


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray")
def test_a_pool_gives_the_replacement_by_itself() -> None:
    previous, sessions._current = sessions._current, None
    pool = RunningPool("--workers", "2")
    try:
        first, _ = gw.connect(pool.address, workers=2)
        expected, _weights = _undisturbed()
        parallel = DistributedDataParallel(_model())
        optimizer = gw.optim.Adam(parallel.parameters(), lr=0.02)
        losses: list[float] = []
        while len(losses) < STEPS:
            if len(losses) == KILLED_AT and parallel.epoch == 1:
                os.kill(first.lent.workers[0].process, signal.SIGKILL)
            try:
                losses.append(_step(parallel, optimizer, len(losses)))
            except (GroupBroken, WorkerLost):
                parallel.reform()
        assert parallel.epoch == 2
        assert len(parallel._replicas) == 2
        np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-5)
    finally:
        gw.disconnect()
        sessions._current = previous
        assert pool.down().returncode == 0
