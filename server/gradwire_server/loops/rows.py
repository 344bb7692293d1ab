"""Loops over the rows of matrices, for softmax; exp is numpy's, between two of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradwire_server.loops.jit import sum_loop

__all__ = ["below_row_maxima", "divide_by_row_sums", "log_softmax_backward", "softmax_backward", "subtract_row_logs"]

Array = Any
_LANES = 16


@sum_loop
def below_row_maxima(x: Array, out: Array) -> None:
    """Subtract its maximum from each row. A row with NaN has NaN in the result, though not everywhere."""
    width = x.shape[1]
    even = width // _LANES * _LANES
    lanes = np.empty(_LANES, x.dtype)
    for r in range(x.shape[0]):
        lanes[:] = x[r, 0]
        for start in range(0, even, _LANES):
            for k in range(_LANES):
                lanes[k] = x[r, start + k] if x[r, start + k] > lanes[k] else lanes[k]
        highest = lanes[0]
        for k in range(1, _LANES):
            highest = lanes[k] if lanes[k] > highest else highest
        for j in range(even, width):
            highest = x[r, j] if x[r, j] > highest else highest
        for j in range(width):
            out[r, j] = x[r, j] - highest


@sum_loop
def divide_by_row_sums(values: Array) -> None:
    """Divide each row by its sum."""
    for r in range(values.shape[0]):
        total = values.dtype.type(0)
        for j in range(values.shape[1]):
            total += values[r, j]
        for j in range(values.shape[1]):
            values[r, j] = values[r, j] / total


@sum_loop
def subtract_row_logs(values: Array, exponentials: Array) -> None:
    """Subtract from each row the logarithm of the sum of its exponentials."""
    for r in range(values.shape[0]):
        total = values.dtype.type(0)
        for j in range(values.shape[1]):
            total += exponentials[r, j]
        total = values.dtype.type(np.log(total))
        for j in range(values.shape[1]):
            values[r, j] -= total


@sum_loop
def softmax_backward(g: Array, y: Array, out: Array) -> None:
    """Compute y * (g - sum(g * y)), as g * y - y * sum(g * y)."""
    for r in range(g.shape[0]):
        total = g.dtype.type(0)
        for j in range(g.shape[1]):
            total += g[r, j] * y[r, j]
        for j in range(g.shape[1]):
            out[r, j] = g[r, j] * y[r, j] - y[r, j] * total


@sum_loop
def log_softmax_backward(g: Array, exponentials: Array, out: Array) -> None:
    """Compute g - exponentials * sum(g); `out` may be the exponentials."""
    for r in range(g.shape[0]):
        total = g.dtype.type(0)
        for j in range(g.shape[1]):
            total += g[r, j]
        for j in range(g.shape[1]):
            out[r, j] = g[r, j] - exponentials[r, j] * total
