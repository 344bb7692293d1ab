"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar

from gradwire.creation import zeros_like
from gradwire.optim.fused import Batch, FusedOptimizer
from gradwire.optim.optimizer import ParamsT
from gradwire.optim.options import check_flags
from gradwire.tensor import Tensor

__all__ = ["SGD"]

_BUFFER = "momentum_buffer"


class SGD(FusedOptimizer):
    """Step against the gradient, by default without momentum.

    With momentum m and dampening d: buf = m * buf + (1 - d) * grad (the first gradient starts it,
    undampened), then p -= lr * buf, or p -= lr * (grad + m * buf) with `nesterov`. `weight_decay`
    adds weight_decay * p to the gradient; `maximize` steps along it. Keeps `momentum_buffer`.
    """

    _numbers_kept: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        words = {"learning rate": lr, "momentum value": momentum, "weight_decay value": weight_decay}
        for name, value in words.items():
            if float(value) < 0.0:
                raise ValueError(f"Invalid {name}: {value}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        check_flags(differentiable=differentiable, foreach=foreach, fused=fused)
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
            "maximize": maximize, "foreach": foreach, "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _state_of(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        # Without momentum nothing is kept, and no entry made.
        return self.state.get(parameter, {}) if group["momentum"] == 0 else self.state[parameter]

    def _key(self, parameter: Tensor, state: dict[str, Any]) -> Hashable:
        return state.get(_BUFFER) is None

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        has_momentum = group["momentum"] != 0
        is_first_step = has_momentum and batch.states[0].get(_BUFFER) is None
        if is_first_step:
            for parameter, state in zip(batch.parameters, batch.states, strict=True):
                # Zeros, although the first step overwrites them: should that call fail and change
                # nothing, the next step still starts from a defined value.
                state[_BUFFER] = zeros_like(parameter)
        batch.update(
            "_fused_sgd_",
            _BUFFER if has_momentum else [],
            writes={},
            weight_decay=float(group["weight_decay"]),
            momentum=float(group["momentum"]),
            lr=float(group["lr"]),
            dampening=float(group["dampening"]),
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            is_first_step=is_first_step,
        )
