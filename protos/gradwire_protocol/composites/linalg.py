"""Composites of solving, which are methods too: determinants, inverse, LU factors, powers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.composites.results import return_type
from gradwire_protocol.dtypes import bool_
from gradwire_protocol.ops.linalg import check_floating, check_square
from gradwire_protocol.registry import OPS

__all__ = ["LinalgComposites", "determinant", "inverted", "powered", "tensor_inverse", "tensor_solution"]

_INV, _DET, _SLOGDET = OPS["linalg_inv_ex"], OPS["_linalg_det"], OPS["_linalg_slogdet"]
_LU_FACTOR, _LU_UNPACK, _TRIANGULAR = OPS["linalg_lu_factor_ex"], OPS["lu_unpack"], OPS["triangular_solve"]

_SlogdetResult = return_type("slogdet", "sign", "logabsdet")
_UnpackResult = return_type("lu_unpack", "P", "L", "U")
_TriangularResult = return_type("triangular_solve", "solution", "cloned_coefficient")


def inverted(A: Any, api_name: str = "linalg.inv") -> Any:
    """Return the inverse; the worker raises LinAlgError if there is none."""
    return A._call(_INV, (A,), (True, api_name))[0]


def determinant(A: Any) -> Any:
    """Return the determinants, (*, n, n) -> (*)."""
    return A._call(_DET, (A,))[0]


def powered(A: Any, n: int) -> Any:
    """Multiply n copies of A, or of its inverse, by squares: no more than 2 log2(n) products."""
    check_square("linalg.matrix_power", A.meta)
    if type(n) is not int:
        raise TypeError(f"linalg_matrix_power(): argument 'n' (position 2) must be int, not {type(n).__name__}")
    if n == 0:
        every = A.new_ones(A.meta.shape, dtype=bool_)
        return A.masked_fill(every, 0) + A.new_ones(A.meta.shape[:-1]).diag_embed()
    square = inverted(A) if n < 0 else A
    n, found = abs(n), None
    if n == 1:
        return square.clone() if square is A else square
    while True:
        if n & 1:
            found = square if found is None else found.matmul(square)
        n >>= 1
        if not n:
            return found
        square = square.matmul(square)


def tensor_inverse(self: Any, ind: int) -> Any:
    """Return the inverse of the map from the axes from `ind` on to those before."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    first, last = self.meta.shape[:ind], self.meta.shape[ind:]
    rows, columns = math.prod(first), math.prod(last)
    if rows != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{columns} != {rows}"
        )
    return inverted(self.reshape(rows, columns), "inv").reshape((*last, *first))


def tensor_solution(self: Any, other: Any, dims: Sequence[int] | None) -> Any:
    """Solve tensordot(self, X, X.ndim) = other, after moving the axes `dims` of self to its end."""
    if dims is not None:
        self = self.movedim(tuple(dims), tuple(range(-len(dims), 0)))
    ndim, shape = other.meta.ndim, self.meta.shape
    wanted, size = shape[ndim:], math.prod(shape[:ndim])
    if math.prod(wanted) != size:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), "
            f"but got {math.prod(wanted)} != {size}"
        )
    matrix = self.reshape(size, size)
    solution = matrix._call(
        OPS["_linalg_solve_ex"], (matrix, other.reshape(other.meta.numel)), (True, True, "torch.linalg.solve")
    )
    return solution[0].reshape(wanted)


class LinalgComposites(Callable_):
    """Methods of solving that are written by hand."""

    __slots__ = ()

    def inverse(self) -> Any:
        """Return the inverse matrices, (*, n, n) -> (*, n, n); the worker raises LinAlgError if one is singular."""
        return inverted(self)

    def det(self) -> Any:
        """Return the determinants, (*, n, n) -> (*)."""
        return determinant(self)

    def slogdet(self) -> Any:
        """Return (sign, log |det|) of the determinants, which does not overflow: (*, n, n) -> (*), (*)."""
        return _SlogdetResult(*self._call(_SLOGDET, (self,))[:2])

    def logdet(self) -> Any:
        """Return log det, (*, n, n) -> (*): -inf for 0 and NaN for a negative determinant of real numbers."""
        check_square("logdet", self.meta)
        check_floating("logdet", self.meta, low=False)
        sign, logabsdet = self.slogdet()
        if self.meta.dtype.is_complex:
            return sign.log() + logabsdet
        return OPS["where.ScalarSelf"](sign.eq(-1), math.nan, logabsdet)

    def lu(self, pivot: bool = True, get_infos: bool = False) -> Any:
        """Return (LU, pivots), and with `get_infos` LAPACK's infos; `linalg.lu_factor` is the newer form."""
        factors = self._call(_LU_FACTOR, (self,), (pivot, False, ""))
        return tuple(factors if get_infos else factors[:2])

    def lu_solve(self, LU_data: Any, LU_pivots: Any) -> Any:
        """Solve A X = self by the LU factors of A; `linalg.lu_solve` is the newer form."""
        return OPS["linalg_lu_solve"](LU_data, LU_pivots, self)

    def lu_unpack(self, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
        """Return (P, L, U) of LU factors, (*, m, n) -> (*, m, m), (*, m, k), (*, k, n); P has no gradient."""
        p, lower, upper = self._call(_LU_UNPACK, (self, LU_pivots), (unpack_data, unpack_pivots))
        return _UnpackResult(p.detach(), lower, upper)

    def triangular_solve(self, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False) -> Any:
        """Solve A X = self, or A^T X = self, with one triangle of A; `linalg.solve_triangular` is the newer form."""
        return _TriangularResult(*self._call(_TRIANGULAR, (self, A), (upper, transpose, unitriangular)))

    def matrix_power(self, n: int) -> Any:
        """Return the product of n copies of a matrix, or of its inverse for a negative n; the identity for 0."""
        return powered(self, n)
