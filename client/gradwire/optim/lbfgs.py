"""L-BFGS: a quasi-Newton method that evaluates the model several times a step, and so waits for values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradwire.autograd.grad_mode import enable_grad, no_grad
from gradwire.creation import zeros_like
from gradwire.functions import cat
from gradwire.optim.line_search import Point, strong_wolfe
from gradwire.optim.number import rounded
from gradwire.optim.optimizer import Closure, Optimizer, ParamsT
from gradwire.optim.options import check_lr
from gradwire.tensor import Tensor

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """Step along the gradient times an inverse Hessian made of the last `history_size` steps (Nocedal 1980).

    A step makes up to `max_iter` iterations and `max_eval` evaluations of its closure, which must compute the loss and
    its gradients anew each time; it ends early once the gradient or the change is below its tolerance.
    `line_search_fn` is None, for steps of `lr`, or "strong_wolfe". One parameter group only. Waits for the worker.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[Tensor]:
        params: list[Tensor] = self.param_groups[0]["params"]
        return params

    def step(self, closure: Closure | None = None) -> Any:
        """Make one optimization step; `closure` computes the loss and the gradients, and must be given."""
        if closure is None:
            raise TypeError(f"{type(self).__name__}.step() missing 1 required positional argument: 'closure'")
        with no_grad():
            return self._step(enable_grad()(closure))

    def _step(self, closure: Closure) -> Any:
        group = self.param_groups[0]
        # The state is of all parameters together; it stands under the first, as in PyTorch.
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = closure()
        state["func_evals"] += 1
        run = _Run(self, closure, group, state, float(first_loss))
        if not run.is_flat():
            run.iterate()
            run.save()
        return first_loss

    def _flat_grad(self) -> Tensor:
        parts = []
        for parameter in self._params:
            gradient = parameter.grad
            parts.append(_real(zeros_like(parameter) if gradient is None else gradient).reshape(-1))
        flat: Tensor = cat(parts)
        return flat

    def _move(self, t: float, direction: Tensor) -> None:
        offset = 0
        for parameter in self._params:
            shape = (*parameter.shape, *((2,) if parameter.is_complex() else ()))
            end = offset + math.prod(shape)
            part = direction[offset:end].reshape(shape)
            parameter.add_(part.view_as_complex() if parameter.is_complex() else part, alpha=t)
            offset = end


def _real(tensor: Tensor) -> Tensor:
    """Return a complex tensor as pairs of real numbers."""
    pairs: Tensor = tensor.view_as_real() if tensor.is_complex() else tensor
    return pairs


class _Run:
    """The iterations of one step."""

    def __init__(
        self, optimizer: LBFGS, closure: Closure, group: dict[str, Any], state: dict[str, Any], loss: float
    ) -> None:
        self.optimizer, self.closure, self.group, self.state, self.loss = optimizer, closure, group, state, loss
        self.gradient = optimizer._flat_grad()
        self.evaluations = 1
        self.lr = float(group["lr"])
        self.direction: Any = state.get("d")
        self.t: Any = state.get("t")
        self.old_gradients: list[Tensor] = state.get("old_dirs") or []
        self.old_steps: list[Tensor] = state.get("old_stps") or []
        self.ro: list[Tensor] = state.get("ro") or []
        self.scale: Any = state.get("H_diag")
        self.previous_gradient: Any = state.get("prev_flat_grad")
        self.previous_loss: Any = state.get("prev_loss")

    def save(self) -> None:
        """Keep what the next step goes on from, under PyTorch's names."""
        self.state.update(
            d=self.direction, t=self.t, old_dirs=self.old_gradients, old_stps=self.old_steps, ro=self.ro,
            H_diag=self.scale, prev_flat_grad=self.previous_gradient, prev_loss=self.previous_loss,
        )  # fmt: skip

    def is_flat(self) -> bool:
        """Wait for whether the gradient is below its tolerance."""
        return bool(float(self.gradient.abs().max()) <= self.group["tolerance_grad"])

    def iterate(self) -> None:
        """Iterate until a bound or a tolerance is met."""
        most, tolerance = self.group["max_iter"], self.group["tolerance_change"]
        for iteration in range(1, most + 1):
            self.state["n_iter"] += 1
            is_first = self.state["n_iter"] == 1
            self._aim(is_first)
            self.previous_gradient, self.previous_loss = self.gradient.clone(), self.loss
            self.t = self._first_size() if is_first else self.lr
            slope = float(self.gradient.dot(self.direction))
            if slope > -tolerance:
                return
            made = self._advance(slope, is_last=iteration == most)
            self.evaluations += made
            self.state["func_evals"] += made
            if iteration == most or self.evaluations >= self.group["max_eval"] or self.is_flat():
                return
            if float(self.direction.mul(self.t).abs().max()) <= tolerance:
                return
            if abs(self.loss - self.previous_loss) < tolerance:
                return

    def _first_size(self) -> float:
        inverse = rounded(1.0 / (float(self.gradient.abs().sum()) or float("nan")), self.gradient.dtype)
        return min(1.0, inverse) * self.lr

    def _aim(self, is_first: bool) -> None:
        """Set the direction: minus the gradient times the inverse Hessian, by the two loops over the history."""
        if is_first:
            self.direction = self.gradient.neg()
            self.old_gradients, self.old_steps, self.ro, self.scale = [], [], [], 1
            return
        self._learn()
        al: list[Any] = self.state.setdefault("al", [None] * self.group["history_size"])
        direction = self.gradient.neg()
        pairs = list(zip(self.old_gradients, self.old_steps, self.ro, strict=True))
        for index, (y, s, ro) in reversed(list(enumerate(pairs))):
            al[index] = s.dot(direction) * ro
            direction.sub_(y * al[index])
        direction = direction * self.scale
        for index, (y, s, ro) in enumerate(pairs):
            direction.add_(s * (al[index] - y.dot(direction) * ro))
        self.direction = direction

    def _learn(self) -> None:
        """Add the last step to the history, if its curvature is positive."""
        y = self.gradient.sub(self.previous_gradient)
        s = self.direction.mul(float(self.t))
        ys = y.dot(s)
        if not float(ys) > 1e-10:
            return
        if len(self.old_gradients) == self.group["history_size"]:
            for history in (self.old_gradients, self.old_steps, self.ro):
                history.pop(0)
        self.old_gradients.append(y)
        self.old_steps.append(s)
        self.ro.append(1.0 / ys)
        self.scale = ys / y.dot(y)

    def _advance(self, slope: float, *, is_last: bool) -> int:
        """Move the parameters along the direction and return how often the closure ran."""
        search = self.group["line_search_fn"]
        if search is None:
            self.optimizer._move(self.t, self.direction)
            if is_last:
                return 0  # in a stochastic setting a value that nothing reads would be of no use
            self.loss, self.gradient = float(self.closure()), self.optimizer._flat_grad()
            return 1
        if search != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        origin = Point(0.0, self.loss, self.gradient, slope)
        norm, most = float(self.direction.abs().max()), self.group["max_eval"] - self.evaluations
        point, made = strong_wolfe(self._objective(), origin, self.t, norm, most)
        self.loss, self.gradient, self.t = point.value, point.gradient, point.t
        self.optimizer._move(self.t, self.direction)
        return made

    def _objective(self) -> Callable[[float], Point]:
        parameters = self.optimizer._params
        start = [parameter.clone() for parameter in parameters]

        def objective(t: float) -> Point:
            self.optimizer._move(t, self.direction)
            value, gradient = float(self.closure()), self.optimizer._flat_grad()
            for parameter, kept in zip(parameters, start, strict=True):
                parameter.copy_(kept)
            return Point(t, value, gradient, float(gradient.dot(self.direction)))

        return objective
