"""The error function, erf(x) = 2/sqrt(pi) * integral of exp(-t^2) from 0 to x, which numpy lacks.

float64: W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969): ratios of
polynomials on three ranges of |x|. Written over `xp` like every kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["erf", "erfc"]

Array = Any

# Coefficients, highest power first. |x| <= 0.46875: erf(x) = x * R(x^2). Up to 4: erfc(x) = exp(-x^2) * R(x).
# Above: erfc(x) = exp(-x^2) / x * (1/sqrt(pi) - R(1/x^2) / x^2).
_NEAR = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_MIDDLE = (
    (
        2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
        2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
        3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
    ),
)  # fmt: skip
_FAR = (
    (
        1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
        1.60837851487422766e-2, 6.58749161529837803e-4,
    ),
    (
        1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)  # fmt: skip
_NEAR_END, _MIDDLE_END, _INVERSE_SQRT_PI = 0.46875, 4.0, 5.6418958354775628695e-1
# From 6 on erf is 1. So far the middle form is good enough for it, to the last bit: what it gives is subtracted from 1.
_ONE_FROM = 6.0

# float32: erf(x) = x * R(x^2) on [0, 4], where R is our own minimax fit of degrees 5 and 5 (relative error 2.5e-8, half
# a rounding). All coefficients are positive, so nothing cancels. It takes no exp and half the passes over memory.
_SINGLE = (
    (
        1.9867980322884264e-06, 0.00028456345438431565, 0.003883243698206816, 0.053101438079858565, 0.19354274878302166,
        1.1283791394378597,
    ),
    (
        3.7420208555993775e-05, 0.0011855464084921826, 0.015207051429398672, 0.1153490414791765, 0.5048553518082335,
        1.0,
    ),
)  # fmt: skip
_SINGLE_ONE_FROM = 4.0


def erf(xp: Any, x: Array) -> Array:
    """Compute erf of a float32 or float64 array: to 6 units in the last place of the one, 4 of the other."""
    return _erf_single(xp, x) if x.dtype == xp.float32 else _erf_double(xp, x)


def erfc(xp: Any, x: Array) -> Array:
    """Compute 1 - erf without cancellation, in float64: its tail has full relative accuracy."""
    wide = x.astype(xp.float64)
    size = xp.abs(wide)
    tail = _scaled_tail(xp, size) * _exp_of_minus_square(xp, size)
    far = xp.where(wide < 0, 2 - tail, tail)
    near = 1 - wide * _ratio(xp.minimum(size, _NEAR_END) ** 2, _NEAR)
    return xp.where(size <= _NEAR_END, near, far).astype(x.dtype)


def _horner(x: Array, coefficients: Sequence[float]) -> Array:
    """Evaluate a polynomial, highest power first, in one buffer."""
    total = x * coefficients[0]
    for coefficient in coefficients[1:-1]:
        total += coefficient
        total *= x
    total += coefficients[-1]
    return total


def _ratio(x: Array, fraction: Sequence[Sequence[float]]) -> Array:
    result = _horner(x, fraction[0])
    result /= _horner(x, fraction[1])
    return result


def _erf_single(xp: Any, x: Array) -> Array:
    bounded = xp.minimum(xp.maximum(x, -_SINGLE_ONE_FROM), _SINGLE_ONE_FROM)
    result = _ratio(bounded * bounded, _SINGLE)
    result *= bounded
    return xp.minimum(xp.maximum(result, -1), 1)


def _erf_double(xp: Any, x: Array) -> Array:
    size = xp.minimum(xp.abs(x), _ONE_FROM)
    square = size * size
    far = 1 - xp.exp(-square) * _ratio(size, _MIDDLE)
    near = size * _ratio(square, _NEAR)
    return xp.copysign(xp.where(size <= _NEAR_END, near, far), x)


def _scaled_tail(xp: Any, size: Array) -> Array:
    """Compute exp(x^2) * erfc(x) of x >= 0.46875."""
    large = xp.maximum(size, _MIDDLE_END)
    inverse = 1 / (large * large)
    far = (_INVERSE_SQRT_PI - inverse * _ratio(inverse, _FAR)) / large
    return xp.where(size <= _MIDDLE_END, _ratio(xp.minimum(size, _MIDDLE_END), _MIDDLE), far)


def _exp_of_minus_square(xp: Any, size: Array) -> Array:
    """Compute exp(-x^2) in two factors, of which the first's exponent is exact: the rounding of x^2 would show."""
    bounded = xp.minimum(size, 30.0)
    cut = xp.floor(bounded * 16) / 16
    return xp.exp(-cut * cut) * xp.exp(-(bounded - cut) * (bounded + cut))
