"""Loops over images: batch normalization of (N, C, L), and maxima of 2 x 2 windows of (rows, H, W)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradwire_server.loops.jit import loop, sum_loop

__all__ = ["add_at_places", "batch_norm", "batch_norm_backward", "max_pool_pairs"]

Array = Any


@sum_loop
def batch_norm(
    x: Array, weight: Array, bias: Array, eps: float, out: Array, mean: Array, variance: Array, rstd: Array
) -> None:
    """Normalize each channel by its moments. Sums along L are of x's dtype, those over N in double precision."""
    number = x.dtype.type
    count = x.shape[0] * x.shape[2]
    for c in range(x.shape[1]):
        total = 0.0
        for n in range(x.shape[0]):
            part = number(0)
            for k in range(x.shape[2]):
                part += x[n, c, k]
            total += part
        centre = number(total / count)
        total = 0.0
        for n in range(x.shape[0]):
            part = number(0)
            for k in range(x.shape[2]):
                part += (x[n, c, k] - centre) * (x[n, c, k] - centre)
            total += part
        scale = number(1 / np.sqrt(total / count + eps))
        mean[c], variance[c], rstd[c] = centre, number(total / count), scale
        factor, shift = scale * weight[c], bias[c]
        for n in range(x.shape[0]):
            for k in range(x.shape[2]):
                out[n, c, k] = (x[n, c, k] - centre) * factor + shift


@sum_loop
def batch_norm_backward(
    g: Array, x: Array, mean: Array, rstd: Array, weight: Array, by_input: bool, by_x: Array, by_weight: Array,
    by_bias: Array,
) -> None:  # fmt: skip
    """Compute the gradients of `batch_norm`, that of x only if `by_input`."""
    number = x.dtype.type
    count = x.shape[0] * x.shape[2]
    for c in range(x.shape[1]):
        centre, scale = mean[c], rstd[c]
        total, along = 0.0, 0.0
        for n in range(x.shape[0]):
            part, other = number(0), number(0)
            for k in range(x.shape[2]):
                part += g[n, c, k]
                other += g[n, c, k] * (x[n, c, k] - centre)
            total += part
            along += other
        by_weight[c], by_bias[c] = number(along * scale), number(total)
        if by_input:
            slope, middle, factor = number(along / count * scale * scale), number(total / count), scale * weight[c]
            for n in range(x.shape[0]):
                for k in range(x.shape[2]):
                    by_x[n, c, k] = (g[n, c, k] - ((x[n, c, k] - centre) * slope + middle)) * factor


@loop
def _later(value: Any, best: Any, place: int, other: int) -> tuple[Any, int]:
    """Return the greater of two with its place: the first of equals, the last NaN."""
    is_later = (value > best) | (value != value)
    return value if is_later else best, place if is_later else other


@loop
def max_pool_pairs(x: Array, out: Array, places: Array) -> None:
    """Find the maximum of each window of 2 x 2, side by side, and its place in the image."""
    width = x.shape[2]
    for r in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                place = 2 * i * width + 2 * j
                best, where = x[r, 2 * i, 2 * j], place
                best, where = _later(x[r, 2 * i, 2 * j + 1], best, place + 1, where)
                best, where = _later(x[r, 2 * i + 1, 2 * j], best, place + width, where)
                best, where = _later(x[r, 2 * i + 1, 2 * j + 1], best, place + width + 1, where)
                out[r, i, j], places[r, i, j] = best, where


@loop
def add_at_places(g: Array, places: Array, made: Array) -> bool:
    """Add each row of `g` to the elements of a row of `made` that `places` names; stop at one that is not there."""
    for r in range(g.shape[0]):
        for k in range(g.shape[1]):
            place = places[r, k]
            if place < 0 or place >= made.shape[1]:
                return False
            made[r, place] += g[r, k]
    return True
