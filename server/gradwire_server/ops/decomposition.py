"""Kernels and gradients of `gradwire_protocol.ops.decomposition`: singular values, QR, and what follows from them.

Gradients are those of M. Giles, "An extended collection of matrix derivative results" (2008), and of S. Walter et al.,
"Algorithmic differentiation of linear algebra functions" (2012), for real and complex matrices alike. They are written in
differentiable calls, so they have gradients themselves.
"""

from __future__ import annotations

from typing import Any

from gradwire_protocol.errors import LinAlgError
from gradwire_protocol.ops import OPS
from gradwire_server.rules import gradient, joint_gradient, kernel, speaks_complex

__all__ = ["adjoint", "check_finite", "quotient", "refuse_phases", "with_unit_diagonal"]

Array = Any


def adjoint(matrix: Array) -> Array:
    """Return the conjugate transpose of the last two axes."""
    return matrix.transpose(-2, -1).conj()


def quotient(numerator: Array, denominator: Array) -> Array:
    """Divide, with 0 / 0 = 0: a part of a gradient that is not asked for is zero, and is no NaN for equal values."""
    return numerator / denominator.masked_fill(denominator.eq(0).logical_and(numerator.eq(0)), 1)


def with_unit_diagonal(matrix: Array) -> Array:
    """Add the identity to matrices whose diagonals are zero."""
    return matrix + matrix.diagonal(0, -2, -1).ones_like().diag_embed()


_SVD_PHASES = (
    "svd_backward: The singular vectors in the complex case are specified up to multiplication by e^{i phi}. The specified "
    "loss function depends on this phase term, making it ill-defined."
)


@kernel("gw::refuse_phases")
def _refuse_phases(xp: Any, self: Array, other: Array, message: str) -> Array:
    """Raise unless both are equal up to 1e-2, as lax as PyTorch: a loss that depends on phases is far from it."""
    if not (xp.abs(self - other) <= 1e-2 * (1 + xp.abs(other))).all().item():
        raise RuntimeError(message)
    return xp.zeros((0,), self.dtype)


def refuse_phases(along: Array, other: Array, message: str) -> None:
    """Refuse gradients of complex vectors that depend on their phases: by the imaginary parts of two diagonals."""
    first, second = (OPS["imag"](matrix.diagonal(0, -2, -1)) for matrix in (along, other))
    OPS["gw::refuse_phases"](first, second, message)


# ---------------------------------------------------------------- singular values
def check_finite(xp: Any, A: Array) -> None:
    """Refuse what LAPACK finds no singular values of, in PyTorch's words."""
    if not xp.isfinite(A).all().item():
        raise LinAlgError(
            "linalg.svd: The algorithm failed to converge because the input matrix contained non-finite values."
        )


@kernel("linalg_svd")
def svd(xp: Any, A: Array, full_matrices: bool) -> tuple[Array, Array, Array]:
    """Return U, S, V^H with A = U diag(S) V^H."""
    check_finite(xp, A)
    u, s, vh = xp.linalg.svd(A, full_matrices=full_matrices)
    return u, s, vh


@kernel("linalg_svdvals")
def svdvals(xp: Any, A: Array) -> Array:
    """Return the singular values, the largest first."""
    check_finite(xp, A)
    return xp.linalg.svd(A, compute_uv=False)


def _skew(matrix: Array) -> Array:
    return matrix - adjoint(matrix)


def _svd_core(u: Array, s: Array, vh: Array, gu: Array, gs: Array | None, gvh: Array | None) -> Array:
    """Return X of U X V^H: what the gradients say within the spaces of the singular vectors.

    [skew(U^H gU) / E] S + S [skew(V^H gV) / E] + diag(gS), with E_ij = s_j^2 - s_i^2 and 1 on the diagonal. For complex
    numbers vectors are free in their phase: the imaginary diagonal of skew(U^H gU) / (2 S) is added.
    """
    squares = s * s
    distance = with_unit_diagonal(squares.unsqueeze(-2) - squares.unsqueeze(-1))
    left = _skew(adjoint(u).matmul(gu))
    right = left.zeros_like() if gvh is None else _skew(vh.matmul(adjoint(gvh)))
    if u.dtype.is_complex:
        refuse_phases(left, -right, _SVD_PHASES)
    inner = quotient(left * s.unsqueeze(-2) + right * s.unsqueeze(-1), distance)
    if gvh is not None and u.dtype.is_complex:
        inner = inner + quotient(left.diagonal(0, -2, -1), s * 2).diag_embed()
    return inner if gs is None else inner + gs.diag_embed()


def _svd_gradient(g: Array, call: Any) -> Array:
    """Return U X V^H, and with more rows or columns than k what the vectors say outside of the spaces that they span."""
    k = call.result1.shape[-1]
    u, s, vh = call.result.narrow(-1, 0, k), call.result1, call.result2.narrow(-2, 0, k)
    gu, gs, gvh = g.narrow(-1, 0, k), call.grads[1], call.grads[2]
    gvh = None if gvh is None else gvh.narrow(-2, 0, k)
    rows, columns = u.shape[-2], vh.shape[-1]
    inner = _svd_core(u, s, vh, gu, gs, gvh)
    if rows > k:
        outside = quotient(gu, s.unsqueeze(-2))
        return (u.matmul(inner) + outside - u.matmul(adjoint(u).matmul(outside))).matmul(vh)
    if columns > k and gvh is not None:
        outside = quotient(gvh, s.unsqueeze(-1))
        return u.matmul(inner.matmul(vh) + outside - outside.matmul(adjoint(vh)).matmul(vh))
    return u.matmul(inner).matmul(vh)


def _svdvals_gradient(g: Array, call: Any) -> Array:
    """Return U diag(g) V^H."""
    u, _, vh = OPS["linalg_svd"](call.A, False)
    return (u * g.unsqueeze(-2)).matmul(vh)


gradient("linalg_svd", A=_svd_gradient)
gradient("linalg_svdvals", A=_svdvals_gradient)
speaks_complex("linalg_svd", "linalg_svdvals")


# ---------------------------------------------------------------- QR
@kernel("linalg_qr")
def qr(xp: Any, A: Array, mode: str) -> tuple[Array, Array]:
    """Return Q with orthonormal columns and the upper triangular R; an empty Q for mode "r"."""
    if mode == "r":
        return xp.empty((0,), A.dtype), xp.linalg.qr(A, mode="r")
    q, r = xp.linalg.qr(A, mode=mode)
    return q, r


def _hermitian_of_upper(matrix: Array) -> Array:
    """Return the Hermitian matrix with this one's upper triangle and the real part of its diagonal."""
    above = matrix.triu(1)
    return above + adjoint(above) + OPS["real"](matrix.diagonal(0, -2, -1)).diag_embed()


def _tall_qr_gradient(q: Array, r: Array, gq: Array, gr: Array | None) -> Array:
    """Return [gQ + Q H(gR R^H - Q^H gQ)] R^-H, where H is Hermitian with the upper triangle of its argument."""
    inner = -adjoint(q).matmul(gq)
    if gr is not None:
        inner = inner + gr.matmul(adjoint(r))
    whole = gq + q.matmul(_hermitian_of_upper(inner))
    return OPS["linalg_solve_triangular"](adjoint(r), whole, upper=False, left=False)


def _qr_gradient(g: Array, call: Any) -> Array:
    """Return the gradient of the square or tall part; what is wider is Q^H A there, and goes through Q too."""
    if call.mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use "
            "linalg.qr(A, mode='reduced') if you are going to differentiate through linalg.qr."
        )
    q, r, gr = call.result, call.result1, call.grads[1]
    rows, columns = call.meta("A").shape[-2:]
    if call.mode == "complete" and rows > columns:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols.")
    wide = columns - rows
    if wide <= 0:
        return _tall_qr_gradient(q, r, g, gr)
    if gr is None:
        square = _tall_qr_gradient(q, r.narrow(-1, 0, rows), g, None)
        return OPS["cat"]([square, q.new_zeros((*q.shape[:-1], wide))], -1)
    rest, g_rest = r.narrow(-1, rows, wide), gr.narrow(-1, rows, wide)
    through = g + q.matmul(rest.matmul(adjoint(g_rest)))
    square = _tall_qr_gradient(q, r.narrow(-1, 0, rows), through, gr.narrow(-1, 0, rows))
    return OPS["cat"]([square, q.matmul(g_rest)], -1)


gradient("linalg_qr", A=_qr_gradient)


# ---------------------------------------------------------------- Householder vectors
@kernel("geqrf")
def geqrf(xp: Any, self: Array) -> tuple[Array, Array]:
    """Return R above the Householder vectors without their leading 1, and their factors tau."""
    raw, tau = xp.linalg.qr(self, mode="raw")
    return xp.swapaxes(raw, -1, -2), tau


def _geqrf_gradient(g: Array, call: Any) -> Array:
    raise NotImplementedError("the derivative for 'geqrf' is not implemented.")


gradient("geqrf", self=_geqrf_gradient)


def _block_reflector(xp: Any, input: Array, tau: Array) -> tuple[Array, Array]:
    """Return V and T, upper triangular, of I - V T V^H: the product of the reflectors I - tau_i v_i v_i^H.

    R. Schreiber and C. Van Loan, "A storage-efficient WY representation for products of Householder transformations"
    (1989), with T = [I + diag(tau) striu(V^H V)]^-1 diag(tau), which needs no division by tau.
    """
    rows, count = input.shape[-2], tau.shape[-1]
    vectors = xp.tril(input[..., :count], -1) + xp.eye(rows, count, dtype=input.dtype)
    overlaps = xp.triu(xp.matmul(xp.swapaxes(vectors, -1, -2).conj(), vectors), 1)
    identity = xp.eye(count, dtype=input.dtype)
    if not tau.size:
        return vectors, overlaps
    return vectors, xp.linalg.solve(identity + tau[..., None] * overlaps, tau[..., None] * identity)


@kernel("linalg_householder_product")
def householder_product(xp: Any, input: Array, tau: Array) -> Array:
    """Return the first columns of the product of the reflectors."""
    rows, columns = input.shape[-2:]
    vectors, block = _block_reflector(xp, input, tau)
    heads = xp.swapaxes(vectors[..., :columns, :], -1, -2).conj()
    return xp.eye(rows, columns, dtype=input.dtype) - xp.matmul(vectors, xp.matmul(block, heads))


@kernel("ormqr")
def ormqr(xp: Any, self: Array, input2: Array, input3: Array, left: bool, transpose: bool) -> Array:
    """Multiply input3 by the product Q of the reflectors, or by Q^H, from the left or from the right."""
    vectors, block = _block_reflector(xp, self, input2)
    turned = xp.swapaxes(vectors, -1, -2).conj()
    if transpose:
        block = xp.swapaxes(block, -1, -2).conj()
    if left:
        return input3 - xp.matmul(vectors, xp.matmul(block, xp.matmul(turned, input3)))
    return input3 - xp.matmul(xp.matmul(xp.matmul(input3, vectors), block), turned)


def _unit_columns(input: Array, count: int) -> Array:
    """Return the Householder vectors: what is below the diagonal, and 1 on it."""
    shape = (*input.shape[:-1], count)
    ones = input.new_ones((*shape[:-2], min(shape[-2:])))
    ndim = len(shape)
    identity = OPS["diagonal_backward"](ones, shape, 0, ndim - 2, ndim - 1)
    return input.narrow(-1, 0, count).tril(-1) + identity


def _padded(part: Array, dim: int, size: int) -> Array:
    """Append zeros along `dim` up to `size`."""
    missing = size - part.shape[dim]
    if not missing:
        return part
    shape = list(part.shape)
    shape[dim] = missing
    return OPS["cat"]([part, part.new_zeros(tuple(shape))], dim)


def _reflector_gradients(g: Array, input: Array, tau: Array) -> dict[str, Array]:
    """Return the gradients of the vectors and factors of the first columns of I - V T V^H, of whose gradient is `g`."""
    rows, columns, count = g.shape[-2], g.shape[-1], tau.shape[-1]
    vectors = _unit_columns(input, count)
    heads = vectors.narrow(-2, 0, columns)
    overlaps = adjoint(vectors).matmul(vectors).triu(1)
    system = with_unit_diagonal(tau.unsqueeze(-1) * overlaps)
    solve = OPS["linalg_solve_triangular"]
    block = solve(system, tau.diag_embed(), upper=True, unitriangular=True)
    turned = adjoint(block)
    inner = solve(adjoint(system), -adjoint(vectors).matmul(g).matmul(heads), upper=False, unitriangular=True)
    g_system = -inner.matmul(turned)
    g_overlaps = (tau.conj().unsqueeze(-1) * g_system).triu(1)
    g_heads = adjoint(g).matmul(vectors).matmul(block)
    g_vectors = vectors.matmul(g_overlaps + adjoint(g_overlaps)) - g.matmul(heads).matmul(turned)
    g_vectors = g_vectors - _padded(g_heads, -2, rows)
    g_tau = (g_system * overlaps.conj()).sum(-1) + inner.diagonal(0, -2, -1)
    return {"input": _padded(g_vectors.tril(-1), -1, input.shape[-1]), "tau": g_tau}


@joint_gradient("linalg_householder_product")
def _householder_product_gradient(g: Array, call: Any) -> dict[str, Array]:
    return _reflector_gradients(g, call.input, call.tau)


@joint_gradient("ormqr")
def _ormqr_gradient(g: Array, call: Any) -> dict[str, Array]:
    """Return the gradients: Q's own is a product of g and input3, in the order of left and transpose."""
    found = {}
    if call.needs("input3"):
        found["input3"] = OPS["ormqr"](call.self, call.input2, g, call.left, not call.transpose)
    if call.needs("self") or call.needs("input2"):
        first, second = (g, call.input3) if call.left else (call.input3, g)
        if call.left:
            whole = second.matmul(adjoint(first)) if call.transpose else first.matmul(adjoint(second))
        else:
            whole = adjoint(second).matmul(first) if call.transpose else adjoint(first).matmul(second)
        of_q = _reflector_gradients(whole, call.self, call.input2)
        found |= {"self": of_q["input"], "input2": of_q["tau"]}
    return found


speaks_complex("linalg_qr", "linalg_householder_product", "ormqr")
