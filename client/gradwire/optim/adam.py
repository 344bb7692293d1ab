"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from gradwire.creation import zeros_like
from gradwire.optim.fused import Batch, FusedOptimizer
from gradwire.optim.number import number_tensor
from gradwire.optim.optimizer import ParamsT
from gradwire.optim.options import check_betas, check_flags, check_lr, check_not_negative
from gradwire.tensor import Tensor

__all__ = ["Adam", "AdamW"]


def _check_tensors(lr: float | Tensor, betas: Any, foreach: bool | None) -> None:
    """Check the options that may be tensors, as PyTorch does for Adam alone."""
    if isinstance(lr, Tensor) and foreach:
        raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
    check_lr(lr)
    check_betas(betas)
    kinds = [isinstance(beta, Tensor) for beta in betas]
    if any(kinds) != all(kinds) or not all(isinstance(beta, float | Tensor) for beta in betas):
        raise ValueError("betas must be either both floats or both Tensors")
    for index, beta in enumerate(betas):
        if isinstance(beta, Tensor) and foreach:
            raise ValueError(f"betas[{index}] as a Tensor is not supported for capturable=False and foreach=True")


class Adam(FusedOptimizer):
    """Step by a running mean of gradients over the root of a running mean of their squares.

    Kingma and Ba 2014; `amsgrad` after Reddi et al. 2018. `weight_decay` adds weight_decay * p to
    the gradient, or with `decoupled_weight_decay` shrinks p itself, as AdamW does; `maximize` steps
    along the gradient. Keeps `step`, `exp_avg`, `exp_avg_sq` and, with `amsgrad`, `max_exp_avg_sq`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_not_negative("epsilon value", eps)
        _check_tensors(lr, betas, foreach)
        check_not_negative("weight_decay value", weight_decay)
        check_flags(differentiable=differentiable, capturable=capturable, foreach=foreach, fused=fused)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize,
            "foreach": foreach, "capturable": capturable, "differentiable": differentiable, "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        names = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else [])]
        return {"step": number_tensor(parameter, 0.0), **{name: zeros_like(parameter) for name in names}}

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        step = int(batch.number("step")) + 1
        beta1, beta2 = group["betas"]
        batch.update(
            "_fused_adamw_" if group["decoupled_weight_decay"] else "_fused_adam_",
            "exp_avg",
            "exp_avg_sq",
            "max_exp_avg_sq" if group["amsgrad"] else [],
            "step",
            writes={"step": step},
            step=step,
            lr=float(group["lr"]),
            beta1=float(beta1),
            beta2=float(beta2),
            weight_decay=float(group["weight_decay"]),
            eps=float(group["eps"]),
            amsgrad=group["amsgrad"],
            maximize=group["maximize"],
        )


class AdamW(Adam):
    """Adam that shrinks the parameters themselves by lr * weight_decay, not through the gradient.

    Loshchilov and Hutter 2017.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            # A state that Adam saved goes on as AdamW.
            group["decoupled_weight_decay"] = True
