"""Arithmetic, comparison and elementary functions: one result element per broadcast element; and what moves elements.

Which dtypes an op takes, and the words that refuse the others, are those of PyTorch's CPU kernels, also where a GPU
kernel of PyTorch's would name itself otherwise.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gradwire_protocol import infer
from gradwire_protocol.dtypes import Category, DType, bool_, complex64, float32, float64, int32, uint8
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import check_no_overlap, op, torch_type_name

__all__ = [
    "BOOL", "COMPLEX", "FLOAT", "INEXACT", "INT", "INTEGRAL", "NUMBERS", "ORDERED", "REAL", "binary", "only", "overflow",
    "real_only", "tensors_only", "unary", "unsupported", "with_number",
]  # fmt: skip

BOOL, INT, FLOAT, COMPLEX = Category
REAL, INTEGRAL, INEXACT, NUMBERS = (INT, FLOAT), (BOOL, INT), (FLOAT, COMPLEX), (INT, FLOAT, COMPLEX)
ORDERED = (BOOL, INT, FLOAT)

# What C++ calls the dtypes, where PyTorch's messages do: in general, and of a number that is to be stored.
_C_NAMES = {
    "bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short int", "int32": "int",
    "int64": "long int", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
    "complex64": "c10::complex<float>", "complex128": "c10::complex<double>",
}  # fmt: skip
_STORED_NAMES = _C_NAMES | {"uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int64": "int64_t"}


def overflow(dtype: DType) -> RuntimeError:
    """Return PyTorch's error for a number that cannot be stored as a dtype."""
    return RuntimeError(f"value cannot be converted to type {_STORED_NAMES[dtype.name]} without overflow")


def unsupported(kernel: str, dtype: DType) -> NotImplementedError:
    """Return PyTorch's error for a dtype that a kernel does not take."""
    return NotImplementedError(f"\"{kernel}\" not implemented for '{torch_type_name(dtype)}'")


def only(allowed: Collection[Category], kernel: str, rule: infer.Rule) -> infer.Rule:
    """Return `rule`, refusing results outside of the categories; PyTorch promotes first and then looks for a kernel."""

    def checked(*arguments: Any) -> Meta:
        result: Meta = rule(*arguments)
        if result.dtype.category not in allowed:
            raise unsupported(kernel, result.dtype)
        return result

    return checked


def tensors_only(*arguments: Any) -> Meta:
    """Broadcast and promote the tensors; numbers do not take part (`addcmul`, the `_backward`s)."""
    return infer.pointwise(*(argument for argument in arguments if isinstance(argument, Meta)))


def compared(allowed: Collection[Category], kernel: str) -> infer.Rule:
    """Return a rule whose result is bool, refusing inputs that promote to something outside of the categories."""

    def rule(*arguments: Any) -> Meta:
        dtype = infer.result_type(*arguments)
        if dtype.category not in allowed:
            raise unsupported(kernel, dtype)
        return infer.compare(*arguments)

    return rule


def real_only(error: type[Exception], words: str, rule: infer.Rule = infer.compare) -> infer.Rule:
    """Return `rule`, refusing complex tensors."""

    def checked(self: Meta, *rest: Any) -> Meta:
        if any(getattr(argument, "dtype", self.dtype).is_complex for argument in (self, *rest)):
            raise error(words)
        return rule(self, *rest)  # type: ignore[no-any-return]

    return checked


# --- functions of one tensor ---------------------------------------------------------------------------------------


def unary(name: str, rule: infer.Rule, keeps: str | None = "", node: str | None = None, arguments: str = "") -> None:
    """Declare a function of `self` and its in-place form; `keeps` is what the gradient reads, None for no gradient."""
    op(f"{name}(Tensor self{arguments}) -> Tensor", rule, None if keeps is None else {"self": keeps},
       node=node, pointwise=True, inplace=True)  # fmt: skip


def _neg(self: Meta) -> Meta:
    if self.dtype is bool_:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use "
            "the `~` or `logical_not()` operator instead."
        )
    return infer.like(self)


def _abs(self: Meta) -> Meta:
    if self.dtype is bool_:
        raise unsupported("abs_cpu", bool_)
    if self.dtype.is_complex:
        return Meta.of(self.shape, float32 if self.dtype is complex64 else float64)
    return infer.like(self)


def _sign(self: Meta) -> Meta:
    if self.dtype.is_complex:
        raise NotImplementedError(
            "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead."
        )
    return infer.like(self)


def _rounded(name: str) -> infer.Rule:
    def rule(self: Meta) -> Meta:
        if self.dtype.is_complex and name != "round":
            raise NotImplementedError(f"{name} is not supported for complex inputs")
        return only(REAL, f"{name}_vml_cpu", infer.like)(self)  # type: ignore[no-any-return]

    return rule


for _name in (
    "exp", "exp2", "expm1", "sqrt", "rsqrt", "reciprocal", "tan", "tanh", "sigmoid",
):  # fmt: skip
    unary(_name, infer.floating, "result")
for _name in (
    "log", "log2", "log10", "sin", "cos", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh",
):  # fmt: skip
    unary(_name, infer.floating, "self")
unary("log1p", infer.floating, "self", "Log1PBackward0")
for _name in ("floor", "ceil", "round", "trunc"):
    unary(_name, _rounded(_name))
unary("round.decimals", only((FLOAT,), "round_cpu", infer.like), "", "RoundBackward1", ", *, int decimals")
unary("frac", only((FLOAT,), "frac_cpu", infer.like))
unary("neg", _neg)
unary("abs", _abs, "self")
unary("sign", _sign)
unary("sgn", infer.like, "self result")
unary("conj_physical", infer.like)
unary("bitwise_not", only(INTEGRAL, "bitwise_not_cpu", infer.like), None)
unary("logical_not", infer.compare, None)
unary("nan_to_num", infer.like, "self", arguments=", float? nan=None, float? posinf=None, float? neginf=None")
for _name in ("isnan", "isinf", "isfinite", "isreal"):
    op(f"{_name}(Tensor self) -> Tensor", infer.compare, pointwise=True)
for _name in ("isposinf", "isneginf"):
    op(f"{_name}(Tensor self) -> Tensor", real_only(RuntimeError, f"{_name} does not support complex inputs."),
       pointwise=True)  # fmt: skip
op("signbit(Tensor self) -> Tensor",
   real_only(NotImplementedError, "signbit is not implemented for complex tensors."), pointwise=True)  # fmt: skip
for _name in ("deg2rad", "rad2deg"):
    unary(_name, real_only(RuntimeError, f"{_name} is not supported for complex tensors.", infer.floating),
          node=f"{_name.title()}Backward0")  # fmt: skip
unary("sinc", infer.floating, "self")
unary("logit", only((FLOAT,), "logit_cpu", infer.floating), "self", arguments=", float? eps=None")


def _frexp(self: Meta) -> tuple[Meta, Meta]:
    if not self.dtype.is_floating_point:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return Meta.of(self.shape, self.dtype), Meta.of(self.shape, int32)


op("frexp.Tensor(Tensor self) -> (Tensor mantissa, Tensor exponent)", _frexp, {"self": "result1"})

# --- arithmetic of two -----------------------------------------------------------------------------------------------


def _check_alpha(result: DType, alpha: type) -> None:
    if alpha is bool and result is not bool_:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if alpha in (float, complex) and result.category < FLOAT:
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    if alpha is complex and not result.is_complex:
        raise RuntimeError("For non-complex input tensors, argument alpha must not be a complex number.")


def _add(self: Meta, other: Any, alpha: type) -> Meta:
    result = infer.pointwise(self, other)
    _check_alpha(result.dtype, alpha)
    return result


def _sub(self: Meta, other: Any, alpha: type) -> Meta:
    bools = [argument is bool or getattr(argument, "dtype", None) is bool_ for argument in (self, other)]
    if all(bools):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
            "operator instead."
        )
    if any(bools):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, "
            "use the `~` or `logical_not()` operator instead."
        )
    return _add(self, other, alpha)


def _divided(self: Meta, other: Any, rounding_mode: str | None) -> Meta:
    if rounding_mode is None:
        return infer.floating(self, other)
    if rounding_mode not in ("trunc", "floor"):
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
        )
    return only(REAL, f"div_{rounding_mode}_cpu", infer.pointwise)(self, other)  # type: ignore[no-any-return]


def _extreme(name: str) -> infer.Rule:
    def rule(self: Meta, other: Meta) -> Meta:
        if self.dtype.is_complex or other.dtype.is_complex:
            raise RuntimeError(f"{name} not implemented for complex tensors.")
        return infer.pointwise(self, other)

    return rule


def binary(
    name: str, rule: infer.Rule, self: str | None, other: str | None, rest: str = "", node: str | None = None
) -> None:
    """Declare `name` of two tensors, and in place; `self` and `other` are what their gradients read, None for none."""
    keeps = {argument: kept for argument, kept in (("self", self), ("other", other)) if kept is not None}
    op(f"{name}(Tensor self, Tensor other{rest}) -> Tensor", rule, keeps, node=node, pointwise=True, inplace=True)


def with_number(name: str, rule: infer.Rule, self: str | None, rest: str = "", node: str | None = None) -> None:
    """Declare `name` of a tensor and a number, and in place."""
    op(f"{name}(Tensor self, Scalar other{rest}) -> Tensor", rule, None if self is None else {"self": self},
       node=node, pointwise=True, inplace=True)  # fmt: skip


for _name, _sum in (("add", _add), ("sub", _sub)):
    binary(f"{_name}.Tensor", _sum, "", "", ", *, Scalar alpha=1")
    with_number(f"{_name}.Scalar", _sum, "", ", Scalar alpha=1")
op(
    "rsub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
    _sub,
    {"self": "", "other": ""},
    pointwise=True,
)
op("rsub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", _sub, {"self": ""},
   node="RsubBackward1", pointwise=True)  # fmt: skip
binary("mul.Tensor", infer.pointwise, "other", "self")
with_number("mul.Scalar", infer.pointwise, "")
binary("div.Tensor", infer.floating, "other", "self other")
with_number("div.Scalar", infer.floating, "")
binary("div.Tensor_mode", _divided, "other", "self other", ", *, str? rounding_mode", "DivBackward2")
with_number("div.Scalar_mode", _divided, "", ", *, str? rounding_mode", "DivBackward2")
# PyTorch records these, and remainder.Scalar_Tensor, without a derivative, and fails in the backward; these have one.
_floored = only(REAL, "div_floor_cpu", infer.pointwise)
binary("floor_divide", _floored, "", "")
with_number("floor_divide.Scalar", _floored, "")
for _name in ("remainder", "fmod"):
    _rule = only(REAL, f"{_name}_cpu", infer.pointwise)
    binary(f"{_name}.Tensor", _rule, "", "self other", node=f"{_name.capitalize()}Backward1")
    with_number(f"{_name}.Scalar", _rule, "")
op("remainder.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", only(REAL, "remainder_cpu", infer.pointwise),
   {"other": "other"}, pointwise=True)  # fmt: skip

_power = only(NUMBERS, "pow", infer.pointwise)
op(
    "pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor",
    infer.pointwise,
    {"self": "self"},
    pointwise=True,
    inplace=True,
)
op("pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor", _power,
   {"self": "self exponent", "exponent": "self exponent result"},
   node="PowBackward1", pointwise=True, inplace=True)  # fmt: skip
op("pow.Scalar(Scalar self, Tensor exponent) -> Tensor", _power, {"exponent": "exponent result"},
   node="PowBackward2", pointwise=True)  # fmt: skip

binary("atan2", only((FLOAT,), "atan2_cpu", infer.floating), "self other", "self other")
for _name in ("maximum", "minimum", "fmax", "fmin"):
    op(f"{_name}(Tensor self, Tensor other) -> Tensor", _extreme(_name),
       {"self": "self other", "other": "self other"}, pointwise=True)  # fmt: skip

binary("hypot", only((FLOAT,), "hypot_cpu", infer.pointwise), "self result", "other result")
binary("ldexp.Tensor", infer.floating, "other", "result")
_sign_taken = only((FLOAT,), "copysign_cpu", infer.floating)
binary("copysign.Tensor", _sign_taken, "self result", "")
with_number("copysign.Scalar", _sign_taken, "self result", node="CopysignBackward1")
for _name in ("lcm", "gcd"):
    binary(_name, only((INT,), f"{_name}_cpu", infer.pointwise), None, None)
binary("nextafter", only((FLOAT,), "nextafter_cpu", infer.pointwise), "self other", "")
for _name, _allowed in (("logaddexp", INEXACT), ("logaddexp2", (FLOAT,))):
    op(f"{_name}(Tensor self, Tensor other) -> Tensor", only(_allowed, f"{_name}_cpu", infer.pointwise),
       {"self": "self other", "other": "self other"}, pointwise=True)  # fmt: skip
_logs = only((FLOAT,), "xlogy_cpu", infer.floating)
binary("xlogy.Tensor", _logs, "self other", "self other")
with_number("xlogy.Scalar_Other", _logs, "self", node="XlogyBackward2")
op("xlogy.Scalar_Self(Scalar self, Tensor other) -> Tensor", _logs, {"other": "other"}, node="XlogyBackward1",
   pointwise=True)  # fmt: skip


def _heaviside(self: Meta, values: Meta) -> Meta:
    if self.dtype.is_complex or values.dtype.is_complex:
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    if self.dtype is not values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return infer.pointwise(self, values)


op("heaviside(Tensor self, Tensor values) -> Tensor", _heaviside, pointwise=True, inplace=True)

# --- bounds ----------------------------------------------------------------------------------------------------------


def _clamp(self: Meta, low: Any = None, high: Any = None) -> Meta:
    given = [name for name, bound in (("min", low), ("max", high)) if bound not in (None, type(None))]
    if not given:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    result = infer.pointwise(self, low, high)
    if result.dtype.is_complex:
        raise NotImplementedError("clamp is not supported for complex types")
    by_tensors = isinstance(low, Meta) or isinstance(high, Meta)
    if result.dtype is bool_ and not (by_tensors and len(given) == 1):  # which is maximum or minimum, that bools have
        which = f"clamp_{given[0]}" if len(given) == 1 else "clamp"
        raise unsupported(f"{which}_cpu" if by_tensors else f"{which}_scalar_cpu", bool_)
    return result


def _clamp_max(self: Meta, high: type) -> Meta:
    return _clamp(self, None, high)


op("clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor", _clamp, {"self": "self"},
   node="ClampBackward1", pointwise=True, inplace=True)  # fmt: skip
op("clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor", _clamp,
   {"self": "self min max", "min": "self min max", "max": "self min max"}, pointwise=True, inplace=True)  # fmt: skip
for _name, _bound, _kernel in (("clamp_min", "min", "maximum_cpu"), ("clamp_max", "max", "minimum_cpu")):
    _title = f"Clamp{_bound.capitalize()}"
    op(f"{_name}(Tensor self, Scalar {_bound}) -> Tensor", _clamp if _bound == "min" else _clamp_max, {"self": "self"},
       pointwise=True, inplace=True)  # fmt: skip
    op(f"{_name}.Tensor(Tensor self, Tensor {_bound}) -> Tensor", only(ORDERED, _kernel, infer.pointwise),
       {"self": f"self {_bound}", _bound: f"self {_bound}"},
       node=f"{_title}Backward1", pointwise=True, inplace=True)  # fmt: skip

# --- comparison, logic and bits --------------------------------------------------------------------------------------


def _overwritten(self: Meta, *others: Any) -> tuple[()]:
    """Check that a result of the broadcast shape can be written over self, whatever its dtype."""
    shape = infer.broadcast_shapes(self.shape, *(other.shape for other in others if isinstance(other, Meta)))
    if shape != self.shape:
        raise RuntimeError(f"output with shape {list(self.shape)} doesn't match the broadcast shape {list(shape)}")
    check_no_overlap(self)
    return ()


def _overwriting(rule: infer.Rule) -> infer.Rule:
    def checked(self: Meta, other: Any) -> tuple[()]:
        rule(self, other)
        return _overwritten(self, other)

    return checked


# Their results are bools, which carry no gradient. In place they overwrite what may, hence a gradient of 0.
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _rule = compared((*ORDERED, COMPLEX) if _name in ("eq", "ne") else ORDERED, f"{_name}_cpu")
    for _overload, _type, _keeps in (
        ("Tensor", "Tensor", {"self": "", "other": ""}),
        ("Scalar", "Scalar", {"self": ""}),
    ):
        op(f"{_name}.{_overload}(Tensor self, {_type} other) -> Tensor", _rule, pointwise=True)
        op(f"{_name}_.{_overload}(Tensor(a!) self, {_type} other) -> Tensor(a!)", _overwriting(_rule), _keeps,
           node=f"{_name.capitalize()}Backward{int(_overload == 'Tensor')}")  # fmt: skip
for _name in ("logical_and", "logical_or", "logical_xor"):
    binary(_name, infer.compare, None, None)
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    _rule = only(INTEGRAL, f"{_name}_cpu", infer.pointwise)
    binary(f"{_name}.Tensor", _rule, None, None)
    with_number(f"{_name}.Scalar", _rule, None)
for _name, _kernel in (("bitwise_left_shift", "lshift_cpu"), ("bitwise_right_shift", "rshift_cpu")):
    _rule = only((INT,), _kernel, infer.pointwise)
    binary(f"{_name}.Tensor", _rule, None, None)
    with_number(f"{_name}.Tensor_Scalar", _rule, None)

# --- choice and mixture ----------------------------------------------------------------------------------------------


def _where(condition: Meta, self: Any, other: Any) -> Meta:
    if condition.dtype not in (bool_, uint8):
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{torch_type_name(condition.dtype)}"
        )
    shapes = [argument.shape for argument in (condition, self, other) if isinstance(argument, Meta)]
    return Meta.of(infer.broadcast_shapes(*shapes), infer.result_type(self, other))


def _check_stored(self: Meta, value: Any) -> None:
    """Refuse a complex value where a real one must be stored."""
    is_complex = value is complex or (isinstance(value, Meta) and value.dtype.is_complex)
    if is_complex and not self.dtype.is_complex and self.dtype is not bool_:
        raise overflow(self.dtype)


def _masked_fill(self: Meta, mask: Meta, value: Any) -> Meta:
    if mask.dtype is not bool_:
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {_C_NAMES[mask.dtype.name]}"
        )
    if isinstance(value, Meta) and value.ndim:
        raise RuntimeError(
            f"masked_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s)."
        )
    _check_stored(self, value)
    return Meta.of(infer.broadcast_shapes(self.shape, mask.shape), self.dtype)


def _lerp(self: Meta, end: Meta, weight: Any) -> Meta:
    for name, meta in (("end", end), ("weight", weight)):
        if isinstance(meta, Meta) and meta.dtype is not self.dtype:
            raise RuntimeError(
                f"expected dtype {_C_NAMES[self.dtype.name]} for `{name}` but got dtype {_C_NAMES[meta.dtype.name]}"
            )
    kernel = "lerp_kernel_tensor" if isinstance(weight, Meta) else "lerp_kernel_scalar"
    return only(INEXACT, kernel, tensors_only)(self, end, weight)  # type: ignore[no-any-return]


def _addcmul(self: Meta, tensor1: Meta, tensor2: Meta, value: type) -> Meta:
    result = only(NUMBERS, "addcmul_cpu_out", tensors_only)(self, tensor1, tensor2)
    _check_stored(result, value)
    return result  # type: ignore[no-any-return]


def _addcdiv(self: Meta, tensor1: Meta, tensor2: Meta, value: type) -> Meta:
    if max(tensor1.dtype.category, tensor2.dtype.category) < FLOAT:
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a "
            "true division of tensor1 and tensor2. Use (input + value * torch.trunc(tensor1 / tensor2)).to(input.dtype)"
            " for the historic behavior of integers, and (input + value * tensor1 / tensor2) for the future one."
        )
    return _addcmul(self, tensor1, tensor2, value)


op("where.self(Tensor condition, Tensor self, Tensor other) -> Tensor", _where,
   {"self": "condition", "other": "condition"}, pointwise=True)  # fmt: skip
op(
    "where.ScalarOther(Tensor condition, Tensor self, Scalar other) -> Tensor",
    _where,
    {"self": "condition"},
    pointwise=True,
)
op(
    "where.ScalarSelf(Tensor condition, Scalar self, Tensor other) -> Tensor",
    _where,
    {"other": "condition"},
    pointwise=True,
)
op("where.Scalar(Tensor condition, Scalar self, Scalar other) -> Tensor", _where)
op("masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor", _masked_fill, {"self": "mask"},
   inplace=True)  # fmt: skip
op("masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor", _masked_fill,
   {"self": "mask", "value": "mask"}, node="MaskedFillBackward1", inplace=True)  # fmt: skip
op("lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor", _lerp, {"self": "", "end": ""},
   pointwise=True, inplace=True)  # fmt: skip
op("lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor", _lerp,
   {"self": "weight", "end": "weight", "weight": "self end"},
   node="LerpBackward1", pointwise=True, inplace=True)  # fmt: skip
op("addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor", _addcmul,
   {"self": "", "tensor1": "tensor2", "tensor2": "tensor1"}, pointwise=True, inplace=True)  # fmt: skip
op("addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor", _addcdiv,
   {"self": "", "tensor1": "tensor2", "tensor2": "tensor1 tensor2"}, pointwise=True, inplace=True)  # fmt: skip

# --- moving elements -------------------------------------------------------------------------------------------------


def _fill(self: Meta, value: Any) -> tuple[()]:
    if isinstance(value, Meta) and value.ndim:
        raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
    if isinstance(value, type):
        _check_stored(self, value)
    return ()


op("clone(Tensor self) -> Tensor", infer.like, {"self": ""})
# ATen's _to_copy, whose other arguments (layout, device, ...) a worker's tensor has no use for.
op("_to_dtype(Tensor self, ScalarType dtype) -> Tensor", lambda self, dtype: Meta.of(self.shape, dtype), {"self": ""},
   node="ToCopyBackward0")  # fmt: skip
op("copy_(Tensor(a!) self, Tensor src) -> Tensor(a!)", _overwritten, {"self": "", "src": ""}, node="CopyBackwards")
op("fill_.Scalar(Tensor(a!) self, Scalar value) -> Tensor(a!)", _fill, {"self": ""}, node="FillBackward2")
op("fill_.Tensor(Tensor(a!) self, Tensor value) -> Tensor(a!)", _fill, {"self": "", "value": ""}, node="FillBackward3")
op("zero_(Tensor(a!) self) -> Tensor(a!)", lambda self: (), {"self": ""})
# A Python number as a 0-dim tensor that promotes with `self` as the number would: for ops that have no Scalar form.
op(
    "gw::number_for(Tensor self, Scalar value) -> Tensor",
    lambda self, value: Meta.of((), infer.result_type(self, value)),
)
