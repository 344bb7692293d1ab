"""ASGD: averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

from gradwire.creation import zeros_like
from gradwire.optim.fused import Batch, FusedOptimizer
from gradwire.optim.number import number_tensor, rounded
from gradwire.optim.optimizer import ParamsT
from gradwire.optim.options import check_flags, check_lr, check_not_negative
from gradwire.tensor import Tensor, get_default_dtype

__all__ = ["ASGD"]


class ASGD(FusedOptimizer):
    """Step against the gradient by ever smaller steps, and keep the average of the parameters.

    Polyak and Juditsky 1992. After step t the size is lr / (1 + lambd * lr * t) ** alpha, and the average, `ax`, moves
    by 1 / (t - t0) from step t0 on. Keeps `step`, `eta` (that size), `mu` (that weight) and `ax`.
    """

    _numbers_kept: ClassVar[tuple[str, ...]] = ("step", "eta", "mu")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("weight_decay value", weight_decay)
        check_flags(differentiable=differentiable, capturable=capturable)
        defaults = {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": number_tensor(parameter, 0.0),
            "eta": number_tensor(parameter, float(group["lr"])),
            "mu": number_tensor(parameter, 1.0),
            "ax": zeros_like(parameter),
        }

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        step = int(batch.number("step")) + 1
        lr, lambd = float(group["lr"]), float(group["lambd"])
        state = batch.states[0]
        # PyTorch makes tensors of the default dtype of them before it stores them.
        default = get_default_dtype()
        next_eta = rounded(rounded(lr / ((1 + lambd * lr * step) ** group["alpha"]), default), state["eta"].dtype)
        next_mu = rounded(rounded(1 / max(1, step - group["t0"]), default), state["mu"].dtype)
        batch.update(
            "_fused_asgd_",
            "ax",
            "mu",
            "eta",
            "step",
            writes={"step": step, "eta": next_eta, "mu": next_mu},
            step=step,
            lambd=lambd,
            weight_decay=float(group["weight_decay"]),
            eta=batch.number("eta"),
            mu=batch.number("mu"),
            next_eta=next_eta,
            next_mu=next_mu,
            maximize=group["maximize"],
        )
