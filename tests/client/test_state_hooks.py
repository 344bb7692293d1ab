"""Hooks of `state_dict` and `load_state_dict`: when they run, with what, and what they may change."""

from __future__ import annotations

import copy
from typing import Any

import pytest


@pytest.fixture
def net(t: Any) -> Any:
    return t.nn.Sequential(t.nn.Linear(1, 1), t.nn.Sequential(t.nn.Linear(1, 1, bias=False)))


def test_saving_calls_before_and_after_each_module(t: Any, net: Any) -> None:
    log: list[Any] = []
    for module in (net, net[1]):
        module.register_state_dict_pre_hook(lambda m, prefix, keep: log.append(("before", m is net, prefix, keep)))
        module.register_state_dict_post_hook(
            lambda m, state, prefix, metadata: log.append(("after", m is net, prefix, list(state), metadata))
        )
    net.state_dict(keep_vars=True)
    keys = ["0.weight", "0.bias", "1.0.weight"]
    assert log == [
        ("before", True, "", True),
        ("before", False, "1.", True),
        ("after", False, "1.", keys, {"version": 1}),
        ("after", True, "", keys, {"version": 1}),
    ]


def test_what_hooks_after_saving_may_return(t: Any, net: Any) -> None:
    def rename(module: Any, state: Any, prefix: str, metadata: Any) -> Any:
        return {f"module.{key}": value for key, value in state.items()}

    handle = net._register_state_dict_hook(rename)
    assert list(net.state_dict()) == ["module.0.weight", "module.0.bias", "module.1.0.weight"]
    handle.remove()
    net[1]._register_state_dict_hook(rename)
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.0.weight"]
    net.register_state_dict_post_hook(rename)
    with pytest.raises(RuntimeError, match="state_dict post-hook must return None"):
        net.state_dict()
    with pytest.raises(RuntimeError, match="Cannot register the same function as the state dict post hook"):
        net._register_state_dict_hook(rename)


def test_a_hook_before_loading_may_rename_keys(t: Any, net: Any) -> None:
    seen: list[Any] = []

    def strip(module: Any, state: Any, prefix: str, metadata: Any, strict: bool, *lists: Any) -> None:
        seen.append((module is net, prefix, strict, lists))
        for key in list(state):
            state[key.removeprefix("module.")] = state.pop(key)

    other = {f"module.{key}": value + 1 for key, value in net.state_dict().items()}
    expected = [value.tolist() for value in other.values()]
    net.register_load_state_dict_pre_hook(strip)
    net[1]._register_load_state_dict_pre_hook(lambda state, prefix, *rest: seen.append((prefix, list(state))))
    assert str(net.load_state_dict(other)) == "<All keys matched successfully>"
    assert seen == [(True, "", True, ([], [], [])), ("1.", ["1.0.weight"])]
    assert [value.tolist() for value in net.state_dict().values()] == expected
    assert next(iter(other)) == "module.0.weight"


def test_a_hook_after_loading_may_forgive(t: Any, net: Any) -> None:
    state = net.state_dict()
    state["extra"] = state.pop("0.bias")
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict(state)

    def forgive(module: Any, keys: Any) -> None:
        assert (keys.missing_keys, keys.unexpected_keys) == (["0.bias"], ["extra"])
        keys.missing_keys.clear()
        keys.unexpected_keys.clear()

    handle = net.register_load_state_dict_post_hook(forgive)
    net.load_state_dict(state)
    handle.remove()
    net.register_load_state_dict_post_hook(lambda module, keys: 1)
    with pytest.raises(AssertionError, match="are not expected to return new values"):
        net.load_state_dict(state, strict=False)


def test_a_copy_has_the_hooks_and_gives_them_itself(t: Any, net: Any) -> None:
    seen: list[Any] = []
    net.register_load_state_dict_pre_hook(lambda module, *rest: seen.append(module))
    twin = copy.deepcopy(net)
    twin.load_state_dict(net.state_dict())
    assert seen == [twin]
