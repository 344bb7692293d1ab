"""Batch normalization by the batch's moments on a CPU, a few channels at a time: later passes find them in the cache.

Pure functions of rows (N, C, L) and vectors of C. Sums along L are products with a vector, which BLAS makes in many lanes;
sums over N are made in float64. `batch_norm` has the same in whole arrays, for GPUs and for rows of few elements.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gradwire_protocol.dtypes import float64
from gradwire_server.loops import host_loops

__all__ = ["gradients", "normalize", "serves"]

Array = Any

# Elements of a block: a MiB of float32, and as much again in scratch memory.
_BLOCK = 1 << 18
# Shorter rows take as long to sum by BLAS as to call it.
_FEWEST = 32
# Rows up to here are one with their parameters repeated: numpy needs 0.1 us for each row that it broadcasts to.
_SHORT = 5000


def serves(xp: Any, rows: Array) -> bool:
    """Return whether these functions are the faster ones."""
    return rows.shape[2] >= _FEWEST and rows.size > 0 and getattr(xp, "__name__", "") != "cupy"


class _Block:
    """Some channels of rows: views of them, and vectors of C as what broadcasts to these views."""

    def __init__(self, xp: Any, shape: tuple[int, ...], first: int, end: int) -> None:
        self.xp = xp
        self.samples, self.length, self.channels = shape[0], shape[2], slice(first, end)
        self.short = self.length <= _SHORT

    def view(self, rows: Array) -> Array:
        """View the channels of (N, C, L), as (N, channels * L) if rows are short."""
        if not self.short:
            return rows[:, self.channels]
        columns = slice(self.channels.start * self.length, self.channels.stop * self.length)
        return rows.reshape(self.samples, -1)[:, columns]

    def spread(self, vector: Array) -> Array:
        """Let a vector of the channels broadcast to a view."""
        return self.xp.repeat(vector, self.length) if self.short else vector[:, None]

    def as_rows(self, view: Array) -> Array:
        """View what has a view's shape as (N, channels, L)."""
        return view.reshape(self.samples, -1, self.length)


def _blocks(xp: Any, shape: tuple[int, ...], dtype: Any) -> Iterator[tuple[_Block, Array]]:
    """Yield blocks of channels, and scratch memory of their views' shape."""
    samples, channels, length = shape
    step = max(1, min(channels, _BLOCK // (samples * length)))
    scratch = xp.empty((samples * step * length,), dtype)
    for first in range(0, channels, step):
        end = min(first + step, channels)
        block = _Block(xp, shape, first, end)
        part = scratch[: samples * (end - first) * length]
        yield block, part.reshape(samples, -1) if block.short else part.reshape(samples, end - first, length)


def _sum(xp: Any, rows: Array) -> Array:
    """Sum (N, C, L) to C, in float64."""
    return xp.matmul(rows, xp.ones((rows.shape[2],), rows.dtype)).sum(axis=0, dtype=float64.numpy)


def _dot(xp: Any, first: Array, second: Array) -> Array:
    """Sum the products of two (N, C, L) to C, in float64."""
    return xp.matmul(first[:, :, None, :], second[..., None])[:, :, 0, 0].sum(axis=0, dtype=float64.numpy)


def _vector(xp: Any, parameter: Array | None, like: Array, number: int) -> Array:
    """Return a parameter as loops take it; for None `number` for each channel."""
    return xp.full(like.shape, number, like.dtype) if parameter is None else xp.ascontiguousarray(parameter, like.dtype)


def normalize(
    xp: Any, x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array, Array]:
    """Return (x - mean) * rstd * weight + bias, and mean, variance and rstd per channel."""
    count, dtype = x.shape[0] * x.shape[2], x.dtype
    made = xp.empty(x.shape, dtype)
    mean, variance, rstd = (xp.empty(x.shape[1:2], dtype) for _ in range(3))
    loops = host_loops(xp, x)
    if loops is not None:
        loops.batch_norm(x, _vector(xp, weight, rstd, 1), _vector(xp, bias, rstd, 0), eps, made, mean, variance, rstd)
        return made, mean, variance, rstd
    for block, scratch in _blocks(xp, x.shape, dtype):
        channels = block.channels
        mean[channels] = _sum(xp, x[:, channels]) / count
        xp.subtract(block.view(x), block.spread(mean[channels]), out=scratch)
        centred = block.as_rows(scratch)
        variance[channels] = _dot(xp, centred, centred) / count
        rstd[channels] = 1 / xp.sqrt(variance[channels] + dtype.type(eps))
        factor = rstd[channels] if weight is None else rstd[channels] * weight[channels]
        into = block.view(made)
        xp.multiply(scratch, block.spread(factor), out=into if bias is None else scratch)
        if bias is not None:
            xp.add(scratch, block.spread(bias[channels]), out=into)
    return made, mean, variance, rstd


def gradients(
    xp: Any, g: Array, x: Array, mean: Array, rstd: Array, weight: Array | None, by_input: bool
) -> tuple[Array | None, Array, Array]:
    """Return rstd w (g - mean(g) - x' mean(g x')), unless not asked for, sum(g x') and sum(g)."""
    count, dtype = x.shape[0] * x.shape[2], x.dtype
    made = xp.empty(x.shape, dtype) if by_input else None
    by_weight, by_bias = (xp.empty(x.shape[1:2], dtype) for _ in range(2))
    loops = host_loops(xp, x, g)
    if loops is not None:
        moments = [_vector(xp, vector, mean, 1) for vector in (mean, rstd, weight)]
        loops.batch_norm_backward(g, x, *moments, by_input, x if made is None else made, by_weight, by_bias)
        return made, by_weight, by_bias
    for block, scratch in _blocks(xp, x.shape, dtype):
        channels = block.channels
        scale = rstd[channels]
        xp.subtract(block.view(x), block.spread(mean[channels]), out=scratch)
        along, total = _dot(xp, g[:, channels], block.as_rows(scratch)), _sum(xp, g[:, channels])
        by_weight[channels], by_bias[channels] = along * scale, total
        if made is None:
            continue
        xp.multiply(scratch, block.spread((along / count * scale * scale).astype(dtype)), out=scratch)
        xp.add(scratch, block.spread((total / count).astype(dtype)), out=scratch)
        xp.subtract(block.view(g), scratch, out=scratch)
        factor = scale if weight is None else scale * weight[channels]
        xp.multiply(scratch, block.spread(factor), out=block.view(made))
    return made, by_weight, by_bias
