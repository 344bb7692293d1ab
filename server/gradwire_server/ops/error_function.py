"""The error function of float32 arrays on a CPU, in ufuncs that are vectorized: SciPy's takes twenty times as long.

erf(x) = tanh(x p(x^2)), with p fitted to atanh(erf(x)) / x for |x| < 4.3 such that the relative error of the result is as
small as the degree allows (Lawson's weighted least squares): 1e-7, and 2.7e-7 or 4 units in the last place with roundings.
Beyond, x p(x^2) grows on, and the result is 1.
"""

from __future__ import annotations

import math
from typing import Any

from gradwire_server.scientific import xp_special

__all__ = ["OF_NORMAL", "erf", "erf_of_normal"]

Array = Any
_COEFFICIENTS = (
    1.128379274304533, 0.10276905581142272, -0.00019183085267118947, -0.0006197846092883618, 8.763730658819865e-05,
    -5.6684719097699145e-06, 1.4185199667651304e-07,
)  # fmt: skip
_INV_SQRT2 = math.sqrt(0.5)
OF_NORMAL = tuple(c * _INV_SQRT2 ** (2 * k + 1) for k, c in enumerate(_COEFFICIENTS))


def erf(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute the error function."""
    if _is_fitted(xp, self):
        return _by_tanh(xp, self, _COEFFICIENTS, out)
    return xp_special(xp).erf(self, out=out)


def erf_of_normal(xp: Any, self: Array) -> Array:
    """Compute erf(self / sqrt(2)), which is 2 Phi(self) - 1, in memory of its own."""
    if _is_fitted(xp, self):
        return _by_tanh(xp, self, OF_NORMAL, None)
    return xp_special(xp).erf(self * _INV_SQRT2)


def _is_fitted(xp: Any, self: Array) -> bool:
    # A GPU computes its own erf in one launch.
    return bool(self.dtype == xp.float32 and getattr(xp, "__name__", "") != "cupy")


def _by_tanh(xp: Any, x: Array, coefficients: tuple[float, ...], out: Array | None) -> Array:
    square = xp.multiply(x, x)
    values = xp.multiply(square, coefficients[-1])
    for coefficient in coefficients[-2:0:-1]:
        values += coefficient
        values *= square
    values += coefficients[0]
    values *= x
    return xp.tanh(values, out=out)
