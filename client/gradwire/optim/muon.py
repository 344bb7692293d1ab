"""Muon: momentum made orthogonal, for the matrices of a model."""

from __future__ import annotations

from typing import Any, ClassVar

from gradwire.creation import zeros_like
from gradwire.optim.fused import Batch, FusedOptimizer
from gradwire.optim.optimizer import ParamsT
from gradwire.optim.options import check_lr
from gradwire.tensor import Tensor

__all__ = ["Muon"]


class Muon(FusedOptimizer):
    """Step along the running mean of gradients, made orthogonal by `ns_steps` Newton-Schulz steps.

    Jordan 2024. Takes parameters of two axes only; give the others to AdamW. `weight_decay` shrinks the parameters
    themselves. `adjust_lr_fn` says how the step of a matrix depends on its sizes: "original", or "match_rms_adamw" for
    steps of AdamW's size. Keeps `momentum_buffer`.
    """

    _numbers_kept: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_lr(lr, "Learning rate should be >= 0 but is: {}")
        if not momentum >= 0.0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        for parameter in self._parameters():
            if parameter.ndim != 2:
                raise ValueError(
                    f"Muon only supports 2D parameters whereas we found a parameter with size: {parameter.size()}"
                )

    def _start(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"momentum_buffer": zeros_like(parameter)}

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        if group["ns_steps"] >= 100:
            raise ValueError("Number of steps must be less than 100 for computational efficiency")
        if len(group["ns_coefficients"]) != 3:
            raise ValueError("Coefficients must be a tuple of exactly 3 values")
        a, b, c = group["ns_coefficients"]
        batch.update(
            "_fused_muon_",
            "momentum_buffer",
            writes={},
            lr=float(group["lr"]),
            weight_decay=float(group["weight_decay"]),
            momentum=float(group["momentum"]),
            a=float(a),
            b=float(b),
            c=float(c),
            eps=float(group["eps"]),
            nesterov=group["nesterov"],
            ns_steps=group["ns_steps"],
            adjust_lr_fn=group["adjust_lr_fn"] or "original",
        )
