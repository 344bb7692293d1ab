"""RMSprop."""

from __future__ import annotations

from typing import Any

from gradwire.creation import zeros_like
from gradwire.optim.fused import Batch, FusedOptimizer
from gradwire.optim.number import number_tensor
from gradwire.optim.optimizer import ParamsT
from gradwire.optim.options import check_flags, check_lr, check_not_negative
from gradwire.tensor import Tensor

__all__ = ["RMSprop"]


class RMSprop(FusedOptimizer):
    """Step by the gradient over its running root mean square, or with `centered` its deviation from the mean.

    Hinton's lecture; centered after Graves 2013. Keeps `step`, `square_avg` and, as asked for, `momentum_buffer` and
    `grad_avg`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("epsilon value", eps)
        check_not_negative("momentum value", momentum)
        check_not_negative("weight_decay value", weight_decay)
        check_not_negative("alpha value", alpha)
        check_flags(differentiable=differentiable, capturable=capturable)
        defaults = {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "capturable": capturable, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        names = ["square_avg"]
        names += ["momentum_buffer"] if group["momentum"] > 0 else []
        names += ["grad_avg"] if group["centered"] else []
        return {"step": number_tensor(parameter, 0.0), **{name: zeros_like(parameter) for name in names}}

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        step = int(batch.number("step")) + 1
        batch.update(
            "_fused_rmsprop_",
            "square_avg",
            "grad_avg" if group["centered"] else [],
            "momentum_buffer" if group["momentum"] > 0 else [],
            "step",
            writes={"step": step},
            step=step,
            lr=float(group["lr"]),
            alpha=float(group["alpha"]),
            eps=float(group["eps"]),
            weight_decay=float(group["weight_decay"]),
            momentum=float(group["momentum"]),
            centered=group["centered"],
            maximize=group["maximize"],
        )
