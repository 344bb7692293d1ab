"""Composites and overload resolution of the pointwise family."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.dtypes import (
    DType,
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

__all__ = ["PointwiseComposites"]

_MUL, _POW = {True: OPS["mul.Tensor"], False: OPS["mul.Scalar"]}, OPS["pow.Tensor_Scalar"]
_DIV, _DIV_NUMBER, _RECIPROCAL, _CONJ = OPS["div.Tensor"], OPS["div.Scalar"], OPS["reciprocal"], OPS["conj_physical"]
_NUMBER_FOR, _TO_DTYPE = OPS["gw::number_for"], OPS["_to_dtype"]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Callable_)


def _cast(self: Any, dtype: DType) -> Any:
    return self if self.meta.dtype is dtype else self._call(_TO_DTYPE, (self,), (dtype,))


def _clamp(name: str, self: Any, min: Any, max: Any) -> Any:
    kinds = {_is_tensor(bound) for bound in (min, max) if bound is not None}
    if len(kinds) == 2:
        raise TypeError(f"{name}() takes two tensors or two numbers as bounds; got one of each")
    return OPS[f"{name}.Tensor" if True in kinds else name](self, min, max)


def _div(name: str, self: Any, other: Any, rounding_mode: str | None) -> Any:
    overload = "Tensor" if _is_tensor(other) else "Scalar"
    if rounding_mode is None:
        return OPS[f"{name}.{overload}"](self, other)
    return OPS[f"{name}.{overload}_mode"](self, other, rounding_mode=rounding_mode)


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

    # -- operators with a number on the left; those of other families of operators are methods under a second name
    def __rtruediv__(self, other: Any) -> Any:
        inverse = self._call(_RECIPROCAL, (self,))
        return inverse._call(_MUL[False], (inverse,), (), (other,))

    def __rfloordiv__(self, other: Any) -> Any:
        return OPS["floor_divide"](self._call(_NUMBER_FOR, (self,), (), (other,)), self)

    def __rmod__(self, other: Any) -> Any:
        return OPS["remainder.Scalar_Tensor"](other, self)

    def __rpow__(self, other: Any) -> Any:
        return OPS["pow.Scalar"](other, self)

    def __rlshift__(self, other: Any) -> Any:
        return OPS["bitwise_left_shift.Tensor"](self._call(_NUMBER_FOR, (self,), (), (other,)), self)

    def __rrshift__(self, other: Any) -> Any:
        return OPS["bitwise_right_shift.Tensor"](self._call(_NUMBER_FOR, (self,), (), (other,)), self)

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

    def where(self, condition: Any, other: Any) -> Any:
        """Keep the elements where `condition` holds; elsewhere take those of `other`, which may be a number."""
        return OPS["where.self" if _is_tensor(other) else "where.ScalarOther"](condition, self, other)

    def round(self, *, decimals: Any = 0) -> Any:
        """Round to the nearest integer, halves to the even one; or to a number of decimals."""
        return OPS["round"](self) if decimals == 0 else OPS["round.decimals"](self, decimals=decimals)

    def round_(self, *, decimals: Any = 0) -> Any:
        """Round in place."""
        return OPS["round_"](self) if decimals == 0 else OPS["round_.decimals"](self, decimals=decimals)

    # -- activations
    def relu6(self) -> Any:
        """Bound to [0, 6]."""
        return OPS["hardtanh"](self, 0, 6)

    def logsigmoid(self) -> Any:
        """Compute log(sigmoid(self)) without overflow."""
        return OPS["log_sigmoid"](self)

    def logit(self) -> Any:
        """Compute log(self / (1 - self))."""
        return OPS["log"](self) - OPS["log1p"](OPS["neg"](self))

    # -- what is the tensor itself for most dtypes
    def positive(self) -> Any:
        """Return this tensor."""
        if self.meta.dtype is bool_:
            raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
        return self

    def conj(self) -> Any:
        """Return this tensor; a copy with the imaginary parts negated if it is complex."""
        return self._call(_CONJ, (self,)) if self.meta.dtype.is_complex else self

    def real(self) -> Any:
        """Return this tensor; a copy of the real parts if it is complex."""
        return OPS["real"](self) if self.meta.dtype.is_complex else self

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
