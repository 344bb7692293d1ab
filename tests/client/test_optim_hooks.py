"""Hooks of optimizers: around steps, for all optimizers, and around saving and loading."""

from __future__ import annotations

import importlib
from typing import Any

import pytest


def optimizer(t: Any) -> Any:
    return t.optim.SGD([t.nn.Parameter(t.zeros(1))], lr=0.1)


def test_hooks_of_all_optimizers_run_around_their_own(t: Any) -> None:
    seen: list[str] = []
    home = importlib.import_module(f"{t.__name__}.optim.optimizer")
    handles = [
        home.register_optimizer_step_pre_hook(lambda o, args, kwargs: seen.append("all before")),
        home.register_optimizer_step_post_hook(lambda o, args, kwargs: seen.append("all after")),
    ]
    o = optimizer(t)
    o.register_step_pre_hook(lambda o, args, kwargs: seen.append("before"))
    o.register_step_post_hook(lambda o, args, kwargs: seen.append("after"))
    o.step()
    for handle in handles:
        handle.remove()
    o.step()
    assert seen == ["all before", "before", "after", "all after", "before", "after"]


def test_hooks_around_saving(t: Any) -> None:
    o, seen = optimizer(t), []
    o.register_state_dict_pre_hook(lambda o: seen.append("first"))
    o.register_state_dict_pre_hook(lambda o: seen.append("zeroth"), prepend=True)
    o.register_state_dict_post_hook(lambda o, state: state.update(note=1))
    assert o.state_dict()["note"] == 1
    assert seen == ["zeroth", "first"]
    handle = o.register_state_dict_post_hook(lambda o, state: {"only": state["note"]})
    assert o.state_dict() == {"only": 1}
    handle.remove()
    assert "param_groups" in o.state_dict()


def test_hooks_around_loading(t: Any) -> None:
    o, seen = optimizer(t), []
    saved = o.state_dict()

    def faster(o: Any, state: dict[str, Any]) -> dict[str, Any]:
        state["new"] = 1  # a shallow copy: what the user holds does not change
        return {"state": state["state"], "param_groups": [{**state["param_groups"][0], "lr": 0.7}]}

    o.register_load_state_dict_pre_hook(faster)
    o.register_load_state_dict_pre_hook(lambda o, state: seen.append(sorted(state)), prepend=True)
    o.register_load_state_dict_post_hook(lambda o: seen.append(o.param_groups[0]["lr"]))
    o.load_state_dict(saved)
    assert seen == [["param_groups", "state"], 0.7]
    assert "new" not in saved


@pytest.mark.parametrize("name", ["Adam", "NAdam", "ASGD"])
def test_plain_numbers_in_an_old_state_become_tensors(t: Any, name: str) -> None:
    p = t.nn.Parameter(t.zeros(1))
    o = getattr(t.optim, name)([p])
    p.grad = t.ones(1)
    o.step()
    state = o.state_dict()
    old = {key: value.item() if value.ndim == 0 else value for key, value in state["state"][0].items()}
    o.load_state_dict({**state, "state": {0: old}})
    o.step()
    assert o.state[p]["step"].item() == 2.0
    assert o.state[p]["step"].dtype is t.float32
