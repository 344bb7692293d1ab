"""Kernels and gradients of `gradwire_protocol.ops.linalg`: inverses, solutions, determinants, Cholesky, triangles.

Gradients are those of M. Giles, "An extended collection of matrix derivative results" (2008), and for Cholesky of
I. Murray, "Differentiation of the Cholesky decomposition" (2016), for real and complex matrices alike. They are written
in differentiable calls. While a backward is itself recorded, what a factor would serve is solved again from the matrix,
since the gradient of that is with respect to the matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from gradwire_protocol.dtypes import float32
from gradwire_protocol.errors import LinAlgError
from gradwire_protocol.ops import OPS
from gradwire_protocol.ops.complex import real_of
from gradwire_protocol.ops.linalg import is_vector_rhs
from gradwire_server.lapack import xp_lapack
from gradwire_server.ops.decomposition import adjoint
from gradwire_server.rules import gradient, joint_gradient, kernel, speaks_complex

__all__ = ["batched", "factor_info", "first_failure", "solved_by_factors", "solved_by_triangle", "swapped"]

Array = Any


# ---------------------------------------------------------------- shared by kernels
def swapped(xp: Any, matrix: Array) -> Array:
    """Return the transpose of the last two axes."""
    return xp.swapaxes(matrix, -1, -2)


def batched(xp: Any, *arrays: Array) -> tuple[Array, ...]:
    """Broadcast the batches of matrices (*, m, n) to one."""
    batch = xp.broadcast_shapes(*[array.shape[:-2] for array in arrays])
    return tuple([xp.broadcast_to(array, (*batch, *array.shape[-2:])) for array in arrays])


def first_failure(xp: Any, info: Array) -> tuple[str, int] | None:
    """Return where in its batch the first matrix failed, in PyTorch's words, and its info; None if none did."""
    failed = xp.flatnonzero(info)
    if not failed.size:
        return None
    index = int(failed[0].item())
    return (f"(Batch element {index}): " if info.ndim else ""), int(info.reshape(-1)[index].item())


def factor_info(xp: Any, factors: Array) -> Array:
    """Return the number, from 1, of the first zero on the diagonal of U, as LAPACK's getrf does; 0 for none."""
    zeros = xp.diagonal(factors, axis1=-2, axis2=-1) == 0
    if not zeros.shape[-1]:
        return xp.zeros(zeros.shape[:-1], xp.int32)
    return xp.where(zeros.any(axis=-1), zeros.argmax(axis=-1) + 1, 0).astype(xp.int32)


def _over_columns(xp: Any, solve: Callable[[Array, Array], Array], a: Array, b: Array) -> Array:
    """Return solve(a, b) for one batch of both, with the leading axes that b alone has as further columns of it.

    So a thousand right sides of one matrix are one call of LAPACK, and not a thousand.
    """
    batch = xp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    b = xp.broadcast_to(b, (*batch, *b.shape[-2:]))
    if a.size == a.shape[-1] * a.shape[-1]:
        a = a.reshape(a.shape[-2:])
    own = a.ndim - 2
    lead = len(batch) - own
    rows = xp.moveaxis(b, tuple(range(lead)), tuple(range(-1 - lead, -1)))
    shape = (*rows.shape[: own + 1], math.prod(rows.shape[own + 1 :]))
    solved = solve(xp.broadcast_to(a, (*batch[lead:], *a.shape[-2:])), rows.reshape(shape))
    return xp.moveaxis(solved.reshape(rows.shape), tuple(range(-1 - lead, -1)), tuple(range(lead)))


def solved_by_factors(xp: Any, factors: Array, pivots: Array, b: Array, left: bool, adjoint: bool) -> Array:
    """Solve op(A) X = B, or X op(A) = B: a right side is solved as the left side of the transposes."""
    trans = (2 if adjoint else 0) if left else (0 if adjoint else 1)

    def solve(matrices: Array, columns: Array) -> Array:
        rows = pivots.reshape(pivots.shape[-1]) if matrices.ndim == 2 else pivots
        return xp_lapack(xp).lu_solve(matrices, xp.broadcast_to(rows, matrices.shape[:-1]), columns, trans)

    if left:
        return _over_columns(xp, solve, factors, b)
    if not adjoint:
        return swapped(xp, _over_columns(xp, solve, factors, swapped(xp, b)))
    return xp.conj(swapped(xp, _over_columns(xp, solve, factors, xp.conj(swapped(xp, b)))))


def solved_by_triangle(xp: Any, a: Array, b: Array, lower: bool, trans: int = 0, unit: bool = False) -> Array:
    """Solve op(A) X = B, reading one triangle of A; `trans` 0 A, 1 its transpose, 2 its conjugate transpose."""
    solve = xp_lapack(xp).solve_triangular
    return _over_columns(xp, lambda matrices, columns: solve(matrices, columns, lower, trans, unit), a, b)


# ---------------------------------------------------------------- inverse
def refuse_singular(xp: Any, info: Array, api_name: str) -> None:
    """Raise LinAlgError for the first matrix that has no inverse."""
    failure = first_failure(xp, info)
    if failure is not None:
        raise LinAlgError(
            f"{api_name}: {failure[0]}The diagonal element {failure[1]} is zero, the inversion could not be completed "
            "because the input matrix is singular."
        )


@kernel("linalg_inv_ex")
def inv_ex(xp: Any, A: Array, check_errors: bool, api_name: str) -> tuple[Array, Array]:
    """Solve A X = I by LU factors."""
    factors, pivots = xp_lapack(xp).lu_factor(A)
    info = factor_info(xp, factors)
    if check_errors:
        refuse_singular(xp, info, api_name)
    unit = xp.eye(A.shape[-1], dtype=A.dtype)
    return solved_by_factors(xp, factors, pivots, unit, True, False), info


def _inverse_gradient(g: Array, call: Any) -> Array:
    """Return -A^-H g A^-H."""
    inverse = adjoint(call.result)
    return -inverse.matmul(g).matmul(inverse)


gradient("linalg_inv_ex", A=_inverse_gradient)


# ---------------------------------------------------------------- linear equations
@kernel("_linalg_solve_ex")
def solve_ex(
    xp: Any, A: Array, B: Array, left: bool, check_errors: bool, api_name: str
) -> tuple[Array, Array, Array, Array]:
    """Solve A X = B or X A = B; return LU factors and pivots for the gradient."""
    factors, pivots = xp_lapack(xp).lu_factor(A)
    info = factor_info(xp, factors)
    failure = first_failure(xp, info) if check_errors else None
    if failure is not None:
        raise LinAlgError(f"{api_name}: {failure[0]}The solver failed because the input matrix is singular.")
    vector = is_vector_rhs(A, B)
    solution = solved_by_factors(xp, factors, pivots, B[..., None] if vector else B, left, False)
    return (solution[..., 0] if vector else solution), factors, pivots, info


@joint_gradient("_linalg_solve_ex")
def _solve_gradient(g: Array, call: Any) -> Mapping[str, Any]:
    """Return gB, which solves A^H gB = g, and gA = -gB X^H; from the right, gB A^H = g and -X^H gB."""
    vector = is_vector_rhs(call.meta("A"), call.meta("B"))
    g = g.unsqueeze(-1) if vector else g
    if g.engine.recording:
        g_B = OPS["_linalg_solve_ex"](adjoint(call.A), g, left=call.left)[0]
    else:
        g_B = OPS["linalg_lu_solve"](call.result1, call.result2, g, left=call.left, adjoint=True)
    found = {"B": g_B.squeeze(-1) if vector else g_B}
    if call.needs("A"):
        x = adjoint(call.result.unsqueeze(-1) if vector else call.result)
        found["A"] = -(g_B.matmul(x) if call.left else x.matmul(g_B))
    return found


# ---------------------------------------------------------------- determinants
def _parity(xp: Any, pivots: Array) -> Array:
    """Return 1 or -1: whether the pivots swap an even number of rows."""
    swaps = (pivots != xp.arange(1, pivots.shape[-1] + 1)).sum(axis=-1)
    return 1 - 2 * (swaps % 2)


@kernel("_linalg_det")
def det(xp: Any, A: Array) -> tuple[Array, Array, Array]:
    """Multiply the diagonal of U, and the parity of the swaps."""
    factors, pivots = xp_lapack(xp).lu_factor(A)
    product = xp.prod(xp.diagonal(factors, axis1=-2, axis2=-1), axis=-1)
    return product * _parity(xp, pivots).astype(A.dtype), factors, pivots


@kernel("_linalg_slogdet")
def slogdet(xp: Any, A: Array) -> tuple[Array, Array, Array, Array]:
    """Multiply the signs of U's diagonal, and sum the logarithms of its moduli."""
    factors, pivots = xp_lapack(xp).lu_factor(A)
    diagonal = xp.diagonal(factors, axis1=-2, axis2=-1)
    modulus = xp.abs(diagonal)
    signs = xp.where(modulus > 0, diagonal / xp.where(modulus > 0, modulus, 1), 0)
    sign = xp.prod(signs, axis=-1) * _parity(xp, pivots)
    return sign.astype(A.dtype), xp.log(modulus).sum(axis=-1), factors, pivots


def _diagonals(number: Array, n: int) -> Array:
    """Return number * I, (*) -> (*, n, n)."""
    return number.unsqueeze(-1).expand(*number.meta.shape, n).diag_embed()


def _epsilon(array: Array) -> float:
    return 2.0**-23 if real_of(array.meta.dtype) is float32 else 2.0**-52


def _cofactors(A: Array, factor: Array) -> Array:
    """Return factor * conj(det(U V^H)) * U D V^H, with D_i the product of all singular values but the i-th.

    That is factor times the conjugated matrix of cofactors, for singular matrices too: N. Higham, "What is the adjugate
    of a matrix?" (2020).
    """
    u, s, vh = OPS["linalg_svd"](A, False)
    unit = s.ones_like().diag_embed()
    others = (s.unsqueeze(-2) * (1 - unit) + unit).prod(-1)
    alpha = (OPS["_linalg_det"](u)[0] * OPS["_linalg_det"](vh)[0]).conj() * factor
    return (u * (alpha.unsqueeze(-1) * others).unsqueeze(-2)).matmul(vh)


def _recorded_det_gradient(g: Array, call: Any) -> Array:
    """Return g conj(det) A^-H, and for singular matrices g times the cofactors.

    Both are computed for all matrices, with another matrix in place of those that are not its own: what is singular
    would make a NaN of the gradient of the unused branch.
    """
    A, det = call.A, call.result
    n = A.meta.shape[-1]
    singular = det.detach().abs().le(100 * _epsilon(A))
    chosen = singular.unsqueeze(-1).unsqueeze(-1)
    unit = _diagonals(det.detach().ones_like(), n)
    regular = OPS["where.self"](chosen, unit, A)
    inverse = OPS["_linalg_solve_ex"](adjoint(regular), _diagonals(g * det.conj(), n))[0]
    ranks = unit * unit.diagonal(0, -2, -1).cumsum(-1).unsqueeze(-1)
    return OPS["where.self"](chosen, _cofactors(OPS["where.self"](chosen, A, ranks), g), inverse)


def _det_gradient(g: Array, call: Any) -> Array:
    """Return g conj(det) A^-H; a pivot of zero is taken for the smallest number that matters, here and in det."""
    n = call.meta("A").shape[-1]
    if not n:
        return call.A.zeros_like()
    if g.engine.recording:
        return _recorded_det_gradient(g, call)
    diagonal = call.result1.diagonal(0, -2, -1)
    lifted = diagonal.eq(0)._to_dtype(diagonal.meta.dtype) * _epsilon(diagonal)
    swaps = call.result2.ne(call.result2.ones_like().cumsum(-1)).sum(-1)
    det = (diagonal + lifted).prod(-1) * (1 - 2 * swaps.remainder(2))
    factors = call.result1 + lifted.diag_embed()
    return OPS["linalg_lu_solve"](factors, call.result2, _diagonals(g * det.conj(), n), adjoint=True)


def _slogdet_gradient(g: Array, call: Any) -> Array:
    """Return (g_log - i Im(conj(g_sign) sign)) A^-H."""
    n = call.meta("A").shape[-1]
    factor = call.grads[1]
    if call.output_meta().dtype.is_complex:
        turned = OPS["imag"](g.conj() * call.result)
        real = turned.zeros_like() if factor is None else factor
        factor = OPS["complex"](real, -turned)
    elif factor is None:
        return call.A.zeros_like()
    if g.engine.recording:
        return OPS["_linalg_solve_ex"](adjoint(call.A), _diagonals(factor, n))[0]
    return OPS["linalg_lu_solve"](call.result2, call.result3, _diagonals(factor, n), adjoint=True)


gradient("_linalg_det", A=_det_gradient)
gradient("_linalg_slogdet", A=_slogdet_gradient)


# ---------------------------------------------------------------- Cholesky factors
def _cholesky(xp: Any, self: Array, upper: bool, api_name: str | None) -> tuple[Array, Array]:
    """Factor A = L L^H or U^H U; raise LinAlgError if `api_name` is given and there is no such factor."""
    factor, info = xp_lapack(xp).cholesky(self, upper)
    failure = None if api_name is None else first_failure(xp, info)
    if failure is not None:
        raise LinAlgError(
            f"{api_name}: {failure[0]}The factorization could not be completed because the input is not "
            f"positive-definite (the leading minor of order {failure[1]} is not positive-definite)."
        )
    return factor, info


@kernel("linalg_cholesky_ex")
def cholesky_ex(xp: Any, self: Array, upper: bool, check_errors: bool, api_name: str) -> tuple[Array, Array]:
    """Return the factor, from one triangle of A, and info."""
    return _cholesky(xp, self, upper, api_name if check_errors else None)


@kernel("cholesky")
def cholesky(xp: Any, self: Array, upper: bool) -> Array:
    """Return the factor, from one triangle of A."""
    return _cholesky(xp, self, upper, "cholesky")[0]


def _cholesky_gradient(g: Array, call: Any) -> Array:
    """Return L^-H (T + tril(T, -1)^H) L^-1 / 2 with T = tril(L^H gL); of an upper factor with L = U^H."""
    factor, g = (adjoint(call.result), adjoint(g)) if call.upper else (call.result, g)
    product = adjoint(factor).matmul(g)
    inner = (product.tril() + adjoint(product.tril(-1))) * 0.5
    solve = OPS["linalg_solve_triangular"]
    return solve(factor, solve(adjoint(factor), inner, upper=True), upper=False, left=False)


def _solved_by_cholesky(xp: Any, factor: Array, b: Array, upper: bool) -> Array:
    """Solve L L^H X = B, or U^H U X = B."""
    half = solved_by_triangle(xp, factor, b, not upper, 2 if upper else 0)
    return solved_by_triangle(xp, factor, half, not upper, 0 if upper else 2)


@kernel("cholesky_solve")
def cholesky_solve(xp: Any, self: Array, input2: Array, upper: bool) -> Array:
    """Solve A X = B by the Cholesky factor of A, with two triangles."""
    return _solved_by_cholesky(xp, input2, self, upper)


@kernel("cholesky_inverse")
def cholesky_inverse(xp: Any, self: Array, upper: bool) -> Array:
    """Return the inverse of A by its Cholesky factor."""
    refuse_singular(xp, factor_info(xp, self), "cholesky_inverse")
    return _solved_by_cholesky(xp, self, xp.eye(self.shape[-1], dtype=self.dtype), upper)


def _through_product(g: Array, factor: Array, upper: bool) -> Array:
    """Return the gradient of the factor of A = L L^H or U^H U; g is that of A.

    Not only of the triangle that is read: PyTorch's gradient is that of the product, and so is this one.
    """
    both = g + adjoint(g)
    return factor.matmul(both) if upper else both.matmul(factor)


@joint_gradient("cholesky_solve")
def _cholesky_solve_gradient(g: Array, call: Any) -> Mapping[str, Any]:
    """Return gB = A^-1 g, and through A = L L^H what gA = -gB X^H says."""
    g_B = g.cholesky_solve(call.input2, call.upper)
    found = {"self": g_B}
    if call.needs("input2"):
        found["input2"] = _through_product(-g_B.matmul(adjoint(call.result)), call.input2, call.upper)
    return found


def _cholesky_inverse_gradient(g: Array, call: Any) -> Array:
    """Return what gA = -A^-1 g A^-1 says through A = L L^H."""
    return _through_product(-call.result.matmul(g).matmul(call.result), call.self, call.upper)


gradient("linalg_cholesky_ex", self=_cholesky_gradient)
gradient("cholesky", self=_cholesky_gradient)
gradient("cholesky_inverse", self=_cholesky_inverse_gradient)


# ---------------------------------------------------------------- triangular matrices
@kernel("linalg_solve_triangular")
def solve_triangular(xp: Any, self: Array, B: Array, upper: bool, left: bool, unitriangular: bool) -> Array:
    """Solve A X = B, or X A = B as A^T X^T = B^T; B is taken in A's dtype, as PyTorch does."""
    B = B.astype(self.dtype, copy=False)
    if left:
        return solved_by_triangle(xp, self, B, not upper, 0, unitriangular)
    return swapped(xp, solved_by_triangle(xp, self, swapped(xp, B), not upper, 1, unitriangular))


@kernel("triangular_solve")
def triangular_solve(
    xp: Any, self: Array, A: Array, upper: bool, transpose: bool, unitriangular: bool
) -> tuple[Array, Array]:
    """Solve A X = B or A^T X = B; return a copy of A beside the solution."""
    solution = solved_by_triangle(xp, A, self, not upper, 1 if transpose else 0, unitriangular)
    return solution, xp.broadcast_to(A, (*solution.shape[:-2], *A.shape[-2:])).copy()


def _triangle(matrix: Array, upper: bool, unit: bool) -> Array:
    """Return the triangle that is read, without its diagonal if that counts as ones."""
    return matrix.triu(int(unit)) if upper else matrix.tril(-int(unit))


@joint_gradient("linalg_solve_triangular")
def _solve_triangular_gradient(g: Array, call: Any) -> Mapping[str, Any]:
    """Return gB, which solves A^H gB = g, and the triangle of gA = -gB X^H; from the right, of -X^H gB."""
    upper, left, unit = call.upper, call.left, call.unitriangular
    g_B = OPS["linalg_solve_triangular"](adjoint(call.self), g, upper=not upper, left=left, unitriangular=unit)
    found = {"B": g_B}
    if call.needs("self"):
        x = adjoint(call.result)
        found["self"] = _triangle(-(g_B.matmul(x) if left else x.matmul(g_B)), upper, unit)
    return found


@joint_gradient("triangular_solve")
def _triangular_gradient(g: Array, call: Any) -> Mapping[str, Any]:
    """Return gB, which solves A^H gB = g, and the triangle of gA = -gB X^H; transposed, of -conj(X) gB^T."""
    upper, unit = call.upper, call.unitriangular
    g_B = g.triangular_solve(call.A.conj(), upper, not call.transpose, unit)[0]
    found = {"self": g_B}
    if call.needs("A"):
        outer = call.result.conj().matmul(g_B.transpose(-2, -1)) if call.transpose else g_B.matmul(adjoint(call.result))
        found["A"] = _triangle(-outer, upper, unit)
        if call.grads[1] is not None:
            found["A"] = found["A"] + call.grads[1]
    return found


speaks_complex(
    "linalg_inv_ex", "_linalg_solve_ex", "_linalg_det", "_linalg_slogdet", "linalg_cholesky_ex", "cholesky",
    "cholesky_solve", "cholesky_inverse", "linalg_solve_triangular", "triangular_solve",
)  # fmt: skip
