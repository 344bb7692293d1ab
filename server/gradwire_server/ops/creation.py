"""Kernels of `gradwire_protocol.ops.creation`. None is differentiable."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.dtypes import DType
from gradwire_protocol.meta import Meta
from gradwire_server.ops.indexing import element
from gradwire_server.rules import kernel

Array = Any


@kernel("full")
def full(xp: Any, size: tuple[int, ...], fill_value: Any, dtype: DType) -> Array:
    """Fill a new array; `zeros` and `empty` come here too, so that no memory shows what it held before."""
    if fill_value == 0:
        return xp.zeros(size, dtype.numpy)
    return xp.full(size, element(dtype.numpy, fill_value), dtype.numpy)


@kernel("eye.m")
def eye(xp: Any, n: int, m: int, dtype: DType) -> Array:
    """Return ones on the diagonal of an (n, m) array."""
    return xp.eye(n, m, dtype=dtype.numpy)


@kernel("gw::arange")
def arange(xp: Any, length: int, start: Any, step: Any, dtype: DType) -> Array:
    """Compute start + i * step, in double or int64 as PyTorch does, then cast."""
    integral = isinstance(start, int) and isinstance(step, int)
    index = xp.arange(length, dtype=xp.int64 if integral else xp.float64)
    return (index * step + start).astype(dtype.numpy)


def _spaced(xp: Any, steps: int, start: Any, end: Any, dtype: DType) -> Array:
    """Count from both ends to the middle, as PyTorch does, so that the last number is exactly `end`."""
    if not dtype.is_floating_point and not dtype.is_complex:
        start, end = int(start), int(end)
    index = xp.arange(steps, dtype=xp.float64)
    step = (end - start) / max(steps - 1, 1)
    return xp.where(index < max(steps // 2, steps == 1), start + step * index, end - step * (steps - 1 - index))


@kernel("gw::linspace")
def linspace(xp: Any, steps: int, start: Any, end: Any, dtype: DType) -> Array:
    """Compute evenly spaced numbers in double, then cast."""
    return _spaced(xp, steps, start, end, dtype).astype(dtype.numpy)


@kernel("gw::logspace")
def logspace(xp: Any, steps: int, start: Any, end: Any, base: Any, dtype: DType) -> Array:
    """Compute base to the power of evenly spaced numbers."""
    return xp.power(base, _spaced(xp, steps, start, end, dtype)).astype(dtype.numpy)


@kernel("new_full")
def new_full(xp: Any, self: Array, size: tuple[int, ...], fill_value: Any, dtype: DType | None, result: Meta) -> Array:
    """Fill a new array of another's dtype."""
    return full(xp, size, fill_value, result.dtype)


@kernel("full_like")
def full_like(xp: Any, self: Array, fill_value: Any, dtype: DType | None, result: Meta) -> Array:
    """Fill a new array of another's shape."""
    return full(xp, result.shape, fill_value, result.dtype)
