"""Averages of weights, as in `torch.optim.swa_utils`: a copy of a model that follows it, and a schedule to go with it."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any, Literal

from gradwire.autograd.grad_mode import no_grad
from gradwire.creation import tensor
from gradwire.nn.module import Module
from gradwire.optim.lr_scheduler.base import LRScheduler, per_group
from gradwire.optim.optimizer import Optimizer
from gradwire.tensor import Tensor
from gradwire_protocol.dtypes import int64

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn", "update_bn",
]  # fmt: skip

Average = Callable[[Tensor, Tensor, Any], Tensor]
MultiAverage = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def _interpolates(averaged: Tensor) -> bool:
    return averaged.is_floating_point() or averaged.is_complex()


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """Return a function that moves all averages towards the weights by 1 - decay."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param_list: Sequence[Tensor], current_param_list: Sequence[Tensor], _: Any) -> None:
        for averaged, current in zip(ema_param_list, current_param_list, strict=True):
            if _interpolates(averaged):
                averaged.lerp_(current, 1 - decay)
            else:
                averaged.copy_(averaged * decay + current * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> MultiAverage:
    """Return a function that makes all averages equal means of the weights so far."""

    @no_grad()
    def swa_update(
        averaged_param_list: Sequence[Tensor], current_param_list: Sequence[Tensor], num_averaged: Tensor | int
    ) -> None:
        weight = 1 / (num_averaged + 1)
        for averaged, current in zip(averaged_param_list, current_param_list, strict=True):
            if not _interpolates(averaged):
                averaged.add_((current - averaged) * weight)
            elif isinstance(weight, Tensor):
                averaged.lerp_(current, weight.to(averaged.dtype))
            else:
                averaged.lerp_(current, weight)

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Return a function that gives an average that has moved towards the weight by 1 - decay."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Any:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Average:
    """Return a function that gives the equal mean of the weights so far."""

    @no_grad()
    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Tensor | int) -> Any:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of a model, in `module`, whose parameters are averages of the model's at each `update_parameters`.

    The average is the equal mean, or what `avg_fn(average, weight, count)` returns, or what
    `multi_avg_fn(averages, weights, count)` does to lists. `use_buffers` averages buffers too, which else are copied.
    `n_averaged` counts the updates.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module: Module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the averaged model makes of the arguments."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the weights of `model` into the averages: the first time as they are. Waits for the count."""
        averaged = [parameter.detach() for parameter in self._averaged_tensors(self.module)]
        current = [parameter.detach() for parameter in self._averaged_tensors(model)]
        # As in PyTorch the shorter of the two lists decides.
        pairs = list(zip(averaged, current, strict=False))
        if int(self.n_averaged) == 0:
            for target, source in pairs:
                target.copy_(source)
        else:
            self._average(pairs)
        if not self.use_buffers:
            for buffer, source in zip(self.module.buffers(), model.buffers(), strict=True):
                buffer.detach().copy_(source.detach())
        self.n_averaged += 1

    def _averaged_tensors(self, model: Module) -> Iterable[Tensor]:
        return itertools.chain(model.parameters(), model.buffers()) if self.use_buffers else model.parameters()

    def _average(self, pairs: list[tuple[Tensor, Tensor]]) -> None:
        if self.avg_fn is not None:
            for averaged, current in pairs:
                averaged.copy_(self.avg_fn(averaged, current, self.n_averaged))
            return
        multi_avg_fn = self.multi_avg_fn or get_swa_multi_avg_fn()
        by_dtype: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
        for averaged, current in pairs:
            lists = by_dtype.setdefault(averaged.dtype, ([], []))
            lists[0].append(averaged)
            lists[1].append(current)
        for averages, weights in by_dtype.values():
            multi_avg_fn(averages, weights, self.n_averaged)


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of the model's batch normalisations anew, as equal means over `loader`.

    A batch is what the model takes, or a list or tuple that begins with it. Without such layers nothing is run.
    """
    from gradwire.nn.batch_norm import _BatchNorm  # lazily: few models that are averaged need it

    momenta: dict[Any, Any] = {}
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.momentum = None
    for batch in loader:
        given = batch[0] if isinstance(batch, list | tuple) else batch
        model(given if device is None else given.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """From the present rate to `swa_lr` in `anneal_epochs`, along a cosine ("cos") or a line ("linear"); then constant."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        for rate, group in zip(per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._set_anneal_func(anneal_strategy)
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _set_anneal_func(self, anneal_strategy: str) -> None:
        self._anneal_strategy = anneal_strategy
        self.anneal_func = _cosine if anneal_strategy == "cos" else _linear

    def get_lr(self) -> list[Any]:
        """Return the rates of this step, one per group: a mean of the final rate and the one before annealing."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=2,
            )
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = (
            self.anneal_func(max(0, min(1, count / max(1, self.anneal_epochs)))) for count in (step - 1, step)
        )
        groups = self.optimizer.param_groups
        rates = [_initial(group["lr"], group["swa_lr"], before) for group in groups]
        return [group["swa_lr"] * now + lr * (1 - now) for group, lr in zip(groups, rates, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer and the function."""
        return {name: value for name, value in super().state_dict().items() if name != "anneal_func"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        super().load_state_dict(state_dict)
        self._set_anneal_func(self._anneal_strategy)


def _linear(t: float) -> float:
    return t


def _cosine(t: float) -> float:
    return (1 - math.cos(math.pi * t)) / 2


def _initial(lr: Any, swa_lr: Any, alpha: float) -> Any:
    """Return the rate that annealing began at, from the present one."""
    return swa_lr if alpha == 1 else (lr - alpha * swa_lr) / (1 - alpha)
