"""Adagrad."""

from __future__ import annotations

from typing import Any

from gradwire.creation import full_like
from gradwire.optim.fused import Batch, FusedOptimizer
from gradwire.optim.number import number_tensor
from gradwire.optim.optimizer import ParamsT
from gradwire.optim.options import check_flags, check_lr, check_not_negative
from gradwire.tensor import Tensor

__all__ = ["Adagrad"]


class Adagrad(FusedOptimizer):
    """Step by the gradient over the root of the sum of all squares so far.

    Duchi et al. 2011. The learning rate of step t is lr / (1 + (t - 1) * lr_decay). Keeps `step` and `sum`, from the
    start.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative("lr_decay value", lr_decay)
        check_not_negative("weight_decay value", weight_decay)
        check_not_negative("initial_accumulator_value value", initial_accumulator_value)
        check_not_negative("epsilon value", eps)
        check_flags(differentiable=differentiable, foreach=foreach, fused=fused)
        defaults = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        super().__init__(params, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter].update(self._start(parameter, group))

    def _start(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        # As in PyTorch the optimizer's own value, whatever the group says.
        value = self.defaults["initial_accumulator_value"]
        if parameter.is_complex():
            value = complex(value, value)  # for either part
        return {"step": number_tensor(parameter, 0.0), "sum": full_like(parameter, value)}

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        step = int(batch.number("step")) + 1
        batch.update(
            "_fused_adagrad_",
            "sum",
            "step",
            writes={"step": step},
            step=step,
            lr=float(group["lr"]),
            lr_decay=float(group["lr_decay"]),
            weight_decay=float(group["weight_decay"]),
            eps=float(group["eps"]),
            maximize=group["maximize"],
        )
