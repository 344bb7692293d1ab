"""Inverses, linear equations, determinants, and the factors that help: of matrices, or batches (*, m, n) of them.

Nothing here waits. A matrix that has no such inverse or factor is found on the worker: LinAlgError surfaces at the next
call that waits, unless the function has an `_ex` form, which returns LAPACK's `info` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol.composites.linalg import determinant, inverted, powered, tensor_inverse, tensor_solution
from gradwire_protocol.composites.results import return_type
from gradwire_protocol.ops import OPS

__all__ = [
    "cholesky", "cholesky_ex", "det", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex", "ldl_solve", "lu", "lu_factor",
    "lu_factor_ex", "lu_solve", "matrix_power", "slogdet", "solve", "solve_ex", "solve_triangular", "tensorinv",
    "tensorsolve",
]  # fmt: skip

_InvExResult = return_type("linalg_inv_ex", "inverse", "info")
_SolveExResult = return_type("linalg_solve_ex", "result", "info")
_SlogdetResult = return_type("linalg_slogdet", "sign", "logabsdet")
_CholeskyExResult = return_type("linalg_cholesky_ex", "L", "info")
_LuFactorResult = return_type("linalg_lu_factor", "LU", "pivots")
_LuFactorExResult = return_type("linalg_lu_factor_ex", "LU", "pivots", "info")
_LuResult = return_type("linalg_lu", "P", "L", "U")
_LdlFactorResult = return_type("linalg_ldl_factor", "LD", "pivots")
_LdlFactorExResult = return_type("linalg_ldl_factor_ex", "LD", "pivots", "info")


# ---------------------------------------------------------------- inverses and linear equations
def inv(A: Tensor) -> Any:
    """Return the inverse matrices, (*, n, n) -> (*, n, n). Raises LinAlgError if one is singular."""
    return inverted(expect_tensor("linalg_inv", A))


def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """Return (inverse, info): info (*) is 0, or the number of the column without a pivot of a singular matrix."""
    return _InvExResult(*OPS["linalg_inv_ex"](expect_tensor("linalg_inv_ex", A), check_errors=check_errors))


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Any:
    """Return X with A X = B, or X A = B unless `left`: (*, n, n), (*, n, k) or (*, n) -> as B, with batches broadcast.

    B is a vector if it has one axis, or just the shape of A without its last axis. Raises LinAlgError if A is singular.
    """
    found = OPS["_linalg_solve_ex"](
        expect_tensor("linalg_solve", A), B, left=left, check_errors=True, api_name="torch.linalg.solve"
    )
    return found[0]


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    """Return (result, info) as `solve` and `inv_ex` do."""
    found = OPS["_linalg_solve_ex"](expect_tensor("linalg_solve_ex", A), B, left=left, check_errors=check_errors)
    return _SolveExResult(found[0], found[3])


def solve_triangular(input: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """Return X with A X = B, or X A = B unless `left`, reading the upper or the lower triangle of A.

    With `unitriangular` its diagonal is not read, and taken for ones. A zero there is divided by.
    """
    A = expect_tensor("linalg_solve_triangular", input)
    return OPS["linalg_solve_triangular"](A, B, upper=upper, left=left, unitriangular=unitriangular)


def tensorinv(input: Tensor, ind: int = 2) -> Any:
    """Return the inverse of the linear map from the axes from `ind` on to the axes before."""
    return tensor_inverse(expect_tensor("linalg_tensorinv", input), ind)


def tensorsolve(input: Tensor, other: Tensor, dims: Sequence[int] | None = None) -> Any:
    """Return X with tensordot(input, X, X.ndim) = other, after moving the axes `dims` of input to its end."""
    return tensor_solution(expect_tensor("linalg_tensorsolve", input), expect_tensor("linalg_tensorsolve", other), dims)


def matrix_power(input: Tensor, n: int) -> Any:
    """Return the product of n copies of a matrix, or of its inverse for a negative n; the identity for 0."""
    return powered(expect_tensor("linalg_matrix_power", input), n)


# ---------------------------------------------------------------- determinants
def det(A: Tensor) -> Any:
    """Return the determinants, (*, n, n) -> (*)."""
    return determinant(expect_tensor("linalg_det", A))


def slogdet(A: Tensor) -> Any:
    """Return (sign, log |det|) of the determinants, which does not overflow: (*, n, n) -> (*), (*)."""
    return _SlogdetResult(*OPS["_linalg_slogdet"](expect_tensor("linalg_slogdet", A))[:2])


# ---------------------------------------------------------------- factors
def cholesky(input: Tensor, *, upper: bool = False) -> Any:
    """Return L of A = L L^H, or U of A = U^H U with `upper`, reading one triangle of A.

    Raises LinAlgError if A is not positive-definite.
    """
    A = expect_tensor("linalg_cholesky", input)
    return OPS["linalg_cholesky_ex"](A, upper=upper, check_errors=True, api_name="linalg.cholesky")[0]


def cholesky_ex(input: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """Return (L, info): info (*) is 0, or the order of the leading minor that is not positive-definite."""
    A = expect_tensor("linalg_cholesky_ex", input)
    return _CholeskyExResult(*OPS["linalg_cholesky_ex"](A, upper=upper, check_errors=check_errors))


def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """Return (LU, pivots): L below and U above the diagonal, and the row, from 1, that each was swapped with.

    Raises RuntimeError if U has a zero on its diagonal. `pivot=False` swaps no rows, which loses digits.
    """
    A = expect_tensor("linalg_lu_factor", A)
    found = OPS["linalg_lu_factor_ex"](A, pivot=pivot, check_errors=True, api_name="torch.linalg.lu_factor")
    return _LuFactorResult(*found[:2])


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """Return (LU, pivots, info): info (*) is 0, or the number of the first zero on U's diagonal."""
    A = expect_tensor("linalg_lu_factor_ex", A)
    return _LuFactorExResult(*OPS["linalg_lu_factor_ex"](A, pivot=pivot, check_errors=check_errors))


def lu(A: Tensor, *, pivot: bool = True) -> Any:
    """Return (P, L, U) with A = P L U: (*, m, n) -> (*, m, m), (*, m, k), (*, k, n). P has no gradient."""
    p, lower, upper = OPS["linalg_lu"](expect_tensor("linalg_lu", A), pivot=pivot)
    return _LuResult(p.detach(), lower, upper)


def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Any:
    """Return X with A X = B, or X A = B unless `left`, with A^H for A if `adjoint`, by `lu_factor`'s results for A."""
    return OPS["linalg_lu_solve"](expect_tensor("linalg_lu_solve", LU), pivots, B, left=left, adjoint=adjoint)


def ldl_factor(input: Tensor, *, hermitian: bool = False) -> Any:
    """Return (LD, pivots) of a symmetric matrix, or of a Hermitian one, in LAPACK's form; no gradients.

    Raises LinAlgError if D is singular.
    """
    A = expect_tensor("linalg_ldl_factor", input)
    found = OPS["linalg_ldl_factor_ex"](A, hermitian=hermitian, check_errors=True, api_name="torch.linalg.ldl_factor")
    return _LdlFactorResult(*found[:2])


def ldl_factor_ex(input: Tensor, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    """Return (LD, pivots, info): info (*) is 0, or the number of the block of D that is zero."""
    A = expect_tensor("linalg_ldl_factor_ex", input)
    return _LdlFactorExResult(*OPS["linalg_ldl_factor_ex"](A, hermitian=hermitian, check_errors=check_errors))


def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Any:
    """Return X with A X = B by `ldl_factor`'s results for A; no gradients."""
    return OPS["linalg_ldl_solve"](expect_tensor("linalg_ldl_solve", LD), pivots, B, hermitian=hermitian)
