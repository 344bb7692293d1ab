"""Kernels and gradients of the Bessel functions, and of Airy's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradwire_protocol.registry import OPS
from gradwire_server.ops.special import by_library
from gradwire_server.rules import gradient, pointwise
from gradwire_server.scientific import generalized_laguerre_rule
from gradwire_server.steps import deliver, widened

Array = Any

for _op, _name in (
    ("i0", "i0"), ("special_i0e", "i0e"), ("special_i1", "i1"), ("special_i1e", "i1e"), ("special_bessel_j0", "j0"),
    ("special_bessel_j1", "j1"), ("special_bessel_y0", "y0"), ("special_bessel_y1", "y1"),
    ("special_modified_bessel_i0", "i0"), ("special_modified_bessel_i1", "i1"), ("special_modified_bessel_k0", "k0"),
    ("special_modified_bessel_k1", "k1"), ("special_scaled_modified_bessel_k0", "k0e"),
    ("special_scaled_modified_bessel_k1", "k1e"),
):  # fmt: skip
    by_library(_op, _name)


def spherical_bessel_j0(xp: Any, x: Array, out: Array | None = None) -> Array:
    """Compute sin(x) / x: 1 at 0, and 0 at infinity."""
    one = x.dtype.type(1)
    safe = xp.where((x == 0) | xp.isinf(x), one, x)
    value = xp.where(x == 0, one, xp.sin(safe) / safe)
    return deliver(xp.where(xp.isinf(x), x.dtype.type(0), value), out)


# --- Airy's function of the first kind -------------------------------------------------------------------------------

# Ai(0) and -Ai'(0), which weigh the two power series.
_AT_ZERO, _SLOPE_AT_ZERO = 0.355028053887817239260063186004183, 0.258819403792806798405183560189204
_SERIES_END, _SERIES_TERMS = 3.0, 17
# Beyond: A. Gil, J. Segura, N. M. Temme, "Computing complex Airy functions by numerical quadrature", Numer. Algorithms 30
# (2002): Ai(z) = c e^-s s^(-1/6) * integral of (2 + t / s)^(-1/6) t^(-1/6) e^-t over t > 0, s = 2/3 z^(3/2), by Gauss's rule.
_NODE_COUNT = 40
_FACTOR = 1 / (math.sqrt(math.pi) * 48 ** (1 / 6) * math.gamma(5 / 6))


def airy_ai(xp: Any, x: Array, out: Array | None = None) -> Array:
    """Compute Ai(x), in float64 whatever the input; NaN at either infinity, as PyTorch does."""
    wide = x.astype(xp.float64)
    near = _airy_series(xp, xp.minimum(xp.maximum(wide, -_SERIES_END), _SERIES_END))
    size = xp.maximum(xp.abs(wide), _SERIES_END)
    s = size * xp.sqrt(size) * (2 / 3)
    value = xp.where(wide > 0, _airy_decaying(xp, s), _airy_waving(xp, s))
    value = xp.where(xp.abs(wide) <= _SERIES_END, near, value)
    return deliver(xp.where(xp.isfinite(wide), value, math.nan).astype(x.dtype), out)


def _airy_series(xp: Any, x: Array) -> Array:
    """Sum Maclaurin's series: f = 1 + x^3 / (2 3) + x^6 / (2 3 5 6) + ..., g = x + x^4 / (3 4) + x^7 / (3 4 6 7) + ..."""
    cube = x * x * x
    f, g = xp.ones(x.shape, dtype=x.dtype), x
    total = f * _AT_ZERO - g * _SLOPE_AT_ZERO
    for k in range(1, _SERIES_TERMS):
        f = f * cube / ((3 * k - 1) * (3 * k))
        g = g * cube / ((3 * k) * (3 * k + 1))
        total = total + f * _AT_ZERO - g * _SLOPE_AT_ZERO
    return total


def _airy_integral(s: Array) -> Array:
    """Sum Gauss's rule over the nodes."""
    nodes, weights = generalized_laguerre_rule(_NODE_COUNT, -1 / 6)
    return sum((node / s + 2) ** (-1 / 6) * weight for node, weight in zip(nodes, weights, strict=True))


def _airy_decaying(xp: Any, s: Array) -> Array:
    return xp.exp(-s) * s ** (-1 / 6) * _airy_integral(s) * _FACTOR


def _airy_waving(xp: Any, s: Array) -> Array:
    """Compute Ai(-x) = 2 Re(e^(i pi/3) Ai(x e^(i pi/3))), where s turns by i: s^(-1/6) by e^(-i pi/12)."""
    turned = s * xp.asarray(1j)
    phase = xp.exp((math.pi / 3 - math.pi / 12) * xp.asarray(1j) - turned)
    return (phase * _airy_integral(turned)).real * s ** (-1 / 6) * (2 * _FACTOR)


pointwise("special_spherical_bessel_j0", widened(spherical_bessel_j0))
pointwise("special_airy_ai", airy_ai)

# --- gradients -------------------------------------------------------------------------------------------------------

_EPSILON = {2: 2.0**-10, 4: 2.0**-23, 8: 2.0**-52}


def _away_from_zero(slope: Callable[[Array, Any], Array]) -> Callable[[Array, Any], Array]:
    """Return the rule of i1 and i1e, whose slopes have a quotient in them: at 0 they are 1/2."""

    def rule(g: Array, call: Any) -> Array:
        tiny = call.self.abs().le(_EPSILON[call.self.dtype.itemsize])
        safe = call.self.masked_fill(tiny, 1.0)
        return g * slope(safe, call).masked_fill(tiny, 0.5)

    return rule


gradient("i0", self=lambda g, call: g * OPS["special_i1"](call.self))
gradient("special_i0e", self=lambda g, call: g * (OPS["special_i1e"](call.self) - call.self.sgn() * call.result))
gradient("special_i1", self=_away_from_zero(lambda x, call: OPS["i0"](x) - call.result / x))
gradient("special_i1e", self=_away_from_zero(
    lambda x, call: OPS["special_i0e"](x) - call.result * (x.sgn() + x.reciprocal())))  # fmt: skip
