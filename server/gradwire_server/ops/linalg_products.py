"""Kernel and gradient of `gradwire_protocol.ops.linalg_products`."""

from __future__ import annotations

import math
from typing import Any

from gradwire_protocol.ops import OPS
from gradwire_server.ops.decomposition import adjoint
from gradwire_server.rules import gradient, kernel, speaks_complex

Array = Any

# The degree of the Taylor polynomial, and the 1-norm up to which its error is below a rounding of double precision:
# P. Bader, S. Blanes, F. Casas, "Computing the matrix exponential with an optimized Taylor polynomial approximation" (2019).
_DEGREE = 18
_THETA = 1.09


@kernel("linalg_matrix_exp")
def matrix_exp(xp: Any, self: Array) -> Array:
    """Compute the sum of self^k / k!, of self / 2^s, squared s times (scaling and squaring)."""
    if not self.size:
        return self.copy()
    # In double precision: squaring raises an error as it does the value.
    wide = self.astype(xp.promote_types(self.dtype, "float64"), copy=False)
    norm = xp.abs(wide).sum(axis=-2).max(axis=-1)
    halvings = xp.ceil(xp.log2(xp.maximum(norm / _THETA, 1.0)))
    # What is not finite is NaN after one product; asking for its halvings would be asking for infinitely many.
    halvings = xp.where(xp.isfinite(halvings), halvings, 0.0)
    scaled = wide * xp.expand_dims(xp.exp2(-halvings), (-2, -1)).astype(norm.dtype)
    result = _taylor(xp, scaled)
    for done in range(int(halvings.max().item())):
        again = xp.expand_dims(halvings > done, (-2, -1))
        result = xp.where(again, xp.matmul(result, result), result)
    return result.astype(self.dtype, copy=False)


def _taylor(xp: Any, matrix: Array) -> Array:
    """Evaluate the polynomial in powers up to the fourth: seven products for a degree of 18 (Paterson and Stockmeyer)."""
    identity = xp.broadcast_to(xp.eye(matrix.shape[-1], dtype=matrix.dtype), matrix.shape)
    powers = [identity, matrix]
    for _ in range(3):
        powers.append(xp.matmul(powers[-1], matrix))
    result = None
    for first in range(_DEGREE // 4 * 4, -1, -4):
        part = sum(powers[k] * (1.0 / math.factorial(first + k)) for k in range(4) if first + k <= _DEGREE)
        result = part if result is None else xp.matmul(result, powers[4]) + part
    return result


def _matrix_exp_gradient(g: Array, call: Any) -> Array:
    """Return the derivative of exp at A^H in the direction g, a block of exp([[A^H, g], [0, A^H]]).

    A. Al-Mohy, N. Higham, "Computing the Frechet derivative of the matrix exponential" (2009).
    """
    turned = adjoint(call.self)
    size = turned.meta.shape[-1]
    upper = OPS["cat"]([turned, g], -1)
    lower = OPS["cat"]([turned.zeros_like(), turned], -1)
    whole = OPS["linalg_matrix_exp"](OPS["cat"]([upper, lower], -2))
    return whole.narrow(-2, 0, size).narrow(-1, size, size)


gradient("linalg_matrix_exp", self=_matrix_exp_gradient)
speaks_complex("linalg_matrix_exp")
