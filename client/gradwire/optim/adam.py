"""Adam and AdamW: one call to the worker per parameter group.

`state[p]` holds `step`, `exp_avg`, `exp_avg_sq` and, with `amsgrad`, `max_exp_avg_sq`, under
PyTorch's names. Only `step` differs: a Python int, where PyTorch keeps a 0-dim tensor. So the bias
corrections are scalars of the call, and parameters that have made equally many steps share one.
Either form loads into the other.
"""

from __future__ import annotations

from typing import Any

from gradwire.autograd.grad_mode import no_grad
from gradwire.creation import zeros_like
from gradwire.dispatch import fused_update
from gradwire.optim.optimizer import Closure, Optimizer, ParamsT
from gradwire.optim.step import batches, check_not_negative, gradients, run_closure
from gradwire.tensor import Tensor

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Step by a running mean of gradients over the root of a running mean of their squares.

    Kingma and Ba 2014; `amsgrad` after Reddi et al. 2018. `weight_decay` adds weight_decay * p to
    the gradient, or with `decoupled_weight_decay` shrinks p itself, as AdamW does; `maximize` steps
    along the gradient.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_not_negative("learning rate", lr)
        check_not_negative("epsilon value", eps)
        for index, beta in enumerate(betas):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {index}: {beta}")
        check_not_negative("weight_decay value", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def step(self, closure: Closure | None = None) -> Any:
        """Update every parameter that has a gradient; return what `closure` returned.

        Does not wait for the worker.
        """
        loss = run_closure(closure)
        with no_grad():
            for group in self.param_groups:
                for batch in batches(group, self._steps_made):
                    self._update(batch, group, self._steps_made(batch[0]) + 1)
        return loss

    def _steps_made(self, parameter: Tensor) -> int:
        # `get` and not indexing: a look at the state must not make an entry in it.
        return int(self.state.get(parameter, {}).get("step", 0))

    def _update(self, batch: list[Tensor], group: dict[str, Any], step: int) -> None:
        beta1, beta2 = group["betas"]
        kept = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else [])]
        averages = [[self._average(parameter, name) for parameter in batch] for name in kept]
        averages += [] if group["amsgrad"] else [[]]
        fused_update(
            "_fused_adamw_" if group["decoupled_weight_decay"] else "_fused_adam_",
            [batch, gradients(batch), *averages],
            step=step,
            lr=float(group["lr"]),
            beta1=float(beta1),
            beta2=float(beta2),
            weight_decay=float(group["weight_decay"]),
            eps=float(group["eps"]),
            amsgrad=group["amsgrad"],
            maximize=group["maximize"],
        )
        for parameter in batch:
            self.state[parameter]["step"] = step

    def _average(self, parameter: Tensor, name: str) -> Tensor:
        state = self.state[parameter]
        state.setdefault("step", 0)  # first, so that the state lists as PyTorch's does
        if name not in state:
            state[name] = zeros_like(parameter)
        average: Tensor = state[name]
        return average


class AdamW(Adam):
    """Adam that shrinks the parameters themselves by lr * weight_decay, not through the gradient.

    Loshchilov and Hutter 2017.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            # A state that Adam saved goes on as AdamW.
            group["decoupled_weight_decay"] = True
