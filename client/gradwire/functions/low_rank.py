"""Decompositions of low rank, by random projections: N. Halko, P. Martinsson, J. Tropp, 2011 (arXiv:0909.4061).

The draws are made on the worker, as `randn`'s are.
"""

from __future__ import annotations

from typing import Any

from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol.ops import OPS

__all__ = ["pca_lowrank", "svd_lowrank"]

_QR, _SVD = OPS["linalg_qr"], OPS["linalg_svd"]


def _adjoint(matrix: Any) -> Any:
    return matrix.transpose(-2, -1).conj()


def _times(matrix: Any, mean: Any, vectors: Any) -> Any:
    """Return (A - M) X without the difference, which may be dense where A is not."""
    product = matrix.matmul(vectors)
    return product if mean is None else product - mean.matmul(vectors)


def _basis(matrix: Any, mean: Any, q: int, niter: int) -> Any:
    """Return (*, m, q) with orthonormal columns that nearly span the leading columns' space: algorithm 4.4."""
    start = matrix.new_empty((matrix.shape[-1], q)).normal_()
    basis = _QR(_times(matrix, mean, start))[0]
    turned, turned_mean = _adjoint(matrix), None if mean is None else _adjoint(mean)
    for _ in range(niter):
        basis = _QR(_times(turned, turned_mean, basis))[0]
        basis = _QR(_times(matrix, mean, basis))[0]
    return basis


def svd_lowrank(A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None) -> tuple[Any, Any, Any]:
    """Return (U, S, V) with A - M nearly U diag(S) V^H, of rank `q`: (*, m, n) -> (*, m, q), (*, q), (*, n, q).

    `niter` steps of subspace iteration make it better where singular values fall off slowly; `M` broadcasts to A.
    """
    matrix: Any = expect_tensor("svd_lowrank", A)
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    mean = None if M is None else M.broadcast_to(matrix.shape)
    wide = matrix.shape[-2] < matrix.shape[-1]
    if wide:
        matrix, mean = _adjoint(matrix), None if mean is None else _adjoint(mean)
    basis = _basis(matrix, mean, q, niter)
    inner = _adjoint(basis).matmul(matrix)
    if mean is not None:
        inner = inner - _adjoint(basis).matmul(mean)
    u, s, vh = _SVD(inner, False)
    left, right = basis.matmul(u), _adjoint(vh)
    return (right, s, left) if wide else (left, s, right)


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Any, Any, Any]:
    """Return (U, S, V): the principal components of the rows of A are the columns of V; see `svd_lowrank`.

    `center` takes the mean row off first; `q` is min(6, m, n) by default.
    """
    matrix: Any = expect_tensor("pca_lowrank", A)
    smaller = min(matrix.shape[-2:])
    if q is None:
        q = min(6, smaller)
    elif not 0 <= q <= smaller:
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={smaller}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(matrix - matrix.mean(-2, True) if center else matrix, q, niter)
