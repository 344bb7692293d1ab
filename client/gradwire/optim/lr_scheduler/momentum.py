"""Momentum in an optimizer's groups, for the schedules that move it against the rate: `momentum`, or the first beta."""

from __future__ import annotations

from typing import Any

from gradwire.optim.optimizer import Optimizer

__all__ = ["set_momentum", "start_momentum", "uses_beta1"]


def uses_beta1(optimizer: Optimizer) -> bool:
    """Return whether the momentum is the first of `betas`; raise ValueError where there is none."""
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
    return "betas" in optimizer.defaults


def set_momentum(group: dict[str, Any], use_beta1: bool, momentum: Any) -> None:
    """Set the momentum of a group."""
    if use_beta1:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


def start_momentum(optimizer: Optimizer, use_beta1: bool, highest: list[Any], lowest: list[Any]) -> None:
    """Set the momentum of each group to its highest, and note both ends in the group."""
    for high, low, group in zip(highest, lowest, optimizer.param_groups, strict=True):
        set_momentum(group, use_beta1, high)
        group["max_momentum"] = high
        group["base_momentum"] = low
