"""What the dead held is free in time: a short soak, and the hardest case by itself."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.system.onlooker import Onlooker, wait_until
from tests.system.soak import LEASE_SECONDS, soak
from tests.system.test_worker import Worker

pytestmark = [pytest.mark.system, pytest.mark.slow]

_MIB = 1024 * 1024

# Dies after its call has reached the worker, and before the elements that it takes have.
WAITING = """
import os, sys, time
import numpy as np
import gradwire as gw
session = gw.connect(sys.argv[1])
ballast = gw.ones(64 * 1024 * 1024, dtype=gw.uint8)
session.wait()
type(session._link.bulk).upload = lambda bulk, values, meta, batch: 1
late = gw.tensor(np.ones(100_000, np.float32)) + 1
session.flush()
print("sent", flush=True)
time.sleep(60)
"""


IDLE = """
import sys, time
import gradwire as gw
session = gw.connect(sys.argv[1])
ballast = gw.ones(64 * 1024 * 1024, dtype=gw.uint8)
session.wait()
print("sent", flush=True)
time.sleep(60)
"""


def test_clients_that_crash_and_are_cut_off_leave_nothing_behind() -> None:
    found = soak(20)
    assert found.barriers >= 40
    assert found.compared >= 20
    assert found.killed >= 3
    assert found.cut >= 3
    assert found.longest_gone_seconds >= LEASE_SECONDS


@pytest.mark.parametrize("flags", [(), ("--public-server",)], ids=["own queues", "grpcio's server"])
def test_memory_is_free_whose_client_is_dead(flags: tuple[str, ...]) -> None:
    """Killed while its stream waits for the next batch, as most are."""
    worker = Worker("--lease-seconds", "1", *flags)
    try:
        with Onlooker(worker.address) as onlooker:
            before = onlooker.status().resident_bytes
            command = [sys.executable, "-c", IDLE, worker.address]
            clients = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
            for client in clients:
                assert client.stdout is not None
                assert client.stdout.readline() == "sent\n"
            assert onlooker.status().resident_bytes - before > 180 * _MIB
            for client in clients:
                client.kill()
                client.communicate()
            wait_until(lambda: not onlooker.status().sessions, "their sessions are over", 1 + 2)
            wait_until(lambda: onlooker.status().resident_bytes - before < 16 * _MIB, "their memory is free", 1)
    finally:
        worker.end()


@pytest.mark.parametrize("flags", [(), ("--public-server",)], ids=["own queues", "grpcio's server"])
def test_a_session_that_waits_for_an_upload_ends_when_its_client_is_dead(flags: tuple[str, ...]) -> None:
    worker = Worker("--lease-seconds", "1", *flags)
    client = subprocess.Popen([sys.executable, "-c", WAITING, worker.address], stdout=subprocess.PIPE, text=True)
    try:
        with Onlooker(worker.address) as onlooker:
            before = onlooker.status().resident_bytes
            assert client.stdout is not None
            assert client.stdout.readline() == "sent\n"
            wait_until(lambda: onlooker.status().sessions[0].running_seconds > 0, "the batch waits")
            assert onlooker.status().resident_bytes - before > 60 * _MIB
            client.kill()
            died_at = time.monotonic()
            wait_until(lambda: not onlooker.status().sessions, "its session is over", 1 + 2)
            assert time.monotonic() - died_at >= 1.0
            wait_until(lambda: onlooker.status().resident_bytes - before < 16 * _MIB, "its memory is free", 1)
    finally:
        client.kill()
        client.communicate()
        worker.end()


def test_a_worker_ends_though_a_batch_waits_for_an_upload() -> None:
    worker = Worker("--drain-seconds", "3")
    client = subprocess.Popen([sys.executable, "-c", WAITING, worker.address], stdout=subprocess.PIPE, text=True)
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == "sent\n"
        worker.process.terminate()
        assert worker.process.wait(timeout=10) == 0
    finally:
        client.kill()
        client.communicate()
        worker.close()
