"""A session that is over leaves nothing, without the garbage collector's help: an idle worker's never runs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import gradwire as gw
from gradwire import nn
from gradwire import session as sessions
from gradwire_protocol.v1 import call_pb2
from gradwire_server.backend import open_backend
from gradwire_server.lane import Lane
from gradwire_server.opened import Opened
from gradwire_server.programs.shared import SharedPrograms
from tests.support import Loopback, open_loopback


class Edge:
    """Stands in a loopback where its worker session would, and applies as the service does."""

    def __init__(self, opened: Opened) -> None:
        self.opened, self._stream = opened, opened.attach(lambda: None)
        self.engine, self.store, self.uploads = opened.session.engine, opened.session.store, opened.session.uploads

    def apply(self, batch: call_pb2.Batch) -> call_pb2.Ack | None:
        opened = self.opened
        return opened.apply(batch, self._stream, lambda: opened.detach(self._stream))


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    previous = sessions._current
    session, made = open_loopback()
    made.worker = Edge(Opened(open_backend("cpu"), Lane(), SharedPrograms()))  # type: ignore[assignment]
    sessions._current = session
    gc.collect()
    gc.disable()
    yield made
    gc.enable()
    sessions._current = previous


def work() -> list[Any]:
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    optimizer = gw.optim.Adam(model.parameters())

    @gw.compile
    def step(x: gw.Tensor) -> gw.Tensor:
        optimizer.zero_grad()
        loss = model(x).sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    for _ in range(4):
        loss = step(gw.ones(2, 3))
    kept = model(gw.ones(2, 3)).sum()
    gw.autograd.grad(kept, list(model.parameters()), create_graph=True)
    with pytest.raises(IndexError):
        gw.ones(3)[gw.tensor([7])].tolist()
    sessions.current().wait()
    return [model, optimizer, loss, kept, kept.grad_fn]


def test_what_an_ended_session_held_is_freed_at_once(loopback: Loopback) -> None:
    kept = work()
    edge: Any = loopback.worker
    held = [weakref.ref(edge.opened.session), *(weakref.ref(each) for each in edge.store.entries.values())]
    assert len(held) > 10
    edge.opened.close()
    loopback.worker = None  # type: ignore[assignment]
    del edge
    assert [ref() for ref in held if ref() is not None] == []
    assert kept
