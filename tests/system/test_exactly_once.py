"""Each kind of call that changes something happens once: its request lost, its answer lost, sent again while it runs."""

from __future__ import annotations

import gc
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire import nn
from gradwire import session as sessions
from gradwire.session import Session
from tests.system.onlooker import Onlooker, wait_until
from tests.system.relay import Relay
from tests.system.test_worker import Worker

pytestmark = pytest.mark.system

Action = Callable[[], object]
_PRODUCTS = 10
SENT_AGAIN = re.compile(r"went on after .* with (\d+) batches sent again")


def _upload(x: Any) -> Action:
    values = np.full(30_000, 0.25, np.float32)  # 120,000 bytes: beside the calls
    return lambda: x.add_(gw.tensor(values)[:3])


def _backward(x: Any) -> Action:
    leaf = x.detach().clone().requires_grad_()

    def act() -> None:
        (leaf * 3).sum().backward()
        x.add_(leaf.grad)

    return act


def _optimizer(x: Any) -> Action:
    parameter = nn.Parameter(x.detach().clone())
    parameter.grad = gw.ones(3)
    optimizer = gw.optim.Adam([parameter], lr=0.1)
    optimizer.step()

    def act() -> None:
        optimizer.step()
        x.copy_(parameter.detach())

    return act


def _set_data(x: Any) -> Action:
    other = gw.full((3,), 7.0)

    def act() -> None:
        x.add_(1)
        x.data = other
        x.mul_(2)

    return act


def _compiled(x: Any) -> Any:
    parameter = nn.Parameter(gw.ones(3))
    optimizer = gw.optim.SGD([parameter], lr=0.05, momentum=0.9)

    @gw.compile
    def step(factor: gw.Tensor) -> gw.Tensor:
        optimizer.zero_grad()
        loss = (parameter * factor).square().sum() + nn.functional.dropout(factor, 0.5).sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, parameter


def _program(x: Any) -> Action:
    step, parameter = _compiled(x)
    factor = gw.tensor([1.0, 2.0, 3.0])
    for _ in range(3):
        step(factor)

    def act() -> None:
        x.add_(step(factor))
        x.mul_(parameter.detach())

    return act


def _loop(x: Any) -> Action:
    step, parameter = _compiled(x)
    factors = gw.arange(12.0).reshape(4, 3)
    gw.loop(step, factors)

    def act() -> None:
        x.add_(gw.loop(step, factors).sum())
        x.mul_(parameter.detach())

    return act


def _pinned(x: Any) -> Action:
    root = (x.detach().clone().requires_grad_() * 2).exp()

    def act() -> None:
        x.add_(root.grad_fn._saved_result)

    return act


KINDS: dict[str, Callable[[Any], Action]] = {
    "new": lambda x: lambda: x.copy_(gw.full((3,), 2.0) + x),
    "in place": lambda x: lambda: x.add_(1),
    "through a view": lambda x: lambda: x[1:].mul_(3),
    "random": lambda x: lambda: x.add_(gw.rand(3)),
    "constant": lambda x: lambda: x.add_(gw.tensor([1.0, 2.0, 3.0])),
    "upload": _upload,
    "backward": _backward,
    "optimizer": _optimizer,
    "set data": _set_data,
    "program": _program,
    "loop": _loop,
    "pinned node": _pinned,
    "free": lambda x: lambda: [gw.ones(3) for _ in range(5)] and x.mul_(2),
}


def outcome(address: str, kind: str) -> tuple[list[str], int]:
    """Return what a call of some kind makes of the tensor, and how many handles there are, where nothing goes wrong."""
    session = gw.connect(address)
    x, act = prepared(kind)
    act()
    found = bits(x), handles(session, address)
    gw.disconnect()
    return found


def prepared(kind: str) -> tuple[Any, Action]:
    gw.manual_seed(1)
    x = gw.tensor([1.0, -2.0, 0.5])
    act = KINDS[kind](x)
    sessions.current().wait()
    return x, act


def bits(x: Any) -> list[str]:
    return [value.hex() for value in x.tolist()]


def handles(session: Session, address: str) -> int:
    gc.collect()
    session.wait()
    with Onlooker(address) as onlooker:
        return onlooker.session(session.welcome.token).handles


@contextmanager
def one_batch(session: Session) -> Iterator[None]:
    """Send what is called meanwhile as one batch: else a heavy call would be sent at once, before what follows."""
    session.flush = lambda **options: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        del session.flush  # type: ignore[method-assign]
    session.flush()


# The record of answers is the session's, whichever server is around it: all kinds with one, some with the other.
CASES = [("own queues", kind) for kind in KINDS] + [
    ("grpcio's server", kind) for kind in ("in place", "upload", "loop")
]
each_kind = pytest.mark.parametrize(
    ("relay", "kind"), CASES, indirect=["relay"], ids=[f"{kind}, {server}" for server, kind in CASES]
)


@pytest.fixture(scope="module")
def workers() -> Iterator[dict[str, Worker]]:
    made = {"own queues": Worker(), "grpcio's server": Worker("--public-server")}
    yield made
    for worker in made.values():
        worker.process.kill()
        worker.close()


@pytest.fixture
def relay(
    request: pytest.FixtureRequest, workers: dict[str, Worker], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Relay]:
    monkeypatch.setenv("GRADWIRE_SHARED_MEMORY", "0")
    previous, sessions._current = sessions._current, None
    made = Relay(workers[request.param].address)
    yield made
    gw.disconnect()
    made.close()
    sessions._current = previous


@pytest.fixture
def onlooker(relay: Relay) -> Iterator[Onlooker]:
    with Onlooker(relay.target) as made:
        yield made


@each_kind
def test_a_call_whose_request_is_lost_happens_once(relay: Relay, onlooker: Onlooker, kind: str) -> None:
    expected = outcome(relay.target, kind)
    session = gw.connect(relay.address)
    token = session.welcome.token
    x, act = prepared(kind)
    before = onlooker.progress(token).applied
    relay.lose("up")
    act()
    session.flush()
    wait_until(lambda: relay.lost_bytes, "the request is on its way")
    relay.cut()
    assert onlooker.progress(token).applied == before, "the cut was before the call"
    assert (bits(x), handles(session, relay.target)) == expected
    assert onlooker.session(token).repeated_batches == 0


@each_kind
def test_a_call_whose_answer_is_lost_happens_once(relay: Relay, onlooker: Onlooker, kind: str) -> None:
    expected = outcome(relay.target, kind)
    session = gw.connect(relay.address)
    token = session.welcome.token
    x, act = prepared(kind)
    before = onlooker.progress(token).applied
    relay.lose("down")
    act()
    session.flush()
    sent = session._number
    wait_until(lambda: onlooker.progress(token).applied == sent, "the cut is after the call")
    relay.cut()
    assert (bits(x), handles(session, relay.target)) == expected
    assert onlooker.session(token).repeated_batches == sent - before > 0


@each_kind
def test_a_call_that_comes_again_while_it_runs_happens_once(
    relay: Relay, onlooker: Onlooker, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A long product goes before the call in its batch, whose connection is cut while it runs; all of it is sent again."""
    expected = outcome(relay.target, kind)
    session = gw.connect(relay.address)
    token = session.welcome.token
    big = gw.ones(1500, 1500)
    x, act = prepared(kind)
    with one_batch(session):
        for _ in range(_PRODUCTS):
            big @ big
        act()
    long = session._number
    wait_until(lambda: onlooker.progress(token).running == long, "the batch runs")
    relay.cut()
    with caplog.at_level(logging.WARNING, "gradwire"):
        again = threading.Thread(target=session.wait)
        again.start()
        wait_until(lambda: any(SENT_AGAIN.search(record.getMessage()) for record in caplog.records), "it is sent again")
        time.sleep(0.02)  # for the bytes to arrive
        assert onlooker.progress(token).running == long, "it must still run when it comes again"
        again.join()
    del big
    assert (bits(x), handles(session, relay.target)) == expected
    assert onlooker.session(token).repeated_batches == 1
