"""Adamax: Adam with the infinity norm."""

from __future__ import annotations

from typing import Any

from gradwire.creation import zeros_like
from gradwire.optim.fused import Batch, FusedOptimizer
from gradwire.optim.number import number_tensor
from gradwire.optim.optimizer import ParamsT
from gradwire.optim.options import check_betas, check_flags, check_lr, check_not_negative
from gradwire.tensor import Tensor

__all__ = ["Adamax"]


class Adamax(FusedOptimizer):
    """Step by a running mean of gradients over the largest gradient of late.

    Kingma and Ba 2014. Keeps `step`, `exp_avg` and `exp_inf`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("epsilon value", eps)
        check_betas(betas)
        check_not_negative("weight_decay value", weight_decay)
        check_flags(differentiable=differentiable, capturable=capturable)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        averages = {"exp_avg": zeros_like(parameter), "exp_inf": zeros_like(parameter)}
        return {"step": number_tensor(parameter, 0.0), **averages}

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        step = int(batch.number("step")) + 1
        beta1, beta2 = (float(beta) for beta in group["betas"])
        batch.update(
            "_fused_adamax_",
            "exp_avg",
            "exp_inf",
            "step",
            writes={"step": step},
            step=step,
            lr=float(group["lr"]),
            beta1=beta1,
            beta2=beta2,
            weight_decay=float(group["weight_decay"]),
            eps=float(group["eps"]),
            maximize=group["maximize"],
        )
