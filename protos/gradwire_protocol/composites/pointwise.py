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


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Callable_)


class PointwiseComposites(Callable_):
    """Methods of the pointwise family that are written by hand."""

    __slots__ = ()

    def div(self, other: Any, *, rounding_mode: str | None = None) -> Any:
        """Divide; `rounding_mode` is None, "trunc" or "floor"."""
        kind = "Tensor" if _is_tensor(other) else "Scalar"
        if rounding_mode is None:
            return OPS[f"div.{kind}"](self, other)
        return OPS[f"div.{kind}_mode"](self, other, rounding_mode=rounding_mode)

    def div_(self, other: Any, *, rounding_mode: str | None = None) -> Any:
        """Divide in place."""
        kind = "Tensor" if _is_tensor(other) else "Scalar"
        if rounding_mode is None:
            return OPS[f"div_.{kind}"](self, other)
        return OPS[f"div_.{kind}_mode"](self, other, rounding_mode=rounding_mode)

    def __rtruediv__(self, other: Any) -> Any:
        return OPS["reciprocal"](self) * other

    def __rfloordiv__(self, other: Any) -> Any:
        return OPS["floor_divide"](OPS["full_like"](self, other, dtype=None), self)

    def __rmod__(self, other: Any) -> Any:
        return OPS["remainder.Tensor"](OPS["full_like"](self, other, dtype=None), self)

    def __rpow__(self, other: Any) -> Any:
        return OPS["pow.Scalar"](other, self)

    def pow(self, exponent: Any) -> Any:
        """Raise to a power."""
        return OPS["pow.Tensor_Tensor" if _is_tensor(exponent) else "pow.Tensor_Scalar"](self, exponent)

    def pow_(self, exponent: Any) -> Any:
        """Raise to a power in place."""
        return OPS["pow_.Tensor_Tensor" if _is_tensor(exponent) else "pow_.Tensor_Scalar"](self, exponent)

    def clamp(self, min: Any = None, max: Any = None) -> Any:
        """Bound by numbers, or by tensors."""
        return _clamp(self, "clamp", min, max)

    def clamp_(self, min: Any = None, max: Any = None) -> Any:
        """Bound in place."""
        return _clamp(self, "clamp_", min, max)

    clip, clip_ = clamp, clamp_

    def clamp_min(self, min: Any) -> Any:
        """Bound from below."""
        return _clamp(self, "clamp", min, None)

    def clamp_max(self, max: Any) -> Any:
        """Bound from above."""
        return _clamp(self, "clamp", None, max)

    def clamp_min_(self, min: Any) -> Any:
        """Bound from below in place."""
        return _clamp(self, "clamp_", min, None)

    def clamp_max_(self, max: Any) -> Any:
        """Bound from above in place."""
        return _clamp(self, "clamp_", None, max)

    def where(self: Any, input: Any, other: Any) -> Any:
        """Choose by this condition from `input` and `other`, of which either may be a number."""
        from gradwire_protocol import infer

        tensors = [value for value in (input, other) if _is_tensor(value)]
        if len(tensors) == 2:
            return OPS["where.self"](self, input, other)
        kinds = [value.meta if _is_tensor(value) else type(value) for value in (input, other)]
        dtype = infer.result_type(*kinds) if tensors else None
        pair = [value if _is_tensor(value) else self._number(value, dtype) for value in (input, other)]
        return OPS["where.self"](self, *pair)

    def _number(self, value: Any, dtype: DType | None) -> Any:
        from gradwire_protocol import infer

        return OPS["new_full"](self, (), value, dtype=dtype or infer.result_type(type(value)))

    def fill_(self, value: Any) -> Any:
        """Fill with a number or a 0-dim tensor."""
        return OPS["fill_.Tensor" if _is_tensor(value) else "fill_.Scalar"](self, value)

    def relu6(self) -> Any:
        """Bound to [0, 6]."""
        return OPS["hardtanh"](self, 0, 6)

    def logsigmoid(self) -> Any:
        """Compute log(sigmoid(self)) without overflow."""
        return OPS["neg"](OPS["softplus"](OPS["neg"](self)))

    def logit(self) -> Any:
        """Compute log(self / (1 - self))."""
        return OPS["log"](self) - OPS["log1p"](OPS["neg"](self))

    def positive(self) -> Any:
        """Return this tensor."""
        return self

    def type_as(self: Any, other: Any) -> Any:
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


def _cast(self: Any, dtype: DType) -> Any:
    return self if self.meta.dtype is dtype else OPS["_to_dtype"](self, dtype)


def _clamp(self: Any, name: str, minimum: Any, maximum: Any) -> Any:
    if not _is_tensor(minimum) and not _is_tensor(maximum):
        return OPS[name](self, minimum, maximum)
    bounds = [
        value if value is None or _is_tensor(value) else self._number(value, self.meta.dtype)
        for value in (minimum, maximum)
    ]
    return OPS[f"{name}.Tensor"](self, *bounds)


# Other names that PyTorch gives to the same methods; those of generated methods are added by the generator.
