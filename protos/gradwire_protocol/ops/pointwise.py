"""Arithmetic, comparison and elementary functions: one result element per broadcast element.

A family is a line. What PyTorch's own gradient formulas save is what `keeps` names, so that `grad_fn._saved_*` is as there.
"""

from __future__ import annotations

from typing import Any

from gradwire_protocol import infer
from gradwire_protocol.dtypes import Category, DType, bool_, complex64, complex128, float32, float64
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import check_no_overlap, op, torch_type_name


def _pointwise(schema: str, rule: Any = infer.pointwise, keeps: dict[str, str] | None = None, **rest: Any) -> None:
    op(schema, rule, keeps, pointwise=True, inplace=rest.pop("inplace", True), **rest)


def _add(self: Meta, other: Meta | type, alpha: type) -> Meta:
    result = infer.pointwise(self, other)
    if alpha is float and result.dtype.category < Category.FLOAT:
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    return result


def _subtract(self: Meta, other: Meta | type, alpha: type) -> Meta:
    other_is_bool = other is bool or (isinstance(other, Meta) and other.dtype is bool_)
    if self.dtype is bool_ and other_is_bool:
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator "
            "instead."
        )
    if self.dtype is bool_ or other_is_bool:
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the "
            "`~` or `logical_not()` operator instead."
        )
    return _add(self, other, alpha)


for _overload, _other in (("Tensor", "Tensor"), ("Scalar", "Scalar")):
    _both = {"self": "", "other": ""} if _other == "Tensor" else {"self": ""}
    _star = "*, " if _other == "Tensor" else ""
    _pointwise(f"add.{_overload}(Tensor self, {_other} other, {_star}Scalar alpha=1) -> Tensor", _add, _both)
    _pointwise(f"sub.{_overload}(Tensor self, {_other} other, {_star}Scalar alpha=1) -> Tensor", _subtract, _both)
    _pointwise(f"rsub.{_overload}(Tensor self, {_other} other, Scalar alpha=1) -> Tensor", _subtract, _both, inplace=False,
               node=f"RsubBackward{int(_other == 'Scalar')}")  # fmt: skip


def _division(self: Meta, other: Meta | type, rounding_mode: str | None) -> Meta:
    if rounding_mode not in (None, "trunc", "floor"):
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
        )
    return infer.floating(self, other) if rounding_mode is None else infer.pointwise(self, other)


_pointwise("mul.Tensor(Tensor self, Tensor other) -> Tensor", keeps={"self": "other", "other": "self"})
_pointwise("mul.Scalar(Tensor self, Scalar other) -> Tensor", keeps={"self": ""})
_pointwise("div.Tensor(Tensor self, Tensor other) -> Tensor", infer.floating, {"self": "other", "other": "self other"})
_pointwise("div.Scalar(Tensor self, Scalar other) -> Tensor", infer.floating, {"self": ""})
_pointwise("div.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor", _division,
           {"self": "other", "other": "self other"})  # fmt: skip
_pointwise("div.Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor", _division, {"self": ""})
_pointwise("floor_divide(Tensor self, Tensor other) -> Tensor")
_pointwise("floor_divide.Scalar(Tensor self, Scalar other) -> Tensor")
for _name in ("remainder", "fmod"):
    _pointwise(f"{_name}.Tensor(Tensor self, Tensor other) -> Tensor", keeps={"self": "", "other": "self other"})
    _pointwise(f"{_name}.Scalar(Tensor self, Scalar other) -> Tensor", keeps={"self": ""})


def _power(self: Meta | type, exponent: Meta | type) -> Meta:
    result = infer.pointwise(self, exponent)
    if result.dtype is bool_ and exponent is not bool:
        raise RuntimeError("\"pow\" not implemented for 'Bool'")
    return result


_pointwise("pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor", _power, {"self": "self"})
_pointwise("pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor", _power,
           {"self": "self exponent", "exponent": "self exponent result"}, node="PowBackward1")  # fmt: skip
_pointwise("pow.Scalar(Scalar self, Tensor exponent) -> Tensor", _power, {"exponent": "exponent result"}, node="PowBackward2",
           inplace=False)  # fmt: skip

# Elementary functions of one argument, by what the gradient reads.
for _kept, _names in (
    ("self", "log log2 log10 log1p sin cos asin acos atan sinh cosh asinh acosh atanh erf"),
    ("result", "exp exp2 expm1 sqrt rsqrt reciprocal sigmoid tanh tan"),
):
    for _name in _names.split():
        _pointwise(f"{_name}(Tensor self) -> Tensor", infer.floating, {"self": _kept})
_pointwise("erfc(Tensor self) -> Tensor", infer.floating, {"self": "self"})


def _negative(self: Meta) -> Meta:
    if self.dtype is bool_:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or "
            "`logical_not()` operator instead."
        )
    return infer.like(self)


_pointwise("neg(Tensor self) -> Tensor", _negative, {"self": ""})
_pointwise("abs(Tensor self) -> Tensor", infer.like, {"self": "self"})
_pointwise("square(Tensor self) -> Tensor", infer.like, {"self": "self"}, node="PowBackward0")
for _name in ("sign", "floor", "ceil", "round", "trunc"):
    _pointwise(f"{_name}(Tensor self) -> Tensor", infer.like, {"self": ""})
_pointwise("frac(Tensor self) -> Tensor", infer.like, {"self": ""})
_pointwise("atan2(Tensor self, Tensor other) -> Tensor", infer.floating, {"self": "self other", "other": "self other"})
_pointwise("nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor",
           lambda self, nan, posinf, neginf: infer.like(self), {"self": "self"})  # fmt: skip

# Activations.


def _activation(self: Meta, *rest: Any) -> Meta:
    infer.expect_floating("activation", self)
    return infer.like(self)


_pointwise("relu(Tensor self) -> Tensor", infer.like, {"self": "result"})
_pointwise("leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor", _activation, {"self": "self"})
_pointwise(
    "elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor", _activation, {"self": "self"}
)
_pointwise(
    "softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor", _activation, {"self": "self"}, inplace=False
)
_pointwise("silu(Tensor self) -> Tensor", _activation, {"self": "self"})
_pointwise("hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor", infer.like, {"self": "self"})


def _gelu(*arguments: Any) -> Meta:
    metas, approximate = arguments[:-1], arguments[-1]
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    infer.expect_floating("GeluKernelImpl", metas[0])
    return infer.pointwise(*metas)


_pointwise("gelu(Tensor self, *, str approximate='none') -> Tensor", _gelu, {"self": "self"})

# Their gradients, which are ops so that they can be differentiated again.
for _name in ("sigmoid", "tanh"):
    _pointwise(f"{_name}_backward(Tensor grad_output, Tensor output) -> Tensor",
               keeps={"grad_output": "output", "output": "grad_output output"}, inplace=False)  # fmt: skip
_pointwise("threshold_backward(Tensor grad_output, Tensor self, Scalar threshold) -> Tensor",
           lambda grad_output, self, threshold: infer.pointwise(grad_output, self), {"grad_output": "self"},
           inplace=False)  # fmt: skip

_pointwise("gelu_backward(Tensor grad_output, Tensor self, *, str approximate='none') -> Tensor", _gelu,
           {"grad_output": "self", "self": "grad_output self"}, inplace=False)  # fmt: skip
_pointwise("silu_backward(Tensor grad_output, Tensor self) -> Tensor", keeps={"grad_output": "self", "self": "grad_output self"},
           inplace=False)  # fmt: skip

# Choice and bounds.
_pointwise(
    "maximum(Tensor self, Tensor other) -> Tensor", keeps={"self": "self other", "other": "self other"}, inplace=False
)
_pointwise(
    "minimum(Tensor self, Tensor other) -> Tensor", keeps={"self": "self other", "other": "self other"}, inplace=False
)


def _clamp(self: Meta, minimum: Any, maximum: Any) -> Meta:
    if minimum in (None, type(None)) and maximum in (None, type(None)):
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    return infer.pointwise(self, minimum, maximum)


_pointwise(
    "clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor", _clamp, {"self": "self"}, node="ClampBackward1"
)
_pointwise("clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor", _clamp,
           {"self": "self min max", "min": "self min max", "max": "self min max"}, node="ClampBackward0")  # fmt: skip


def _where(condition: Meta, self: Meta, other: Meta) -> Meta:
    if condition.dtype is not bool_:
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype {torch_type_name(condition.dtype)}"
        )
    shape = infer.broadcast_shapes(condition.shape, self.shape, other.shape)
    return Meta.of(shape, infer.result_type(self, other))


_pointwise("where.self(Tensor condition, Tensor self, Tensor other) -> Tensor", _where,
           {"self": "condition", "other": "condition"}, node="WhereBackward0", inplace=False)  # fmt: skip


def _lerp(self: Meta, end: Meta, weight: Any) -> Meta:
    infer.same_dtype("lerp", self, end)
    return Meta.of(infer.broadcast_shapes(*(m.shape for m in (self, end, weight) if isinstance(m, Meta))), self.dtype)


_pointwise("lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor", _lerp, {"self": "", "end": ""})
_pointwise("lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor", _lerp,
           {"self": "weight", "end": "weight", "weight": "self end"}, node="LerpBackward1")  # fmt: skip
for _name, _keeps in (("addcmul", "tensor1 tensor2"), ("addcdiv", "tensor1 tensor2")):
    _pointwise(f"{_name}(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
               lambda self, tensor1, tensor2, value: infer.pointwise(self, tensor1, tensor2),
               {"self": "", "tensor1": "tensor2", "tensor2": _keeps})  # fmt: skip

# Comparison and logic: bool results.
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _pointwise(f"{_name}.Tensor(Tensor self, Tensor other) -> Tensor", infer.compare)
    _pointwise(f"{_name}.Scalar(Tensor self, Scalar other) -> Tensor", infer.compare)
for _name in ("logical_and", "logical_or", "logical_xor"):
    _pointwise(f"{_name}(Tensor self, Tensor other) -> Tensor", infer.compare)
for _name in ("logical_not", "isnan", "isinf", "isfinite"):
    _pointwise(f"{_name}(Tensor self) -> Tensor", infer.compare, inplace=_name == "logical_not")


def _bits(self: Meta, *other: Meta | type) -> Meta:
    result = infer.pointwise(self, *other)
    if result.dtype.category > Category.INT:
        raise RuntimeError(f"\"bitwise\" not implemented for '{torch_type_name(result.dtype)}'")
    return result


for _name in ("and", "or", "xor", "left_shift", "right_shift"):
    _tensor_scalar = "Tensor_Scalar" if _name.endswith("shift") else "Scalar"
    _pointwise(f"bitwise_{_name}.Tensor(Tensor self, Tensor other) -> Tensor", _bits)
    _pointwise(f"bitwise_{_name}.{_tensor_scalar}(Tensor self, Scalar other) -> Tensor", _bits)
_pointwise("bitwise_not(Tensor self) -> Tensor", _bits)


def _masked_fill(self: Meta, mask: Meta, value: Meta | type) -> Meta:
    if mask.dtype is not bool_:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype.name}")
    if isinstance(value, Meta) and value.ndim:
        raise RuntimeError(
            f"masked_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s)."
        )
    return Meta.of(infer.broadcast_shapes(self.shape, mask.shape), self.dtype)


op("masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor", _masked_fill, {"self": "mask"}, inplace=True)
op("masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor", _masked_fill, {"self": "mask", "value": "mask"},
   inplace=True, node="MaskedFillBackward1")  # fmt: skip

# Copies and casts.


def _to_dtype(self: Meta, dtype: DType) -> Meta:
    return Meta.of(self.shape, dtype)


def _real(self: Meta) -> Meta:
    parts = {complex64: float32, complex128: float64}
    return Meta.of(self.shape, parts.get(self.dtype, self.dtype))


def _written(self: Meta, *rest: Any) -> tuple[()]:
    check_no_overlap(self)
    for source in rest:
        if isinstance(source, Meta) and infer.broadcast_shapes(self.shape, source.shape) != self.shape:
            raise RuntimeError(
                f"output with shape {list(self.shape)} doesn't match the broadcast shape "
                f"{list(infer.broadcast_shapes(self.shape, source.shape))}"
            )
    return ()


def _filled(self: Meta, value: Meta) -> tuple[()]:
    if value.ndim:
        raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
    return _written(self)


op("clone(Tensor self) -> Tensor", infer.like, {"self": ""})
op("_to_dtype(Tensor self, ScalarType dtype) -> Tensor", _to_dtype, {"self": ""}, node="ToCopyBackward0")
op("real(Tensor self) -> Tensor", _real, {"self": ""})
op("copy_(Tensor(a!) self, Tensor src) -> Tensor(a!)", _written, {"self": "", "src": ""}, node="CopyBackwards")
op("fill_.Scalar(Tensor(a!) self, Scalar value) -> Tensor(a!)", _written, {"self": ""}, node="FillBackward0")
op(
    "fill_.Tensor(Tensor(a!) self, Tensor value) -> Tensor(a!)",
    _filled,
    {"self": "", "value": ""},
    node="FillBackward1",
)
op("zero_(Tensor(a!) self) -> Tensor(a!)", _written, {"self": ""}, node="ZeroBackward0")
