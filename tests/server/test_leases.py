"""Leases: pure, with a clock of the test's."""

from __future__ import annotations

from gradwire_server.leases import Leases


def test_a_session_is_over_when_nobody_came_back_in_time() -> None:
    now = [0.0]
    leases = Leases(10, lambda: now[0])
    leases.left(b"a")
    now[0] = 4
    leases.left(b"b")
    leases.left(b"c")
    now[0] = 9.9
    assert leases.expired() == []
    now[0] = 10
    assert leases.expired() == [b"a"]
    leases.taken(b"b")
    now[0] = 14
    assert leases.expired() == [b"a", b"c"]
    leases.taken(b"a")
    leases.taken(b"unknown")
    assert leases.expired() == [b"c"]
    assert len(leases) == 1
