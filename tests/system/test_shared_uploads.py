"""Shared memory while the connection beside it is cut: what lies in it is not lost, and not read twice."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from tests.system.onlooker import Onlooker, wait_until
from tests.system.relay import Relay
from tests.system.test_worker import Worker

pytestmark = pytest.mark.system

KIB, MIB = 1024, 1024 * 1024


@pytest.fixture(scope="module", params=["own queues", "grpcio's server"])
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    running = Worker(*(["--public-server"] if request.param == "grpcio's server" else []))
    yield running
    running.process.kill()
    running.close()


@pytest.fixture
def relay(worker: Worker) -> Iterator[Relay]:
    """A relay on this machine: the messages go through it, and elements through memory."""
    previous, sessions._current = sessions._current, None
    made = Relay(worker.address)
    assert gw.connect(made.address)._link.bulk.is_shared
    yield made
    gw.disconnect()
    made.close()
    sessions._current = previous


def values_of(number: int, count: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, count, dtype=np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_uploads_go_on_after_cuts(relay: Relay, seed: int) -> None:
    """More than all slots hold in one transfer, and many that share the slots; cut at any byte of the messages about them."""
    draw = random.Random(seed)
    sizes = [draw.choice([70 * KIB, 300 * KIB, 3 * MIB, 17 * MIB + 5]) for _ in range(14)]
    there = []
    for number, count in enumerate(sizes):
        if draw.random() < 0.6:
            relay.cut_after(draw.randrange(1, 250), draw.choice(["up", "down"]))
        values = values_of(number, count)
        there.append(gw.from_numpy(values))
        values += 1  # what was given to a tensor may change at once
        if draw.random() < 0.3:
            assert there[-1][-1].item() == values_of(number, count)[-1]
    for number, (tensor, count) in enumerate(zip(there, sizes, strict=True)):
        np.testing.assert_array_equal(tensor.numpy(), values_of(number, count))
    assert relay.cuts >= 3


@pytest.mark.parametrize("seed", range(2))
def test_downloads_begin_again_after_cuts(relay: Relay, seed: int) -> None:
    draw = random.Random(seed)
    wanted = [values_of(number, 9 * MIB + number) for number in range(3)]
    there = [gw.from_numpy(values) for values in wanted]
    sessions.current().wait()
    for _ in range(8):
        number = draw.randrange(3)
        relay.cut_after(draw.randrange(1, 150), draw.choice(["up", "down"]))
        np.testing.assert_array_equal(there[number].numpy(), wanted[number])
    assert relay.cuts >= 3


def test_an_upload_that_is_lost_by_itself_is_sent_again(worker: Worker, relay: Relay) -> None:
    """The connection of transfers alone goes silent and breaks, while a batch already waits for its upload."""
    x = gw.from_numpy(values_of(0, 100 * KIB))  # so that there is such a connection
    session = sessions.current()
    session.wait()
    relay.lose("up", newest=True)
    y = gw.from_numpy(values_of(1, 100 * KIB)) + x
    session.flush()
    with Onlooker(worker.address) as onlooker:
        wait_until(lambda: onlooker.progress(session.welcome.token).running, "the batch waits")
    threading.Timer(0.5, lambda: relay.cut(newest=True)).start()
    np.testing.assert_array_equal(y.numpy(), values_of(1, 100 * KIB) + values_of(0, 100 * KIB))
