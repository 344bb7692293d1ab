"""What the steps of all optimizers share: checks of options, the closure, and batching.

One batch is what one call can update: parameters of one group, on one worker, that need the same
scalars.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from gradwire.autograd.grad_mode import enable_grad
from gradwire.optim.optimizer import Closure
from gradwire.tensor import Tensor

__all__ = ["batches", "check_not_negative", "gradients", "run_closure"]


def check_not_negative(name: str, value: Any) -> None:
    """Raise ValueError, as PyTorch words it, unless `value` is a number from 0 up."""
    if isinstance(value, Tensor):
        raise TypeError(f"{name} needs to be a Python number; got a Tensor; pass its .item()")
    if not value >= 0.0:  # NaN is refused too
        raise ValueError(f"Invalid {name}: {value}")


def run_closure(closure: Closure | None) -> Any:
    """Run the closure of a step, which computes the loss and its gradients, with recording on."""
    if closure is None:
        return None
    with enable_grad():
        return closure()


def batches(group: dict[str, Any], key: Callable[[Tensor], Hashable]) -> list[list[Tensor]]:
    """Split the parameters of `group` that have a gradient by `key` and worker, in order.

    Mostly one batch: it takes a parameter that joined late, or got no gradient once, to make two.
    """
    found: dict[Hashable, list[Tensor]] = {}
    for parameter in group["params"]:
        if parameter.grad is not None:
            found.setdefault((parameter.session, key(parameter)), []).append(parameter)
    return list(found.values())


def gradients(batch: list[Tensor]) -> list[Tensor]:
    """Return the gradients of a batch, in its order."""
    return [parameter.grad for parameter in batch if parameter.grad is not None]
