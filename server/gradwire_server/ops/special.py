"""Kernels and gradients of `gradwire_protocol.ops.special` but for Bessel functions and polynomials.

Values are SciPy's or CuPy's, through `scientific`. Formulas of gradients: pytorch/tools/autograd/derivatives.yaml.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

from gradwire_protocol.registry import OPS
from gradwire_server.ops.error_function import erf
from gradwire_server.rules import gradient, kernel, pointwise
from gradwire_server.scientific import xp_special
from gradwire_server.steps import deliver, widened

__all__ = ["by_library"]

Array = Any
_SQRT_PI, _SQRT_2 = math.sqrt(math.pi), math.sqrt(2)


def by_library(op: str, name: str) -> None:
    """Register a function of the library as the kernel of an op."""

    def call(xp: Any, *arguments: Array, out: Array | None = None) -> Array:
        return getattr(xp_special(xp), name)(*arguments, out=out)

    pointwise(op, widened(call))


for _op, _name in (
    ("erfc", "erfc"), ("digamma", "digamma"), ("igamma", "gammainc"),
    ("igammac", "gammaincc"), ("special_entr", "entr"), ("special_ndtri", "ndtri"), ("special_log_ndtr", "log_ndtr"),
    ("special_erfcx", "erfcx"), ("special_xlog1py", "xlog1py"), ("special_zeta", "zeta"),
):  # fmt: skip
    by_library(_op, _name)


def erfinv(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute the inverse of erf; SciPy's loses the sign of -0."""
    return xp.copysign(xp_special(xp).erfinv(self), self, out=out)


def lgamma(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute log(|gamma(self)|); inf at -inf too, as C does."""
    return deliver(xp.where(self == -math.inf, self.dtype.type(math.inf), xp_special(xp).gammaln(self)), out)


def polygamma(xp: Any, n: int, self: Array, out: Array | None = None) -> Array:
    """Compute the nth derivative of digamma: (-1)^(n + 1) n! zeta(n + 1, self)."""
    special, type_ = xp_special(xp), self.dtype.type
    if n == 0:
        return special.digamma(self, out=out)
    factor = math.inf if n > 170 else math.factorial(n)
    if n == 1:
        return deliver(_trigamma(xp, self), out)
    return xp.multiply(special.zeta(type_(n + 1), self), type_(factor if n % 2 else -factor), out=out)


def _trigamma(xp: Any, self: Array) -> Array:
    """Reflect what is below 1/2: pi^2 / sin(pi x)^2 - trigamma(1 - x); SciPy's zeta has no such values."""
    below = self < 0.5
    zeta = xp_special(xp).zeta(self.dtype.type(2), xp.where(below, 1 - self, self))
    sine = xp.sin(self * self.dtype.type(math.pi))
    return xp.where(below, math.pi**2 / (sine * sine) - zeta, zeta)


def mvlgamma(xp: Any, self: Array, p: int, out: Array | None = None) -> Array:
    """Compute the logarithm of the multivariate gamma function: log(pi) p (p - 1) / 4 + sum of lgamma(self - j / 2)."""
    total = lgamma(xp, self)
    for j in range(1, p):
        total = total + lgamma(xp, self - j / 2)
    return xp.add(total, math.log(math.pi) * p * (p - 1) / 4, out=out)


for _function in (erf, erfinv, lgamma, polygamma, mvlgamma):
    pointwise(_function.__name__, widened(_function))


@kernel("polygamma_")
def polygamma_(xp: Any, self: Array, n: int) -> None:
    """Write polygamma over self."""
    self[...] = widened(polygamma)(xp, n, self)


# --- gradients -------------------------------------------------------------------------------------------------------


def _refused(name: str) -> Callable[[Array, Any], NoReturn]:
    def rule(g: Array, call: Any) -> NoReturn:
        raise NotImplementedError(f"the derivative for '{name}' is not implemented.")

    return rule


def _polygamma_gradient(g: Array, call: Any) -> Array:
    return g * OPS["polygamma"](call.n + 1, call.self)


def _mvlgamma_gradient(g: Array, call: Any) -> Array:
    total = call.self.digamma()
    for j in range(1, call.p):
        total = total + (call.self - j / 2).digamma()
    return g * total


def _igamma_slope(g: Array, call: Any) -> Array:
    """Return the density of the gamma distribution: exp((a - 1) log x - x - lgamma(a))."""
    return g * ((call.self - 1) * call.other.log() - call.other - call.self.lgamma()).exp()


def _zeta_gradient(g: Array, call: Any) -> Array:
    return g * -call.self * OPS["special_zeta"](call.self + 1.0, call.other)


def _xlog1py_gradient(g: Array, call: Any) -> Array:
    return OPS["special_xlog1py"](g, call.other).masked_fill(call.self.eq(0).logical_and(call.other.le(-1)), 0)


gradient("erf", self=lambda g, call: g * (-call.self.square()).exp() * (2 / _SQRT_PI))
gradient("erfc", self=lambda g, call: g * (-call.self.square()).exp() * (-2 / _SQRT_PI))
gradient("erfinv", self=lambda g, call: g * call.self.erfinv().square().exp() * (_SQRT_PI / 2))
gradient("lgamma", self=lambda g, call: g * call.self.digamma())
gradient("digamma", self=lambda g, call: g * OPS["polygamma"](1, call.self))
gradient("polygamma", self=_polygamma_gradient)
gradient("polygamma_", self=_polygamma_gradient)
gradient("mvlgamma", self=_mvlgamma_gradient)
gradient("igamma", self=_refused("igamma: input"), other=_igamma_slope)
gradient("igammac", self=_refused("igammac: input"), other=lambda g, call: -_igamma_slope(g, call))
gradient("special_entr", self=lambda g, call: g * -(call.self.log() + 1))
gradient("special_ndtri", self=lambda g, call: g * (call.result.square() * 0.5).exp() * math.sqrt(2 * math.pi))
gradient("special_log_ndtr",
         self=lambda g, call: g / OPS["special_erfcx"](call.self * (-1 / _SQRT_2)) * (_SQRT_2 / _SQRT_PI))  # fmt: skip
gradient("special_erfcx", self=lambda g, call: g * (call.self * call.result * 2 - 2 / _SQRT_PI))
gradient("special_xlog1py", self=_xlog1py_gradient, other=lambda g, call: g * call.self / (call.other + 1))
gradient("special_zeta", self=_refused("zeta"), other=_zeta_gradient)
