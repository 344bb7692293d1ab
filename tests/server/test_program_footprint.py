"""What a compiled function takes on its way counts, though its calls are never asked one by one."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire.session import Session
from gradwire.workers import on
from gradwire_protocol.dtypes import float32
from gradwire_protocol.errors import QuotaExceeded
from gradwire_protocol.meta import Meta
from gradwire_protocol.v1 import call_pb2, worker_pb2
from gradwire_server.backend import open_backend
from gradwire_server.programs.footprint import peak_bytes
from gradwire_server.quota_settings import Quotas
from gradwire_server.quotas import Tenant
from gradwire_server.session import Session as WorkerSession
from tests.support import Loopback

ELEMENTS = 1 << 20
ARRAY_BYTES = 4 * ELEMENTS


def opened(**quotas: int) -> tuple[Session, Loopback]:
    loopback = Loopback()
    loopback.worker = WorkerSession(open_backend("cpu"), tenant=Tenant(Quotas(**quotas)))
    return Session(loopback), loopback


def widened(x: Any) -> Any:
    """Make a large tensor of a small one, and sum it: neither input nor output shows how much that takes."""
    wide = x.expand(ELEMENTS)
    for _ in range(6):
        wide = wide.cumsum(0)
    return wide.sum()


def third_call(session: Session) -> Any:
    """Return what the call gives that is the first to run as a program."""
    with on(session):
        function, x = gw.compile(widened), gw.ones(1)
        for _ in range(3):
            found = function(x)
        return found.item()


def test_the_peak_is_of_what_lives_at_a_time() -> None:
    session, loopback = opened()
    assert third_call(session) > 0
    (loaded,) = loopback.worker.programs._loaded.values()
    # One array is read while the next is made, however many follow one another.
    assert 2 * ARRAY_BYTES <= peak_bytes(loaded._prepared.forward) < 4 * ARRAY_BYTES


@pytest.mark.parametrize("quota", ["session_bytes", "tenant_bytes"])
def test_a_program_that_nobody_ran_call_by_call_passes_no_quota(quota: str) -> None:
    session, loopback = opened()
    third_call(session)
    frames = [worker_pb2.ClientFrame.FromString(message) for message in loopback.sent]
    sent = next(frame.batch for frame in frames if frame.batch.programs)
    run = next(signature for signature in sent.signatures if signature.op == "gw::program")
    for quota_bytes, expected in ((ARRAY_BYTES, "QuotaExceeded"), (16 * ARRAY_BYTES, "")):
        worker = opened(**{quota: quota_bytes})[1].worker
        worker.store.define(1, worker.engine.new(np.ones(1, np.float32), Meta.of((1,), float32)))
        batch = call_pb2.Batch(
            number=1, first_handle=2, programs=sent.programs, signatures=[run], calls=[0], inputs=[1]
        )
        with worker.engine.backend.active():
            ack = worker.apply(batch)
        assert [failure.error for failure in ack.failures] == ([expected] if expected else [])
        assert not expected or "a compiled function needs" in ack.failures[0].message


def test_a_program_is_refused_before_it_takes_memory() -> None:
    session, loopback = opened()
    with on(session):
        function, x = gw.compile(widened), gw.ones(1)
        for _ in range(2):
            function(x)
        session.flush()
        loopback.worker.engine.most_bytes = 1000
        tracemalloc.start()
        try:
            with pytest.raises(QuotaExceeded):
                function(x).item()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < ARRAY_BYTES / 2
