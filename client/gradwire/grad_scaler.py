"""`GradScaler`: scales losses so that small float16 gradients do not vanish, and gradients back. See `gradwire.amp`.

The scale, its count of steps and what is found of each optimizer's gradients stay on the worker. Only `step` waits, once,
to know whether it must skip the optimizer's.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from enum import Enum
from typing import Any

from gradwire.autograd.grad_mode import no_grad
from gradwire.tensor import Tensor
from gradwire_protocol.dtypes import float16, float32, float64, int32
from gradwire_protocol.registry import OPS

__all__ = ["GradScaler", "OptState"]

_UNSCALE = OPS["_amp_foreach_non_finite_check_and_unscale_"]
_UPDATE = OPS["_amp_update_scale_"]
_FIX = "This may indicate your script did not use scaler.scale(loss or outputs) earlier in the iteration."


class OptState(Enum):
    """Where an optimizer is between two updates of the scale."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


class _Optimizer:
    """What is known of an optimizer since the last update."""

    __slots__ = ("found_inf", "stage")

    def __init__(self) -> None:
        self.stage = OptState.READY
        self.found_inf: Tensor | None = None


class GradScaler:
    """Multiplies losses by a scale that shrinks where gradients overflowed and grows where they long have not.

    `scaler.scale(loss).backward()`, `scaler.step(optimizer)`, which unscales the gradients and skips the step if one of
    them overflowed, and `scaler.update()`.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        if enabled and device == "cuda" and not _has_cuda():
            warnings.warn("torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.", stacklevel=2)
            self._enabled = False
        if self._enabled and growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if self._enabled and backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._init_scale = init_scale
        self._init_growth_tracker = 0
        self._growth_factor, self._backoff_factor, self._growth_interval = (
            growth_factor,
            backoff_factor,
            growth_interval,
        )
        # Made on the worker of the first loss that is scaled.
        self._scale: Tensor | None = None
        self._growth_tracker: Tensor | None = None
        self._optimizers: dict[int, _Optimizer] = {}

    # ------------------------------------------------------------ one iteration
    def scale(self, outputs: Any) -> Any:
        """Return a loss, or losses in any nesting of iterables, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale_beside(outputs)
        if isinstance(outputs, list | tuple):
            return type(outputs)(self.scale(output) for output in outputs)
        if isinstance(outputs, Iterable):
            return map(self.scale, outputs)
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def _scale_beside(self, outputs: Tensor) -> Tensor:
        if self._scale is None:
            with no_grad():
                self._scale = outputs.new_full((), self._init_scale, dtype=float32)
                self._growth_tracker = outputs.new_full((), self._init_growth_tracker, dtype=int32)
        return self._scale

    def _made(self, function: str) -> tuple[Tensor, Tensor]:
        if self._scale is None or self._growth_tracker is None:
            raise AssertionError(f"Attempted {function} but _scale is None.  {_FIX}")
        return self._scale, self._growth_tracker

    def _of(self, optimizer: Any) -> _Optimizer:
        return self._optimizers.setdefault(id(optimizer), _Optimizer())

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer by the scale, say before clipping them. Does not wait."""
        if not self._enabled:
            return
        scale, _ = self._made("unscale_")
        known = self._of(optimizer)
        if known.stage is OptState.UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if known.stage is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        with no_grad():
            gradients = _gradients(optimizer)
            if gradients:
                known.found_inf = scale.new_zeros((), dtype=float32)
                _UNSCALE(gradients, known.found_inf, scale.to(float64).reciprocal().to(float32))
        known.stage = OptState.UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Unscale the gradients unless that was done, and step the optimizer unless one of them overflowed. Waits."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._made("step")
        known = self._of(optimizer)
        if known.stage is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if known.stage is OptState.READY:
            self.unscale_(optimizer)
        if known.found_inf is None:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        result = None if known.found_inf.item() else optimizer.step(*args, **kwargs)
        known.stage = OptState.STEPPED
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Set the next scale by what was found of the gradients, or to the given one. Does not wait."""
        if not self._enabled:
            return
        scale, growth_tracker = self._made("update")
        with no_grad():
            if new_scale is not None:
                _check_scale(new_scale)
                scale.copy_(new_scale) if isinstance(new_scale, Tensor) else scale.fill_(new_scale)
            else:
                self._grow(scale, growth_tracker)
        self._optimizers.clear()

    def _grow(self, scale: Tensor, growth_tracker: Tensor) -> None:
        found = [known.found_inf for known in self._optimizers.values() if known.found_inf is not None]
        if not found:
            raise AssertionError("No inf checks were recorded prior to update.")
        combined = found[0]
        for other in found[1:]:
            combined = combined + other
        _UPDATE(
            scale,
            growth_tracker,
            combined,
            float(self._growth_factor),
            float(self._backoff_factor),
            self._growth_interval,
        )

    # ------------------------------------------------------------ options
    def is_enabled(self) -> bool:
        """Return whether it scales at all."""
        return self._enabled

    def get_scale(self) -> float:
        """Wait for the scale and return it."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(self._scale.item())

    def _get_growth_tracker(self) -> int:
        if not self._enabled:
            return 0
        return self._init_growth_tracker if self._growth_tracker is None else int(self._growth_tracker.item())

    def get_growth_factor(self) -> float:
        """Return what the scale grows by."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the scale grows by."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """Return what the scale shrinks by."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the scale shrinks by."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """Return how many steps without overflow it takes to grow."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set how many steps without overflow it takes to grow."""
        self._growth_interval = new_interval

    # ------------------------------------------------------------ saving and loading
    def state_dict(self) -> dict[str, Any]:
        """Wait for the state and return it as numbers; empty where nothing is scaled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        if not self._enabled:
            return
        if len(state_dict) == 0:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._init_scale, self._init_growth_tracker = state_dict["scale"], state_dict["_growth_tracker"]
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        if self._scale is not None and self._growth_tracker is not None:
            self._scale.fill_(self._init_scale)
            self._growth_tracker.fill_(self._init_growth_tracker)


def _gradients(optimizer: Any) -> list[Tensor]:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if any(gradient.dtype is float16 for gradient in gradients):
        raise ValueError("Attempting to unscale FP16 gradients.")
    return gradients


def _check_scale(new_scale: Any) -> None:
    if isinstance(new_scale, float):
        return
    if not isinstance(new_scale, Tensor) or new_scale.numel() != 1 or new_scale.requires_grad:
        raise AssertionError(
            "new_scale should be a float or a 1-element torch.cuda.FloatTensor or torch.FloatTensor with "
            "requires_grad=False."
        )


def _has_cuda() -> bool:
    from gradwire import cuda

    return cuda.is_available()
