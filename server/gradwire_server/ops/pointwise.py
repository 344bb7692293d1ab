"""Kernels and gradients of functions and arithmetic of `gradwire_protocol.ops.pointwise`; `selection` has the rest.

A kernel reads no input after its first write to `out`, so that `out` may be one of them. float16 is computed in float32
where there is more than one step, as PyTorch does. Formulas of gradients: pytorch/tools/autograd/derivatives.yaml.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradwire_protocol.registry import OPS
from gradwire_server.rules import gradient, kernel, pointwise, speaks_complex
from gradwire_server.steps import deliver, operand, widened, zero_gradient

Array = Any
_number_where, _where_number = OPS["where.ScalarSelf"], OPS["where.ScalarOther"]

# --- functions of one tensor ---------------------------------------------------------------------------------------


def rsqrt(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute 1 / sqrt(self)."""
    return xp.reciprocal(xp.sqrt(self), out=out)


def frac(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute the signed part behind the point."""
    return xp.subtract(self, xp.trunc(self), out=out)


def round_(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Round to the nearest integer, halves to the even one."""
    return xp.rint(self, out=out) if self.dtype.kind == "f" else deliver(self.copy(), out)


def round_decimals(xp: Any, self: Array, decimals: int, out: Array | None = None) -> Array:
    """Round to multiples of 10^-decimals."""
    ten = 10.0 ** abs(decimals)
    if decimals < 0:
        return xp.multiply(xp.rint(self / ten), ten, out=out)
    return xp.true_divide(xp.rint(self * ten), ten, out=out)


def sign(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute -1, 0 or 1; 0 of NaN, as PyTorch does. Of complex numbers (`sgn`): self / |self|, or 0."""
    if self.dtype.kind == "b":
        return deliver(self.copy(), out)
    if self.dtype.kind == "c":
        size = xp.abs(self)
        return deliver(self / xp.where(size == 0, size.dtype.type(1), size), out)
    return xp.subtract(xp.greater(self, 0).astype(self.dtype), xp.less(self, 0), out=out)


def nan_to_num(
    xp: Any, self: Array, nan: float | None, posinf: float | None, neginf: float | None, out: Array | None = None
) -> Array:
    """Replace NaN (by 0), inf and -inf (by the largest and smallest finite number), unless told otherwise."""
    if self.dtype.kind not in "fc":
        return deliver(self.copy(), out)
    if self.dtype.kind == "c":
        real = nan_to_num(xp, self.real, nan, posinf, neginf).astype(self.dtype)
        return deliver(real + nan_to_num(xp, self.imag, nan, posinf, neginf) * self.dtype.type(1j), out)
    limits = xp.finfo(self.dtype)
    result = xp.where(xp.isnan(self), self.dtype.type(nan or 0), self)
    result = xp.where(self == math.inf, self.dtype.type(limits.max if posinf is None else posinf), result)
    return deliver(xp.where(self == -math.inf, self.dtype.type(limits.min if neginf is None else neginf), result), out)


def conj_physical(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Negate the imaginary parts."""
    return xp.conj(self, out=out) if self.dtype.kind == "c" else deliver(self.copy(), out)


def isinf(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Return whether an element is infinite; no integer is."""
    return xp.isinf(self, out=out) if self.dtype.kind in "fc" else xp.not_equal(self, self, out=out)


def isfinite(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Return whether an element is neither infinite nor NaN; every integer is."""
    return xp.isfinite(self, out=out) if self.dtype.kind in "fc" else xp.equal(self, self, out=out)


def isposinf(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Return whether an element is inf; no integer is."""
    return xp.equal(self, math.inf, out=out) if self.dtype.kind == "f" else xp.not_equal(self, self, out=out)


def isneginf(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Return whether an element is -inf; no integer is."""
    return xp.equal(self, -math.inf, out=out) if self.dtype.kind == "f" else xp.not_equal(self, self, out=out)


def isreal(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Return whether the imaginary part is 0."""
    return deliver(self.imag == 0 if self.dtype.kind == "c" else xp.ones(self.shape, dtype="bool"), out)


def signbit(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Return whether an element is negative, -0.0 and negative NaN included."""
    if self.dtype.kind == "f":
        return xp.signbit(self, out=out)
    return xp.less(self, self.dtype.type(0), out=out)


def sinc(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute sin(pi x) / (pi x), and 1 at 0."""
    angle = self * self.dtype.type(math.pi)
    one = self.dtype.type(1)
    safe = xp.where(angle == 0, one, angle)
    return deliver(xp.where(angle == 0, one, xp.sin(safe) / safe), out)


def logit(xp: Any, self: Array, eps: float | None, out: Array | None = None) -> Array:
    """Compute log(x / (1 - x)), of x clamped to [eps, 1 - eps] if eps is given."""
    if eps is not None:
        self = xp.minimum(xp.maximum(self, eps), 1 - eps)
    return xp.log(self / (1 - self), out=out)


@kernel("frexp.Tensor")
def frexp(xp: Any, self: Array) -> tuple[Array, Array]:
    """Split into a mantissa in [1/2, 1) and a power of 2."""
    mantissa, exponent = xp.frexp(self)
    return mantissa, exponent


for _function in (rsqrt, frac, sinc, logit):
    pointwise(_function.__name__, widened(_function))
for _name in (
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "sqrt",
):
    pointwise(_name, _name)
for _name in ("asin", "acos", "atan", "asinh", "acosh", "atanh"):
    pointwise(_name, f"arc{_name[1:]}")
for _name in ("floor", "ceil", "trunc", "reciprocal"):
    pointwise(_name, _name)
for _name, _ufunc in (("neg", "negative"), ("bitwise_not", "invert"), ("deg2rad", "deg2rad"), ("rad2deg", "rad2deg")):
    pointwise(_name, _ufunc)
pointwise("abs", "absolute", compares=True)
pointwise("round", round_)
pointwise("round.decimals", widened(round_decimals))
pointwise("sign", sign)
pointwise("sgn", sign)
pointwise("conj_physical", conj_physical)
pointwise("nan_to_num", nan_to_num)
pointwise("isnan", lambda xp, self, out=None: xp.not_equal(self, self, out=out), compares=True)
for _function in (isinf, isposinf, isneginf, isreal, signbit):
    pointwise(_function.__name__, _function, compares=True)
pointwise("isfinite", isfinite, compares=True)


gradient("exp", self=lambda g, call: g * call.result)
gradient("exp2", self=lambda g, call: g * call.result * math.log(2))
gradient("expm1", self=lambda g, call: g * (call.result + 1))
gradient("log", self=lambda g, call: g / call.self)
gradient("log2", self=lambda g, call: g / (call.self * math.log(2)))
gradient("log10", self=lambda g, call: g / (call.self * math.log(10)))
gradient("log1p", self=lambda g, call: g / (call.self + 1))
gradient("sin", self=lambda g, call: g * call.self.cos())
gradient("cos", self=lambda g, call: g * -call.self.sin())
gradient("tan", self=lambda g, call: g * (call.result.square() + 1))
gradient("asin", self=lambda g, call: g * (1 - call.self.square()).rsqrt())
gradient("acos", self=lambda g, call: g * -(1 - call.self.square()).rsqrt())
gradient("atan", self=lambda g, call: g / (call.self.square() + 1))
gradient("sinh", self=lambda g, call: g * call.self.cosh())
gradient("cosh", self=lambda g, call: g * call.self.sinh())
gradient("tanh", self=lambda g, call: g.tanh_backward(call.result))
gradient("asinh", self=lambda g, call: g * (call.self.square() + 1).rsqrt())


def _acosh_gradient(g: Array, call: Any) -> Array:
    """Return g / sqrt(x^2 - 1); of complex numbers by two roots, whose product has the branch of acosh."""
    x = call.self
    if x.dtype.is_complex:
        return g * (x - 1).rsqrt() * (x + 1).rsqrt()
    return g * (x.square() - 1).rsqrt()


gradient("acosh", self=_acosh_gradient)
gradient("atanh", self=lambda g, call: g / (1 - call.self.square()))
gradient("sqrt", self=lambda g, call: g / (call.result * 2))
gradient("rsqrt", self=lambda g, call: g * call.result.pow(3) * -0.5)
gradient("reciprocal", self=lambda g, call: g * -call.result.square())
gradient("neg", self=lambda g, call: -g)
gradient("deg2rad", self=lambda g, call: g * (math.pi / 180))
gradient("rad2deg", self=lambda g, call: g * (180 / math.pi))
gradient("frexp.Tensor", self=lambda g, call: g / OPS["pow.Scalar"](2.0, call.result1.type_as(g)))


def _sinc_gradient(g: Array, call: Any) -> Array:
    angle = call.self * math.pi
    slope = (angle * angle.cos() - angle.sin()) / (angle * call.self)
    return g * slope.masked_fill(call.self.eq(0), 0)


def _logit_gradient(g: Array, call: Any) -> Array:
    """Return g / |x (1 - x)|, of which the sign matters at -0 only; outside of [0, 1] NaN, outside of [eps, 1 - eps] 0."""
    x, eps = call.self, call.eps
    low, high, beyond = (0.0, 1.0, math.nan) if eps is None else (eps, 1 - eps, 0.0)
    return _where_number(x.ge(low).logical_and(x.le(high)), g / (x * (1 - x)).abs(), beyond)


gradient("sinc", self=_sinc_gradient)
gradient("logit", self=_logit_gradient)
gradient("abs", self=lambda g, call: g * call.self.sgn())
gradient("frac", self=lambda g, call: g)
gradient("conj_physical", self=lambda g, call: g.conj())
gradient("nan_to_num", self=lambda g, call: g * call.self.isfinite())
for _name in ("floor", "ceil", "round", "round.decimals", "trunc", "sign"):
    gradient(_name, self=zero_gradient)


def _sgn_gradient(g: Array, call: Any) -> Array:
    """Return 0 of real numbers; of complex z on the unit circle, the part of g across it, over |z|."""
    if not g.meta.dtype.is_complex:
        return g.zeros_like()
    size, sgn = call.self.abs(), call.result
    along = OPS["real"](g * sgn.conj()) * sgn
    return ((g - along) / size).masked_fill(size.eq(0), 0)


gradient("sgn", self=_sgn_gradient)
speaks_complex("abs", "sgn", "conj_physical")

# --- arithmetic of two -----------------------------------------------------------------------------------------------


def add(xp: Any, self: Array, other: Any, alpha: Any, out: Array | None = None) -> Array:
    """Compute self + alpha * other; the usual alpha of 1 costs nothing."""
    return xp.add(self, other, out=out) if alpha == 1 else _add_scaled(xp, self, other, alpha, out=out)


def sub(xp: Any, self: Array, other: Any, alpha: Any, out: Array | None = None) -> Array:
    """Compute self - alpha * other."""
    return xp.subtract(self, other, out=out) if alpha == 1 else _add_scaled(xp, self, other, -alpha, out=out)


@widened
def _add_scaled(xp: Any, self: Array, other: Any, alpha: Any, out: Array | None = None) -> Array:
    return xp.add(self, other * alpha, out=out)


@widened
def rsub(xp: Any, self: Array, other: Any, alpha: Any, out: Array | None = None) -> Array:
    """Compute other - alpha * self."""
    return xp.subtract(other, self if alpha == 1 else self * alpha, out=out)


def refusezero_gradient(xp: Any, divisor: Array) -> None:
    """Refuse to divide integers by zero, as PyTorch does on the CPU.

    On a GPU neither does PyTorch look, since the answer would have to be waited for; CuPy's quotient stands.
    """
    if divisor.dtype.kind in "iu" and not hasattr(xp, "cuda") and (divisor == 0).any().item():
        raise RuntimeError("ZeroDivisionError")


def floor_divide(xp: Any, self: Array, other: Any, out: Array | None = None) -> Array:
    """Compute the integer below self / other; for floats by C Python's way over fmod, so that 1 // 0.1 is 9."""
    other = operand(xp, other, self)
    refusezero_gradient(xp, other)
    if self.dtype.kind != "f":
        return xp.floor_divide(self, other, out=out)
    rest = xp.fmod(self, other)
    quotient = (self - rest) / other - ((rest != 0) & ((other < 0) != (rest < 0)))
    floored = xp.floor(quotient)
    floored = floored + (quotient - floored > 0.5)
    exact = self / other
    floored = xp.where(floored == 0, xp.copysign(floored, exact), floored)
    return deliver(xp.where(other == 0, exact, floored), out)


def trunc_divide(xp: Any, self: Array, other: Any, out: Array | None = None) -> Array:
    """Compute self / other without its fraction."""
    other = operand(xp, other, self)
    refusezero_gradient(xp, other)
    if self.dtype.kind == "f":
        return xp.trunc(self / other, out=out)
    quotient = xp.floor_divide(self, other)
    return xp.add(quotient, (quotient < 0) & (quotient * other != self), out=out)


def div_mode(xp: Any, self: Array, other: Any, rounding_mode: str | None, out: Array | None = None) -> Array:
    """Divide, and round as told."""
    if rounding_mode is None:
        return xp.true_divide(self, other, out=out)
    return (floor_divide if rounding_mode == "floor" else trunc_divide)(xp, self, other, out=out)


def fmod(xp: Any, self: Array, other: Any, out: Array | None = None) -> Array:
    """Compute the remainder with the sign of self; not by CuPy's fmod of integers, which goes by way of doubles."""
    if self.dtype.kind == "f":
        return xp.fmod(self, other, out=out)
    other = operand(xp, other, self)
    refusezero_gradient(xp, other)
    rest = xp.remainder(self, other)
    return xp.subtract(rest, xp.where((rest != 0) & ((rest < 0) != (self < 0)), other, self.dtype.type(0)), out=out)


def remainder(xp: Any, self: Any, other: Any, out: Array | None = None) -> Array:
    """Compute the remainder that has the sign of other. CuPy's remainder of floats is not exact; fmod is."""
    self, other = operand(xp, self, other), operand(xp, other, self)
    refusezero_gradient(xp, other)
    if self.dtype.kind != "f":
        return xp.remainder(self, other, out=out)
    rest = xp.fmod(self, other)
    # Not a sum with 0, which would lose the sign of -0.
    return deliver(xp.where((rest != 0) & ((other < 0) != (rest < 0)), rest + other, rest), out)


_POWERS: dict[float, Callable[..., Array]] = {
    2: lambda xp, self, out=None: xp.multiply(self, self, out=out),
    3: lambda xp, self, out=None: xp.multiply(self * self, self, out=out),
    0.5: lambda xp, self, out=None: xp.sqrt(self, out=out),
    -0.5: rsqrt,
    -1: lambda xp, self, out=None: xp.reciprocal(self, out=out),
    -2: lambda xp, self, out=None: xp.reciprocal(self * self, out=out),
}


def pow_scalar(xp: Any, self: Array, exponent: Any, out: Array | None = None) -> Array:
    """Compute self^exponent; the exponents that `_POWERS` has by cheaper means, as PyTorch does."""
    kind, special = self.dtype.kind, None
    if kind == "b":
        return deliver(self | (not exponent), out)
    if kind in "fc" and self.dtype.char != "e":
        special = _POWERS.get(exponent)
    elif kind in "iu" and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    return xp.power(self, exponent, out=out) if special is None else special(xp, self, out=out)


def pow_tensor(xp: Any, self: Any, exponent: Array, out: Array | None = None) -> Array:
    """Compute self^exponent; 0 for an integer to a negative power, unless it is 1 or -1."""
    if exponent.dtype.kind not in "iu":
        return xp.power(self, exponent, out=out)
    self = operand(xp, self, exponent)
    if exponent.dtype.kind == "u":
        return xp.power(self, exponent, out=out)
    one = exponent.dtype.type(1)
    inverse = xp.where(self == 1, one, xp.where(self == -1, one - exponent % 2 * 2, one - one))
    return deliver(xp.where(exponent < 0, inverse, xp.power(self, xp.maximum(exponent, 0))), out)


def ldexp(xp: Any, self: Array, other: Array, out: Array | None = None) -> Array:
    """Compute self * 2^other in two steps, neither of which overflows where the result does not; other need not be whole."""
    if self.dtype.kind == "c":
        return xp.multiply(self, xp.exp2(other), out=out)
    most = 2.0 * xp.finfo(self.dtype).maxexp
    other = xp.minimum(xp.maximum(other, -most), most)
    half = xp.trunc(other * 0.5)
    value = self * xp.exp2(half) * xp.exp2(other - half)
    return deliver(xp.where(((self == 0) | xp.isinf(self)) & (other == other), self, value), out)


def lcm(xp: Any, self: Array, other: Array, out: Array | None = None) -> Array:
    """Compute the least common multiple; 0 where either is 0."""
    common = xp.gcd(self, other)
    return xp.absolute(self // xp.maximum(common, 1) * other, out=out)


def heaviside(xp: Any, self: Array, values: Array, out: Array | None = None) -> Array:
    """Compute 0 below 0 and at NaN, 1 above it, and `values` at 0."""
    return deliver(xp.where(self == 0, values, (self > 0).astype(self.dtype)), out)


def logaddexp(xp: Any, self: Array, other: Array, out: Array | None = None) -> Array:
    """Compute log(exp(self) + exp(other)); of complex numbers from the one with the larger real part."""
    if self.dtype.kind == "f":
        return xp.logaddexp(self, other, out=out)
    first = self.real >= other.real
    high, low = xp.where(first, self, other), xp.where(first, other, self)
    total = high + xp.log1p(xp.exp(low - high))
    # Both -inf, or one +inf, whose difference is NaN.
    return deliver(xp.where(xp.isfinite(high.real), total, high), out)


def xlogy(xp: Any, self: Any, other: Any, out: Array | None = None) -> Array:
    """Compute self * log(other), and 0 where self is 0, unless other is NaN."""
    self, other = operand(xp, self, other), operand(xp, other, self)
    zero = (self == 0) & (other == other)
    return deliver(xp.where(zero, xp.zeros((), dtype=other.dtype), self * xp.log(other)), out)


for _overload in ("Tensor", "Scalar"):
    pointwise(f"copysign.{_overload}", "copysign")
for _overload in ("Tensor", "Scalar_Other", "Scalar_Self"):
    pointwise(f"xlogy.{_overload}", widened(xlogy))
for _name in ("hypot", "gcd", "nextafter", "logaddexp2", "fmax", "fmin"):
    pointwise(_name, _name)
pointwise("lcm", lcm)
pointwise("heaviside", heaviside)
pointwise("logaddexp", logaddexp)
pointwise("ldexp.Tensor", widened(ldexp))
for _overload in ("Tensor", "Scalar"):
    pointwise(f"add.{_overload}", add)
    pointwise(f"sub.{_overload}", sub)
    pointwise(f"rsub.{_overload}", rsub)
    pointwise(f"mul.{_overload}", "multiply")
    pointwise(f"div.{_overload}", "true_divide")
    pointwise(f"div.{_overload}_mode", widened(div_mode))
    pointwise("floor_divide" if _overload == "Tensor" else "floor_divide.Scalar", widened(floor_divide))
    pointwise(f"remainder.{_overload}", remainder)
    pointwise(f"fmod.{_overload}", fmod)
pointwise("remainder.Scalar_Tensor", remainder)
pointwise("pow.Tensor_Scalar", pow_scalar)
pointwise("pow.Tensor_Tensor", pow_tensor)
pointwise("pow.Scalar", pow_tensor)
pointwise("atan2", "arctan2")
pointwise("maximum", "maximum")
pointwise("minimum", "minimum")


def scaled(g: Array, factor: Any) -> Array:
    """Return g * factor; the usual factor of 1 costs nothing."""
    return g if factor == 1 else g * factor


def _pow_gradient(g: Array, call: Any) -> Array:
    exponent = call.exponent
    if exponent == 0:
        return g.zeros_like()
    slope = call.self if exponent == 2 else call.self.pow(exponent - 1)
    return g * (slope * exponent)


def _base_gradient(g: Array, call: Any) -> Array:
    """Return exponent * self^(exponent - 1), but 0 where the exponent is 0: there self^-1 may be infinite."""
    slope = call.exponent * call.self.pow(call.exponent - 1)
    return (g * slope).masked_fill(call.exponent.eq(0), 0)


def _exponent_gradient(g: Array, call: Any) -> Array:
    """Return result * log(self), but 0 for 0 to a power that is not negative: there the logarithm is infinite."""
    slope = g * (call.result * call.self.log())
    return slope.masked_fill(call.self.eq(0).logical_and(call.exponent.ge(0)), 0)


def _number_exponent_gradient(g: Array, call: Any) -> Array:
    base = call.self
    if base == 0:
        return (g * (call.result * -math.inf)).masked_fill(call.exponent.ge(0), 0)
    return g * (call.result * (math.log(base) if base > 0 else math.nan))


def _inverse_square(call: Any) -> Array:
    """Return 1 / (self^2 + other^2), and 0 at the origin, where PyTorch's atan2 has no slope."""
    square = call.self.square() + call.other.square()
    return square.reciprocal().masked_fill(square.eq(0), 0)


def _share(lower: str) -> Callable[[Array, Any], Array]:
    """Return the rule of an extreme: all to the larger (or smaller) one, half to each of equals."""

    def rule(g: Array, call: Any) -> Array:
        equal = call.self.eq(call.other)
        return (g / 2).where(equal, g).masked_fill(getattr(call.self, lower)(call.other), 0)

    return rule


gradient("add.Tensor", self=lambda g, call: g, other=lambda g, call: scaled(g, call.alpha))
gradient("add.Scalar", self=lambda g, call: g)
gradient("sub.Tensor", self=lambda g, call: g, other=lambda g, call: scaled(g, -call.alpha))
gradient("sub.Scalar", self=lambda g, call: g)
gradient("rsub.Tensor", self=lambda g, call: scaled(g, -call.alpha), other=lambda g, call: g)
gradient("rsub.Scalar", self=lambda g, call: scaled(g, -call.alpha))
gradient("mul.Tensor", self=lambda g, call: g * call.other, other=lambda g, call: g * call.self)
gradient("mul.Scalar", self=lambda g, call: g * call.other)
gradient("div.Tensor", self=lambda g, call: g / call.other,
         other=lambda g, call: g * -(call.self / call.other / call.other))  # fmt: skip
gradient("div.Scalar", self=lambda g, call: g / call.other)
gradient("div.Tensor_mode", self=lambda g, call: g / call.other if call.rounding_mode is None else g.zeros_like(),
         other=lambda g, call: g * -(call.self / call.other / call.other) if call.rounding_mode is None
         else g.zeros_like())  # fmt: skip
gradient("div.Scalar_mode", self=lambda g, call: g / call.other if call.rounding_mode is None else g.zeros_like())
gradient("floor_divide", self=zero_gradient, other=zero_gradient)
gradient("floor_divide.Scalar", self=zero_gradient)
gradient("remainder.Tensor", self=lambda g, call: g,
         other=lambda g, call: g * -call.self.div(call.other, rounding_mode="floor"))  # fmt: skip
gradient("remainder.Scalar", self=lambda g, call: g)
gradient("remainder.Scalar_Tensor", other=lambda g, call: g * -(call.self // call.other))
gradient("fmod.Tensor", self=lambda g, call: g,
         other=lambda g, call: g * -call.self.div(call.other, rounding_mode="trunc"))  # fmt: skip
gradient("fmod.Scalar", self=lambda g, call: g)
gradient("pow.Tensor_Scalar", self=_pow_gradient)
gradient("pow.Tensor_Tensor", self=_base_gradient, exponent=_exponent_gradient)
gradient("pow.Scalar", exponent=_number_exponent_gradient)
gradient("atan2", self=lambda g, call: g * (call.other * _inverse_square(call)),
         other=lambda g, call: g * (-call.self * _inverse_square(call)))  # fmt: skip
gradient("maximum", self=_share("lt"), other=_share("gt"))
gradient("minimum", self=_share("gt"), other=_share("lt"))


def _taken(name: str, first: bool) -> Callable[[Array, Any], Array]:
    """Return the rule of fmax or fmin: all to the one that was taken, to self of equals."""

    def rule(g: Array, call: Any) -> Array:
        self_taken = getattr(call.self, name)(call.other).logical_or(call.other.isnan())
        return g.masked_fill(self_taken.logical_not() if first else self_taken, 0)

    return rule


gradient("fmax", self=_taken("ge", True), other=_taken("ge", False))
gradient("fmin", self=_taken("le", True), other=_taken("le", False))


def _signed_gradient(g: Array, call: Any) -> Array:
    """Return g where the sign was kept, -g where it was turned, and 0 at 0."""
    return g * (call.result / call.self).masked_fill(call.self.eq(0), 0)


gradient("copysign.Tensor", self=_signed_gradient, other=zero_gradient)
gradient("nextafter", self=lambda g, call: g.masked_fill(call.self.eq(call.other), 0), other=zero_gradient)
gradient("copysign.Scalar", self=_signed_gradient)
gradient(
    "hypot", self=lambda g, call: g * (call.self / call.result), other=lambda g, call: g * (call.other / call.result)
)
gradient("ldexp.Tensor", self=lambda g, call: g * OPS["pow.Scalar"](2.0, call.other),
         other=lambda g, call: g * call.result * math.log(2))  # fmt: skip
gradient("logaddexp", self=lambda g, call: g / ((call.other - call.self).exp() + 1),
         other=lambda g, call: g / ((call.self - call.other).exp() + 1))  # fmt: skip
gradient("logaddexp2", self=lambda g, call: g / ((call.other - call.self).exp2() + 1),
         other=lambda g, call: g / ((call.self - call.other).exp2() + 1))  # fmt: skip
gradient("xlogy.Tensor", other=lambda g, call: g * call.self / call.other,
         self=lambda g, call: g.xlogy(call.other).masked_fill(
             call.self.eq(0).logical_and(call.other.le(0)), 0))  # fmt: skip
gradient("xlogy.Scalar_Other", self=lambda g, call: g.xlogy(call.other) if call.other > 0
         else g.xlogy(call.other).masked_fill(call.self.eq(0), 0))  # fmt: skip
gradient("xlogy.Scalar_Self", other=lambda g, call: g * call.self / call.other)
