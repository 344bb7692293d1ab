"""Heavy calls that closely follow others ride together, and go out soon where nothing follows."""

from __future__ import annotations

import threading

import pytest

import gradwire as gw
from gradwire.linger import MOST_HEAVY, Linger
from gradwire_protocol.errors import WorkerLost
from gradwire_protocol.ops import OPS
from tests.client.wire import Wire


def test_heavy_calls_that_closely_follow_others_ride_together(wire: Wire) -> None:
    x = gw.ones(2, requires_grad=True)
    x.sum().tolist()
    wire.clear()
    for _ in range(1 + MOST_HEAVY):
        (x * x).sum().backward()
    # The first finds the worker idle.
    assert [len(batch.calls) for batch in wire.batches] == [3, 3 * MOST_HEAVY]


class _Expecting:
    """A linger without a session, and its time."""

    def __init__(self) -> None:
        self.now, self.sends = 0.0, threading.Semaphore(0)
        self.linger = Linger(self.sends.release, 0.0005, sleep=self._paused, clock=lambda: self.now)
        self.pauses: list[float] = []

    def _paused(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def call(self) -> bool:
        """Make a heavy call while nothing is unanswered; return whether it goes out at once."""
        return self.linger.is_due(OPS["gw::backward_part"], 1, None)

    def read(self, after_seconds: float) -> None:
        """Wait for it."""
        self.now += after_seconds
        self.linger.waited()


def test_a_call_is_expected_to_be_read_at_once_as_the_one_before_it_was() -> None:
    script = _Expecting()
    assert script.call()
    script.read(after_seconds=0.0001)
    assert not script.call()
    assert script.sends.acquire(timeout=10)  # a thread would have sent it had nothing followed
    assert script.pauses == [0.002]
    script.read(after_seconds=0.0001)
    assert not script.call()
    script.linger.stop()


@pytest.mark.parametrize("is_read", [True, False])
def test_a_call_that_is_read_late_or_not_goes_out_at_once_the_next_time(is_read: bool) -> None:
    script = _Expecting()
    assert script.call()
    script.read(after_seconds=0.0001)
    assert not script.call()
    if is_read:
        script.read(after_seconds=0.01)
    assert script.call()
    script.linger.stop()


def test_a_step_whose_loss_is_read_each_time_is_one_message(wire: Wire) -> None:
    x = gw.ones(2, requires_grad=True)

    def step() -> None:
        loss = (x * x).sum()
        loss.backward()
        loss.item()

    wire.session._linger._clock = lambda: 0.0  # however long this machine takes
    step()
    wire.clear()
    for _ in range(3):
        step()
    assert len(wire.batches) == 3


def test_a_heavy_call_that_nothing_follows_goes_out_soon(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    x = gw.ones(2, requires_grad=True)
    lingering, sent = wire.session._linger, threading.Event()
    monkeypatch.setattr(lingering, "_sleep", lambda seconds: None)
    flush = wire.session.flush
    monkeypatch.setattr(wire.session, "flush", lambda: (flush(), sent.set()))
    (x * x).sum().backward()
    sent.clear()
    (x * x).sum().backward()
    assert sent.wait(10)
    assert x.grad is not None
    assert wire.session.statistics().waits == 0


def test_what_went_wrong_while_a_heavy_call_was_sent_late_is_raised_at_the_next_message(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(message: bytes) -> None:
        raise WorkerLost("the connection ended")

    x = gw.ones(2, requires_grad=True)
    (x * x).sum().backward()
    (x * x).sum().backward()
    monkeypatch.setattr(wire.loopback, "send", lose)
    wire.session._send_lingering()
    with pytest.raises(WorkerLost, match="the connection ended"):
        x.tolist()


def test_a_closed_session_has_sent_what_lingered_and_does_not_wait_for_mere_releases(wire: Wire) -> None:
    x = gw.ones(2, requires_grad=True)
    (x * x).sum().backward()
    (x * x).sum().backward()
    wire.session.close()
    assert [len(batch.calls) for batch in wire.batches] == [4, 3]


def test_a_session_with_nothing_to_send_but_releases_closes_silently(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lose(message: bytes) -> None:
        raise WorkerLost("the connection ended")

    gw.ones(2).tolist()
    monkeypatch.setattr(wire.loopback, "send", lose)
    assert wire.session.released
    wire.session.close()
    assert capsys.readouterr().err == ""
