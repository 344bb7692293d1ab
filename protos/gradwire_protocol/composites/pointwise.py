"""Composites and overload resolution of the pointwise family."""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.dtypes import (
    Category,
    DType,
    bfloat16,
    bool_,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)  # fmt: skip
from gradwire_protocol.ops import OPS
from gradwire_protocol.ops.pointwise import overflow
from gradwire_protocol.registry import torch_type_name
from gradwire_protocol.shown import qualified

__all__ = ["PointwiseComposites"]

_MUL, _POW = {True: OPS["mul.Tensor"], False: OPS["mul.Scalar"]}, OPS["pow.Tensor_Scalar"]
_DIV, _DIV_NUMBER, _RECIPROCAL, _CONJ = OPS["div.Tensor"], OPS["div.Scalar"], OPS["reciprocal"], OPS["conj_physical"]
_NUMBER_FOR, _TO_DTYPE = OPS["gw::number_for"], OPS["_to_dtype"]


class _Frexp(NamedTuple):
    """The two parts of a number; prints as PyTorch's does."""

    mantissa: Any
    exponent: Any

    def __repr__(self) -> str:
        return f"{qualified('return_types.frexp')}(\nmantissa={self.mantissa!r},\nexponent={self.exponent!r})"


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Callable_)


def _cast(self: Any, dtype: DType) -> Any:
    return self if self.meta.dtype is dtype else self._call(_TO_DTYPE, (self,), (dtype,))


def _operand(self: Any, other: Any) -> Any:
    """Return a number as a 0-dim tensor that promotes with `self` as the number would; a tensor as it is."""
    return other if _is_tensor(other) else self._call(_NUMBER_FOR, (self,), (), (other,))


def _in_double(self: Any, exponent: Any) -> DType:
    """Return the dtype that `float_power` computes in."""
    given = [
        value.meta.dtype.is_complex if _is_tensor(value) else isinstance(value, complex) for value in (self, exponent)
    ]
    return complex128 if any(given) else float64


def _check_bound(dtype: DType, bound: Any) -> None:
    """Refuse an integer that the dtype has no room for: wrapped around, it would bound from the wrong side."""
    if type(bound) is not int or dtype.category is not Category.INT:
        return
    signed = dtype.name.startswith("int")
    most = 2 ** (8 * dtype.itemsize - signed) - 1
    if not -most - signed <= bound <= most:
        raise overflow(dtype)


def _bounded(name: str, self: Any, bound: Any) -> Any:
    if _is_tensor(bound):
        return OPS[f"{name}.Tensor"](self, bound)
    _check_bound(self.meta.dtype, bound)
    return OPS[name](self, bound)


def _clamp(name: str, self: Any, min: Any, max: Any) -> Any:
    kinds = {_is_tensor(bound) for bound in (min, max) if bound is not None}
    if len(kinds) == 2:
        raise TypeError(f"{name}() takes two tensors or two numbers as bounds; got one of each")
    for bound in (min, max):
        _check_bound(self.meta.dtype, bound)
    return OPS[f"{name}.Tensor" if True in kinds else name](self, min, max)


def _div(name: str, self: Any, other: Any, rounding_mode: str | None) -> Any:
    overload = "Tensor" if _is_tensor(other) else "Scalar"
    if rounding_mode is None:
        return OPS[f"{name}.{overload}"](self, other)
    return OPS[f"{name}.{overload}_mode"](self, other, rounding_mode=rounding_mode)


def _check_close(self: Any, other: Any, rtol: float, atol: float) -> None:
    if not _is_tensor(other):
        raise TypeError(f"isclose(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}")
    if self.meta.dtype is not other.meta.dtype:
        raise RuntimeError(f"{torch_type_name(self.meta.dtype)} did not match {torch_type_name(other.meta.dtype)}")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {value:g}")


class PointwiseComposites(Callable_):
    """Methods of the pointwise family that are written by hand."""

    __slots__ = ()

    # -- quotients, remainders and powers
    def div(self, other: Any, *, rounding_mode: str | None = None) -> Any:
        """Divide; `rounding_mode` is None, "trunc" or "floor"."""
        if rounding_mode is not None:
            return _div("div", self, other, rounding_mode)
        if _is_tensor(other):
            return self._call(_DIV, (self, other))
        return self._call(_DIV_NUMBER, (self,), (), (other,))

    def div_(self, other: Any, *, rounding_mode: str | None = None) -> Any:
        """Divide in place."""
        return _div("div_", self, other, rounding_mode)

    divide, divide_ = div, div_

    def true_divide(self, other: Any) -> Any:
        """Divide; integers, too, give fractions."""
        return self.div(other)

    def true_divide_(self, other: Any) -> Any:
        """Divide in place."""
        return self.div_(other)

    def remainder(self, other: Any) -> Any:
        """Compute the remainder that has the sign of `other`."""
        return OPS["remainder.Tensor" if _is_tensor(other) else "remainder.Scalar"](self, other)

    def pow(self, exponent: Any) -> Any:
        """Raise to a power."""
        if _is_tensor(exponent):
            return OPS["pow.Tensor_Tensor"](self, exponent)
        return self._call(_POW, (self,), (), (exponent,))

    def square(self) -> Any:
        """Return `self.pow(2)`."""
        return self._call(_POW, (self,), (), (2,))

    def square_(self) -> Any:
        """Raise to the second power in place."""
        return OPS["pow_.Tensor_Scalar"](self, 2)

    def float_power(self, exponent: Any) -> Any:
        """Raise to a power in float64, or complex128."""
        dtype = _in_double(self, exponent)
        return _cast(self, dtype).pow(_cast(exponent, dtype) if _is_tensor(exponent) else exponent)

    def float_power_(self, exponent: Any) -> Any:
        """Raise to a power in place, which only float64 and complex128 tensors can hold."""
        dtype = _in_double(self, exponent)
        if self.meta.dtype is not dtype:
            words = (
                f"{torch_type_name(self.meta.dtype)} but the operation's result requires dtype {torch_type_name(dtype)}"
            )
            raise RuntimeError(f"the base given to float_power_ has dtype {words}")
        if _is_tensor(exponent):
            return OPS["pow_.Tensor_Tensor"](self, _cast(exponent, dtype))
        return OPS["pow_.Tensor_Scalar"](self, exponent)

    def xlogy(self, other: Any) -> Any:
        """Compute self * log(other), and 0 where self is 0."""
        return OPS["xlogy.Tensor" if _is_tensor(other) else "xlogy.Scalar_Other"](self, other)

    def frexp(self) -> Any:
        """Split into (mantissa, exponent), the mantissa in [1/2, 1): self = mantissa * 2^exponent."""
        return _Frexp(*OPS["frexp.Tensor"](self))

    # -- operators with a number on the left; those of other families of operators are methods under a second name
    def __rtruediv__(self, other: Any) -> Any:
        inverse = self._call(_RECIPROCAL, (self,))
        if _is_tensor(other):
            return inverse._call(_MUL[True], (inverse, other))
        return inverse._call(_MUL[False], (inverse,), (), (other,))

    def __rfloordiv__(self, other: Any) -> Any:
        return OPS["floor_divide"](_operand(self, other), self)

    __rdiv__ = __rtruediv__  # PyTorch has kept Python 2's name

    def __rmod__(self, other: Any) -> Any:
        return OPS["remainder.Tensor" if _is_tensor(other) else "remainder.Scalar_Tensor"](other, self)

    def __rpow__(self, other: Any) -> Any:
        return OPS["pow.Tensor_Tensor" if _is_tensor(other) else "pow.Scalar"](other, self)

    def __rlshift__(self, other: Any) -> Any:
        return OPS["bitwise_left_shift.Tensor"](_operand(self, other), self)

    def __rrshift__(self, other: Any) -> Any:
        return OPS["bitwise_right_shift.Tensor"](_operand(self, other), self)

    def __ilshift__(self, other: Any) -> Any:
        return OPS["bitwise_left_shift_.Tensor" if _is_tensor(other) else "bitwise_left_shift_.Tensor_Scalar"](
            self, other
        )

    def __irshift__(self, other: Any) -> Any:
        return OPS["bitwise_right_shift_.Tensor" if _is_tensor(other) else "bitwise_right_shift_.Tensor_Scalar"](
            self, other
        )

    # -- bounds and choice
    def clamp(self, min: Any = None, max: Any = None) -> Any:
        """Bound by two numbers, or by two tensors, of which one may be None."""
        return _clamp("clamp", self, min, max)

    def clamp_(self, min: Any = None, max: Any = None) -> Any:
        """Bound in place."""
        return _clamp("clamp_", self, min, max)

    clip, clip_ = clamp, clamp_

    def clamp_min(self, min: Any) -> Any:
        """Bound from below, by a number or a tensor."""
        return _bounded("clamp_min", self, min)

    def clamp_min_(self, min: Any) -> Any:
        """Bound from below in place."""
        return _bounded("clamp_min_", self, min)

    def clamp_max(self, max: Any) -> Any:
        """Bound from above, by a number or a tensor."""
        return _bounded("clamp_max", self, max)

    def clamp_max_(self, max: Any) -> Any:
        """Bound from above in place."""
        return _bounded("clamp_max_", self, max)

    def where(self, condition: Any, other: Any) -> Any:
        """Keep the elements where `condition` holds; elsewhere take those of `other`, which may be a number."""
        return OPS["where.self" if _is_tensor(other) else "where.ScalarOther"](condition, self, other)

    def round(self, *, decimals: Any = 0) -> Any:
        """Round to the nearest integer, halves to the even one; or to a number of decimals."""
        return OPS["round"](self) if decimals == 0 else OPS["round.decimals"](self, decimals=decimals)

    def round_(self, *, decimals: Any = 0) -> Any:
        """Round in place."""
        return OPS["round_"](self) if decimals == 0 else OPS["round_.decimals"](self, decimals=decimals)

    # -- comparison
    def isclose(
        self, other: Any, rtol: builtins.float = 1e-05, atol: builtins.float = 1e-08, equal_nan: builtins.bool = False
    ) -> Any:
        """Return where |self - other| <= atol + rtol * |other|; infinities are close to themselves, NaN if `equal_nan`."""
        _check_close(self, other, rtol, atol)
        close = OPS["eq.Tensor"](self, other)
        inexact = self.meta.dtype.category >= Category.FLOAT
        if equal_nan and inexact:
            close = close.logical_or(OPS["isnan"](self).logical_and(OPS["isnan"](other)))
        if rtol == 0 and atol == 0:
            return close
        allowed = (other * rtol).abs() + atol
        distance = (self - other).abs() if self.meta.dtype is not bool_ else OPS["logical_xor"](self, other).int()
        return close.logical_or(distance.isfinite().logical_and(distance <= allowed))

    # -- what is the tensor itself for most dtypes
    def positive(self) -> Any:
        """Return this tensor."""
        if self.meta.dtype is bool_:
            raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
        return self

    def conj(self) -> Any:
        """Return this tensor; a copy with the imaginary parts negated if it is complex."""
        return self._call(_CONJ, (self,)) if self.meta.dtype.is_complex else self

    # -- casts: this tensor itself if it has the dtype already
    def type_as(self, other: Any) -> Any:
        """Return this tensor in the dtype of another."""
        return _cast(self, other.meta.dtype)

    def float(self) -> Any:
        """Cast to float32."""
        return _cast(self, float32)

    def double(self) -> Any:
        """Cast to float64."""
        return _cast(self, float64)

    def half(self) -> Any:
        """Cast to float16."""
        return _cast(self, float16)

    def bfloat16(self) -> Any:
        """Cast to bfloat16."""
        return _cast(self, bfloat16)

    def bool(self) -> Any:
        """Cast to bool."""
        return _cast(self, bool_)

    def byte(self) -> Any:
        """Cast to uint8."""
        return _cast(self, uint8)

    def char(self) -> Any:
        """Cast to int8."""
        return _cast(self, int8)

    def short(self) -> Any:
        """Cast to int16."""
        return _cast(self, int16)

    def int(self) -> Any:
        """Cast to int32."""
        return _cast(self, int32)

    def long(self) -> Any:
        """Cast to int64."""
        return _cast(self, int64)

    def cfloat(self) -> Any:
        """Cast to complex64."""
        return _cast(self, complex64)

    def cdouble(self) -> Any:
        """Cast to complex128."""
        return _cast(self, complex128)
