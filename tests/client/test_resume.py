"""When to try again, and when to give up: pure, with a clock of the test's."""

from __future__ import annotations

import pytest

from gradwire.heartbeat import Pulse
from gradwire.resume import attempts, reconnect_seconds


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_pauses_double_up_to_two_seconds_and_end_with_the_time() -> None:
    clock = Clock()
    allowed = list(attempts(12, clock, clock.sleep, lambda: 1.0))
    assert clock.slept[:7] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0])
    assert max(clock.slept) == 2.0
    assert clock.now == pytest.approx(112)
    assert len(allowed) == len(clock.slept)
    assert all(0 < seconds <= 8 for seconds in allowed)
    assert allowed[0] == 1.0, "long enough to connect at all"


def test_pauses_are_spread_over_half_of_their_length() -> None:
    clock = Clock()
    list(attempts(5, clock, clock.sleep, lambda: 0.0))
    assert clock.slept[:3] == pytest.approx([0.025, 0.05, 0.1])
    assert list(attempts(0, clock, clock.sleep)) == []


def test_the_time_for_trying_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADWIRE_RECONNECT_SECONDS", raising=False)
    assert reconnect_seconds(None) == 30
    assert reconnect_seconds(0) == 0
    monkeypatch.setenv("GRADWIRE_RECONNECT_SECONDS", "7.5")
    assert reconnect_seconds(None) == 7.5
    for wrong in ("soon", "-1", "nan"):
        monkeypatch.setenv("GRADWIRE_RECONNECT_SECONDS", wrong)
        with pytest.raises(ValueError, match="0 or more"):
            reconnect_seconds(None)


def test_silence_counts_from_what_was_heard_last_and_only_while_something_is_awaited() -> None:
    pulse = Pulse()
    assert not pulse.is_asking(1e6)
    pulse.awaited_since = 100
    assert not pulse.is_asking(101.5)
    assert pulse.is_asking(102.5)
    pulse.heard(103)
    assert not pulse.is_asking(104.5)
    assert not pulse.is_lost(110.9)
    assert pulse.is_lost(111.1)
    pulse.awaited_since = None
    assert not pulse.is_lost(1e6)
