"""What the gradients of all normalizations share: derivatives of x' = (x - mean) / sqrt(variance + eps), in two orders.

Arrays are laid out so that the statistics are over `axes` and the weight broadcasts to the input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_server.ops.reduction import in_dtype

__all__ = ["Normalized", "added", "empties", "input_gradient", "masked"]

Array = Any
Axes = tuple[int, ...]


def added(parts: list[Array]) -> Array | None:
    """Return the sum of gradients, None if there is none."""
    found = None
    for part in parts:
        found = part if found is None else found + part
    return found


def empties(xp: Any, result: tuple[Meta, ...]) -> list[Array]:
    """Return what stands for gradients that no mask asks for."""
    return [xp.zeros(meta.shape, meta.dtype.numpy) for meta in result]


def masked(
    xp: Any, output_mask: tuple[bool, ...], result: tuple[Meta, ...], *makers: Callable[[], Array]
) -> tuple[Array, ...]:
    """Make just the gradients that the mask asks for, in the shape and dtype of the results."""
    return tuple(
        in_dtype(maker().reshape(meta.shape), meta) if wanted else xp.zeros((0,), meta.dtype.numpy)
        for wanted, meta, maker in zip(output_mask, result, makers, strict=True)
    )


def input_gradient(xp: Any, h: Array, normal: Array, rstd: Array, axes: Axes, *, centred: bool = True) -> Array:
    """Compute rstd * (h - mean(h) - x' mean(h x')); without `centred`, as for RMS norm, mean(h) does not occur."""
    found = h - normal * (h * normal).mean(axis=axes, keepdims=True)
    if centred:
        found -= h.mean(axis=axes, keepdims=True)
    return xp.multiply(found, rstd, out=found)


@dataclass(frozen=True, slots=True)
class Normalized:
    """A normalized input as a differentiable function of it, from which second gradients follow.

    P(v) = rstd (v - mean(v) - x' mean(v x')) is its own transpose and the derivative of x' by x; that of rstd by x is
    -rstd^2 x' / n. Where `centred` is False nothing is subtracted from the input, so mean(v) does not occur in P. Where
    `axes` is None the statistics are constants, and P(v) = rstd v.
    """

    normal: Array
    rstd: Array
    axes: Axes | None
    centred: bool = True

    @staticmethod
    def of(input: Array, rstd: Array, axes: Axes, *, centred: bool = True) -> Normalized:
        """Normalize `input` over `axes` again, differentiably; eps, which is in `rstd`, is taken from there."""
        moved = input - input.mean(axes, True) if centred else input
        variance = (moved * moved).mean(axes, True)
        again = (variance + (rstd.pow(-2) - variance).detach()).rsqrt()
        return Normalized(moved * again, again, axes, centred)

    def mean(self, v: Array) -> Array:
        """Return the mean over `axes`, for broadcasting."""
        return v.mean(self.axes, True)

    def project(self, v: Array) -> Array:
        """Return P(v)."""
        if self.axes is None:
            return self.rstd * v
        found = v - self.normal * self.mean(v * self.normal)
        return self.rstd * (found - self.mean(v) if self.centred else found)

    def curvature(self, a: Array, h: Array) -> Array:
        """Differentiate a . P(h) by x.

        Through rstd: -rstd^2 x' (mean(a h) - mean(a) mean(h) - mean(a x') mean(h x')); through x': -P(rstd (a mean(h x')
        + h mean(a x'))).
        """
        along_a, along_h = self.mean(a * self.normal), self.mean(h * self.normal)
        spread = self.mean(a * h) - along_a * along_h
        if self.centred:
            spread = spread - self.mean(a) * self.mean(h)
        through_rstd = self.rstd * self.rstd * self.normal * spread
        return -(through_rstd + self.project(self.rstd * (a * along_h + h * along_a)))

    def second(
        self, grad: Array, weight: Array | None, a: Array | None, b: Array | None, c: Array | None
    ) -> tuple[Array | None, Array | None, Array | None]:
        """Differentiate a . P(g w) + b . (g x') + c . g by g, x and w, where a, b, c are the gradients that come in."""
        by_grad, by_input, by_weight = [], [], None
        if a is not None:
            projected = self.project(a)
            by_grad.append(projected if weight is None else projected * weight)
            by_weight = grad * projected
            if self.axes is not None:
                by_input.append(self.curvature(a, grad if weight is None else grad * weight))
        if b is not None:
            by_grad.append(b * self.normal)
            by_input.append(self.project(b * grad))
        if c is not None:
            by_grad.append(c.expand(grad.shape))
        return added(by_grad), added(by_input), by_weight
