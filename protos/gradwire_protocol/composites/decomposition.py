"""Composites of the decompositions: the older names, which are methods too."""

from __future__ import annotations

from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.composites.results import return_type
from gradwire_protocol.registry import OPS

__all__ = ["DecompositionComposites"]

_SVD, _SVDVALS = OPS["linalg_svd"], OPS["linalg_svdvals"]
_QR, _GEQRF, _HOUSEHOLDER_PRODUCT = OPS["linalg_qr"], OPS["geqrf"], OPS["linalg_householder_product"]

_SvdResult = return_type("svd", "U", "S", "V")
_QrResult = return_type("qr", "Q", "R")
_GeqrfResult = return_type("geqrf", "a", "tau")


def _refuse_both(name: str, argument: str, atol: Any, rtol: Any) -> None:
    if atol is not None or rtol is not None:
        raise TypeError(f"{name}() takes {argument}, or atol and rtol; got both")


def _with_tolerances(self: Any, name: str, atol: Any, rtol: Any, hermitian: bool) -> Any:
    """Call the overload for numbers, or the one for tensors with a number among them made one."""
    given = [value for value in (atol, rtol) if isinstance(value, Callable_)]
    if not given:
        return OPS[f"{name}.atol_rtol_float"](self, atol=atol, rtol=rtol, hermitian=hermitian)
    like: Any = given[0]
    atol, rtol = (like.new_full((), value) if isinstance(value, int | float) else value for value in (atol, rtol))
    return OPS[f"{name}.atol_rtol_tensor"](self, atol=atol, rtol=rtol, hermitian=hermitian)


class DecompositionComposites(Callable_):
    """Methods of the decompositions that are written by hand."""

    __slots__ = ()

    def svd(self, some: bool = True, compute_uv: bool = True) -> Any:
        """Return (U, S, V) with A = U diag(S) V^H; `some`: no more columns of U and V than singular values.

        Without `compute_uv` U and V are square matrices of zeros. `linalg.svd` is the newer form, which returns V^H.
        """
        shape = self.meta.shape
        if len(shape) < 2:
            raise RuntimeError(
                f"linalg.svd: input should have at least 2 dimensions, but has {len(shape)} dimensions instead"
            )
        if compute_uv:
            u, s, vh = self._call(_SVD, (self,), (not some,))
            return _SvdResult(u, s, vh.transpose(-2, -1).conj())
        s = self._call(_SVDVALS, (self,))
        zeros: Any = self
        u, v = (zeros.new_zeros((*shape[:-2], size, size)) for size in shape[-2:])
        return _SvdResult(u, s, v)

    def qr(self, some: bool = True) -> Any:
        """Return (Q, R) with A = Q R; `some`: no more columns of Q than min(m, n). `linalg.qr` is the newer form."""
        return _QrResult(*self._call(_QR, (self,), ("reduced" if some else "complete",)))

    def geqrf(self) -> Any:
        """Return (a, tau): R on and above the diagonal of a, and the Householder vectors below, whose leading 1 is left out."""
        return _GeqrfResult(*self._call(_GEQRF, (self,)))

    def orgqr(self, input2: Self) -> Self:
        """Return the first columns of the product of the reflectors that `geqrf` returned: `linalg.householder_product`."""
        return self._call(_HOUSEHOLDER_PRODUCT, (self, input2))  # type: ignore[no-any-return]

    # -- by singular values
    def linalg_pinv(self, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
        """Return the pseudoinverse, with 0 for singular values that are not over max(atol, rtol * the largest).

        The tolerances are numbers, or tensors that broadcast with the batch; `rcond` is `rtol` with an `atol` of 0.
        """
        if rcond is not None:
            _refuse_both("linalg_pinv", "rcond", atol, rtol)
            atol, rtol = 0.0, rcond
        return _with_tolerances(self, "linalg_pinv", atol, rtol, hermitian)

    def pinverse(self, rcond: float = 1e-15) -> Any:
        """Return the pseudoinverse: `linalg.pinv` with this ratio to the largest singular value."""
        return self.linalg_pinv(rcond)

    def linalg_matrix_rank(
        self, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
    ) -> Any:
        """Count the singular values over max(atol, rtol * the largest): (*, m, n) -> int64 (*).

        The tolerances are numbers, or tensors that broadcast with the batch; `tol` is `atol` with an `rtol` of 0.
        """
        if tol is not None:
            _refuse_both("linalg_matrix_rank", "tol", atol, rtol)
            atol, rtol = tol, 0.0
        return _with_tolerances(self, "linalg_matrix_rank", atol, rtol, hermitian)
