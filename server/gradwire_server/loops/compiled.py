"""The loops. Arrays are C-contiguous; numbers come as the arrays' own dtype, since numba would widen a Python float."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gradwire_server.ops.error_function import OF_NORMAL

__all__ = [
    "adam", "erf_argument", "gelu_backward_arguments", "gelu_backward_result", "gelu_result", "layer_norm",
    "layer_norm_backward", "momentum",
]  # fmt: skip

Array = Any
_loop = njit(nogil=True, cache=True, error_model="numpy")
# Sums may be taken in another order, so that they run in several lanes; nothing else is loosened.
_sum_loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "nsz"})


# Of erf(x / sqrt(2)), in single precision: the coefficients by name, so that the loop over elements has none inside.
_C0, _C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(c) for c in OF_NORMAL)


@_loop
def erf_argument(x: Array, out: Array) -> None:
    """Compute x p(x^2), whose tanh is erf(x / sqrt(2)): see `ops.error_function`."""
    for i in range(x.size):
        s = x[i] * x[i]
        out[i] = ((((((s * _C6 + _C5) * s + _C4) * s + _C3) * s + _C2) * s + _C1) * s + _C0) * x[i]


@_loop
def gelu_result(x: Array, inner: Array, half: Any, one: Any, out: Array) -> None:
    """Compute x / 2 * (inner + 1)."""
    for i in range(x.size):
        out[i] = (x[i] * half) * (inner[i] + one)


@_loop
def gelu_backward_arguments(x: Array, minus_half: Any, inner: Array, density: Array) -> None:
    """Compute the argument of Phi's tanh, and that of the density's exponential."""
    for i in range(x.size):
        s = x[i] * x[i]
        inner[i] = ((((((s * _C6 + _C5) * s + _C4) * s + _C3) * s + _C2) * s + _C1) * s + _C0) * x[i]
        density[i] = s * minus_half


@_loop
def gelu_backward_result(
    grad: Array, x: Array, inner: Array, density: Array, scale: Any, half: Any, one: Any, out: Array
) -> None:
    """Compute grad * ((inner + 1) / 2 + density * scale * x)."""
    for i in range(x.size):
        out[i] = grad[i] * ((inner[i] + one) * half + (density[i] * scale) * x[i])


@_loop
def adam(p: Array, g: Array, mean: Array, square: Array, numbers: Array) -> None:
    """Update by Adam: `numbers` are (decay, 1 - beta1, beta2, 1 - beta2, correction, eps, step size)."""
    decay, rate, beta2, rest, correction, eps, step = numbers
    for i in range(p.size):
        value = p[i] * decay
        mean[i] = mean[i] + (g[i] - mean[i]) * rate
        square[i] = square[i] * beta2 + (g[i] * g[i]) * rest
        p[i] = value - (mean[i] / (np.sqrt(square[i]) / correction + eps)) * step


@_loop
def momentum(p: Array, g: Array, buffer: Array, numbers: Array) -> None:
    """Update by gradient descent with momentum: `numbers` are (momentum, learning rate)."""
    keep, rate = numbers
    for i in range(p.size):
        buffer[i] = buffer[i] * keep + g[i]
        p[i] = p[i] - buffer[i] * rate


@_sum_loop
def layer_norm(x: Array, weight: Array, bias: Array, numbers: Array, out: Array, mean: Array, rstd: Array) -> None:
    """Normalize the rows of (R, W); `numbers` are (W, eps). Sums have another order than numpy's."""
    count, eps = numbers[0], numbers[1]
    for r in range(x.shape[0]):
        total = count - count
        for j in range(x.shape[1]):
            total += x[r, j]
        centre = total / count
        spread = count - count
        for j in range(x.shape[1]):
            spread += (x[r, j] - centre) * (x[r, j] - centre)
        scale = count / count / np.sqrt(spread / count + eps)
        for j in range(x.shape[1]):
            out[r, j] = (x[r, j] - centre) * scale * weight[j] + bias[j]
        mean[r], rstd[r] = centre, scale


@_sum_loop
def layer_norm_backward(
    g: Array, x: Array, mean: Array, rstd: Array, weight: Array, by_x: Array, by_weight: Array, by_bias: Array
) -> None:
    """Compute the gradients of `layer_norm`, of which `by_weight` and `by_bias` begin at zero."""
    width = x.dtype.type(x.shape[1])
    for r in range(x.shape[0]):
        centre, scale = mean[r], rstd[r]
        total = scale - scale
        along = scale - scale
        for j in range(x.shape[1]):
            h = g[r, j] * weight[j]
            total += h
            along += h * ((x[r, j] - centre) * scale)
        total /= width
        along /= width
        for j in range(x.shape[1]):
            normal = (x[r, j] - centre) * scale
            by_x[r, j] = (g[r, j] * weight[j] - total - normal * along) * scale
            by_weight[j] += g[r, j] * normal
            by_bias[j] += g[r, j]
