"""Kernels and gradients of `gradwire_protocol.ops.pointwise`.

Kernels that take `out=` may be handed memory to write; `out` is never one of their inputs unless the kernel is one ufunc.
"""

from __future__ import annotations

import math
from typing import Any

from gradwire_protocol.dtypes import DType
from gradwire_server.ops.special import erf
from gradwire_server.rules import gradient, kernel, pointwise

Array = Any
_LN2, _LN10 = math.log(2), math.log(10)

# -- arithmetic --------------------------------------------------------------------------------------------------------


def add(xp: Any, self: Array, other: Array, alpha: Any, out: Array | None = None) -> Array:
    """Compute self + alpha * other; the usual alpha of 1 costs nothing."""
    return xp.add(self, other if alpha == 1 else xp.multiply(other, alpha), out=out)


def sub(xp: Any, self: Array, other: Array, alpha: Any, out: Array | None = None) -> Array:
    """Compute self - alpha * other."""
    return xp.subtract(self, other if alpha == 1 else xp.multiply(other, alpha), out=out)


def rsub(xp: Any, self: Array, other: Array, alpha: Any, out: Array | None = None) -> Array:
    """Compute other - alpha * self."""
    return xp.subtract(other, self if alpha == 1 else xp.multiply(self, alpha), out=out)


def _refuse_zero(xp: Any, self: Array, other: Array) -> None:
    """Raise what PyTorch raises on a CPU for an integer divided by zero."""
    if self.dtype.kind in "iu" and (other == 0 if isinstance(other, int) else bool(xp.any(xp.equal(other, 0)).item())):
        raise RuntimeError("ZeroDivisionError")


def _trunc_divide(xp: Any, self: Array, other: Array) -> Array:
    if self.dtype.kind in "iu":
        floored = xp.floor_divide(self, other)
        inexact = xp.not_equal(xp.multiply(floored, other), self)
        return xp.add(floored, xp.logical_and(inexact, xp.less(floored, 0)).astype(self.dtype))
    return xp.trunc(xp.divide(self, other))


def div_mode(xp: Any, self: Array, other: Array, rounding_mode: str | None, out: Array | None = None) -> Array:
    """Divide and round: not at all, down, or towards zero."""
    if rounding_mode is None:
        return xp.divide(self, other, out=out)
    _refuse_zero(xp, self, other)
    if rounding_mode == "floor":
        return xp.floor_divide(self, other, out=out)
    return xp.positive(_trunc_divide(xp, self, other), out=out)


def floor_divide(xp: Any, self: Array, other: Array, out: Array | None = None) -> Array:
    """Divide and round down."""
    return div_mode(xp, self, other, "floor", out)


def remainder(xp: Any, self: Array, other: Array, out: Array | None = None) -> Array:
    """Return the remainder with the sign of the divisor."""
    _refuse_zero(xp, self, other)
    return xp.remainder(self, other, out=out)


def fmod(xp: Any, self: Array, other: Array, out: Array | None = None) -> Array:
    """Return the remainder with the sign of the dividend."""
    _refuse_zero(xp, self, other)
    return xp.fmod(self, other, out=out)


def pow_scalar(xp: Any, self: Array, exponent: Any, out: Array | None = None) -> Array:
    """Raise to a number; the common ones without `power`, which is ten times as slow as a product."""
    if self.dtype.kind in "iu" and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    if exponent == 2:
        return xp.multiply(self, self, out=out)
    if exponent == 0.5 and self.dtype.kind in "fc":
        return xp.sqrt(self, out=out)
    return power(xp, self, exponent, out)


def power(xp: Any, self: Array, exponent: Array, out: Array | None = None) -> Array:
    """Raise to a power. Of integers below zero, 1 and -1 are powers of themselves and all else rounds to 0."""
    base = self if hasattr(self, "dtype") else exponent
    if base.dtype.kind not in "iu":
        return xp.power(self, exponent, out=out)
    below = xp.less(exponent, 0)
    whole = xp.power(self, xp.where(below, 0, exponent).astype(base.dtype))
    odd = xp.equal(xp.remainder(exponent, 2), 1)
    unit = xp.equal(self, 1) + xp.where(odd, -1, 1) * xp.equal(self, -1)
    return xp.where(below, unit.astype(base.dtype), whole)


for _overload in ("Tensor", "Scalar"):
    pointwise(f"add.{_overload}", add)
    pointwise(f"sub.{_overload}", sub)
    pointwise(f"rsub.{_overload}", rsub)
    pointwise(f"mul.{_overload}", "multiply")
    pointwise(f"div.{_overload}", "divide")
    pointwise(f"div.{_overload}_mode", div_mode)
    pointwise(f"remainder.{_overload}", remainder)
    pointwise(f"fmod.{_overload}", fmod)
pointwise("floor_divide", floor_divide)
pointwise("floor_divide.Scalar", floor_divide)
pointwise("pow.Tensor_Scalar", pow_scalar)
pointwise("pow.Tensor_Tensor", power)
pointwise("pow.Scalar", power)

gradient("add.Tensor", self=lambda g, call: g, other=lambda g, call: g if call.alpha == 1 else g * call.alpha)
gradient("add.Scalar", self=lambda g, call: g)
gradient("sub.Tensor", self=lambda g, call: g, other=lambda g, call: g * -call.alpha)
gradient("sub.Scalar", self=lambda g, call: g)
gradient("rsub.Tensor", self=lambda g, call: g * -call.alpha, other=lambda g, call: g)
gradient("rsub.Scalar", self=lambda g, call: g * -call.alpha)
gradient("mul.Tensor", self=lambda g, call: g * call.other, other=lambda g, call: g * call.self)
gradient("mul.Scalar", self=lambda g, call: g * call.other)
gradient(
    "div.Tensor",
    self=lambda g, call: g / call.other,
    other=lambda g, call: -g * ((call.self / call.other) / call.other),
)
gradient("div.Scalar", self=lambda g, call: g / call.other)


def _div_mode_other(g: Any, call: Any) -> Any:
    return g.zeros_like() if call.rounding_mode else -g * ((call.self / call.other) / call.other)


def _div_mode_self(g: Any, call: Any) -> Any:
    return g.zeros_like() if call.rounding_mode else g / call.other


gradient("div.Tensor_mode", self=_div_mode_self, other=_div_mode_other)
gradient("div.Scalar_mode", self=_div_mode_self)
gradient(
    "remainder.Tensor",
    self=lambda g, call: g,
    other=lambda g, call: -g * call.self.div(call.other, rounding_mode="floor"),
)
gradient("remainder.Scalar", self=lambda g, call: g)
gradient(
    "fmod.Tensor", self=lambda g, call: g, other=lambda g, call: -g * call.self.div(call.other, rounding_mode="trunc")
)
gradient("fmod.Scalar", self=lambda g, call: g)


def _pow_scalar_self(g: Any, call: Any) -> Any:
    return g.zeros_like() if call.exponent == 0 else g * (call.self.pow(call.exponent - 1) * call.exponent)


def _pow_tensor_self(g: Any, call: Any) -> Any:
    exponent = call.exponent
    return g * (exponent * call.self.pow(exponent - 1)).masked_fill(exponent == 0, 0)


def _pow_tensor_exponent(g: Any, call: Any) -> Any:
    """d/de x^e = x^e log x, and 0 at x = 0 for e >= 0, where the logarithm is not finite."""
    base, exponent = call.self, call.exponent
    vanishing = (base == 0).logical_and(exponent >= 0)
    return g * (call.result * base.log()).masked_fill(vanishing, 0)


def _pow_base_exponent(g: Any, call: Any) -> Any:
    if call.self == 0:
        return (g * (call.result * -math.inf)).masked_fill(call.exponent >= 0, 0)
    return g * (call.result * math.log(call.self))


gradient("pow.Tensor_Scalar", self=_pow_scalar_self)
gradient("pow.Tensor_Tensor", self=_pow_tensor_self, exponent=_pow_tensor_exponent)
gradient("pow.Scalar", exponent=_pow_base_exponent)

# -- elementary functions ----------------------------------------------------------------------------------------------


def sigmoid(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute 1 / (1 + exp(-self)) as (1 + tanh(self / 2)) / 2, which neither overflows nor branches."""
    result = xp.tanh(xp.multiply(self, 0.5), out=out)
    return xp.multiply(xp.add(result, 1, out=out), 0.5, out=out)


def rsqrt(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute 1 / sqrt(self)."""
    return xp.reciprocal(xp.sqrt(self), out=out)


def frac(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Return the fractional part, with the sign of `self`."""
    return xp.subtract(self, xp.trunc(self), out=out)


def absolute(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Return the magnitude."""
    return xp.absolute(self, out=out)


def square(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Multiply by itself."""
    return xp.multiply(self, self, out=out)


def nan_to_num(xp: Any, self: Array, nan: Any, posinf: Any, neginf: Any, out: Array | None = None) -> Array:
    """Replace NaN by 0 and infinities by the largest finite numbers, or by what is given."""
    if self.dtype.kind not in "fc":
        return xp.positive(self, out=out)
    result = xp.nan_to_num(self, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf)
    return xp.positive(result, out=out)


for _name, _ufunc in {
    "exp": "exp", "exp2": "exp2", "expm1": "expm1", "log": "log", "log2": "log2", "log10": "log10", "log1p": "log1p",
    "sin": "sin", "cos": "cos", "tan": "tan", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "sinh": "sinh",
    "cosh": "cosh", "tanh": "tanh", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "sqrt": "sqrt",
    "reciprocal": "reciprocal", "neg": "negative", "atan2": "arctan2",
}.items():  # fmt: skip
    pointwise(_name, _ufunc)
for _name, _ufunc in {"floor": "floor", "ceil": "ceil", "round": "rint", "trunc": "trunc"}.items():

    def _rounded(xp: Any, self: Array, out: Array | None = None, name: str = _ufunc) -> Array:
        """Round; integers are what they are."""
        return getattr(xp, name)(self, out=out) if self.dtype.kind == "f" else xp.array(self)

    pointwise(_name, _rounded)


def sign(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Return -1, 0 or 1, and 0 for NaN as PyTorch does; a bool is its own sign."""
    if self.dtype.kind == "b":
        return xp.array(self)
    return xp.subtract((self > 0).astype(self.dtype), (self < 0).astype(self.dtype), out=out)


def erfc(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Return 1 - erf."""
    return erf(xp, self, complement=True)


pointwise("sigmoid", sigmoid)
pointwise("rsqrt", rsqrt)
pointwise("frac", frac)
pointwise("abs", absolute)
pointwise("square", square)
pointwise("sign", sign)
pointwise("nan_to_num", nan_to_num)
pointwise("erf", lambda xp, self, out=None: erf(xp, self))
pointwise("erfc", erfc)

gradient("exp", self=lambda g, call: g * call.result)
gradient("exp2", self=lambda g, call: g * call.result * _LN2)
gradient("expm1", self=lambda g, call: g * (call.result + 1))
gradient("log", self=lambda g, call: g / call.self)
gradient("log2", self=lambda g, call: g / (call.self * _LN2))
gradient("log10", self=lambda g, call: g / (call.self * _LN10))
gradient("log1p", self=lambda g, call: g / (call.self + 1))
gradient("sin", self=lambda g, call: g * call.self.cos())
gradient("cos", self=lambda g, call: -(g * call.self.sin()))
gradient("tan", self=lambda g, call: g * (call.result * call.result + 1))
gradient("asin", self=lambda g, call: g * (1 - call.self * call.self).rsqrt())
gradient("acos", self=lambda g, call: -g * (1 - call.self * call.self).rsqrt())
gradient("atan", self=lambda g, call: g / (call.self * call.self + 1))
gradient("sinh", self=lambda g, call: g * call.self.cosh())
gradient("cosh", self=lambda g, call: g * call.self.sinh())
gradient("tanh", self=lambda g, call: g.tanh_backward(call.result))
gradient("asinh", self=lambda g, call: g * (call.self * call.self + 1).rsqrt())
gradient("acosh", self=lambda g, call: g * (call.self * call.self - 1).rsqrt())
gradient("atanh", self=lambda g, call: g / (1 - call.self * call.self))
gradient("sqrt", self=lambda g, call: g / (call.result * 2))
gradient("rsqrt", self=lambda g, call: g * (call.result.pow(3) * -0.5))
gradient("reciprocal", self=lambda g, call: -g * (call.result * call.result))
gradient("sigmoid", self=lambda g, call: g.sigmoid_backward(call.result))
gradient("erf", self=lambda g, call: g * ((-(call.self * call.self)).exp() * (2 / math.sqrt(math.pi))))
gradient("erfc", self=lambda g, call: g * ((-(call.self * call.self)).exp() * (-2 / math.sqrt(math.pi))))
gradient("neg", self=lambda g, call: -g)
gradient("abs", self=lambda g, call: g * call.self.sign())
gradient("square", self=lambda g, call: g * (call.self * 2))
for _name in ("sign", "floor", "ceil", "round", "trunc"):
    gradient(_name, self=lambda g, call: g.zeros_like())
gradient("frac", self=lambda g, call: g)
gradient("nan_to_num", self=lambda g, call: g * call.self.isfinite())
gradient(
    "atan2",
    self=lambda g, call: g * (call.other / (call.self * call.self + call.other * call.other)),
    other=lambda g, call: g * (-call.self / (call.self * call.self + call.other * call.other)),
)

# -- choice and bounds -------------------------------------------------------------------------------------------------


def clamp(xp: Any, self: Array, minimum: Any, maximum: Any, out: Array | None = None) -> Array:
    """Bound by numbers or arrays; NaN stays NaN. Where the bounds cross, the upper one holds."""
    result = self if minimum is None else xp.maximum(self, minimum, out=out)
    return result if maximum is None else xp.minimum(result, maximum, out=out)


def where(xp: Any, condition: Array, self: Array, other: Array, out: Array | None = None) -> Array:
    """Choose by `condition`."""
    return xp.where(condition, self, other)


def lerp(xp: Any, self: Array, end: Array, weight: Any, out: Array | None = None) -> Array:
    """Interpolate: self + weight * (end - self)."""
    return xp.add(self, xp.multiply(xp.subtract(end, self), weight), out=out)


def addcmul(xp: Any, self: Array, tensor1: Array, tensor2: Array, value: Any, out: Array | None = None) -> Array:
    """Compute self + value * tensor1 * tensor2."""
    return xp.add(self, xp.multiply(xp.multiply(tensor1, tensor2), value), out=out)


def addcdiv(xp: Any, self: Array, tensor1: Array, tensor2: Array, value: Any, out: Array | None = None) -> Array:
    """Compute self + value * tensor1 / tensor2."""
    return xp.add(self, xp.multiply(xp.divide(tensor1, tensor2), value), out=out)


pointwise("maximum", "maximum")
pointwise("minimum", "minimum")
pointwise("clamp", clamp)
pointwise("clamp.Tensor", clamp)
pointwise("where.self", where)
pointwise("lerp.Scalar", lerp)
pointwise("lerp.Tensor", lerp)
pointwise("addcmul", addcmul)
pointwise("addcdiv", addcdiv)


def _shared(g: Any, mine: Any, other: Any, loses: str) -> Any:
    """Return the gradient of the side that won; a tie is shared in halves, as PyTorch does."""
    return (mine == other).where(g / 2, g).masked_fill(getattr(mine, loses)(other), 0)


gradient("maximum", self=lambda g, call: _shared(g, call.self, call.other, "lt"),
         other=lambda g, call: _shared(g, call.other, call.self, "lt"))  # fmt: skip
gradient("minimum", self=lambda g, call: _shared(g, call.self, call.other, "gt"),
         other=lambda g, call: _shared(g, call.other, call.self, "gt"))  # fmt: skip


def _clamp_self(g: Any, call: Any) -> Any:
    inside = None
    for bound, compare in ((call.min, "ge"), (call.max, "le")):
        if bound is not None:
            held = getattr(call.self, compare)(bound)
            inside = held if inside is None else inside.logical_and(held)
    return inside.where(g, 0) if inside is not None else g


def _clamp_min(g: Any, call: Any) -> Any:
    below = call.self < call.min
    return (below if call.max is None else below.logical_and(call.min < call.max)).where(g, 0)


def _clamp_max(g: Any, call: Any) -> Any:
    above = call.self > call.max
    return (above if call.min is None else above.logical_or(call.max < call.min)).where(g, 0)


gradient("clamp", self=_clamp_self)
gradient("clamp.Tensor", self=_clamp_self, min=_clamp_min, max=_clamp_max)
gradient(
    "where.self",
    self=lambda g, call: call.condition.where(g, 0),
    other=lambda g, call: g.masked_fill(call.condition, 0),
)
gradient("lerp.Scalar", self=lambda g, call: g * (1 - call.weight), end=lambda g, call: g * call.weight)
gradient("lerp.Tensor", self=lambda g, call: g * (1 - call.weight), end=lambda g, call: g * call.weight,
         weight=lambda g, call: g * (call.end - call.self))  # fmt: skip
gradient("addcmul", self=lambda g, call: g, tensor1=lambda g, call: g * (call.tensor2 * call.value),
         tensor2=lambda g, call: g * (call.tensor1 * call.value))  # fmt: skip
gradient("addcdiv", self=lambda g, call: g, tensor1=lambda g, call: g * call.value / call.tensor2,
         tensor2=lambda g, call: -g * (call.tensor1 * call.value / (call.tensor2 * call.tensor2)))  # fmt: skip

# -- comparison and logic ----------------------------------------------------------------------------------------------

_COMPARISONS = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}  # fmt: skip
for _name, _ufunc in _COMPARISONS.items():
    pointwise(f"{_name}.Tensor", _ufunc, compares=True)
    pointwise(f"{_name}.Scalar", _ufunc, compares=True)
for _name in ("logical_and", "logical_or", "logical_xor", "logical_not", "isnan", "isinf", "isfinite"):
    pointwise(_name, _name, compares=True)
for _name, _ufunc in (("and", "bitwise_and"), ("or", "bitwise_or"), ("xor", "bitwise_xor")):
    pointwise(f"bitwise_{_name}.Tensor", _ufunc)
    pointwise(f"bitwise_{_name}.Scalar", _ufunc)
for _name in ("left_shift", "right_shift"):
    pointwise(f"bitwise_{_name}.Tensor", _name)
    pointwise(f"bitwise_{_name}.Tensor_Scalar", _name)
pointwise("bitwise_not", "invert")


@kernel("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(xp: Any, self: Array, mask: Array, value: Any) -> Array:
    """Put `value` where `mask` is true."""
    value = value.astype(self.dtype) if hasattr(value, "dtype") else xp.asarray(value, dtype=self.dtype)
    return xp.where(mask, value, self)


gradient("masked_fill.Scalar", self=lambda g, call: g.masked_fill(call.mask, 0))
gradient(
    "masked_fill.Tensor",
    self=lambda g, call: g.masked_fill(call.mask, 0),
    value=lambda g, call: call.mask.where(g, 0).sum(),
)

# -- copies and casts --------------------------------------------------------------------------------------------------


@kernel("clone")
def clone(xp: Any, self: Array) -> Array:
    """Copy in C order."""
    return xp.array(self, order="C")


@kernel("_to_dtype")
def to_dtype(xp: Any, self: Array, dtype: DType) -> Array:
    """Cast; a complex number becomes its real part, as PyTorch does."""
    return (xp.real(self) if self.dtype.kind == "c" and not dtype.is_complex else self).astype(dtype.numpy)


@kernel("real")
def real(xp: Any, self: Array) -> Array:
    """Return the real part."""
    return xp.array(xp.real(self), order="C")


@kernel("copy_")
def copy_(xp: Any, self: Array, src: Array) -> None:
    """Write `src`, cast and broadcast."""
    self[...] = to_dtype_of(xp, src, self)


def to_dtype_of(xp: Any, src: Array, like: Array) -> Array:
    """Return `src` in the dtype of another array."""
    if src.dtype == like.dtype:
        return src
    return (xp.real(src) if src.dtype.kind == "c" and like.dtype.kind != "c" else src).astype(like.dtype)


@kernel("fill_.Scalar")
def fill_(xp: Any, self: Array, value: Any) -> None:
    """Write one number everywhere."""
    self[...] = xp.asarray(value).astype(self.dtype)


@kernel("fill_.Tensor")
def fill_tensor(xp: Any, self: Array, value: Array) -> None:
    """Write a 0-dim array's number everywhere."""
    self[...] = value.astype(self.dtype)


@kernel("zero_")
def zero_(xp: Any, self: Array) -> None:
    """Write zeros."""
    self[...] = 0


gradient("clone", self=lambda g, call: g)
gradient("_to_dtype", self=lambda g, call: g)
gradient("real", self=lambda g, call: g)
gradient("copy_", self=lambda g, call: g.zeros_like(), src=lambda g, call: g)
gradient("fill_.Scalar", self=lambda g, call: g.zeros_like())
gradient("fill_.Tensor", self=lambda g, call: g.zeros_like(), value=lambda g, call: g.sum())
gradient("zero_", self=lambda g, call: g.zeros_like())
