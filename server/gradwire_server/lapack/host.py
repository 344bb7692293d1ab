"""LAPACK through SciPy, over batches of numpy's matrices. Imported at first use: SciPy's import takes long."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.linalg import lapack

__all__ = ["cholesky"]

Array = np.ndarray[Any, Any]

_PREFIXES = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}


def _routine(name: str, dtype: np.dtype[Any]) -> Any:
    return getattr(lapack, _PREFIXES[dtype.name] + name)


def _matrices(array: Array) -> Array:
    """Return a batch (*, m, n) as (count, m, n)."""
    return array.reshape(math.prod(array.shape[:-2]), *array.shape[-2:])


def cholesky(a: Array, upper: bool) -> tuple[Array, Array]:
    """Return the triangular factors (*, n, n) and info (*): 0, or the order of the first minor that is not positive."""
    factor, info = np.zeros_like(a, order="C"), np.zeros(a.shape[:-2], np.int32)
    potrf, infos = _routine("potrf", a.dtype), info.reshape(-1)
    if a.size:
        for index, (matrix, into) in enumerate(zip(_matrices(a), _matrices(factor), strict=True)):
            into[...], infos[index] = potrf(matrix, lower=not upper, clean=True)
    return factor, info
