"""Kernels and gradients of what `gradwire_protocol.ops.decomposition` has of singular values: inverses, ranks, least squares."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.errors import LinAlgError
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.ops.decomposition import is_vector_rhs
from gradwire_server.ops.decomposition import adjoint, check_finite
from gradwire_server.ops.eigen import check_hermitian_finite
from gradwire_server.rules import gradient, joint_gradient, kernel, speaks_complex

Array = Any
Tolerance = Any  # a number, an array of a batch, or None


# ---------------------------------------------------------------- pseudoinverse and rank
def _turned(xp: Any, matrix: Array) -> Array:
    return xp.swapaxes(matrix, -1, -2).conj()


def _epsilon(xp: Any, self: Array) -> float:
    """Return the rounding of one operation times the larger size of the matrices."""
    epsilon: float = xp.finfo(self.dtype).eps.item() * max(self.shape[-2:])
    return epsilon


def _threshold(xp: Any, self: Array, largest: Array, atol: Tolerance, rtol: Tolerance) -> Array:
    """Return (*, 1), below which a singular value counts as 0: max(atol, rtol * largest).

    Without `rtol` it is 0 where there is a positive `atol`, and a matter of rounding where there is none.
    """
    atol, rtol = _column(atol), _column(rtol)
    if rtol is None:
        default = _epsilon(xp, self)
        if isinstance(atol, int | float):
            rtol = 0.0 if atol > 0 else default
        else:
            rtol = default if atol is None else xp.where(atol > 0, 0.0, default)
    relative = largest * rtol
    return relative if atol is None else xp.maximum(relative, atol)


def _column(tolerance: Tolerance) -> Tolerance:
    return tolerance if tolerance is None or isinstance(tolerance, int | float) else tolerance[..., None]


@kernel("linalg_pinv.atol_rtol_float", "linalg_pinv.atol_rtol_tensor")
def pinv(xp: Any, self: Array, atol: Tolerance, rtol: Tolerance, hermitian: bool, result: Meta) -> Array:
    """Return V diag(1/S) U^H, with 0 for the singular values under the threshold."""
    if not self.size:
        return xp.zeros(result.shape, self.dtype)
    if hermitian:
        check_hermitian_finite(xp, self)
        values, left = xp.linalg.eigh(self)
        right, sizes = left, xp.abs(values)
        largest = sizes.max(axis=-1, keepdims=True)
    else:
        check_finite(xp, self)
        left, values, vh = xp.linalg.svd(self, full_matrices=False)
        right, sizes, largest = _turned(xp, vh), values, values[..., :1]
    counts = sizes > _threshold(xp, self, largest, atol, rtol)
    inverse = xp.where(counts, 1 / xp.where(counts, values, 1), 0).astype(values.dtype, copy=False)
    return xp.matmul(right * inverse[..., None, :], _turned(xp, left)).astype(self.dtype, copy=False)


@kernel("linalg_matrix_rank.atol_rtol_float", "linalg_matrix_rank.atol_rtol_tensor")
def matrix_rank(xp: Any, self: Array, atol: Tolerance, rtol: Tolerance, hermitian: bool, result: Meta) -> Array:
    """Count the singular values over the threshold."""
    if not self.size:
        return xp.zeros(result.shape, xp.int64)
    if hermitian:
        check_hermitian_finite(xp, self)
        sizes = xp.abs(xp.linalg.eigvalsh(self))
    else:
        check_finite(xp, self)
        sizes = xp.linalg.svd(self, compute_uv=False)
    largest = sizes.max(axis=-1, keepdims=True)
    return (sizes > _threshold(xp, self, largest, atol, rtol)).sum(axis=-1, dtype=xp.int64)


def _pinv_change(g: Array, matrix: Array, inverse: Array) -> Array:
    """Return the gradient of the matrix, given that of its pseudoinverse.

    G. Golub and V. Pereyra, "The differentiation of pseudo-inverses" (1973): of a matrix of constant rank, with P its
    pseudoinverse, dP = -P dA P + P P^H dA^H (I - A P) + (I - P A) dA^H P^H P.
    """
    through, turned = adjoint(g), adjoint(inverse)
    inner = turned.matmul(g).matmul(turned)
    rows = through.matmul(inverse).matmul(turned)
    columns = turned.matmul(inverse.matmul(through))
    outside_rows = rows - matrix.matmul(inverse.matmul(rows))
    outside_columns = columns - columns.matmul(inverse).matmul(matrix)
    return outside_rows + outside_columns - inner


def _pinv_gradient(g: Array, call: Any) -> Array:
    return _pinv_change(g, call.self, call.result)


for _name in ("linalg_pinv.atol_rtol_float", "linalg_pinv.atol_rtol_tensor"):
    gradient(_name, self=_pinv_gradient)


# ---------------------------------------------------------------- least squares
def _by_svd(xp: Any, matrix: Array, right: Array, relative: float) -> tuple[Array, Array, Array]:
    """Return the solution of least norm, the rank, and the singular values, of which the ratio to the largest counts."""
    check_finite(xp, matrix)
    u, values, vh = xp.linalg.svd(matrix, full_matrices=False)
    counts = values > values[..., :1] * relative
    inverse = xp.where(counts, 1 / xp.where(counts, values, 1), 0).astype(values.dtype, copy=False)
    solution = xp.matmul(_turned(xp, vh) * inverse[..., None, :], xp.matmul(_turned(xp, u), right))
    return solution, counts.sum(axis=-1, dtype=xp.int64), values


def _by_qr(xp: Any, matrix: Array, right: Array) -> Array:
    """Return the solution of least norm for matrices of full rank; zeros for matrices of zeros, as LAPACK's gels."""
    wide = matrix.shape[-2] < matrix.shape[-1]
    q, r = xp.linalg.qr(_turned(xp, matrix) if wide else matrix)
    pivots = xp.diagonal(r, axis1=-2, axis2=-1)
    nothing = (matrix == 0).all(axis=(-2, -1))
    missing = (pivots == 0) & ~nothing[..., None]
    if missing.any().item():
        place = missing.reshape(-1, missing.shape[-1]).any(axis=0).argmax().item() + 1
        raise LinAlgError(
            "torch.linalg.lstsq: The least squares solution could not be computed because the input matrix does not have "
            f"full rank (error code: {place})."
        )
    identity = xp.eye(r.shape[-1], dtype=r.dtype)
    r = xp.where(nothing[..., None, None], identity, r)
    right = xp.where(nothing[..., None, None], 0, right).astype(matrix.dtype, copy=False)
    batch = right.shape[:-2]
    r = xp.broadcast_to(r, (*batch, *r.shape[-2:]))
    if wide:
        return xp.matmul(q, xp.linalg.solve(_turned(xp, r), right))
    return xp.linalg.solve(r, xp.matmul(_turned(xp, q), right))


def _relative(xp: Any, self: Array, rcond: float | None, driver: str | None) -> float:
    """Return the ratio under which a singular value counts as 0; outside of (0, 1) LAPACK takes its own."""
    epsilon: float = xp.finfo(self.dtype).eps.item()
    if rcond is None:
        return epsilon * float(max(self.shape[-2:]))
    return epsilon if rcond < 0 or (driver == "gelsd" and not 0 < rcond < 1) else rcond


@kernel("linalg_lstsq")
def lstsq(
    xp: Any, self: Array, b: Array, rcond: float | None, driver: str | None, result: tuple[Meta, ...]
) -> tuple[Array, Array, Array, Array]:
    """Return X with the least |A X - B|, and of least norm; residuals, rank and singular values where the driver has them.

    The rank is always that of the singular values, which gelsy estimates by another decomposition.
    """
    solution, residuals, rank, values = (xp.zeros(meta.shape, meta.dtype.numpy) for meta in result)
    vector = b.ndim < self.ndim and b.shape == self.shape[:-1]
    right = b[..., None] if vector else b
    if self.size and b.size:
        if driver == "gels":
            found = _by_qr(xp, self, right)
        else:
            found, rank, singular = _by_svd(xp, self, right, _relative(xp, self, rcond, driver))
            values = singular if values.ndim == singular.ndim and values.shape == singular.shape else values
        solution = found.reshape(solution.shape)
    if residuals.ndim > 1 or residuals.size:
        whole = solution[..., None] if vector else solution
        residuals = (xp.abs(xp.matmul(self, whole) - right) ** 2).sum(axis=-2)
    return solution, residuals, rank, values


@joint_gradient("linalg_lstsq")
def _lstsq_gradient(g: Array, call: Any) -> dict[str, Array]:
    """Return the gradients of X = P B, with P the pseudoinverse, and of the sums of |A X - B|^2, where A^H (A X - B) = 0."""
    matrix, right, solution, g_residuals = call.self, call.b, call.result, call.grads[1]
    vector = is_vector_rhs(matrix.meta, right.meta)
    if vector:
        right, solution, g = right.unsqueeze(-1), solution.unsqueeze(-1), g.unsqueeze(-1)
    inverse = OPS["linalg_pinv.atol_rtol_float"](matrix)
    g_right = adjoint(inverse).matmul(g)
    g_matrix = _pinv_change(g.matmul(adjoint(right)), matrix, inverse)
    if g_residuals is not None and g_residuals.meta.numel:
        rest = (matrix.matmul(solution) - right) * (g_residuals * 2).unsqueeze(-2)
        g_right, g_matrix = g_right - rest, g_matrix + rest.matmul(adjoint(solution))
    return {"self": g_matrix, "b": g_right.squeeze(-1) if vector else g_right}


speaks_complex("linalg_pinv.atol_rtol_float", "linalg_pinv.atol_rtol_tensor", "linalg_lstsq")
