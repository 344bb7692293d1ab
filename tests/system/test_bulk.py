"""Large tensors to and from worker processes: every byte, every way; and what a cut in the middle does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire.session import Session
from gradwire.transport import GrpcConnection
from tests.system.test_worker import Worker

pytestmark = pytest.mark.system

KIB, MIB = 1024, 1024 * 1024


@pytest.fixture(scope="module", params=["own queues", "grpcio's server"])
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    """A running worker, with either server."""
    running = Worker(*(["--public-server"] if request.param == "grpcio's server" else []))
    yield running
    running.process.kill()
    running.close()


@pytest.fixture(params=["shared memory", "chunks"])
def session(worker: Worker, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session that is the current one, whose bytes go either way."""
    monkeypatch.setenv("GRADWIRE_SHARED_MEMORY", "1" if request.param == "shared memory" else "0")
    previous = sessions._current
    opened = sessions.use(Session(GrpcConnection(worker.address, connect_seconds=10, public_stream=False)))
    assert opened._link.bulk.is_shared is (request.param == "shared memory")
    yield opened
    opened.close()
    sessions._current = previous


@pytest.mark.parametrize("count", [0, 1, 64 * KIB, 64 * KIB + 1, MIB - 1, MIB, 2 * MIB + 1, 17 * MIB + 5, 64 * MIB])
def test_every_byte_arrives_both_ways(session: Session, count: int) -> None:
    values = np.random.default_rng(count).integers(0, 256, count, dtype=np.uint8)
    there = gw.from_numpy(values)
    wanted = values.copy()
    values += 1  # what was given to a tensor may change at once
    np.testing.assert_array_equal(there.numpy(), wanted)


def test_strided_and_unaligned_arrays_arrive(session: Session) -> None:
    base = np.arange(3 * MIB, dtype=np.uint8)
    for array in (base[1:], base[:-5].reshape(-1, 1), base.reshape(3, -1).T, base[::-3]):
        np.testing.assert_array_equal(gw.tensor(array).numpy(), array)


def test_calls_that_follow_an_upload_see_it_and_each_other(session: Session) -> None:
    total, wanted = gw.zeros(MIB), np.zeros(MIB, np.float32)
    for number in range(12):
        values = np.full(MIB, number, np.float32)
        total.add_(gw.from_numpy(values)).mul_(2)
        wanted = (wanted + values) * 2
    np.testing.assert_array_equal(total.numpy(), wanted)


def test_a_download_shows_the_tensor_as_it_was_asked_for(session: Session) -> None:
    x, stop = gw.zeros(2 * MIB), threading.Event()

    def write() -> None:
        while not stop.is_set():
            x.add_(1)
            session.flush()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(3):
            assert len(np.unique(x.numpy())) == 1
    finally:
        stop.set()
        thread.join()


def test_threads_may_transfer_at_once(session: Session) -> None:
    wrong: list[int] = []

    def transfer(number: int) -> None:
        for size in (MIB // 2, 3 * MIB, 100 * KIB):
            values = np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)
            if not (gw.from_numpy(values).numpy() == values).all():
                wrong.append(number)

    threads = [threading.Thread(target=transfer, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("shared", ["1", "0"])
def test_a_worker_killed_in_mid_transfer_is_lost(way: str, shared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADWIRE_SHARED_MEMORY", shared)
    worker, previous = Worker(), sessions._current
    try:
        sessions.use(Session(GrpcConnection(worker.address, connect_seconds=10, public_stream=False)))
        values = np.ones(64 * MIB, np.uint8)
        there = gw.from_numpy(values)
        there.numpy()
        timer = threading.Timer(0.3, worker.process.kill)
        timer.start()
        deadline = time.monotonic() + 60
        with pytest.raises(gw.errors.WorkerLost):
            while time.monotonic() < deadline:
                if way == "up":
                    there = gw.from_numpy(values)
                else:
                    there.numpy()
        with pytest.raises(gw.errors.WorkerLost):
            gw.zeros(3).tolist()
    finally:
        gw.disconnect()
        sessions._current = previous
        worker.close()
