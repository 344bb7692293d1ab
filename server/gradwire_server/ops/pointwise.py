"""Kernels and gradients of `gradwire_protocol.ops.pointwise`.

A kernel reads no input after its first write to `out`, so that `out` may be one of them. float16 is computed in float32
where there is more than one step, as PyTorch does. Formulas of gradients: pytorch/tools/autograd/derivatives.yaml.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradwire_protocol.dtypes import DType, from_numpy
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.pointwise import overflow
from gradwire_protocol.registry import OPS
from gradwire_server.ops import special
from gradwire_server.rules import gradient, kernel, pointwise
from gradwire_server.steps import deliver, operand, widened, zero_gradient

Array = Any
_number_where, _where_number = OPS["where.ScalarSelf"], OPS["where.ScalarOther"]

# --- functions of one tensor ---------------------------------------------------------------------------------------


def rsqrt(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute 1 / sqrt(self)."""
    return xp.reciprocal(xp.sqrt(self), out=out)


def erf(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute the error function."""
    return deliver(special.erf(xp, self), out)


def erfc(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute 1 - erf(self), to full accuracy where that is small."""
    return deliver(special.erfc(xp, self), out)


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


for _function in (rsqrt, erf, erfc, frac):
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
for _name, _ufunc in (("neg", "negative"), ("bitwise_not", "invert")):
    pointwise(_name, _ufunc)
pointwise("abs", "absolute", compares=True)
pointwise("round", round_)
pointwise("round.decimals", widened(round_decimals))
pointwise("sign", sign)
pointwise("sgn", sign)
pointwise("conj_physical", conj_physical)
pointwise("nan_to_num", nan_to_num)
pointwise("isnan", lambda xp, self, out=None: xp.not_equal(self, self, out=out), compares=True)
pointwise("isinf", isinf, compares=True)
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
gradient("acosh", self=lambda g, call: g * (call.self.square() - 1).rsqrt())
gradient("atanh", self=lambda g, call: g / (1 - call.self.square()))
gradient("sqrt", self=lambda g, call: g / (call.result * 2))
gradient("rsqrt", self=lambda g, call: g * call.result.pow(3) * -0.5)
gradient("reciprocal", self=lambda g, call: g * -call.result.square())
gradient("erf", self=lambda g, call: g * (-call.self.square()).exp() * (2 / math.sqrt(math.pi)))
gradient("erfc", self=lambda g, call: g * (-call.self.square()).exp() * (-2 / math.sqrt(math.pi)))
gradient("neg", self=lambda g, call: -g)
gradient("abs", self=lambda g, call: g * call.self.sgn())
gradient("frac", self=lambda g, call: g)
gradient("conj_physical", self=lambda g, call: g)
gradient("nan_to_num", self=lambda g, call: g * call.self.isfinite())
for _name in ("floor", "ceil", "round", "round.decimals", "trunc", "sign", "sgn"):
    gradient(_name, self=zero_gradient)

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
    return deliver(xp.where(other == 0, self / other, floored), out)


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
    return xp.add(rest, xp.where((rest != 0) & ((other < 0) != (rest < 0)), other, self.dtype.type(0)), out=out)


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


def _scaled(g: Array, factor: Any) -> Array:
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


def _share(lower: str) -> Callable[[Array, Any], Array]:
    """Return the rule of an extreme: all to the larger (or smaller) one, half to each of equals."""

    def rule(g: Array, call: Any) -> Array:
        equal = call.self.eq(call.other)
        return (g / 2).where(equal, g).masked_fill(getattr(call.self, lower)(call.other), 0)

    return rule


gradient("add.Tensor", self=lambda g, call: g, other=lambda g, call: _scaled(g, call.alpha))
gradient("add.Scalar", self=lambda g, call: g)
gradient("sub.Tensor", self=lambda g, call: g, other=lambda g, call: _scaled(g, -call.alpha))
gradient("sub.Scalar", self=lambda g, call: g)
gradient("rsub.Tensor", self=lambda g, call: _scaled(g, -call.alpha), other=lambda g, call: g)
gradient("rsub.Scalar", self=lambda g, call: _scaled(g, -call.alpha))
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
gradient("atan2", self=lambda g, call: g * (call.other / (call.self.square() + call.other.square())),
         other=lambda g, call: g * (-call.self / (call.self.square() + call.other.square())))  # fmt: skip
gradient("maximum", self=_share("lt"), other=_share("gt"))
gradient("minimum", self=_share("gt"), other=_share("lt"))

# --- bounds, comparison, logic, bits ---------------------------------------------------------------------------------


def clamp(xp: Any, self: Array, low: Any, high: Any, out: Array | None = None) -> Array:
    """Compute min(max(self, low), high), either of which may be absent; NaN in any of them is the result."""
    if high is None:
        return xp.maximum(self, low, out=out)
    return xp.minimum(self if low is None else xp.maximum(self, low), high, out=out)


def truth(name: str) -> Callable[..., Array]:
    """Return a logical kernel; CuPy has none for complex numbers."""

    def call(xp: Any, *arguments: Array, out: Array | None = None) -> Array:
        given = [argument != 0 if argument.dtype.kind == "c" else argument for argument in arguments]
        return getattr(xp, name)(*given, out=out)

    return call


def shift(name: str) -> Callable[..., Array]:
    """Return a shift; by a negative number or by all bits it leaves 0, or -1 of a negative number to the right.

    CuPy, like C, does not say what that does.
    """

    def call(xp: Any, self: Array, other: Any, out: Array | None = None) -> Array:
        other = operand(xp, other, self)
        bits = self.dtype.itemsize * 8
        zero = self.dtype.type(0)
        inside = (other >= 0) & (other < bits)
        shifted = getattr(xp, name)(self, xp.where(inside, other, zero))
        beyond = -(self < 0).astype(self.dtype) if name == "right_shift" and self.dtype.kind == "i" else zero
        return deliver(xp.where(inside, shifted, beyond), out)

    return call


pointwise("clamp", clamp)
pointwise("clamp.Tensor", clamp)
for _overload in ("clamp_min", "clamp_min.Tensor"):
    pointwise(_overload, "maximum")
for _overload in ("clamp_max", "clamp_max.Tensor"):
    pointwise(_overload, "minimum")


def _compared(name: str, ufunc: str) -> None:
    """Register a comparison, and the one that overwrites self with its result."""

    def overwrite(xp: Any, self: Array, other: Any) -> None:
        self[...] = getattr(xp, ufunc)(self, other)

    for overload, others in (("Tensor", {"other": zero_gradient}), ("Scalar", {})):
        pointwise(f"{name}.{overload}", ufunc, compares=True)
        kernel(f"{name}_.{overload}")(overwrite)
        gradient(f"{name}_.{overload}", self=zero_gradient, **others)


for _name, _ufunc in (
    ("eq", "equal"), ("ne", "not_equal"), ("lt", "less"), ("le", "less_equal"), ("gt", "greater"),
    ("ge", "greater_equal"),
):  # fmt: skip
    _compared(_name, _ufunc)
for _name in ("logical_and", "logical_or", "logical_xor", "logical_not"):
    pointwise(_name, truth(_name), compares=True)
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    pointwise(f"{_name}.Tensor", _name)
    pointwise(f"{_name}.Scalar", _name)
for _name in ("left_shift", "right_shift"):
    pointwise(f"bitwise_{_name}.Tensor", shift(_name))
    pointwise(f"bitwise_{_name}.Tensor_Scalar", shift(_name))


def _inside_gradient(g: Array, call: Any) -> Array:
    """Pass the gradient where self lies between the bounds, or on one."""
    for bound, inside in ((call.min, "ge"), (call.max, "le")):
        if bound is not None:
            g = _where_number(getattr(call.self, inside)(bound), g, 0)
    return g


def _min_gradient(g: Array, call: Any) -> Array:
    """Pass the gradient where the lower bound is the result; where the bounds cross, the upper one is."""
    below = call.self.lt(call.min)
    return _where_number(below if call.max is None else below.logical_and(call.min.lt(call.max)), g, 0)


def _max_gradient(g: Array, call: Any) -> Array:
    above = call.self.gt(call.max)
    return _where_number(above if call.min is None else above.logical_or(call.max.lt(call.min)), g, 0)


gradient("clamp", self=_inside_gradient)
gradient("clamp.Tensor", self=_inside_gradient, min=_min_gradient, max=_max_gradient)
gradient("clamp_min", self=lambda g, call: _where_number(call.self.ge(call.min), g, 0))
gradient("clamp_max", self=lambda g, call: _where_number(call.self.le(call.max), g, 0))
gradient("clamp_min.Tensor", self=lambda g, call: _where_number(call.self.ge(call.min), g, 0),
         min=lambda g, call: _where_number(call.self.lt(call.min), g, 0))  # fmt: skip
gradient("clamp_max.Tensor", self=lambda g, call: _where_number(call.self.le(call.max), g, 0),
         max=lambda g, call: _where_number(call.self.gt(call.max), g, 0))  # fmt: skip

# --- choice and mixture ----------------------------------------------------------------------------------------------


def stored(dtype: Any, value: Any) -> Any:
    """Return a number as an element of `dtype`; raise RuntimeError in PyTorch's words if it cannot be one."""
    if dtype.kind == "b":
        return dtype.type(value != 0)
    if dtype.kind in "iu":
        if not math.isfinite(value) or not _fits(dtype, int(value)):
            raise overflow(from_numpy(dtype))
        return dtype.type(int(value) % (1 << dtype.itemsize * 8) if dtype.kind == "u" else int(value))
    kept = dtype.type(value)
    if abs(kept) == math.inf and abs(value) != math.inf:
        raise overflow(from_numpy(dtype))
    return kept


def _fits(dtype: Any, value: int) -> bool:
    """Return whether C++ lets an integer be `dtype`: an unsigned type takes what is negative, too, and wraps it."""
    bits: int = dtype.itemsize * 8
    low, high = (1 - (1 << bits), 1 << bits) if dtype.kind == "u" else (-(1 << bits - 1), 1 << bits - 1)
    return low <= value < high


def where(xp: Any, condition: Array, self: Any, other: Any, out: Array | None = None) -> Array:
    """Choose elements of self where the condition holds, else of other."""
    return deliver(xp.where(condition, self, other), out)


@kernel("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(xp: Any, self: Array, mask: Array, value: Any) -> Array:
    """Replace self where the mask holds."""
    filling = value.astype(self.dtype) if hasattr(value, "ndim") else stored(self.dtype, value)
    return xp.where(mask, filling, self)


def lerp(xp: Any, self: Array, end: Array, weight: Any, out: Array | None = None) -> Array:
    """Compute self + weight * (end - self), from the nearer end, so that weights 0 and 1 are exact."""
    difference = end - self
    near = xp.less(xp.abs(operand(xp, weight, self)), 0.5)
    return deliver(xp.where(near, self + weight * difference, end - difference * (1 - weight)), out)


def addcmul(xp: Any, self: Array, tensor1: Array, tensor2: Array, value: Any, out: Array | None = None) -> Array:
    """Compute self + value * tensor1 * tensor2."""
    return xp.add(self, (tensor1 if value == 1 else tensor1 * _factor(self, value)) * tensor2, out=out)


def addcdiv(xp: Any, self: Array, tensor1: Array, tensor2: Array, value: Any, out: Array | None = None) -> Array:
    """Compute self + value * tensor1 / tensor2."""
    return xp.add(self, (tensor1 if value == 1 else tensor1 * _factor(self, value)) / tensor2, out=out)


def _factor(self: Array, value: Any) -> Any:
    return stored(self.dtype, value) if self.dtype.kind in "iu" else value


@kernel("where.Scalar")
def where_numbers(xp: Any, condition: Array, self: Any, other: Any, result: Meta) -> Array:
    """Choose between two numbers."""
    as_stored = result.dtype.numpy.type
    return xp.where(condition, as_stored(self), as_stored(other))


for _overload in ("self", "ScalarOther", "ScalarSelf"):
    pointwise(f"where.{_overload}", where)
for _overload in ("Scalar", "Tensor"):
    pointwise(f"lerp.{_overload}", widened(lerp))
pointwise("addcmul", widened(addcmul))
pointwise("addcdiv", widened(addcdiv))

gradient("where.self", self=lambda g, call: _where_number(call.condition, g, 0),
         other=lambda g, call: _number_where(call.condition, 0, g))  # fmt: skip
gradient("where.ScalarOther", self=lambda g, call: _where_number(call.condition, g, 0))
gradient("where.ScalarSelf", other=lambda g, call: _number_where(call.condition, 0, g))
gradient("masked_fill.Scalar", self=lambda g, call: g.masked_fill(call.mask, 0))
gradient("masked_fill.Tensor", self=lambda g, call: g.masked_fill(call.mask, 0),
         value=lambda g, call: _where_number(call.mask, g, 0))  # fmt: skip
gradient("lerp.Scalar", self=lambda g, call: g * (1 - call.weight),
         end=lambda g, call: g * call.weight)  # fmt: skip
gradient("lerp.Tensor", self=lambda g, call: g * (1 - call.weight), end=lambda g, call: g * call.weight,
         weight=lambda g, call: g * (call.end - call.self))  # fmt: skip
gradient("addcmul", self=lambda g, call: g, tensor1=lambda g, call: _scaled(g, call.value) * call.tensor2,
         tensor2=lambda g, call: _scaled(g, call.value) * call.tensor1)  # fmt: skip
gradient("addcdiv", self=lambda g, call: g, tensor1=lambda g, call: _scaled(g, call.value) / call.tensor2,
         tensor2=lambda g, call: _scaled(g, -call.value) * (call.tensor1 / call.tensor2 / call.tensor2))  # fmt: skip

# --- moving elements -------------------------------------------------------------------------------------------------


def _fitting(array: Array, dtype: Any) -> Array:
    """Return the real parts where only real numbers can be stored."""
    return array.real if array.dtype.kind == "c" and dtype.kind not in "cb" else array


@kernel("clone")
def clone(xp: Any, self: Array) -> Array:
    """Copy, in C order."""
    return self.copy()


@kernel("_to_dtype")
def to_dtype(xp: Any, self: Array, dtype: DType) -> Array:
    """Cast, which is always a copy; a complex number to its real part."""
    return _fitting(self, dtype.numpy).astype(dtype.numpy)


@kernel("copy_")
def copy_(xp: Any, self: Array, src: Array) -> None:
    """Write src over self, broadcast and cast."""
    self[...] = _fitting(src, self.dtype)


@kernel("fill_.Scalar")
def fill_(xp: Any, self: Array, value: Any) -> None:
    """Write a number over self."""
    self[...] = stored(self.dtype, value)


kernel("fill_.Tensor")(copy_)
kernel("zero_")(lambda xp, self: fill_(xp, self, 0))
kernel("real")(lambda xp, self: self.real.copy())
kernel("gw::number_for")(lambda xp, self, value, result: xp.full((), value, dtype=result.dtype.numpy))

gradient("clone", self=lambda g, call: g)
gradient("_to_dtype", self=lambda g, call: g)
gradient("copy_", self=zero_gradient, src=lambda g, call: g)
gradient("fill_.Scalar", self=zero_gradient)
gradient("fill_.Tensor", self=zero_gradient, value=lambda g, call: g)
gradient("zero_", self=zero_gradient)
gradient("real", self=lambda g, call: g)
