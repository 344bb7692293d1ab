"""The loops. Arrays are C-contiguous; numbers come as the arrays' own dtype, since numba would widen a Python float."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gradwire_server.ops.error_function import OF_NORMAL

__all__ = ["erf_argument", "gelu_backward_arguments", "gelu_backward_result", "gelu_result"]

Array = Any
_loop = njit(nogil=True, cache=True, error_model="numpy")


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
