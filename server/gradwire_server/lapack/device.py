"""The functions of `host` on a GPU, through CuPy. None of them has run on a GPU yet."""

from __future__ import annotations

import math
from typing import Any

import cupy

__all__ = ["cholesky", "ldl_factor", "ldl_solve", "lu_factor", "lu_solve", "solve_triangular"]

Array = Any


def cholesky(a: Array, upper: bool) -> tuple[Array, Array]:
    """Return the triangular factors (*, n, n) and info (*): 0, or the order of the first minor that is not positive."""
    lower = cupy.linalg.cholesky(cupy.swapaxes(a, -1, -2).conj() if upper else a)
    pivots = cupy.diagonal(lower, axis1=-2, axis2=-1).real
    failed = ~(pivots > 0)
    info = cupy.where(failed.any(axis=-1), failed.argmax(axis=-1) + 1, 0).astype(cupy.int32)
    return (cupy.swapaxes(lower, -1, -2).conj() if upper else lower), info


def _matrices(array: Array) -> Array:
    """Return a batch (*, m, n) as (count, m, n)."""
    return array.reshape(math.prod(array.shape[:-2]), *array.shape[-2:])


def _rows(array: Array) -> Array:
    """Return a batch of vectors (*, k) as (count, k)."""
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def lu_factor(a: Array) -> tuple[Array, Array]:
    """Return L and U in one matrix (*, m, n), and the int32 pivots (*, k): the row, from 1, that each row was swapped with."""
    from cupyx.scipy.linalg import lu_factor as getrf

    factors, pivots = cupy.zeros(a.shape, a.dtype), cupy.zeros((*a.shape[:-2], min(a.shape[-2:])), cupy.int32)
    rows = _rows(pivots)
    if a.size:
        for matrix, into, row in zip(_matrices(a), _matrices(factors), rows, strict=True):
            into[...], swapped = getrf(matrix, check_finite=False)
            row[...] = swapped + 1
    return factors, pivots


def lu_solve(factors: Array, pivots: Array, b: Array, trans: int) -> Array:
    """Solve op(A) X = B for batches of one shape: `trans` 0 A, 1 its transpose, 2 its conjugate transpose."""
    from cupyx.scipy.linalg import lu_solve as getrs

    solution = cupy.zeros(b.shape, b.dtype)
    rows = _rows(pivots) - 1
    if b.size:
        for matrix, row, given, into in zip(_matrices(factors), rows, _matrices(b), _matrices(solution), strict=True):
            into[...] = getrs((matrix, row), given, trans=trans, check_finite=False)
    return solution


def solve_triangular(a: Array, b: Array, lower: bool, trans: int, unit: bool) -> Array:
    """Solve op(A) X = B for batches of one shape, reading one triangle of A: `trans` as for `lu_solve`; 0 divides."""
    from cupyx.scipy.linalg import solve_triangular as trsm

    if not b.size:
        return cupy.zeros(b.shape, b.dtype)
    solved = trsm(_matrices(a), _matrices(b), "NTC"[trans], lower=lower, unit_diagonal=unit)
    return solved.reshape(b.shape)


def ldl_factor(a: Array, hermitian: bool) -> tuple[Array, Array, Array]:
    """Return the host's factors, pivots and info: cuSOLVER has no Hermitian factors, and CuPy none of them in batches."""
    from gradwire_server.lapack import host

    factors, pivots, info = host.ldl_factor(cupy.asnumpy(a), hermitian)
    return cupy.asarray(factors), cupy.asarray(pivots), cupy.asarray(info)


def ldl_solve(factors: Array, pivots: Array, b: Array, hermitian: bool) -> Array:
    """Solve A X = B on the host; see `ldl_factor`."""
    from gradwire_server.lapack import host

    return cupy.asarray(host.ldl_solve(cupy.asnumpy(factors), cupy.asnumpy(pivots), cupy.asnumpy(b), hermitian))
