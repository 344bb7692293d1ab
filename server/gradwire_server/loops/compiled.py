"""All loops by name; here are those over single elements, and layer norm.

Arrays are C-contiguous. Numbers come as the arrays' own dtype, since numba would widen a Python float.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradwire_server.loops.gates import lstm_step, lstm_step_backward
from gradwire_server.loops.jit import loop, sum_loop
from gradwire_server.loops.planes import add_at_places, batch_norm, batch_norm_backward, max_pool_pairs
from gradwire_server.loops.rows import (
    below_row_maxima,
    divide_by_row_sums,
    log_softmax_backward,
    softmax_backward,
    subtract_row_logs,
)
from gradwire_server.ops.error_function import OF_NORMAL

__all__ = [
    "adam", "add_at_places", "batch_norm", "batch_norm_backward", "below_row_maxima", "divide_by_row_sums",
    "erf_argument", "gelu_backward_arguments", "gelu_backward_result", "gelu_result", "layer_norm",
    "layer_norm_backward", "log_softmax_backward", "lstm_step", "lstm_step_backward", "max_pool_pairs", "momentum",
    "softmax_backward", "subtract_row_logs", "threshold_backward",
]  # fmt: skip

Array = Any

# Of erf(x / sqrt(2)), in single precision: the coefficients by name, so that the loop over elements has none inside.
_C0, _C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(c) for c in OF_NORMAL)


@loop
def threshold_backward(grad: Array, x: Array, threshold: Any, out: Array) -> None:
    """Pass the gradient unless x is at most the threshold."""
    zero = grad.dtype.type(0)
    for i in range(x.size):
        out[i] = zero if x[i] <= threshold else grad[i]


@loop
def erf_argument(x: Array, out: Array) -> None:
    """Compute x p(x^2), whose tanh is erf(x / sqrt(2)): see `ops.error_function`."""
    for i in range(x.size):
        s = x[i] * x[i]
        out[i] = ((((((s * _C6 + _C5) * s + _C4) * s + _C3) * s + _C2) * s + _C1) * s + _C0) * x[i]


@loop
def gelu_result(x: Array, inner: Array, half: Any, one: Any, out: Array) -> None:
    """Compute x / 2 * (inner + 1)."""
    for i in range(x.size):
        out[i] = (x[i] * half) * (inner[i] + one)


@loop
def gelu_backward_arguments(x: Array, minus_half: Any, inner: Array, density: Array) -> None:
    """Compute the argument of Phi's tanh, and that of the density's exponential."""
    for i in range(x.size):
        s = x[i] * x[i]
        inner[i] = ((((((s * _C6 + _C5) * s + _C4) * s + _C3) * s + _C2) * s + _C1) * s + _C0) * x[i]
        density[i] = s * minus_half


@loop
def gelu_backward_result(
    grad: Array, x: Array, inner: Array, density: Array, scale: Any, half: Any, one: Any, out: Array
) -> None:
    """Compute grad * ((inner + 1) / 2 + density * scale * x)."""
    for i in range(x.size):
        out[i] = grad[i] * ((inner[i] + one) * half + (density[i] * scale) * x[i])


@loop
def adam(p: Array, g: Array, mean: Array, square: Array, numbers: Array) -> None:
    """Update by Adam: `numbers` are (decay, 1 - beta1, beta2, 1 - beta2, correction, eps, step size)."""
    decay, rate, beta2, rest, correction, eps, step = numbers
    for i in range(p.size):
        value = p[i] * decay
        mean[i] = mean[i] + (g[i] - mean[i]) * rate
        square[i] = square[i] * beta2 + (g[i] * g[i]) * rest
        p[i] = value - (mean[i] / (np.sqrt(square[i]) / correction + eps)) * step


@loop
def momentum(p: Array, g: Array, buffer: Array, numbers: Array) -> None:
    """Update by gradient descent with momentum: `numbers` are (momentum, learning rate, weight decay)."""
    keep, rate, decay = numbers
    for i in range(p.size):
        step = p[i] * decay + g[i] if decay != 0 else g[i]
        buffer[i] = buffer[i] * keep + step
        p[i] = p[i] - buffer[i] * rate


@sum_loop
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


@sum_loop
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
