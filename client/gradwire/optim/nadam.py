"""NAdam: Adam with Nesterov momentum."""

from __future__ import annotations

from typing import Any, ClassVar

from gradwire.creation import zeros_like
from gradwire.optim.fused import Batch, FusedOptimizer
from gradwire.optim.number import number_tensor, rounded
from gradwire.optim.optimizer import ParamsT
from gradwire.optim.options import check_betas, check_flags, check_lr, check_not_negative
from gradwire.tensor import Tensor

__all__ = ["NAdam"]


class NAdam(FusedOptimizer):
    """Step as Adam does, along the mean of gradients that the next step would follow.

    Dozat 2016. The momentum of step t is mu_t = betas[0] * (1 - 0.96 ** (t * momentum_decay) / 2). Keeps `step`,
    `mu_product` (of all mu so far), `exp_avg` and `exp_avg_sq`.
    """

    _numbers_kept: ClassVar[tuple[str, ...]] = ("step", "mu_product")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("epsilon value", eps)
        check_betas(betas)
        check_not_negative("weight_decay value", weight_decay)
        check_not_negative("momentum_decay value", momentum_decay)
        check_flags(differentiable=differentiable, capturable=capturable)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach,
            "capturable": capturable, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": number_tensor(parameter, 0.0),
            "mu_product": number_tensor(parameter, 1.0),
            "exp_avg": zeros_like(parameter),
            "exp_avg_sq": zeros_like(parameter),
        }

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        step = int(batch.number("step")) + 1
        beta1, beta2 = (float(beta) for beta in group["betas"])
        mu, mu_next = (beta1 * (1.0 - 0.5 * (0.96 ** (count * group["momentum_decay"]))) for count in (step, step + 1))
        # Rounded as the tensor holds it: PyTorch computes with what it reads from there.
        held = batch.kept("mu_product")[0].dtype
        mu_product = rounded(batch.number("mu_product") * rounded(mu, held), held)
        batch.update(
            "_fused_nadam_",
            "exp_avg",
            "exp_avg_sq",
            "mu_product",
            "step",
            writes={"step": step, "mu_product": mu_product},
            step=step,
            lr=float(group["lr"]),
            beta1=beta1,
            beta2=beta2,
            weight_decay=float(group["weight_decay"]),
            eps=float(group["eps"]),
            mu=mu,
            mu_next=mu_next,
            mu_product=mu_product,
            decoupled_weight_decay=group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )
