"""Kernels and gradients of the eigenvalue decompositions of `gradwire_protocol.ops.decomposition`.

Gradients: M. Giles, "An extended collection of matrix derivative results" (2008); C. Boeddeker et al., "On the computation
of complex-valued gradients" (2017, arXiv:1701.00392), equation 4.77. Eigenvectors are free in their phase, and those of
unsymmetric matrices in their length too: what a gradient says of either is left out.
"""

from __future__ import annotations

from typing import Any

from gradwire_protocol.errors import LinAlgError
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_server.ops.decomposition import adjoint, quotient, refuse_phases, with_unit_diagonal
from gradwire_server.rules import gradient, kernel, speaks_complex

Array = Any

_PHASES = (
    ": The eigenvectors in the complex case are specified up to multiplication by e^{i phi}. The specified loss function "
    "depends on this quantity, so it is ill-defined."
)


# ---------------------------------------------------------------- Hermitian matrices
def check_hermitian_finite(xp: Any, self: Array) -> None:
    """Refuse what LAPACK does not converge for, in PyTorch's words."""
    if not xp.isfinite(self).all().item():
        raise LinAlgError(
            "linalg.eigh: The algorithm failed to converge because the input matrix is ill-conditioned or has too many "
            f"repeated eigenvalues (error code: {max(self.shape[-1] - 1, 1)})."
        )


@kernel("linalg_eigh")
def eigh(xp: Any, self: Array, uplo: str) -> tuple[Array, Array]:
    """Return the eigenvalues in ascending order, and the eigenvectors as columns."""
    check_hermitian_finite(xp, self)
    values, vectors = xp.linalg.eigh(self, UPLO=uplo.upper())
    return values, vectors


@kernel("linalg_eigvalsh")
def eigvalsh(xp: Any, self: Array, uplo: str) -> Array:
    """Return the eigenvalues in ascending order."""
    check_hermitian_finite(xp, self)
    return xp.linalg.eigvalsh(self, UPLO=uplo.upper())


def _differences(values: Array) -> Array:
    """Return E_ij = l_j - l_i, with 1 on the diagonal."""
    return with_unit_diagonal(values.unsqueeze(-2) - values.unsqueeze(-1))


def _without_diagonal(matrix: Array) -> Array:
    return matrix - matrix.diagonal(0, -2, -1).diag_embed()


def _skew_part(matrix: Array) -> Array:
    return (matrix - adjoint(matrix)) * 0.5


def _eigh_gradient(g: Array, call: Any) -> Array:
    """Return V [diag(gL) + skew(V^H gV) / E] V^H: unitary matrices change along skew ones only."""
    values, vectors = call.result, call.result1
    if call.grads[1] is None:
        return (vectors * g.unsqueeze(-2)).matmul(adjoint(vectors))
    along = adjoint(vectors).matmul(call.grads[1])
    if vectors.dtype.is_complex:
        refuse_phases(along, along.zeros_like(), f"linalg_eigh_backward{_PHASES}")
    inner = _without_diagonal(_skew_part(along))
    inner = quotient(inner, _differences(values)) + g.diag_embed()
    return vectors.matmul(inner).matmul(adjoint(vectors))


def _eigvalsh_gradient(g: Array, call: Any) -> Array:
    """Return V diag(g) V^H."""
    _, vectors = OPS["linalg_eigh"](call.self, call.UPLO)
    return (vectors * g.unsqueeze(-2)).matmul(adjoint(vectors))


gradient("linalg_eigh", self=_eigh_gradient)
gradient("linalg_eigvalsh", self=_eigvalsh_gradient)


# ---------------------------------------------------------------- all others
def _checked(xp: Any, self: Array) -> Array:
    if not xp.isfinite(self).all().item():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    return self


@kernel("linalg_eig")
def eig(xp: Any, self: Array, result: tuple[Meta, Meta]) -> tuple[Array, Array]:
    """Return the eigenvalues and the eigenvectors of norm 1 as columns; complex even where all values are real."""
    values, vectors = xp.linalg.eig(_checked(xp, self))
    dtype = result[0].dtype.numpy
    return values.astype(dtype, copy=False), vectors.astype(dtype, copy=False)


@kernel("linalg_eigvals")
def eigvals(xp: Any, self: Array, result: Meta) -> Array:
    """Return the eigenvalues, complex even where all are real."""
    return xp.linalg.eigvals(_checked(xp, self)).astype(result.dtype.numpy, copy=False)


def _eig_gradient(g: Array, call: Any) -> Array:
    """Return V^-H [diag(gL) + (V^H gV - V^H V diag(Re(V^H gV))) / conj(E)] V^H."""
    values, vectors = call.result, call.result1
    turned = adjoint(vectors)
    inner = g.diag_embed()
    if call.grads[1] is not None:
        along = turned.matmul(call.grads[1])
        refuse_phases(along, along.zeros_like(), f"linalg_eig_backward{_PHASES}")
        lengths = OPS["real"](along.diagonal(0, -2, -1)).unsqueeze(-2)
        free = along - turned.matmul(vectors * lengths)
        inner = inner + _without_diagonal(quotient(free, _differences(values).conj()))
    return OPS["_linalg_solve_ex"](turned, inner.matmul(turned))[0]


def _eigvals_gradient(g: Array, call: Any) -> Array:
    """Return V^-H diag(g) V^H."""
    _, vectors = OPS["linalg_eig"](call.self)
    turned = adjoint(vectors)
    return OPS["_linalg_solve_ex"](turned, g.unsqueeze(-1) * turned)[0]


gradient("linalg_eig", self=_eig_gradient)
gradient("linalg_eigvals", self=_eigvals_gradient)
speaks_complex("linalg_eigh", "linalg_eigvalsh", "linalg_eig", "linalg_eigvals")
