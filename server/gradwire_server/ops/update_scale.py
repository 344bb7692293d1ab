"""Kernels of loss scaling: whether gradients overflowed, and the next scale. Neither reads a value to the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire_server.rules import kernel

Array = Any


@kernel("_amp_foreach_non_finite_check_and_unscale_")
def unscale(xp: Any, self: Sequence[Array], found_inf: Array, inv_scale: Array) -> None:
    """Multiply gradients by the inverse scale, and set `found_inf` to 1 if any element is not finite."""
    for gradient in self:
        overflowed = xp.logical_not(xp.all(xp.isfinite(gradient)))
        xp.maximum(found_inf, overflowed.astype(found_inf.dtype), out=found_inf)
        # In float32 at least, since a float16 may not hold the inverse.
        gradient[...] = xp.multiply(gradient, inv_scale.reshape(()))


@kernel("_amp_update_scale_")
def update_scale(
    xp: Any, self: Array, growth_tracker: Array, found_inf: Array, scale_growth_factor: float, scale_backoff_factor: float,
    growth_interval: int,
) -> None:  # fmt: skip
    """Shrink the scale after an overflow; let it grow after so many steps without one, unless it would overflow itself."""
    overflowed = found_inf > 0
    unbroken = growth_tracker + 1
    is_due = unbroken == growth_interval
    grown = xp.multiply(self, scale_growth_factor)
    kept = xp.where(xp.logical_and(is_due, xp.isfinite(grown)), grown, self)
    shrunk = xp.multiply(self, scale_backoff_factor)
    growth_tracker[...] = xp.where(xp.logical_or(overflowed, is_due), 0, unbroken)
    self[...] = xp.where(overflowed, shrunk, kept)
