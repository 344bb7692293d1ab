"""Rprop: resilient backpropagation."""

from __future__ import annotations

from typing import Any

from gradwire.creation import full_like, zeros_like
from gradwire.optim.fused import Batch, FusedOptimizer
from gradwire.optim.number import number_tensor
from gradwire.optim.optimizer import ParamsT
from gradwire.optim.options import check_flags, check_lr
from gradwire.tensor import Tensor

__all__ = ["Rprop"]


class Rprop(FusedOptimizer):
    """Step against the gradient's sign, by a size of its own for each element: `lr` at first.

    Riedmiller and Braun 1993. A size grows by `etas[1]` while the sign lasts, shrinks by `etas[0]` where it turned
    (and that element rests for a step), and stays within `step_sizes`. Keeps `step`, `prev` and `step_size`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        check_flags(differentiable=differentiable, capturable=capturable)
        defaults = {
            "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        size: complex = float(group["lr"])
        if parameter.is_complex():
            size = complex(size, size)  # for either part
        sizes = full_like(parameter, size)
        return {"step": number_tensor(parameter, 0.0), "prev": zeros_like(parameter), "step_size": sizes}

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        step = int(batch.number("step")) + 1
        etaminus, etaplus = group["etas"]
        smallest, largest = group["step_sizes"]
        batch.update(
            "_fused_rprop_",
            "prev",
            "step_size",
            "step",
            writes={"step": step},
            step=step,
            step_size_min=float(smallest),
            step_size_max=float(largest),
            etaminus=float(etaminus),
            etaplus=float(etaplus),
            maximize=group["maximize"],
        )
