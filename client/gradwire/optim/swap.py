"""Lending an optimizer: for the length of a block it works on other parameters, with another state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradwire.optim.optimizer import Optimizer
from gradwire.tensor import Tensor

__all__ = ["swap_in_optimizer_params_and_state"]

_NAME = "swap_in_optimizer_params_and_state"


@contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Optimizer, swapin_parameters: dict[str, Tensor], swapin_optim_state: dict[str, Any]
) -> Iterator[None]:
    """Let `optimizer` use the given parameters and state inside the block, and its own again after it.

    `swapin_parameters` stand in the order of the optimizer's parameters; `swapin_optim_state` is what `state_dict()`
    returns. Tensors of that state change in place; what the block adds to it or takes away is forgotten.
    """
    state, groups = _checked(optimizer, swapin_optim_state)
    parameters = _dealt(groups, list(swapin_parameters.values()))
    kept_state, kept_groups = optimizer.state, [dict(group) for group in optimizer.param_groups]
    try:
        swapped: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for own, new, given in zip(optimizer.param_groups, groups, parameters, strict=True):
            own.update({**new, "params": given})
            for parameter, number in zip(given, new["params"], strict=True):
                swapped[parameter] = dict(state.get(number, {}))
        optimizer.state = swapped
        yield
    finally:
        for group, kept in zip(optimizer.param_groups, kept_groups, strict=True):
            group.clear()
            group.update(kept)
        optimizer.state = kept_state


def _dealt(groups: list[dict[str, Any]], parameters: list[Tensor]) -> list[list[Tensor]]:
    """Return the parameters of each group."""
    dealt, start = [], 0
    for group in groups:
        end = start + len(group["params"])
        if end > len(parameters):
            raise RuntimeError(
                f"{_NAME} requires the explicit parameter state to match optimizer.param_groups ordering."
            )
        dealt.append(parameters[start:end])
        start = end
    return dealt


def _checked(optimizer: Optimizer, saved: Any) -> tuple[dict[Any, Any], list[dict[str, Any]]]:
    """Return the state and the groups of what `state_dict()` returned, or raise RuntimeError that says what is wrong."""
    if not optimizer.state:
        raise RuntimeError(f"{_NAME} requires initialized optimizer state.")
    if not isinstance(saved, dict):
        raise RuntimeError(f"{_NAME} requires a DCP-style optimizer state_dict.")
    state = _checked_state(saved.get("state"))
    groups = saved.get("param_groups")
    if not isinstance(groups, list):
        raise RuntimeError(
            f"{_NAME} requires swapin_optim_state['param_groups'] to be a list of param-group dicts, got "
            f"{type(groups).__name__}."
        )
    if len(optimizer.param_groups) != len(groups):
        raise RuntimeError("swapin_optim_state has a different number of parameter groups than the live optimizer.")
    for index, (own, new) in enumerate(zip(optimizer.param_groups, groups, strict=True)):
        _check_group(index, own, new)
    known = {number for group in groups for number in group["params"]}
    extra = [key for key in state if key not in known]
    if extra:
        raise RuntimeError(
            f"{_NAME} requires swapin_optim_state['state'] to be keyed only by packed parameter ids from "
            f"param_groups[*]['params']; got extra keys {extra!r}."
        )
    return state, groups


def _checked_state(state: Any) -> dict[Any, Any]:
    if not isinstance(state, dict):
        raise RuntimeError(
            f"{_NAME} requires swapin_optim_state['state'] to be a dict mapping packed parameter ids to per-param state "
            f"dicts, got {type(state).__name__}."
        )
    if any(isinstance(key, Tensor) for key in state):
        raise RuntimeError(f"{_NAME} requires optimizer.state_dict()-style state keyed by packed parameter ids.")
    if any(isinstance(key, int) and not isinstance(kept, dict) for key, kept in state.items()):
        raise RuntimeError(f"{_NAME} requires per-parameter optimizer state entries to be dictionaries.")
    return state


def _check_group(index: int, own: dict[str, Any], new: Any) -> None:
    if not isinstance(new, dict):
        raise RuntimeError(f"{_NAME} requires each optimizer param group to be a dictionary.")
    numbers = new.get("params")
    if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
        raise RuntimeError(
            f"{_NAME} requires optimizer.state_dict()-style param_groups[*]['params'] entries keyed by packed parameter "
            "ids."
        )
    if len(own["params"]) != len(numbers):
        raise RuntimeError(
            f"swapin_optim_state param group {index} has a different number of params than the live optimizer param group."
        )
    only_new, only_own = [key for key in new if key not in own], [key for key in own if key not in new]
    if only_new or only_own:
        raise RuntimeError(
            f"{_NAME} requires optimizer.state_dict()-style param group keys to exactly match the live optimizer group "
            f"keys for group {index}. Keys only in swap-in: {only_new}. Keys only in live: {only_own}."
        )
