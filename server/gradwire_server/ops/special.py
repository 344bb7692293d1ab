"""The error function, which numpy lacks: W. J. Cody, "Rational Chebyshev approximations for the error function", 1969.

Three ranges of |x|, each a ratio of polynomials; relative error below 1e-15. Written over `xp` like every kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["erf"]

Array = Any

_SMALL = (
    (3.16112374387056560e00, 1.13864154151050156e02, 3.77485237685302021e02, 3.20937758913846947e03),
    (2.36012909523441209e01, 2.44024637934444173e02, 1.28261652607737228e03, 2.84423683343917062e03),
    1.85777706184603153e-1,
)
_MIDDLE = (
    (
        5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e01, 2.98635138197400131e02, 8.81952221241769090e02,
        1.71204761263407058e03, 2.05107837782607147e03, 1.23033935479799725e03,
    ),
    (
        1.57449261107098347e01, 1.17693950891312499e02, 5.37181101862009858e02, 1.62138957456669019e03, 3.29079923573345963e03,
        4.36261909014324716e03, 3.43936767414372164e03, 1.23033935480374942e03,
    ),
    2.15311535474403846e-8,
)  # fmt: skip
_LARGE = (
    (
        3.05326634961232344e-1,
        3.60344899949804439e-1,
        1.25781726111229246e-1,
        1.60837851487422766e-2,
        6.58749161529837803e-4,
    ),
    (
        2.56852019228982242e00,
        1.87295284992346725e00,
        5.27905102951428412e-1,
        6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
    1.63153871373020978e-2,
)
_INVERSE_SQRT_PI = 5.6418958354775628695e-1


def _ratio(x: Array, table: tuple[Sequence[float], Sequence[float], float]) -> Array:
    """Return the ratio of two polynomials; the leading coefficient above is the table's last, the one below is 1."""
    above, below, leading = table
    numerator, denominator = x * leading, x
    for a, b in zip(above[:-1], below[:-1], strict=True):
        numerator = (numerator + a) * x
        denominator = (denominator + b) * x
    return (numerator + above[-1]) / (denominator + below[-1])


def _scaled_tail(xp: Any, y: Array) -> Array:
    """Return exp(y^2) erfc(y) for y >= 0.46875."""
    middle = _ratio(xp.minimum(y, 4.0), _MIDDLE)
    inverse = 1 / xp.maximum(y * y, 16.0)
    large = (_INVERSE_SQRT_PI - inverse * _ratio(inverse, _LARGE)) / xp.maximum(y, 4.0)
    return xp.where(y <= 4.0, middle, large)


def erf(xp: Any, self: Array, *, complement: bool = False) -> Array:
    """Compute the error function, or its complement, computed in float64 and rounded to the dtype of `self`."""
    x = self.astype(xp.float64)
    y = xp.absolute(x)
    small = x * _ratio(xp.minimum(y, 0.46875) ** 2, _SMALL)
    # exp(-y^2) in two factors, the first of them exact, or the rounding of y^2 would show in the result.
    cut = xp.floor(xp.minimum(y, 30.0) * 16) / 16
    tail = _scaled_tail(xp, y) * xp.exp(-cut * cut) * xp.exp(-(xp.minimum(y, 30.0) - cut) * (xp.minimum(y, 30.0) + cut))
    if complement:
        far = xp.where(x < 0, 2 - tail, tail)
        result = xp.where(y <= 0.46875, 1 - small, far)
    else:
        result = xp.where(y <= 0.46875, small, xp.sign(x) * (1 - tail))
    return xp.where(xp.isnan(x), x, result).astype(self.dtype)
