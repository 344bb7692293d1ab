"""The base of optimizers whose step is one call to the worker per parameter group.

One batch is what one call can update: parameters of one group, on one worker, whose numbers (step counts) are equal.
Mostly a group is one batch: it takes a parameter that joined late, or got no gradient once, to make two.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

from gradwire.autograd.grad_mode import enable_grad, no_grad
from gradwire.dispatch import collected, fused_update
from gradwire.optim.number import number_in, number_tensor, remember
from gradwire.optim.optimizer import Closure, Optimizer
from gradwire.optim.options import check_flags
from gradwire.programs.recording import Update, active
from gradwire.tensor import Tensor

__all__ = ["Batch", "FusedOptimizer", "run_closure"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Parameters that one call updates, with what is kept for each."""

    parameters: list[Tensor]
    states: list[dict[str, Any]]

    def kept(self, name: str) -> list[Tensor]:
        """Return what is kept under a name, in the parameters' order."""
        return [state[name] for state in self.states]

    def number(self, name: str) -> float:
        """Return the number kept under a name, which is the same for all."""
        return number_in(self.states[0][name])

    def update(self, op: str, *kept: str | list[Tensor], writes: dict[str, float], **options: Any) -> None:
        """Make the call: `kept` are the lists of the op after the gradients; `writes` is what it leaves as numbers."""
        lists = [self.kept(name) if isinstance(name, str) else name for name in kept]
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        fused_update(op, [self.parameters, gradients, *lists], **options)
        for state in self.states:
            for name, value in writes.items():
                remember(state[name], value)


def run_closure(closure: Closure | None) -> Any:
    """Run the closure of a step, which computes the loss and its gradients, with recording on."""
    if closure is None:
        return None
    with enable_grad():
        return closure()


class FusedOptimizer(Optimizer):
    """A subclass gives `_start`, what is kept for a parameter before its first step, and `_update`."""

    _numbers_kept: ClassVar[tuple[str, ...]] = ("step",)

    def step(self, closure: Closure | None = None) -> Any:
        """Update every parameter that has a gradient; return what `closure` returned.

        Does not wait for the worker, but for options that are tensors, and once for the numbers of a loaded state.
        """
        loss = run_closure(closure)
        with no_grad():
            for group in self.param_groups:
                for batch in self._batches(group):
                    self._update_recorded(batch, group)
        return loss

    def _update_recorded(self, batch: Batch, group: dict[str, Any]) -> None:
        """Update; where a program is recorded, tell it how to get the numbers of the next step."""
        recording = active()
        if recording is None:
            self._update(batch, group)
            return
        first = len(recording.calls)
        with recording.inside():
            self._update(batch, group)

        def again() -> list[Any]:
            states = [self.state.get(parameter, {}) for parameter in batch.parameters]
            with no_grad():
                return collected(lambda: self._update(Batch(batch.parameters, states), group))

        recording.event(Update(list(range(first, len(recording.calls))), again))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take more parameters, with options of their own; missing ones are the defaults'."""
        if isinstance(param_group, dict):
            flags = {name: param_group.get(name, False) for name in ("differentiable", "capturable")}
            check_flags(**flags)
        super().add_param_group(param_group)

    def _start(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        raise NotImplementedError

    def _batches(self, group: dict[str, Any]) -> list[Batch]:
        found: dict[Hashable, Batch] = {}
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self._state_of(parameter, group)
            key = (parameter.session, self._key(parameter, state))
            batch = found.setdefault(key, Batch([], []))
            batch.parameters.append(parameter)
            batch.states.append(state)
        return list(found.values())

    def _state_of(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = self.state[parameter]
        if not state:
            state.update(self._start(parameter, group))
        return state

    def _key(self, parameter: Tensor, state: dict[str, Any]) -> Hashable:
        return tuple([number_in(state[name]) for name in self._numbers_kept])

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for parameter in self._parameters():
            kept = self.state.get(parameter, {})
            for name in self._numbers_kept:
                # Old states, PyTorch's as well, hold plain numbers.
                if name in kept and not isinstance(kept[name], Tensor):
                    kept[name] = number_tensor(parameter, kept[name])
