"""Adadelta."""

from __future__ import annotations

from typing import Any

from gradwire.creation import zeros_like
from gradwire.optim.fused import Batch, FusedOptimizer
from gradwire.optim.number import number_tensor
from gradwire.optim.optimizer import ParamsT
from gradwire.optim.options import check_flags, check_lr, check_not_negative
from gradwire.tensor import Tensor

__all__ = ["Adadelta"]


class Adadelta(FusedOptimizer):
    """Step by the gradient over its running root mean square, times that of past steps.

    Zeiler 2012; `rho` is how much of either mean a step keeps. Keeps `step`, `square_avg` and `acc_delta`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_not_negative("epsilon value", eps)
        check_not_negative("weight_decay value", weight_decay)
        check_flags(differentiable=differentiable, capturable=capturable)
        defaults = {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize, "capturable": capturable,
            "foreach": foreach, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        averages = {"square_avg": zeros_like(parameter), "acc_delta": zeros_like(parameter)}
        return {"step": number_tensor(parameter, 0.0), **averages}

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        step = int(batch.number("step")) + 1
        batch.update(
            "_fused_adadelta_",
            "square_avg",
            "acc_delta",
            "step",
            writes={"step": step},
            step=step,
            lr=float(group["lr"]),
            rho=float(group["rho"]),
            eps=float(group["eps"]),
            weight_decay=float(group["weight_decay"]),
            maximize=group["maximize"],
        )
