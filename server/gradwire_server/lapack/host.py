"""LAPACK through SciPy, over batches of numpy's matrices. Imported at first use: SciPy's import takes long."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack

__all__ = ["cholesky", "ldl_factor", "ldl_solve", "lu_factor", "lu_solve", "solve_triangular"]

Array = np.ndarray[Any, Any]

_PREFIXES = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}


def _routine(name: str, dtype: np.dtype[Any]) -> Any:
    return getattr(lapack, _PREFIXES[dtype.name] + name)


def _matrices(array: Array) -> Array:
    """Return a batch (*, m, n) as (count, m, n)."""
    return array.reshape(math.prod(array.shape[:-2]), *array.shape[-2:])


def _rows(array: Array) -> Array:
    """Return a batch of vectors (*, k) as (count, k)."""
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def cholesky(a: Array, upper: bool) -> tuple[Array, Array]:
    """Return the triangular factors (*, n, n) and info (*): 0, or the order of the first minor that is not positive."""
    factor, info = np.zeros_like(a, order="C"), np.zeros(a.shape[:-2], np.int32)
    potrf, infos = _routine("potrf", a.dtype), info.reshape(-1)
    if a.size:
        for index, (matrix, into) in enumerate(zip(_matrices(a), _matrices(factor), strict=True)):
            into[...], infos[index] = potrf(matrix, lower=not upper, clean=True)
        # OpenBLAS takes a pivot that is NaN for a positive one; LAPACK's own potrf, as PyTorch's, does not.
        lost = np.isnan(np.diagonal(factor, axis1=-2, axis2=-1))
        info[...] = np.where((info == 0) & lost.any(axis=-1), lost.argmax(axis=-1) + 1, info)
    return factor, info


def lu_factor(a: Array) -> tuple[Array, Array]:
    """Return L and U in one matrix (*, m, n), and the int32 pivots (*, k): the row, from 1, that each row was swapped with."""
    factors, pivots = np.zeros_like(a, order="C"), np.zeros((*a.shape[:-2], min(a.shape[-2:])), np.int32)
    getrf, rows = _routine("getrf", a.dtype), _rows(pivots)
    if a.size:
        for matrix, into, row in zip(_matrices(a), _matrices(factors), rows, strict=True):
            into[...], swapped, _ = getrf(matrix)
            row[...] = swapped + 1
    return factors, pivots


def lu_solve(factors: Array, pivots: Array, b: Array, trans: int) -> Array:
    """Solve op(A) X = B for batches of one shape: `trans` 0 A, 1 its transpose, 2 its conjugate transpose."""
    solution, getrs = np.zeros_like(b, order="C"), _routine("getrs", b.dtype)
    rows = _rows(pivots) - 1
    if b.size:
        for matrix, row, given, into in zip(_matrices(factors), rows, _matrices(b), _matrices(solution), strict=True):
            into[...] = getrs(matrix, row, given, trans=trans)[0]
    return solution


def solve_triangular(a: Array, b: Array, lower: bool, trans: int, unit: bool) -> Array:
    """Solve op(A) X = B for batches of one shape, reading one triangle of A: `trans` as for `lu_solve`; 0 divides."""
    solution = np.zeros_like(b, order="C")
    trsm = getattr(blas, _PREFIXES[b.dtype.name] + "trsm")
    if b.size:
        for matrix, given, into in zip(_matrices(a), _matrices(b), _matrices(solution), strict=True):
            into[...] = trsm(1, matrix, given, lower=lower, trans_a=trans, diag=unit)
    return solution


def ldl_factor(a: Array, hermitian: bool) -> tuple[Array, Array, Array]:
    """Return L and D in one matrix (*, n, n), LAPACK's int32 pivots (*, n), and info (*), from the lower triangles."""
    factors, pivots = np.zeros_like(a, order="C"), np.zeros(a.shape[:-1], np.int32)
    info = np.zeros(a.shape[:-2], np.int32)
    sytrf = _routine("hetrf" if hermitian and a.dtype.kind == "c" else "sytrf", a.dtype)
    rows, infos = _rows(pivots), info.reshape(-1)
    if a.size:
        for index, (matrix, into) in enumerate(zip(_matrices(a), _matrices(factors), strict=True)):
            into[...], rows[index], infos[index] = sytrf(matrix, lower=True)
    return factors, pivots, info


def ldl_solve(factors: Array, pivots: Array, b: Array, hermitian: bool) -> Array:
    """Solve A X = B for batches of one shape, by the factors of `ldl_factor`."""
    solution = np.zeros_like(b, order="C")
    sytrs = _routine("hetrs" if hermitian and b.dtype.kind == "c" else "sytrs", b.dtype)
    rows = _rows(pivots)
    if b.size:
        for matrix, row, given, into in zip(_matrices(factors), rows, _matrices(b), _matrices(solution), strict=True):
            into[...] = sytrs(matrix, row, given, lower=True)[0]
    return solution
