"""The parametrization `orthogonal`: a matrix with orthonormal columns, or rows if it has fewer of them.

M. Lezcano-Casado, "Trivializations for gradient-based optimization on manifolds" (2019, arXiv:1909.09501).
"""

from __future__ import annotations

from typing import Any

from gradwire import creation
from gradwire.autograd.grad_mode import no_grad
from gradwire.limits_info import finfo
from gradwire.linalg import solving
from gradwire.nn.module import Module
from gradwire.nn.utils.parametrize import register_parametrization
from gradwire.tensor import Tensor
from gradwire_protocol.ops import OPS

__all__ = ["orthogonal"]

_MAPS = ("matrix_exp", "cayley", "householder")


def _signed_by_diagonal(q: Any, r: Any) -> Any:
    """Multiply the columns of Q by the signs of R's diagonal: the Q whose R has a positive one."""
    return q * r.diagonal(0, -2, -1).sgn().unsqueeze(-2)


def _made_orthogonal(matrix: Any) -> Any:
    """Return the nearest in the sense of QR; an orthogonal matrix stays as it is, but for rounding."""
    factors, tau = matrix.geqrf()
    return _signed_by_diagonal(OPS["linalg_householder_product"](factors, tau), factors)


def _kept_if_orthogonal(matrix: Any) -> Any:
    """Return a square matrix that is orthogonal up to rounding as it is, and else made so; found on the worker."""
    n = matrix.shape[-1]
    error = 10 * n * finfo(matrix.dtype).eps
    identity = creation.eye(n, dtype=matrix.dtype, device=matrix.device)
    is_orthogonal = matrix.mH.matmul(matrix).isclose(identity, atol=error).all()
    return OPS["where.self"](is_orthogonal, matrix, _made_orthogonal(matrix))


class _Orthogonal(Module):
    """An orthogonal matrix of a lower triangle, times `base`, which is the one that a triangle of zeros stands for."""

    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        """Return the weight."""
        wide = X.shape[-2] < X.shape[-1]
        tall: Any = X.mT if wide else X
        made = self._reflected(tall) if self.orthogonal_map == "householder" else self._rotated(tall)
        if hasattr(self, "base"):
            made = self.base @ made
        return made.mT if wide else made  # type: ignore[no-any-return]

    def _reflected(self, tall: Any) -> Any:
        """Multiply reflectors, of vectors below the diagonal; the signs on it are no parameters."""
        vectors = tall.tril(-1)
        made = OPS["linalg_householder_product"](vectors, 2.0 / (1.0 + (vectors * vectors).sum(-2)))
        return made * tall.diagonal(0, -2, -1).int().unsqueeze(-2)

    def _rotated(self, tall: Any) -> Any:
        """Map the skew matrix with this lower triangle: by exp(A), or by (I + A/2) (I - A/2)^-1."""
        rows, columns = tall.shape[-2:]
        lower = tall.tril()
        if rows != columns:
            lower = OPS["cat"]([lower, lower.new_zeros((*lower.shape[:-1], rows - columns))], -1)
        skew = lower - lower.mH
        if self.orthogonal_map == "matrix_exp":
            made = skew.matrix_exp()
        else:
            identity = creation.eye(rows, dtype=skew.dtype, device=skew.device)
            made = solving.solve(identity - skew * 0.5, identity + skew * 0.5)
        return made.narrow(-1, 0, columns) if rows != columns else made

    def right_inverse(self, Q: Tensor) -> Tensor:
        """Make the weight `Q`, orthogonal first, with a triangle of zeros and a `base`, or with reflectors."""
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {Q.shape}."
            )
        with no_grad():
            wide = Q.shape[-2] < Q.shape[-1]
            tall: Any = Q.mT if wide else Q
            if hasattr(self, "base"):
                self.base = self._completed(tall)
                ones = tall.diagonal(0, -2, -1).ones_like()
                return Q.zeros_like().diagonal_scatter(-ones, 0, -2, -1)  # type: ignore[no-any-return]
            made = self._reflectors(tall)
            return made.mT if wide else made  # type: ignore[no-any-return]

    def _completed(self, tall: Any) -> Any:
        """Return a square orthogonal matrix whose first columns are these, made orthogonal."""
        rows, columns = tall.shape[-2:]
        if rows == columns:
            return _kept_if_orthogonal(tall)
        drawn = tall.new_empty((*tall.shape[:-1], rows - columns)).normal_()
        return _made_orthogonal(OPS["cat"]([tall, drawn], -1))

    def _reflectors(self, tall: Any) -> Any:
        """Return Householder vectors below a diagonal of signs, that make this matrix, made orthogonal."""
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        factors, tau = tall.geqrf()
        signs = factors.diagonal(0, -2, -1).sign()
        # LAPACK leaves a column that needs no reflector with tau = 0; ours would reflect it all the same.
        signs = OPS["where.self"](tau.eq(0), -signs, signs)
        return factors.diagonal_scatter(signs, 0, -2, -1)


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Let a matrix, or each of a batch, be orthogonal (unitary if complex): Q^H Q = I, or Q Q^H = I if it is wide.

    `orthogonal_map` is "matrix_exp" (the default of square and complex ones), "cayley" or "householder". With
    `use_trivialization` the map is applied around `base`, which starts as the present weight, made orthogonal if it is not.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        is_square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if is_square or weight.is_complex() else "householder"
    if orthogonal_map not in _MAPS:
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    return register_parametrization(module, name, made, unsafe=True)
