"""Decompositions of matrices, or of batches of them: (*, m, n), with k = min(m, n). None of them waits but `lstsq`."""

from __future__ import annotations

from typing import Any

from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol.composites.results import return_type
from gradwire_protocol.ops import OPS

__all__ = [
    "cond", "eig", "eigh", "eigvals", "eigvalsh", "householder_product", "lstsq", "matrix_rank", "pinv", "qr", "svd",
    "svdvals",
]  # fmt: skip

_INF = float("inf")
_SvdResult = return_type("linalg_svd", "U", "S", "Vh")
_QrResult = return_type("linalg_qr", "Q", "R")
_LstsqResult = return_type("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
_EighResult = return_type("linalg_eigh", "eigenvalues", "eigenvectors")
_EigResult = return_type("linalg_eig", "eigenvalues", "eigenvectors")


# ---------------------------------------------------------------- singular values
def _refuse_driver(driver: str | None) -> None:
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend."
        )


def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """Return (U, S, Vh) with A = U diag(S) Vh and S in descending order.

    U is (*, m, m) and Vh (*, n, n) with `full_matrices`, else (*, m, k) and (*, k, n). The worker chooses the routine:
    `driver` must be None. Raises LinAlgError for elements that are not finite.
    """
    _refuse_driver(driver)
    return _SvdResult(*OPS["linalg_svd"](expect_tensor("linalg_svd", A), full_matrices))


def svdvals(A: Tensor, *, driver: str | None = None) -> Any:
    """Return the singular values (*, k) in descending order; see `svd`."""
    _refuse_driver(driver)
    return OPS["linalg_svdvals"](expect_tensor("linalg_svdvals", A))


# ---------------------------------------------------------------- eigenvalues
def eigh(input: Tensor, UPLO: str = "L") -> Any:
    """Return (eigenvalues, eigenvectors) of symmetric or Hermitian matrices (*, n, n), values in ascending order.

    `UPLO`: only the lower ("L") or the upper ("U") triangle is read. The eigenvectors are columns.
    """
    return _EighResult(*OPS["linalg_eigh"](expect_tensor("linalg_eigh", input), UPLO))


def eigvalsh(input: Tensor, UPLO: str = "L") -> Any:
    """Return the eigenvalues (*, n) of symmetric or Hermitian matrices in ascending order; see `eigh`."""
    return OPS["linalg_eigvalsh"](expect_tensor("linalg_eigvalsh", input), UPLO)


def eig(input: Tensor) -> Any:
    """Return (eigenvalues, eigenvectors) of any square matrices (*, n, n): complex, in no order, vectors of norm 1."""
    return _EigResult(*OPS["linalg_eig"](expect_tensor("linalg_eig", input)))


def eigvals(input: Tensor) -> Any:
    """Return the complex eigenvalues (*, n) of any square matrices, in no order."""
    return OPS["linalg_eigvals"](expect_tensor("linalg_eigvals", input))


# ---------------------------------------------------------------- QR and Householder vectors
def qr(A: Tensor, mode: str = "reduced") -> Any:
    """Return (Q, R) with A = Q R, orthonormal columns of Q, and R upper triangular.

    Q is (*, m, k) with mode "reduced", (*, m, m) with "complete", and empty with "r", which has no gradient.
    """
    return _QrResult(*OPS["linalg_qr"](expect_tensor("linalg_qr", A), mode))


def householder_product(input: Tensor, tau: Tensor) -> Any:
    """Return the first n columns of the product of the reflectors I - tau_i v_i v_i^H, as `geqrf` leaves them.

    The vectors v_i are the columns of input (*, m, n) below their diagonal, where they have a 1.
    """
    return OPS["linalg_householder_product"](expect_tensor("linalg_householder_product", input), tau)


# ---------------------------------------------------------------- by singular values
def pinv(input: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """Return the pseudoinverse (*, n, m), with 0 for singular values that are not over max(atol, rtol * the largest).

    The tolerances are numbers, or tensors that broadcast with the batch: 0 and the dtype's rounding times max(m, n) by
    default, and an `rtol` of 0 with an `atol` alone. `rcond` is the older name of `rtol`. `hermitian`: the matrices are
    Hermitian, and eigenvalues are taken.
    """
    return expect_tensor("linalg_pinv", input).linalg_pinv(rcond, hermitian, atol=atol, rtol=rtol)


def matrix_rank(input: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """Count the singular values over max(atol, rtol * the largest): (*, m, n) -> int64 (*); see `pinv`.

    `tol` is the older name of `atol`, with an `rtol` of 0.
    """
    return expect_tensor("linalg_matrix_rank", input).linalg_matrix_rank(tol, hermitian, atol=atol, rtol=rtol)


# ---------------------------------------------------------------- least squares
def lstsq(input: Tensor, b: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """Return (solution, residuals, rank, singular_values) of A X = B in the sense of least squares.

    A is (*, m, n); B is (*, m, k), or (*, m) for one vector each, and so is X: (*, n, k) or (*, n). `driver` is "gelsy"
    (the default), "gelsd" or "gelss", which count singular values over `rcond` times the largest, or "gels", which needs
    full rank. Residuals (*, k) come with all but "gelsy" where m > n and all matrices have full rank; to know that waits
    for the worker. The rank comes with all but "gels", singular values with "gelsd" and "gelss". What does not come is empty.
    """
    matrix: Any = expect_tensor("linalg_lstsq", input)
    solution, residuals, rank, values = OPS["linalg_lstsq"](matrix, b, rcond, driver=driver)
    rows, columns = matrix.shape[-2:]
    if driver in ("gelsd", "gelss") and rows > columns and not bool((rank == columns).all().item()):
        residuals = residuals.flatten().narrow(0, 0, 0)
    return _LstsqResult(solution, residuals, rank, values.detach())


# ---------------------------------------------------------------- condition
def _norm(matrix: Any, p: Any) -> Any:
    if p == "fro":
        return matrix.linalg_vector_norm(2, (-2, -1))
    sums = matrix.abs().sum(-2 if abs(p) == 1 else -1)
    return sums.amax(-1) if p > 0 else sums.amin(-1)


def _condition_by_values(matrix: Any, p: Any) -> Any:
    """Return what follows from the singular values: their ratio for None, 2 and -2, the nuclear norms for "nuc"."""
    values = OPS["linalg_svdvals"](matrix)
    if not matrix.numel():
        return values.new_zeros(tuple(matrix.shape[:-2]))
    if p == "nuc":
        return values.sum(-1) * values.reciprocal().sum(-1)
    largest, smallest = values.narrow(-1, 0, 1), values.narrow(-1, values.shape[-1] - 1, 1)
    return (smallest / largest if p == -2 else largest / smallest).squeeze(-1)


def cond(input: Tensor, p: Any = None) -> Any:
    """Return the condition number |A| |A^-1| of matrices: (*, m, n) -> real (*); inf for singular ones.

    `p` names the norm: None or 2 (the ratio of the largest singular value to the smallest), -2 (the reverse), "nuc",
    and for square matrices "fro", 1, -1, inf, -inf.
    """
    matrix: Any = expect_tensor("linalg_cond", input)
    if p not in (None, 2, -2, 1, -1, _INF, -_INF, "fro", "nuc"):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if p in (None, 2, -2, "nuc"):
        if matrix.ndim < 2:
            raise RuntimeError("linalg.cond: The input tensor must have at least 2 dimensions.")
        return _condition_by_values(matrix, p)
    _check_square(f"linalg.cond(ord={p})", matrix)
    inverse, info = OPS["linalg_inv_ex"](matrix)
    if not matrix.numel():
        return _norm(matrix.new_zeros((*matrix.shape[:-2], 1, 1)), p)
    found = _norm(inverse.masked_fill(info.ne(0).unsqueeze(-1).unsqueeze(-1), _INF), p) * _norm(matrix, p)
    return found.masked_fill(found.isnan(), _INF)  # of a matrix of zeros: inf * 0


def _check_square(name: str, matrix: Any) -> None:
    if matrix.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    rows, columns = matrix.shape[-2:]
    if rows != columns:
        raise RuntimeError(f"{name}: A must be batches of square matrices, but they are {rows} by {columns} matrices")
