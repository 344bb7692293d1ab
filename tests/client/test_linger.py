"""Heavy calls that closely follow others ride together, and go out soon where nothing follows."""

from __future__ import annotations

import threading

import pytest

import gradwire as gw
from gradwire.linger import MOST_HEAVY
from gradwire_protocol.errors import WorkerLost
from tests.client.wire import Wire


def test_heavy_calls_that_closely_follow_others_ride_together(wire: Wire) -> None:
    x = gw.ones(2, requires_grad=True)
    x.sum().tolist()
    wire.clear()
    for _ in range(1 + MOST_HEAVY):
        (x * x).sum().backward()
    # The first finds the worker idle.
    assert [len(batch.calls) for batch in wire.batches] == [3, 3 * MOST_HEAVY]


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
