"""Kernels and gradients of the LU and LDL factors of `gradwire_protocol.ops.linalg`.

The gradient of A = P L U is that of F. de Hoog et al., "The derivative of a matrix factorisation" (2011), extended to
matrices that are not square.
"""

from __future__ import annotations

import math
from typing import Any

from gradwire_protocol.errors import LinAlgError
from gradwire_protocol.ops import OPS
from gradwire_server.lapack import xp_lapack
from gradwire_server.ops.decomposition import adjoint
from gradwire_server.ops.linalg import batched, factor_info, first_failure, solved_by_factors
from gradwire_server.rules import gradient, kernel, speaks_complex

__all__: list[str] = []

Array = Any


# ---------------------------------------------------------------- LU factors
def _unpivoted(xp: Any, A: Array) -> tuple[Array, Array]:
    """Eliminate column by column with the diagonal as it is; the pivots say that no rows are swapped."""
    factors, k = A.copy(), min(A.shape[-2:])
    for step in range(k - 1 if A.shape[-2] <= k else k):
        below = factors[..., step + 1 :, step] / factors[..., step, step][..., None]
        factors[..., step + 1 :, step] = below
        factors[..., step + 1 :, step + 1 :] -= below[..., None] * factors[..., step, step + 1 :][..., None, :]
    pivots = xp.broadcast_to(xp.arange(1, k + 1, dtype=xp.int32), (*A.shape[:-2], k)).copy()
    return factors, pivots


def _factored(xp: Any, A: Array, pivot: bool) -> tuple[Array, Array]:
    factors: tuple[Array, Array] = xp_lapack(xp).lu_factor(A) if pivot else _unpivoted(xp, A)
    return factors


@kernel("linalg_lu_factor_ex")
def lu_factor_ex(xp: Any, A: Array, pivot: bool, check_errors: bool, api_name: str) -> tuple[Array, Array, Array]:
    """Return L and U in one matrix, pivots, and the number of U's first zero."""
    factors, pivots = _factored(xp, A, pivot)
    info = factor_info(xp, factors)
    failure = first_failure(xp, info) if check_errors else None
    if failure is not None:
        where, number = failure
        raise RuntimeError(
            f"{api_name}: {where}U[{number},{number}] is zero and using it on lu_solve would result in a division by "
            "zero. If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or "
            "linalg.lu_factor_ex(A, pivot)"
        )
    return factors, pivots, info


def _permutation(xp: Any, pivots: Array, m: int, dtype: Any) -> Array:
    """Return P (*, m, m) of A = P L U: the swaps, one after another, of the columns of the identity."""
    count = math.prod(pivots.shape[:-1])
    swaps, batch = pivots.reshape(count, pivots.shape[-1]) - 1, xp.arange(count)
    order = xp.broadcast_to(xp.arange(m), (count, m)).copy()
    for step in range(swaps.shape[-1]):
        chosen, held = swaps[:, step], order[:, step].copy()
        order[:, step] = order[batch, chosen]
        order[batch, chosen] = held
    return (xp.arange(m)[:, None] == order[:, None, :]).astype(dtype).reshape(*pivots.shape[:-1], m, m)


def _triangles(xp: Any, factors: Array) -> tuple[Array, Array]:
    """Return L with ones on its diagonal, and U."""
    m, n = factors.shape[-2:]
    k = min(m, n)
    return xp.tril(factors[..., :k], -1) + xp.eye(m, k, dtype=factors.dtype), xp.triu(factors[..., :k, :])


@kernel("linalg_lu")
def lu(xp: Any, A: Array, pivot: bool) -> tuple[Array, Array, Array]:
    """Return P, L and U."""
    factors, pivots = _factored(xp, A, pivot)
    return _permutation(xp, pivots, A.shape[-2], A.dtype), *_triangles(xp, factors)


def _in_range(pivots: Array, m: int) -> bool:
    return not pivots.size or bool(((pivots >= 1) & (pivots <= m)).all().item())


@kernel("lu_unpack")
def lu_unpack(
    xp: Any, LU_data: Array, LU_pivots: Array, unpack_data: bool, unpack_pivots: bool
) -> tuple[Array, Array, Array]:
    """Return P, L and U of packed factors; what is not unpacked is empty."""
    m, nothing = LU_data.shape[-2], xp.zeros(0, LU_data.dtype)
    if unpack_pivots and not _in_range(LU_pivots, m):
        raise RuntimeError(
            "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive."
            "Did you properly pass the result of lu_factor?"
        )
    P = _permutation(xp, LU_pivots, m, LU_data.dtype) if unpack_pivots else nothing
    return P, *(_triangles(xp, LU_data) if unpack_data else (nothing, nothing))


@kernel("linalg_lu_solve")
def lu_solve(xp: Any, LU: Array, pivots: Array, B: Array, left: bool, adjoint: bool) -> Array:
    """Solve A X = B, or X A = B, or with A^H for A, by LU factors of A."""
    if not _in_range(pivots, LU.shape[-2]):
        raise RuntimeError(
            "Pivots given to lu_solve must all be smaller or equal to LU.size(-2). "
            "Did you properly pass the result of lu_factor?"
        )
    return solved_by_factors(xp, LU, pivots, B, left, adjoint)


def _triangular(A: Array, B: Array, upper: bool, left: bool = True, unit: bool = False) -> Array:
    return OPS["linalg_solve_triangular"](A, B, upper=upper, left=left, unitriangular=unit)


def _plu_gradient(p: Array, lower: Array, upper: Array, g_lower: Array, g_upper: Array) -> Array:
    """Return P L1^-H [tril(L^H gL - gU2 U2^H, -1) + triu(gU U^H - L2^H gL2)] U1^-H and what lies beside or below it.

    L1 and U1 are the square parts; U2 are the further columns of a wide matrix, L2 the further rows of a tall one.
    """
    m, n = lower.meta.shape[-2], upper.meta.shape[-1]
    k = min(m, n)
    l1, u1 = lower.narrow(-2, 0, k), upper.narrow(-1, 0, k)
    left = adjoint(l1).matmul(g_lower.narrow(-2, 0, k))
    right = g_upper.narrow(-1, 0, k).matmul(adjoint(u1))
    if n > k:
        left = left - g_upper.narrow(-1, k, n - k).matmul(adjoint(upper.narrow(-1, k, n - k)))
    if m > k:
        right = right - adjoint(lower.narrow(-2, k, m - k)).matmul(g_lower.narrow(-2, k, m - k))
    inner = _triangular(adjoint(u1), left.tril(-1) + right.triu(), upper=False, left=False)
    if n > k:
        inner = OPS["cat"]([inner, g_upper.narrow(-1, k, n - k)], -1)
    inner = _triangular(adjoint(l1), inner, upper=True, unit=True)
    if m > k:
        below = _triangular(adjoint(u1), g_lower.narrow(-2, k, m - k), upper=False, left=False)
        inner = OPS["cat"]([inner, below], -2)
    return p.matmul(inner)


def _lu_factor_gradient(g: Array, call: Any) -> Array:
    m, n = g.meta.shape[-2:]
    k = min(m, n)
    p, lower, upper = OPS["lu_unpack"](call.result, call.result1)
    return _plu_gradient(p, lower, upper, g.narrow(-1, 0, k), g.narrow(-2, 0, k))


def _lu_gradient(g: Array, call: Any) -> Array:
    lower, upper = call.result1, call.result2
    g_lower, g_upper = call.grads[1:]
    return _plu_gradient(
        call.result,
        lower,
        upper,
        lower.zeros_like() if g_lower is None else g_lower,
        upper.zeros_like() if g_upper is None else g_upper,
    )


def _lu_unpack_gradient(g: Array, call: Any) -> Array | None:
    """Put the gradients of L below the diagonal, and those of U where U is."""
    if not call.unpack_data:
        return None
    shape = call.meta("LU_data").shape
    parts = []
    if call.grads[1] is not None:
        parts.append(_widened(call.grads[1].tril(-1), -1, shape[-1]))
    if call.grads[2] is not None:
        parts.append(_widened(call.grads[2].triu(), -2, shape[-2]))
    return sum(parts[1:], parts[0]) if parts else None


def _widened(matrix: Array, axis: int, size: int) -> Array:
    """Return a matrix with zeros behind it, until an axis has `size`."""
    missing = size - matrix.meta.shape[axis]
    if not missing:
        return matrix
    shape = list(matrix.meta.shape)
    shape[axis] = missing
    return OPS["cat"]([matrix, matrix.new_zeros(tuple(shape))], axis)


def _lu_solve_gradient(g: Array, call: Any) -> Array:
    """Return tril(Q U^H, -1) + triu(L^H Q), Q = P^T gA: gA is -gB X^H or -X^H gB, or with A^H its conjugate transpose."""
    g_B, x = _lu_solve_right_gradient(g, call), adjoint(call.result)
    product = g_B.matmul(x) if call.left else x.matmul(g_B)
    p, lower, upper = OPS["lu_unpack"](call.LU, call.pivots)
    inner = -p.transpose(-2, -1).matmul(adjoint(product) if call.adjoint else product)
    return inner.matmul(adjoint(upper)).tril(-1) + adjoint(lower).matmul(inner).triu()


def _lu_solve_right_gradient(g: Array, call: Any) -> Array:
    """Return gB: the solution for g with A^H in place of A, or A in place of A^H."""
    return OPS["linalg_lu_solve"](call.LU, call.pivots, g, left=call.left, adjoint=not call.adjoint)


gradient("linalg_lu_factor_ex", A=_lu_factor_gradient)
gradient("linalg_lu", A=_lu_gradient)
gradient("lu_unpack", LU_data=_lu_unpack_gradient)
gradient("linalg_lu_solve", LU=_lu_solve_gradient, B=_lu_solve_right_gradient)
speaks_complex("linalg_lu_factor_ex", "linalg_lu", "lu_unpack", "linalg_lu_solve")


# ---------------------------------------------------------------- LDL factors
@kernel("linalg_ldl_factor_ex")
def ldl_factor_ex(
    xp: Any, self: Array, hermitian: bool, check_errors: bool, api_name: str
) -> tuple[Array, Array, Array]:
    """Return L and D in one lower triangle, by Bunch and Kaufman's pivots, from the lower triangle of A."""
    factors, pivots, info = xp_lapack(xp).ldl_factor(self, hermitian)
    failure = first_failure(xp, info) if check_errors else None
    if failure is not None:
        raise LinAlgError(
            f"{api_name}: {failure[0]}The diagonal block {failure[1]} of D is zero, so the factors solve no equation."
        )
    return xp.tril(factors), pivots, info


@kernel("linalg_ldl_solve")
def ldl_solve(xp: Any, LD: Array, pivots: Array, B: Array, hermitian: bool) -> Array:
    """Solve A X = B by the factors of `ldl_factor_ex`."""
    LD, rows, B = batched(xp, LD, pivots[..., None].astype(xp.int32), B)
    return xp_lapack(xp).ldl_solve(LD, rows[..., 0], B, hermitian)
