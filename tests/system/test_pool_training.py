"""A training on two workers of a pool, of which one is killed: it goes on with the replacement, as if nothing had happened."""

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
from gradwire.nn.parallel import DistributedDataParallel
from gradwire.pool import replace
from gradwire_protocol.errors import GroupBroken, WorkerLost
from tests.system.pools import RunningPool

pytestmark = [
    pytest.mark.system,
    # Not a comparison, but where PyTorch is, gloo is.
    pytest.mark.parity,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="needs Ray; install it with: pip install 'gradwire[pool]'"
    ),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="gloo comes inside of PyTorch"),
]

STEPS, KILLED_AT = 8, 4


@pytest.fixture
def pool() -> Iterator[RunningPool]:
    previous, sessions._current = sessions._current, None
    running = RunningPool("--workers", "2")
    yield running
    gw.disconnect()
    sessions._current = previous
    assert running.down().returncode == 0


def made() -> nn.Module:
    gw.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))


def step(model: nn.Module, optimizer: Any, number: int) -> float:
    draw = np.random.default_rng(number)
    x, y = gw.tensor(draw.normal(size=(8, 6)).astype("float32")), gw.tensor(draw.integers(0, 3, 8))
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return float(loss.item())


def test_a_training_goes_on_with_the_replacement_of_a_worker(pool: RunningPool) -> None:
    _, second = gw.connect(pool.address, workers=2)
    alone = made()
    optimizer = gw.optim.Adam(alone.parameters(), lr=0.02)
    expected = [step(alone, optimizer, number) for number in range(STEPS)]

    parallel = DistributedDataParallel(made())
    optimizer = gw.optim.Adam(parallel.parameters(), lr=0.02)
    losses: list[float] = []
    lost_at = 0.0
    while len(losses) < STEPS:
        if len(losses) == KILLED_AT and not lost_at:
            lost_at = time.monotonic()
            os.kill(second.lent.workers[1].process, signal.SIGKILL)
        try:
            losses.append(step(parallel, optimizer, len(losses)))
        except (GroupBroken, WorkerLost):
            replace(second)
            parallel.reform()
            assert time.monotonic() - lost_at < 20
    assert lost_at
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-5)
    rows = [[p.detach().numpy() for p in replica.parameters()] for replica in parallel._replicas]
    assert len(rows) == 2
    assert all(np.array_equal(a, b) for a, b in zip(*rows, strict=True))
