"""The functions of `host` on a GPU, through CuPy. None of them has run on a GPU yet."""

from __future__ import annotations

from typing import Any

import cupy

__all__ = ["cholesky"]

Array = Any


def cholesky(a: Array, upper: bool) -> tuple[Array, Array]:
    """Return the triangular factors (*, n, n) and info (*): 0, or the order of the first minor that is not positive."""
    lower = cupy.linalg.cholesky(cupy.swapaxes(a, -1, -2).conj() if upper else a)
    pivots = cupy.diagonal(lower, axis1=-2, axis2=-1).real
    failed = ~(pivots > 0)
    info = cupy.where(failed.any(axis=-1), failed.argmax(axis=-1) + 1, 0).astype(cupy.int32)
    return (cupy.swapaxes(lower, -1, -2).conj() if upper else lower), info
