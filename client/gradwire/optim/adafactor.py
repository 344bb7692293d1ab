"""Adafactor."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from gradwire.creation import zeros_like
from gradwire.limits_info import finfo
from gradwire.optim.fused import Batch, FusedOptimizer
from gradwire.optim.number import number_tensor
from gradwire.optim.optimizer import ParamsT
from gradwire.optim.options import check_lr
from gradwire.tensor import Tensor

__all__ = ["Adafactor"]


class Adafactor(FusedOptimizer):
    """Step by the gradient over its running root mean square, kept for a matrix as one row and one column.

    Shazeer and Stern 2018. `d` bounds the root mean square of an update, `eps` are what the mean squares and the size of
    a parameter are at least (the first: the dtype's epsilon by default), and a step keeps 1 - t ** beta2_decay of the
    mean squares. Keeps `step`, and `row_var` and `col_var`, or `variance` for a parameter of less than two axes.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_lr(lr, "Learning rate should be >= 0 but is: {}")
        checks = (
            (beta2_decay <= 0.0, f"beta2_decay should be <= 0 but is: {beta2_decay}"),
            (eps[0] is None or eps[0] >= 0.0, f"epsilon1 should be >= 0 but is: {eps[0]}"),
            (eps[1] >= 0.0, f"epsilon2 should be >= 0 but is: {eps[1]}"),
            (d >= 1.0, f"Clipping threshold d should be >= 1 but is: {d}"),
            (weight_decay >= 0.0, f"weight_decay should be >= 0 but is: {weight_decay}"),
        )
        for holds, words in checks:
            if not holds:
                raise ValueError(words)
        defaults = {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        started: dict[str, Any] = {"step": number_tensor(parameter, 0.0)}
        if parameter.ndim < 2:
            return {**started, "variance": zeros_like(parameter)}
        shape = tuple(parameter.shape)
        row, column = parameter.new_zeros((*shape[:-1], 1)), parameter.new_zeros((*shape[:-2], 1, shape[-1]))
        return {**started, "row_var": row, "col_var": column}

    def _key(self, parameter: Tensor, state: dict[str, Any]) -> Hashable:
        return (super()._key(parameter, state), parameter.ndim > 1, parameter.dtype)

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        step = int(batch.number("step")) + 1
        first = batch.parameters[0]
        eps1, eps2 = group["eps"]
        is_factored = first.ndim > 1
        batch.update(
            "_fused_adafactor_",
            "row_var" if is_factored else [],
            "col_var" if is_factored else [],
            [] if is_factored else "variance",
            "step",
            writes={"step": step},
            step=step,
            lr=float(group["lr"]),
            beta2_decay=float(group["beta2_decay"]),
            eps1=float(finfo(first.dtype).eps if eps1 is None else eps1),
            eps2=float(eps2),
            d=float(group["d"]),
            weight_decay=float(group["weight_decay"]),
            maximize=group["maximize"],
        )
