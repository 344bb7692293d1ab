"""Kernels and gradients of the rest of `gradwire_protocol.ops.pointwise`: bounds, comparison, bits, choice, moves.

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
from gradwire_server.ops.pointwise import scaled
from gradwire_server.rules import gradient, kernel, pointwise
from gradwire_server.steps import deliver, operand, widened, zero_gradient

Array = Any
_number_where, _where_number = OPS["where.ScalarSelf"], OPS["where.ScalarOther"]

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
gradient("addcmul", self=lambda g, call: g, tensor1=lambda g, call: scaled(g, call.value) * call.tensor2,
         tensor2=lambda g, call: scaled(g, call.value) * call.tensor1)  # fmt: skip
gradient("addcdiv", self=lambda g, call: g, tensor1=lambda g, call: scaled(g, call.value) / call.tensor2,
         tensor2=lambda g, call: scaled(g, -call.value) * (call.tensor1 / call.tensor2 / call.tensor2))  # fmt: skip

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
kernel("gw::number_for")(lambda xp, self, value, result: xp.full((), value, dtype=result.dtype.numpy))

gradient("clone", self=lambda g, call: g)
gradient("_to_dtype", self=lambda g, call: g)
gradient("copy_", self=zero_gradient, src=lambda g, call: g)
gradient("fill_.Scalar", self=zero_gradient)
gradient("fill_.Tensor", self=zero_gradient, value=lambda g, call: g)
gradient("zero_", self=zero_gradient)
