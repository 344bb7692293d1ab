"""Stochastic gradient descent: one call to the worker per parameter group."""

from __future__ import annotations

from typing import Any

from gradwire.autograd.grad_mode import no_grad
from gradwire.creation import zeros_like
from gradwire.dispatch import fused_update
from gradwire.optim.optimizer import Closure, Optimizer, ParamsT
from gradwire.optim.step import batches, check_not_negative, gradients, run_closure
from gradwire.tensor import Tensor

__all__ = ["SGD"]

_BUFFER = "momentum_buffer"


class SGD(Optimizer):
    """Step against the gradient, by default without momentum.

    With momentum m and dampening d: buf = m * buf + (1 - d) * grad (the first gradient starts it,
    undampened), then p -= lr * buf, or p -= lr * (grad + m * buf) with `nesterov`. `weight_decay`
    adds weight_decay * p to the gradient; `maximize` steps along it. Keeps `momentum_buffer`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        check_not_negative("learning rate", lr)
        check_not_negative("momentum value", momentum)
        check_not_negative("weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def step(self, closure: Closure | None = None) -> Any:
        """Update every parameter that has a gradient; return what `closure` returned.

        Does not wait for the worker.
        """
        loss = run_closure(closure)
        with no_grad():
            for group in self.param_groups:
                for batch in batches(group, self._is_first):
                    self._update(batch, group, self._is_first(batch[0]))
        return loss

    def _is_first(self, parameter: Tensor) -> bool:
        # `get` and not indexing: a look at the state must not make an entry in it.
        return self.state.get(parameter, {}).get(_BUFFER) is None

    def _update(self, batch: list[Tensor], group: dict[str, Any], is_first_step: bool) -> None:
        fused_update(
            "_fused_sgd_",
            [batch, gradients(batch), self._buffers(batch, group)],
            weight_decay=float(group["weight_decay"]),
            momentum=float(group["momentum"]),
            lr=float(group["lr"]),
            dampening=float(group["dampening"]),
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            is_first_step=is_first_step and group["momentum"] != 0,
        )

    def _buffers(self, batch: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        if group["momentum"] == 0:
            return []
        for parameter in batch:
            if self._is_first(parameter):
                # Zeros, although the first step overwrites them: should that call fail and change
                # nothing, the next step still starts from a defined value.
                self.state[parameter][_BUFFER] = zeros_like(parameter)
        return [self.state[parameter][_BUFFER] for parameter in batch]
