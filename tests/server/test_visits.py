"""When refused clients may come again: one after the other, within bounds."""

from __future__ import annotations

import itertools

import pytest

from gradwire_server.visits import Visits


def test_one_client_comes_again_soon():
    now = 100.0
    visits = Visits(lambda: now)
    assert visits.next_seconds() == pytest.approx(0.5)
    now = 200.0
    assert visits.next_seconds() == pytest.approx(0.5)


def test_many_come_one_after_the_other_and_none_waits_long():
    visits = Visits(lambda: 100.0)
    told = [visits.next_seconds() for _ in range(200)]
    assert told == sorted(told)
    assert [later - sooner for sooner, later in itertools.pairwise(told[:90])] == pytest.approx([0.1] * 89)
    assert max(told) == pytest.approx(10.0)


def test_places_are_given_again_as_time_goes_by():
    now = 0.0
    visits = Visits(lambda: now)
    for _ in range(50):
        visits.next_seconds()
    now = 5.0
    assert visits.next_seconds() == pytest.approx(0.5, abs=0.11)
