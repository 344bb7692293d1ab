"""An optimizer lent to other parameters for the length of a block."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest


def stepped(t: Any) -> tuple[Any, Any]:
    p = t.nn.Parameter(t.ones(2))
    optimizer = t.optim.SGD([p], lr=0.5, momentum=0.5)
    p.grad = t.ones(2)
    optimizer.step()
    return p, optimizer


def test_it_steps_what_it_was_lent(t: Any) -> None:
    p, optimizer = stepped(t)
    q = t.nn.Parameter(t.zeros(2))
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][0]["lr"] = 1.0
    groups, params = optimizer.param_groups, optimizer.param_groups[0]["params"]
    with t.optim.swap_in_optimizer_params_and_state(optimizer, {"q": q}, state):
        assert optimizer.param_groups[0]["params"] == [q]
        q.grad = t.ones(2)
        optimizer.step()
        optimizer.state[q]["more"] = 1
    assert q.tolist() == [-1.5, -1.5]
    assert p.tolist() == [0.5, 0.5]
    assert list(state["state"][0]) == ["momentum_buffer"]
    assert state["state"][0]["momentum_buffer"].tolist() == [1.5, 1.5]
    assert optimizer.param_groups is groups
    assert groups[0]["params"] is params
    assert groups[0]["lr"] == 0.5
    assert optimizer.state[p]["momentum_buffer"].tolist() == [1, 1]


CHANGES: list[tuple[Callable[[Any, dict[str, Any]], Any], str]] = [
    (lambda t, s: 3, "requires a DCP-style optimizer state_dict."),
    (lambda t, s: {**s, "state": 3}, "per-param state dicts, got int."),
    (lambda t, s: {**s, "state": {t.ones(1): {}}}, "style state keyed by packed parameter ids."),
    (lambda t, s: {**s, "state": {0: 3}}, "requires per-parameter optimizer state entries to be dictionaries."),
    (lambda t, s: {**s, "state": {1: {}}}, "got extra keys [1]."),
    (lambda t, s: {**s, "param_groups": 3}, "to be a list of param-group dicts, got int."),
    (lambda t, s: {**s, "param_groups": []}, "has a different number of parameter groups than the live optimizer."),
    (lambda t, s: {**s, "param_groups": [3]}, "requires each optimizer param group to be a dictionary."),
    (lambda t, s: {**s, "param_groups": [{"params": 3}]}, "entries keyed by packed parameter ids."),
    (lambda t, s: {**s, "param_groups": [{"params": [1, 2]}]}, "param group 0 has a different number of params"),
    (lambda t, s: {**s, "param_groups": [{**s["param_groups"][0], "x": 1}]}, "Keys only in swap-in: ['x']."),
]


@pytest.mark.parametrize(("change", "text"), CHANGES)
def test_refusals(t: Any, change: Callable[[Any, dict[str, Any]], Any], text: str) -> None:
    p, optimizer = stepped(t)
    with pytest.raises(RuntimeError) as caught:
        t.optim.swap_in_optimizer_params_and_state(optimizer, {"p": p}, change(t, optimizer.state_dict())).__enter__()
    assert text in str(caught.value)


def test_it_needs_a_state_and_all_parameters(t: Any) -> None:
    _, optimizer = stepped(t)
    lend = t.optim.swap_in_optimizer_params_and_state
    with pytest.raises(RuntimeError, match="requires the explicit parameter state to match"):
        lend(optimizer, {}, optimizer.state_dict()).__enter__()
    fresh = t.optim.SGD([t.nn.Parameter(t.ones(1))])
    with pytest.raises(RuntimeError, match="requires initialized optimizer state"):
        lend(fresh, {}, fresh.state_dict()).__enter__()
