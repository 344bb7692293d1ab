"""Samples of the pointwise family. References are numpy's functions, or the textbook formula, in the promoted dtype."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gradwire_protocol.dtypes import DType, bool_, float32, float64, int32, int64
from gradwire_protocol.ops import OPS
from tests.ops.samples.record import Case, Refusal, Sample

Array = np.ndarray[Any, Any]
Cases = Callable[[np.random.Generator], Iterator[Case]]
NAN, INF = float("nan"), float("inf")


def _real(
    rng: np.random.Generator, shape: Sequence[int], low: float = -2.0, high: float = 2.0, dtype: Any = np.float64
) -> Array:
    """Return numbers that keep a distance of 0.05 from the integers, where rounding and signs have their kinks."""
    values = rng.uniform(low, high, tuple(shape))
    near = np.abs(values - np.round(values)) < 0.05
    return np.asarray(np.where(near, values + 0.1, values), dtype)


def _unary(low: float, high: float, *, integers: bool = True, kinks: bool = False) -> Cases:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for shape in ((3, 4), (), (0, 2), (5,)):
            yield Case((_real(rng, shape, low, high),))
        yield Case((_real(rng, (4, 3), low, high).T,))
        yield Case((_real(rng, (2, 3), low, high, np.float32),))
        yield Case((np.broadcast_to(_real(rng, (3,), low, high), (2, 3)),), differentiable=False)
        if integers:
            yield Case((np.array([1, 2, 3]),))
            yield Case((np.array([True, False]),)) if low <= 0 else Case((np.array([True]),))
        if kinks:
            yield Case((np.array([-1.0, 0.0, 1.0, NAN, INF, -INF]),), differentiable=False)

    return cases


def _floats(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the reference in PyTorch's dtype: integers are computed in float32."""

    def reference(self: Array) -> Any:
        self = np.asarray(self)
        return function(self if self.dtype.kind in "fc" else self.astype(np.float32))

    return reference


def _both(name: str, reference: Any, cases: Any, refusals: tuple[Refusal, ...] = (), **rest: Any) -> list[Sample]:
    """Return the samples of an op and, on its floating cases, of its in-place form."""
    samples = [Sample(name, reference, cases, refusals, **rest)]
    head, dot, overload = name.partition(".")
    if f"{head}_{dot}{overload}" in OPS:
        samples.append(Sample(f"{head}_{dot}{overload}", _kept_dtype(reference), _writable(cases), **rest))
    return samples


def _kept_dtype(reference: Any) -> Any:
    def written(self: Array, *args: Any, **kwargs: Any) -> Any:
        return np.asarray(reference(self, *args, **kwargs)).astype(np.asarray(self).dtype)

    return written


def _writable(cases: Cases) -> Cases:
    """Leave out what an in-place op refuses: results of another shape or kind, and expanded tensors."""

    def chosen(rng: np.random.Generator) -> Iterator[Case]:
        for case in cases(rng):
            self = np.asarray(case.args[0])
            others = [np.asarray(value) for value in case.args[1:] if isinstance(value, np.ndarray | np.generic)]
            fits = self.dtype.kind == "f" and np.broadcast_shapes(self.shape, *(o.shape for o in others)) == self.shape
            overlaps = any(stride == 0 and size > 1 for stride, size in zip(self.strides, self.shape, strict=True))
            if fits and not overlaps:
                yield case

    return chosen


def _binary(
    low: float = -2.0, high: float = 2.0, *, integers: bool = True, kinks: bool = False, other_low: float | None = None
) -> Cases:
    least = low if other_low is None else other_low

    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for mine, other in (
            ((3, 4), (3, 4)),
            ((3, 4), (4,)),
            ((3, 1), (1, 4)),
            ((), (3,)),
            ((2, 3), ()),
            ((), ()),
            ((0, 3), (3,)),
        ):
            yield Case((_real(rng, mine, low, high), _real(rng, other, least, high)))
        yield Case((_real(rng, (4, 3), low, high).T, _real(rng, (3, 4), least, high)))
        yield Case((_real(rng, (2, 3), low, high, np.float32), _real(rng, (2, 3), least, high)))
        yield Case((_real(rng, (3,), low, high, np.float32), _real(rng, (), least, high)))
        if integers:
            whole = rng.integers(1, 5, (3,))
            yield Case((whole, np.array([2, 1, 3])))
            yield Case((whole.astype(np.int32), np.array([2, 1, 3], np.int64)))
            yield Case((whole.astype(np.uint8), np.array([1, 2, 3], np.int8)))
            yield Case((_real(rng, (3,), max(low, 0.5), high, np.float32), whole))
        if kinks:
            odd = np.array([1.0, 0.0, NAN, INF, -INF, 2.0])
            yield Case((odd, odd[::-1].copy()), differentiable=False)

    return cases


def _scalar(numbers: Sequence[Any], low: float = -2.0, high: float = 2.0, *, integers: bool = True) -> Cases:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for number in numbers:
            yield Case((_real(rng, (3, 4), low, high), number))
            yield Case((_real(rng, (), low, high), number))
            yield Case((_real(rng, (2,), low, high, np.float32), number))
            if integers:
                yield Case((np.array([1, 2, 5]), number))

    return cases


_DTYPES = {np.dtype(np.float32): 0}


def _promoted(*values: Any) -> list[Any]:
    """Return the arguments in the dtype that PyTorch computes in; tested apart, against PyTorch's own table."""
    from gradwire_protocol import infer
    from gradwire_protocol.dtypes import from_numpy
    from gradwire_protocol.meta import Meta

    kinds = [
        Meta.of(v.shape, from_numpy(v.dtype)) if isinstance(v, np.ndarray | np.generic) else type(v) for v in values
    ]
    dtype = infer.result_type(*kinds).numpy
    return [np.asarray(value).astype(dtype) for value in values]


def _of(function: Callable[..., Any], *, floats: bool = False) -> Callable[..., Any]:
    def reference(*values: Any) -> Any:
        promoted = _promoted(*values)
        if floats and promoted[0].dtype.kind not in "fc":
            promoted = [value.astype(np.float32) for value in promoted]
        return function(*promoted)

    return reference


def _with_alpha(cases: Cases) -> Cases:
    def chosen(rng: np.random.Generator) -> Iterator[Case]:
        for index, case in enumerate(cases(rng)):
            yield Case(case.args, {"alpha": 1 if index % 2 else 2}, case.differentiable)

    return chosen


def _alpha(sign: int, reverse: bool = False) -> Callable[..., Any]:
    def reference(self: Any, other: Any, alpha: Any = 1) -> Any:
        a, b = _promoted(self, other)
        return (
            (b + sign * a * np.asarray(alpha).astype(a.dtype))
            if reverse
            else (a + sign * b * np.asarray(alpha).astype(a.dtype))
        )

    return reference


_SHAPES = Refusal(
    (np.zeros((2, 3)), np.zeros((2, 4))),
    RuntimeError,
    r"The size of tensor a \(3\) must match the size of tensor b \(4\)",
)
_FLAGS = np.array([True, False])
_ALPHA = Refusal(
    (np.array([1]), np.array([1])), RuntimeError, "For integral input tensors, argument alpha must not be a floating point number",
    {"alpha": 1.5},
)  # fmt: skip

SAMPLES: list[Sample] = [
    *_both("add.Tensor", _alpha(1), _with_alpha(_binary(kinks=True)), (_SHAPES, _ALPHA)),
    *_both("add.Scalar", _alpha(1), _scalar((2, -1.5, True))),
    *_both(
        "sub.Tensor",
        _alpha(-1),
        _with_alpha(_binary()),
        (_SHAPES, _ALPHA, Refusal((_FLAGS, _FLAGS), RuntimeError, "with two bool tensors")),
    ),
    *_both("sub.Scalar", _alpha(-1), _scalar((2, -1.5))),
    *_both("rsub.Tensor", _alpha(-1, True), _with_alpha(_binary())),
    *_both("rsub.Scalar", _alpha(-1, True), _scalar((2, -1.5))),
    *_both("mul.Tensor", _of(np.multiply), _binary(kinks=True), (_SHAPES,)),
    *_both("mul.Scalar", _of(np.multiply), _scalar((2, -1.5, True))),
    *_both("div.Tensor", _of(np.divide, floats=True), _binary(0.5, 2.0), (_SHAPES,)),
    *_both("div.Scalar", _of(np.divide, floats=True), _scalar((2, -1.5))),
    *_both("maximum", _of(np.maximum), _binary(kinks=True), (_SHAPES,)),
    *_both("minimum", _of(np.minimum), _binary(kinks=True), (_SHAPES,)),
    *_both("atan2", _of(np.arctan2, floats=True), _binary(0.5, 2.0)),
    *_both(
        "remainder.Tensor",
        _of(np.remainder),
        _binary(0.6, 5.0),
        (_SHAPES, Refusal((np.array([1]), np.array([0])), RuntimeError, "ZeroDivisionError")),
    ),
    *_both("remainder.Scalar", _of(np.remainder), _scalar((3, 1.7), 0.3, 1.6)),
    *_both(
        "fmod.Tensor",
        _of(np.fmod),
        _binary(0.6, 5.0),
        (_SHAPES, Refusal((np.array([1]), np.array([0])), RuntimeError, "ZeroDivisionError")),
    ),
    *_both("fmod.Scalar", _of(np.fmod), _scalar((3, 1.7), 0.3, 1.6)),
    *_both("floor_divide", _of(np.floor_divide), _binary(0.6, 5.0)),
    *_both("floor_divide.Scalar", _of(np.floor_divide), _scalar((3, 1.7))),
]


def _rounded(self: Any, other: Any, rounding_mode: str | None = None) -> Any:
    a, b = _promoted(self, other)
    if rounding_mode is None:
        return a / b if a.dtype.kind == "f" else (a.astype(np.float32) / b.astype(np.float32))
    return (np.floor(a / b) if rounding_mode == "floor" else np.trunc(a / b)).astype(a.dtype)


def _modes(cases: Cases) -> Cases:
    def chosen(rng: np.random.Generator) -> Iterator[Case]:
        for mode in (None, "trunc", "floor"):
            for case in cases(rng):
                yield Case(case.args, {"rounding_mode": mode}, case.differentiable and mode is None)

    return chosen


def _signed_modes(rng: np.random.Generator) -> Iterator[Case]:
    yield from _modes(_binary(0.6, 5.0))(rng)
    for mode in ("trunc", "floor"):
        yield Case((np.array([-7, 7, -6, 5]), np.array([2, -2, 3, 5])), {"rounding_mode": mode})


_MODE = Refusal(
    (np.ones(2), np.ones(2)), RuntimeError, "div expected rounding_mode to be one of", {"rounding_mode": "up"}
)
SAMPLES += [
    *_both("div.Tensor_mode", _rounded, _signed_modes, (_MODE,)),
    *_both("div.Scalar_mode", _rounded, _modes(_scalar((3, 1.7)))),
]


def _pow_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield from _binary(0.3, 2.0)(rng)
    yield Case((np.array([0.0, 0.0, 2.0]), np.array([2.0, 0.0, 0.0])), differentiable=False)


_NEGATIVE_POWER = Refusal((np.array([2]), -1), RuntimeError, "Integers to negative integer powers are not allowed")
SAMPLES += [
    *_both("pow.Tensor_Scalar", _of(np.power), _scalar((2, 3, 0.5, 2.5, 1), 0.3, 2.0), (_NEGATIVE_POWER,)),
    *_both("pow.Tensor_Tensor", _of(np.power), _pow_cases, (_SHAPES,)),
    *_both(
        "pow.Scalar", _of(np.power),
        lambda rng: iter([Case((2.5, _real(rng, (3, 2)))), Case((3, _real(rng, (3,)))), Case((2, np.array([1, 2])))]),
    ),
]  # fmt: skip

for _name, _function, _low, _high in (
    ("exp", np.exp, -2, 2), ("exp2", np.exp2, -2, 2), ("expm1", np.expm1, -2, 2), ("log", np.log, 0.2, 3), ("log2", np.log2, 0.2, 3),
    ("log10", np.log10, 0.2, 3), ("log1p", np.log1p, -0.5, 3), ("sin", np.sin, -3, 3), ("cos", np.cos, -3, 3), ("tan", np.tan, -1, 1),
    ("asin", np.arcsin, -0.8, 0.8), ("acos", np.arccos, -0.8, 0.8), ("atan", np.arctan, -2, 2), ("sinh", np.sinh, -2, 2),
    ("cosh", np.cosh, -2, 2), ("tanh", np.tanh, -2, 2), ("asinh", np.arcsinh, -2, 2), ("acosh", np.arccosh, 1.2, 3),
    ("atanh", np.arctanh, -0.8, 0.8), ("sqrt", np.sqrt, 0.2, 3), ("rsqrt", lambda x: 1 / np.sqrt(x), 0.2, 3),
    ("reciprocal", lambda x: 1 / x, 0.3, 3), ("sigmoid", lambda x: 1 / (1 + np.exp(-x)), -3, 3),
    ("erf", np.vectorize(math.erf, otypes=[float]), -3, 3), ("erfc", np.vectorize(math.erfc, otypes=[float]), -3, 3),
):  # fmt: skip
    SAMPLES += _both(_name, _floats(_function), _unary(_low, _high, integers=_low <= 1 and _high >= 1), rtol=2e-5)
for _name, _function in (
    ("sign", np.sign),
    ("floor", np.floor),
    ("ceil", np.ceil),
    ("round", np.round),
    ("trunc", np.trunc),
):
    SAMPLES += _both(
        _name, lambda self, f=_function: np.nan_to_num(f(self), posinf=INF, neginf=-INF) if f is np.sign and np.asarray(self).dtype.kind == "f" else f(self) if np.asarray(self).dtype.kind == "f" else (np.sign(self) if f is np.sign and np.asarray(self).dtype != bool else self),
        _unary(-3, 3, integers=False, kinks=True),
    )  # fmt: skip
SAMPLES += [
    *_both(
        "neg",
        np.negative,
        _unary(-3, 3, integers=False),
        (Refusal((_FLAGS,), RuntimeError, "Negation, the `-` operator, on a bool tensor"),),
    ),
    *_both("abs", np.abs, _unary(-3, 3, integers=False, kinks=True)),
    *_both("square", lambda self: np.asarray(self) * np.asarray(self), _unary(-3, 3, integers=False)),
    *_both("frac", lambda self: self - np.trunc(self), _unary(-3, 3, integers=False)),
]


def _nan_to_num(self: Array, nan: Any = None, posinf: Any = None, neginf: Any = None) -> Array:
    return np.nan_to_num(self, nan=nan or 0.0, posinf=posinf, neginf=neginf) if self.dtype.kind == "f" else self


def _nan_cases(rng: np.random.Generator) -> Iterator[Case]:
    odd = np.array([1.0, NAN, INF, -INF])
    yield Case((odd,), differentiable=False)
    yield Case((odd.astype(np.float32), 1.0, 2.0, -3.0))
    yield Case((_real(rng, (3,)),))
    yield Case((np.array([1, 2]),))


SAMPLES += _both("nan_to_num", _nan_to_num, _nan_cases)

# -- activations


def _with(*extra: tuple[Any, ...]) -> Cases:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for numbers in extra:
            for shape in ((3, 4), (), (0, 2)):
                yield Case((_real(rng, shape, -3, 3), *numbers))
            yield Case((_real(rng, (4, 3), -3, 3, np.float32).T, *numbers))

    return cases


def _gelu(self: Array, approximate: str = "none") -> Array:
    x = self.astype(np.float64)
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2)))


def _approximations(cases: Cases) -> Cases:
    def chosen(rng: np.random.Generator) -> Iterator[Case]:
        for approximate in ("none", "tanh"):
            for case in cases(rng):
                yield Case(case.args, {"approximate": approximate}, case.differentiable)

    return chosen


def _elu(self: Array, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1) -> Array:
    return np.where(self > 0, scale * self, scale * alpha * np.expm1(np.minimum(self, 0) * input_scale))


def _pairs(rng: np.random.Generator) -> Iterator[Case]:
    for shape in ((3, 4), (), (0,)):
        yield Case((_real(rng, shape), _real(rng, shape, -0.9, 0.9)))


def _slope(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the reference of a backward op: central differences of the forward."""

    def reference(grad_output: Array, self: Array, **kwargs: Any) -> Array:
        step = 1e-5
        return grad_output * (function(self + step, **kwargs) - function(self - step, **kwargs)) / (2 * step)

    return reference


def _silu(self: Array) -> Array:
    return self / (1 + np.exp(-self))


_WHOLE = np.array([1, 2])
_NO_ACTIVATION = (Refusal((_WHOLE,), RuntimeError, "not implemented for 'Long'"),)
SAMPLES += [
    *_both("relu", lambda self: np.maximum(self, 0), _unary(-3, 3, integers=False)),
    *_both(
        "leaky_relu", lambda self, slope=0.01: np.where(self > 0, self, self * slope), _with((), (0.2,)), _NO_ACTIVATION
    ),
    *_both("elu", _elu, _with((), (0.5, 1.5, 2.0)), _NO_ACTIVATION),
    *_both(
        "softplus",
        lambda self, beta=1, threshold=20: np.where(
            self * beta > threshold, self, np.log1p(np.exp(self * beta)) / beta
        ),
        _with((), (2.0, 3.0)),
        _NO_ACTIVATION,
    ),
    *_both("silu", _silu, _with(()), _NO_ACTIVATION),
    *_both("hardtanh", lambda self, low=-1, high=1: np.clip(self, low, high), _with((), (-0.5, 1.5))),
    *_both(
        "gelu",
        _gelu,
        _approximations(_with(())),
        (
            Refusal(
                (np.ones(2),), RuntimeError, "approximate argument must be either none or tanh", {"approximate": "no"}
            ),
        ),
    ),
    Sample("gelu_backward", _slope(_gelu), _approximations(_pairs), rtol=1e-4),
    Sample("silu_backward", _slope(_silu), _pairs, rtol=1e-4),
    Sample("sigmoid_backward", lambda g, y: g * y * (1 - y), _pairs),
    Sample("tanh_backward", lambda g, y: g * (1 - y * y), _pairs),
    Sample(
        "threshold_backward", lambda g, x, t: g * (x > t), lambda rng: (Case((*case.args, 0)) for case in _pairs(rng))
    ),
]

# -- choice and bounds


def _clip_cases(rng: np.random.Generator) -> Iterator[Case]:
    for low, high in ((-1, 1), (None, 0.5), (-0.5, None), (0.5, -0.5)):
        yield Case((_real(rng, (3, 4)), low, high))
        yield Case((_real(rng, (3,), dtype=np.float32), low, high))
    yield Case((np.array([-3, 0, 3]), -1, 2))
    yield Case((np.array([NAN, 1.0, -5.0]), -1, 1), differentiable=False)


def _clip(self: Any, low: Any = None, high: Any = None) -> Any:
    values = _promoted(*(v for v in (self, low, high) if v is not None))
    self, bounds = values[0], values[1:]
    low = bounds.pop(0) if low is not None else None
    high = bounds.pop(0) if high is not None else None
    self = self if low is None else np.maximum(self, low)
    return self if high is None else np.minimum(self, high)


def _clip_tensor_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((_real(rng, (3, 4)), _real(rng, (4,), -1.5, -0.2), _real(rng, (3, 1), 0.3, 1.5)))
    yield Case((_real(rng, (3, 4)), None, _real(rng, (), 0.3, 1.5)))
    yield Case((_real(rng, (3,)), _real(rng, (3,), -1.5, -0.2), None))
    yield Case((np.array([-3, 0, 3]), np.array([-1, 1, 1]), np.array(2)))


_NO_BOUND = Refusal((np.ones(2), None, None), RuntimeError, "At least one of 'min' or 'max' must not be None")


def _where_cases(rng: np.random.Generator) -> Iterator[Case]:
    mask = rng.random((3, 4)) > 0.5
    yield Case((mask, _real(rng, (3, 4)), _real(rng, (4,))))
    yield Case((mask[0], _real(rng, (3, 1)), _real(rng, ())))
    yield Case((mask, np.array(1), _real(rng, (3, 4), dtype=np.float32)))
    yield Case((np.array(True), np.array([1, 2]), np.array([3.5, 4.5])))


def _lerp_cases(weight: Callable[[np.random.Generator], Any]) -> Cases:
    return lambda rng: iter([
        Case((_real(rng, (3, 4)), _real(rng, (4,)), weight(rng))),
        Case((_real(rng, (2,), dtype=np.float32), _real(rng, (2,), dtype=np.float32), 0.25 if not isinstance(weight(rng), np.ndarray) else np.float32([0.5, 0.1]))),
    ])  # fmt: skip


def _triple(low: float) -> Cases:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for value in (1, -0.5):
            yield Case((_real(rng, (3, 4)), _real(rng, (4,)), _real(rng, (3, 1), low, 3)), {"value": value})
        yield Case(
            (
                _real(rng, (2,), dtype=np.float32),
                _real(rng, (2,), dtype=np.float32),
                _real(rng, (2,), low, 3, np.float32),
            )
        )

    return cases


def _masked_cases(value: Callable[[np.random.Generator], Any]) -> Cases:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        mask = rng.random((3, 4)) > 0.5
        yield Case((_real(rng, (3, 4)), mask, value(rng)))
        yield Case((_real(rng, (3, 4)), mask[0], value(rng)))
        yield Case((_real(rng, (4,)), mask, value(rng)))
        yield Case((_real(rng, (3, 4), dtype=np.float32), mask, value(rng)))

    return cases


SAMPLES += [
    *_both("clamp", _clip, _clip_cases, (_NO_BOUND,)),
    *_both("clamp.Tensor", _clip, _clip_tensor_cases, (_NO_BOUND,)),
    Sample(
        "where.self", lambda condition, self, other: np.where(condition, *_promoted(self, other)), _where_cases,
        (Refusal((np.array([1.0]), np.ones(1), np.ones(1)), RuntimeError, "where expected condition to be a boolean tensor"),),
    ),
    *_both("lerp.Scalar", lambda self, end, weight: self + np.asarray(weight).astype(self.dtype) * (end - self), _lerp_cases(lambda rng: 0.3)),
    *_both("lerp.Tensor", lambda self, end, weight: self + weight * (end - self), _lerp_cases(lambda rng: _real(rng, (4,), 0.1, 0.4))),
    *_both("addcmul", lambda self, a, b, value=1: self + np.asarray(value).astype(self.dtype) * a * b, _triple(-2)),
    *_both("addcdiv", lambda self, a, b, value=1: self + np.asarray(value).astype(self.dtype) * a / b, _triple(0.5)),
    *_both(
        "masked_fill.Scalar", lambda self, mask, value: np.where(mask, np.asarray(value).astype(self.dtype), self),
        _masked_cases(lambda rng: 2.5),
        (Refusal((np.ones(2), np.ones(2), 1.0), RuntimeError, "only supports boolean masks"),),
    ),
    *_both("masked_fill.Tensor", lambda self, mask, value: np.where(mask, value.astype(self.dtype), self), _masked_cases(lambda rng: _real(rng, ()))),
]  # fmt: skip

# -- comparison and logic


def _compared(rng: np.random.Generator) -> Iterator[Case]:
    yield from _binary(kinks=True)(rng)
    yield Case((np.array([1, 2, 3]), np.array([1.0, 2.5, 3.0], np.float32)))
    yield Case((_FLAGS, np.array([1, 1])))


def _numbers(rng: np.random.Generator) -> Iterator[Case]:
    for number in (1, 1.5, True):
        yield Case((np.array([0.5, 1.0, 1.5]), number))
        yield Case((np.array([0, 1, 2]), number))


def _in_place_compared(reference: Any) -> Any:
    return lambda self, *rest: reference(self, *rest).astype(np.asarray(self).dtype)


for _name, _function in (
    ("eq", np.equal), ("ne", np.not_equal), ("lt", np.less), ("le", np.less_equal), ("gt", np.greater), ("ge", np.greater_equal),
):  # fmt: skip
    SAMPLES += _both(f"{_name}.Tensor", _of(_function), _compared, (_SHAPES,))
    SAMPLES += _both(f"{_name}.Scalar", _of(_function), _numbers)
for _name, _function in (
    ("logical_and", np.logical_and),
    ("logical_or", np.logical_or),
    ("logical_xor", np.logical_xor),
):
    SAMPLES += _both(_name, _function, _compared)
for _name, _function in (
    ("logical_not", np.logical_not),
    ("isnan", np.isnan),
    ("isinf", np.isinf),
    ("isfinite", np.isfinite),
):
    SAMPLES += _both(_name, _function, _unary(-2, 2, kinks=True))


def _whole(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((rng.integers(0, 100, (3, 4)), rng.integers(0, 5, (4,))))
    yield Case((np.array([5, 6], np.uint8), np.array([1, 2], np.uint8)))
    yield Case((np.array([5, 6], np.int32), np.array(1)))


def _flags(rng: np.random.Generator) -> Iterator[Case]:
    yield from _whole(rng)
    yield Case((_FLAGS, ~_FLAGS))


def _written_whole(cases: Cases) -> Cases:
    return cases


_NO_FLOATS = Refusal((np.ones(2), np.ones(2)), NotImplementedError, "not implemented for 'Double'")
for _name, _function in (("and", np.bitwise_and), ("or", np.bitwise_or), ("xor", np.bitwise_xor)):
    SAMPLES += [
        Sample(f"bitwise_{_name}.Tensor", _of(_function), _flags),
        Sample(f"bitwise_{_name}_.Tensor", _kept_dtype(_of(_function)), _flags),
        Sample(
            f"bitwise_{_name}.Scalar",
            _of(_function),
            lambda rng: iter([Case((np.array([5, 6]), 3)), Case((_FLAGS, True))]),
        ),
        Sample(f"bitwise_{_name}_.Scalar", _of(_function), lambda rng: iter([Case((np.array([5, 6]), 3))])),
    ]
for _name, _function in (("left_shift", np.left_shift), ("right_shift", np.right_shift)):
    SAMPLES += [
        Sample(f"bitwise_{_name}.Tensor", _of(_function), _whole),
        Sample(f"bitwise_{_name}_.Tensor", _kept_dtype(_of(_function)), _whole),
        Sample(f"bitwise_{_name}.Tensor_Scalar", _of(_function), lambda rng: iter([Case((np.array([5, 6]), 3))])),
        Sample(f"bitwise_{_name}_.Tensor_Scalar", _of(_function), lambda rng: iter([Case((np.array([5, 6]), 3))])),
    ]
SAMPLES += [
    Sample("bitwise_not", np.invert, lambda rng: iter([Case((np.array([5, -6]),)), Case((_FLAGS,))])),
    Sample("bitwise_not_", np.invert, lambda rng: iter([Case((np.array([5, -6]),)), Case((_FLAGS,))])),
]

# -- copies and casts


def _cast_cases(rng: np.random.Generator) -> Iterator[Case]:
    for dtype in (float32, float64, int64, int32, bool_):
        yield Case((_real(rng, (3, 4)), dtype), differentiable=dtype is float64)
        yield Case((np.array([0, 1, 2]), dtype))


def _to(self: Array, dtype: DType) -> Array:
    return self.astype(dtype.numpy)


def _copies(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((_real(rng, (3, 4)), _real(rng, (4,))))
    yield Case((_real(rng, (4, 3)).T, _real(rng, (3, 4))))
    yield Case((_real(rng, (3,)), np.array([1, 2, 3])))
    yield Case((np.array([1, 2]), np.array([1.7, -2.7])), differentiable=False)
    yield Case((_real(rng, (2,), dtype=np.float32), _real(rng, ())), differentiable=False)


_EXPANDED = np.broadcast_to(np.zeros(1), (3,))
_SHARED = Refusal(
    (_EXPANDED, np.zeros(3)),
    RuntimeError,
    "more than one element of the written-to tensor refers to a single memory location",
)
SAMPLES += [
    Sample("clone", lambda self: self, _unary(-2, 2)),
    Sample("_to_dtype", _to, _cast_cases),
    Sample(
        "real",
        np.real,
        lambda rng: iter(
            [Case((_real(rng, (3,)),)), Case((np.array([1 + 2j, 3j]),)), Case((np.array([1], np.complex64),))]
        ),
    ),
    Sample("copy_", lambda self, src: np.broadcast_to(src, self.shape).astype(self.dtype), _copies, (_SHARED,)),
    Sample("fill_.Scalar", lambda self, value: np.full(self.shape, value, self.dtype), _scalar((2, 1.5))),
    Sample(
        "fill_.Tensor",
        lambda self, value: np.full(self.shape, value, self.dtype),
        lambda rng: iter(
            [Case((_real(rng, (3, 2)), _real(rng, ()))), Case((np.array([1, 2]), np.array(2.7)), differentiable=False)]
        ),
    ),
    Sample("zero_", np.zeros_like, lambda rng: iter([Case((_real(rng, (3, 4)),)), Case((np.array([1, 2]),))])),
]
