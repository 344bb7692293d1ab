"""Samples of the pointwise family: families are tables of references in plain numpy.

A functional op and its in-place form share a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gradwire_protocol.dtypes import bool_, complex64, float32, float64, int32, int64, uint8
from tests.ops.samples.elementwise import (
    COMPLEX,
    CORNERS,
    FLAGS,
    HALVES,
    INF,
    INTS,
    MISFIT,
    NAN,
    THREE,
    Array,
    Cases,
    Reference,
    add_to,
    extended,
    floats,
    no_kernel,
    ones,
    pairs,
    same_shape,
    spread,
    stored,
    whole,
    with_numbers,
)
from tests.ops.samples.record import Case, Refusal, Sample

SAMPLES: list[Sample] = []
_add = add_to(SAMPLES)

# ---------------------------------------------------------------- functions of one tensor
for _name, _reference, _low, _high in (
    ("exp", np.exp, -2, 2), ("exp2", np.exp2, -2, 2), ("expm1", np.expm1, -2, 2), ("sin", np.sin, -3, 3),
    ("cos", np.cos, -3, 3), ("tan", np.tan, -1, 1), ("sinh", np.sinh, -2, 2), ("cosh", np.cosh, -2, 2),
    ("tanh", np.tanh, -2, 2), ("atan", np.arctan, -3, 3), ("asinh", np.arcsinh, -3, 3),
    ("log", np.log, 0.1, 3), ("log2", np.log2, 0.1, 3), ("log10", np.log10, 0.1, 3), ("log1p", np.log1p, 0, 3),
    ("sqrt", np.sqrt, 0.1, 3), ("rsqrt", lambda x: 1 / np.sqrt(x), 0.1, 3), ("reciprocal", lambda x: 1 / x, 0.5, 3),
    ("sigmoid", lambda x: 1 / (1 + np.exp(-x)), -3, 3), ("acosh", np.arccosh, 1.1, 3),
    ("asin", np.arcsin, -0.9, 0.9), ("acos", np.arccos, -0.9, 0.9), ("atanh", np.arctanh, -0.9, 0.9),
):  # fmt: skip
    _whole_too = _name not in ("asin", "acos", "atanh", "acosh", "rsqrt", "reciprocal")
    _add(_name, lambda x, f=_reference: f(x.astype(np.float64) if x.dtype.kind in "biu" else x),
         ones("fibc" if _whole_too else "fc", _low, _high))  # fmt: skip
for _name, _reference in (("floor", np.floor), ("ceil", np.ceil), ("trunc", np.trunc), ("round", np.round)):
    _add(_name, _reference, ones("fi"), no_kernel(f"{_name}_vml_cpu", "Bool", FLAGS))
_add("round.decimals", lambda x, decimals: np.round(x, decimals),
     lambda rng: (Case(c.args, {"decimals": d}, c.differentiable) for d in (1, 0, -1) for c in floats(rng, -20, 20)),
     no_kernel("round_cpu", "Long", INTS, decimals=1))  # fmt: skip
_add("frac", lambda x: x - np.trunc(x), ones("f"), no_kernel("frac_cpu", "Long", INTS))
_add("neg", np.negative, ones("fic"), Refusal((FLAGS,), RuntimeError, "Negation, the `-` operator, on a bool tensor"))
_add("abs", np.abs, ones("fi"), no_kernel("abs_cpu", "Bool", FLAGS))


def _sign(x: Array) -> Array:
    return x if x.dtype.kind == "b" else np.nan_to_num(np.sign(x), nan=0.0)


_add("sign", _sign, ones("fib"), Refusal((COMPLEX,), NotImplementedError, "is not intended to support complex"))
# PyTorch's gradient of a real sgn is a tensor without memory, which its numpy() refuses; that of sign is the same zeros.
SAMPLES.append(Sample("sgn", _sign, ones("fibc"), torch=lambda x: x.sgn() if x.is_complex() else x.sign()))
SAMPLES.append(Sample("sgn_", stored(_sign), ones("fibc"), torch=lambda x: x.sgn_() if x.is_complex() else x.sign_()))
_add("conj_physical", lambda x: x if x.dtype.kind == "b" else np.conj(x), ones("fibc"))
_add("bitwise_not", np.invert, ones("ib"), no_kernel("bitwise_not_cpu", "Double", HALVES))
_add("logical_not", np.logical_not, ones("fibc"))
_add("isnan", np.isnan, ones("fibc"))
_add("isinf", np.isinf, ones("fibc"))
_add("isfinite", np.isfinite, ones("fibc"))


def _numbers(x: Array, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Array:
    return x if x.dtype.kind in "biu" else np.nan_to_num(x, nan=nan or 0.0, posinf=posinf, neginf=neginf)


_add("nan_to_num", _numbers, extended(ones("fib"), (), (1.5, 2.0, -2.0), (None, None, 7.0)))

for _name, _reference in (("isposinf", np.isposinf), ("isneginf", np.isneginf)):
    _add(_name, _reference, ones("fi"), Refusal((COMPLEX,), RuntimeError, f"{_name} does not support complex inputs"))
_add("isreal", np.isreal, ones("fibc"))
_add("signbit", lambda x: np.signbit(x) if x.dtype.kind == "f" else x < 0, ones("fi"),
     Refusal((COMPLEX,), NotImplementedError, "signbit is not implemented for complex tensors"))  # fmt: skip
for _name, _reference in (("deg2rad", np.deg2rad), ("rad2deg", np.rad2deg)):
    _add(_name, lambda x, f=_reference: f(x.astype(np.float64)), ones("fib"),
         Refusal((COMPLEX,), RuntimeError, f"{_name} is not supported for complex tensors"))  # fmt: skip
_add("sinc", lambda x: np.sinc(x if x.dtype.kind in "fc" else x.astype(np.float64)), ones("fibc", corners=False))


def _logit(x: Array, eps: float | None = None) -> Array:
    x = x if eps is None else np.clip(x, eps, 1 - eps)
    return np.log(x / (1 - x))


_add("logit", _logit, extended(ones("f", 0.05, 0.95), (), (0.2,)), no_kernel("logit_cpu", "ComplexFloat", COMPLEX))
_add("frexp.Tensor", np.frexp, ones("f"), Refusal((INTS,), RuntimeError, "only supports floating-point dtypes"),
     differentiable_outputs=1)  # fmt: skip

# ---------------------------------------------------------------- arithmetic of two
_TWO_BOOLS = Refusal(
    (FLAGS, FLAGS), RuntimeError, "Subtraction, the `-` operator, with two bool tensors is not supported"
)
_ONE_BOOL = Refusal((FLAGS, HALVES), RuntimeError, "Subtraction, the `-` operator, with a bool tensor is not supported")
_FLOAT_ALPHA = Refusal((INTS, INTS), RuntimeError, "argument alpha must not be a floating point number", {"alpha": 0.5})
_BOOL_ALPHA = Refusal(
    (HALVES, HALVES), RuntimeError, "Boolean alpha only supported for Boolean results", {"alpha": True}
)
_NUMBERS = (2.5, 2, -1.5)


def _scaled(cases: Cases) -> Cases:
    """Add cases with alpha to those without."""

    def more(rng: np.random.Generator) -> Iterator[Case]:
        for number, case in enumerate(cases(rng)):
            yield case
            if number < 4:
                yield Case(case.args, {"alpha": 2 if number % 2 else 0.5}, case.differentiable)

    return more


for _name, _reference, _refused in (
    ("add", lambda x, y, alpha=1: np.add(x, y) if alpha == 1 else x + alpha * y, ()),
    ("sub", lambda x, y, alpha=1: x - alpha * y, (_TWO_BOOLS, _ONE_BOOL)),
    ("rsub", lambda x, y, alpha=1: y - alpha * x, (_TWO_BOOLS, _ONE_BOOL)),
):  # fmt: skip
    _kinds = "fib" if _name == "add" else "fi"
    _add(f"{_name}.Tensor", _reference, _scaled(pairs(_kinds)), MISFIT, _FLOAT_ALPHA, _BOOL_ALPHA, *_refused)
    _add(f"{_name}.Scalar", _reference, extended(ones(_kinds, corners=False), (2,), (2.5,), (1.5, 2)))
_add("mul.Tensor", np.multiply, pairs("fib"), MISFIT)
_add("mul.Scalar", lambda x, y: x * y, with_numbers("fibc", (*_NUMBERS, True)))
_add("div.Tensor", np.true_divide, pairs("fib", 0.5, 3, nonzero=True), MISFIT)
_add("div.Scalar", np.true_divide, with_numbers("fibc", _NUMBERS))


def _divided(x: Array, y: Any, rounding_mode: str | None) -> Array:
    exact = x / np.asarray(y)
    return {None: exact, "floor": np.floor(exact), "trunc": np.trunc(exact)}[rounding_mode]


def _modes(cases: Cases, modes: Sequence[str | None]) -> Cases:
    return lambda rng: (Case(c.args, {"rounding_mode": m}, c.differentiable) for m in modes for c in cases(rng))


_ZERO = Refusal((INTS, np.array([1, 0])), RuntimeError, "ZeroDivisionError")
_BAD_MODE = Refusal(
    (HALVES, HALVES),
    RuntimeError,
    "rounding_mode to be one of None, 'trunc', or 'floor' but found 'up'",
    {"rounding_mode": "up"},
)
_SIGNED, _SIGNED_NUMBERS = pairs("fi", nonzero=True), with_numbers("fi", (1.5, 2, -3))
_ROUNDED = ("floor", "trunc")
_add("div.Tensor_mode", _divided, _modes(_SIGNED, _ROUNDED), _BAD_MODE, no_kernel("div_floor_cpu", "Bool", FLAGS, FLAGS, rounding_mode="floor"),
     Refusal(_ZERO.args, RuntimeError, _ZERO.match, {"rounding_mode": "trunc"}))  # fmt: skip
_add(
    "div.Scalar_mode",
    _divided,
    _modes(_SIGNED_NUMBERS, _ROUNDED),
    Refusal((INTS, 0), RuntimeError, _ZERO.match, {"rounding_mode": "floor"}),
)
SAMPLES.append(
    Sample("floor_divide", np.floor_divide, _SIGNED, (_ZERO, no_kernel("div_floor_cpu", "Bool", FLAGS, FLAGS)))
)
SAMPLES.append(Sample("floor_divide_", stored(np.floor_divide), same_shape(_SIGNED)))
_add("floor_divide.Scalar", np.floor_divide, _SIGNED_NUMBERS, Refusal((INTS, 0), RuntimeError, "ZeroDivisionError"))
for _name, _reference in (("remainder", np.mod), ("fmod", np.fmod)):
    _add(f"{_name}.Tensor", _reference, _SIGNED, _ZERO, no_kernel(f"{_name}_cpu", "Bool", FLAGS, FLAGS))
    _add(f"{_name}.Scalar", _reference, _SIGNED_NUMBERS, Refusal((INTS, 0), RuntimeError, "ZeroDivisionError"))
_add("remainder.Scalar_Tensor", np.mod,
     lambda rng: (Case((n, c.args[0]), {}, c.differentiable) for n in (5.25, 7) for c in ones("fi", 0.5, 3, corners=False)(rng)
                  if np.all(c.args[0] != 0)))  # fmt: skip


def _power(x: Any, y: Any) -> Array:
    """Compute x^y; 0 for an integer to a negative power, unless it is 1 or -1."""
    if np.asarray(x).dtype.kind in "iu" and np.asarray(y).dtype.kind in "iu":
        return np.trunc(np.power(np.asarray(x, np.float64), y))
    return np.power(x, y)


def _bases(rng: np.random.Generator) -> Iterator[Case]:
    for exponent in (2, 3, 0.5, -1, 2.5, -0.5, -2, 1, 0):
        yield Case((spread(rng, 2, 3, low=0.3), exponent))
        yield Case((spread(rng, 3, low=0.3).astype(np.float32), exponent))
    yield Case((CORNERS, 2), differentiable=False)
    yield Case((CORNERS, 3.0), differentiable=False)
    for exponent in (2, 3, 0, 0.5):
        yield Case((whole(rng, 5, low=0), exponent))
    yield Case((whole(rng, 3, dtype=np.uint8, low=0), 2))


def _exponents(rng: np.random.Generator) -> Iterator[Case]:
    yield from pairs("f", 0.2, 2)(rng)
    yield Case((np.array([1, -1, 2, -3, 0, 4, 1]), np.array([-1, -3, -1, 3, 0, 2, -4])))
    yield Case((np.array([2, 3], np.uint8), np.array([3, 2], np.uint8)))
    yield Case((np.array([0.0, 0.0, 2.0]), np.array([0.0, 2.0, 0.0])), differentiable=False)


_NEGATIVE_POWER = Refusal((INTS, -1), RuntimeError, "Integers to negative integer powers are not allowed")
_add("pow.Tensor_Scalar", _power, _bases, _NEGATIVE_POWER)
_add("pow.Tensor_Tensor", _power, _exponents, MISFIT, no_kernel("pow", "Bool", FLAGS, FLAGS))
_add("pow.Scalar", _power,
     lambda rng: (Case((base, spread(rng, 2, 3))) for base in (2, 0.5, 1)), no_kernel("pow", "Bool", True, FLAGS))  # fmt: skip
_add(
    "atan2",
    lambda y, x: np.arctan2(y.astype(np.float64), x.astype(np.float64)),
    pairs("fi", 0.3, 2, nonzero=True),
    no_kernel("atan2_cpu", "ComplexFloat", COMPLEX, COMPLEX),
)
for _name, _reference in (("maximum", np.maximum), ("minimum", np.minimum)):
    _add(_name, _reference,
         lambda rng: (case for cases in (pairs("fib")(rng), [Case((CORNERS, CORNERS[::-1].copy()), {}, False)]) for case in cases),
         MISFIT, Refusal((COMPLEX, COMPLEX), RuntimeError, f"{_name} not implemented for complex tensors"))  # fmt: skip

for _name, _reference in (("fmax", np.fmax), ("fmin", np.fmin)):
    _add(_name, _reference,
         lambda rng: (case for cases in (pairs("fib")(rng), [Case((CORNERS, CORNERS[::-1].copy()), {}, False)]) for case in cases),
         MISFIT, Refusal((COMPLEX, COMPLEX), RuntimeError, f"{_name} not implemented for complex tensors"))  # fmt: skip


def _edges(rng: np.random.Generator) -> Iterator[Case]:
    yield from pairs("f")(rng)
    yield Case((CORNERS, CORNERS[::-1].copy()), {}, differentiable=False, torch_gradient=False)  # NaN in both, or not


def _heaviside(x: Array, values: Array) -> Array:
    return np.where(x == 0, values, np.where(x > 0, 1, 0)).astype(x.dtype)


def _xlogy(x: Any, y: Any) -> Array:
    x, y = (np.asarray(v, np.float64) for v in (x, y))
    return np.where((x == 0) & ~np.isnan(y), 0, x * np.log(np.where((x == 0) & ~np.isnan(y), 1, y)))


_add(
    "copysign.Tensor",
    np.copysign,
    pairs("fi", nonzero=True),
    MISFIT,
    no_kernel("copysign_cpu", "ComplexFloat", COMPLEX, COMPLEX),
)
_add("copysign.Scalar", np.copysign, with_numbers("fi", (2.5, -1)))
_add("hypot", np.hypot, _edges, MISFIT, no_kernel("hypot_cpu", "Long", INTS, INTS))
_add("nextafter", np.nextafter, lambda rng: (c for c in _edges(rng) if len({a.dtype for a in c.args}) == 1),
     no_kernel("nextafter_cpu", "Bool", FLAGS, FLAGS))  # fmt: skip
_add("ldexp.Tensor", lambda x, y: x * 2.0**y, pairs("f"), MISFIT)
_add("heaviside", _heaviside, lambda rng: [
         Case((CORNERS, spread(rng, 12))), Case((whole(rng, 2, 5), whole(rng, 5))), Case((FLAGS, ~FLAGS)), Case((CORNERS, spread(rng)))
     ], Refusal((INTS, HALVES), RuntimeError, "not yet implemented for tensors with different dtypes"),
     Refusal((COMPLEX, COMPLEX), RuntimeError, "not yet implemented for complex tensors"))  # fmt: skip
for _name, _reference in (("gcd", np.gcd), ("lcm", np.lcm)):
    _add(
        _name,
        _reference,
        pairs("i"),
        no_kernel(f"{_name}_cpu", "Bool", FLAGS, FLAGS),
        no_kernel(f"{_name}_cpu", "Double", HALVES, HALVES),
    )
for _name, _reference in (("logaddexp", np.logaddexp), ("logaddexp2", np.logaddexp2)):
    _add(_name, _reference, _edges, MISFIT, no_kernel(f"{_name}_cpu", "Long", INTS, INTS))
SAMPLES[-2] = Sample(
    "logaddexp", lambda x, y: np.logaddexp(x, y) if x.dtype.kind == "f" else np.log(np.exp(x) + np.exp(y)),
    lambda rng: (*_edges(rng), Case((np.array([1 + 2j, -3j, 0.5]), np.array([0.5 - 1j, -1j, 1.0])))),
    (MISFIT, no_kernel("logaddexp_cpu", "Long", INTS, INTS)),
)  # fmt: skip
_positive = pairs("fi", 0.3, 2, nonzero=True)
_add("xlogy.Tensor", _xlogy, lambda rng: (*_positive(rng), Case((np.array([0.0, 0.0, NAN, 1.0, 0.0]), np.array([0.0, NAN, 1.0, 0.0, INF])), {}, False)),
     no_kernel("xlogy_cpu", "ComplexFloat", COMPLEX, COMPLEX))  # fmt: skip
_add("xlogy.Scalar_Other", _xlogy, with_numbers("fi", (2.5, 2), 0.3))
_add("xlogy.Scalar_Self", _xlogy, lambda rng: (Case((number, *c.args), {}, c.differentiable)
     for number in (0, 2.5) for c in ones("f", 0.3, 2, corners=False)(rng)))  # fmt: skip

# ---------------------------------------------------------------- bounds


def _clamped(x: Any, low: Any = None, high: Any = None) -> Array:
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _bounds(rng: np.random.Generator) -> Iterator[Case]:
    for case in pairs("fi")(rng):
        self, other = case.args
        yield Case((self, other, other + np.asarray(1, other.dtype)), {}, case.differentiable)
        yield Case((self, other, None), {}, case.differentiable)
        yield Case((self, None, other), {}, case.differentiable)
    yield Case((spread(rng, 6), np.full(6, 0.5), np.full(6, -0.5)))


_NO_BOUND = Refusal((HALVES,), RuntimeError, "At least one of 'min' or 'max' must not be None")
_COMPLEX_CLAMP = Refusal((COMPLEX, 1.0), NotImplementedError, "clamp is not supported for complex types")
_number_bounds = extended(ones("fi"), (-0.5, 0.7), (None, 0.3), (-0.3, None), (1, -1))
_add("clamp", _clamped, _number_bounds, _NO_BOUND, _COMPLEX_CLAMP)
_add("clamp.Tensor", _clamped, _bounds, _NO_BOUND)
for _name, _reference in (("clamp_min", np.maximum), ("clamp_max", np.minimum)):
    _add(
        _name,
        _reference,
        with_numbers("fi", (0.3, 1)),
        no_kernel(f"{_name}_scalar_cpu", "Bool", FLAGS, True),
        _COMPLEX_CLAMP,
    )
    _add(f"{_name}.Tensor", _reference, pairs("fib"), MISFIT)

# ---------------------------------------------------------------- comparison, logic and bits
for _name, _reference in (
    ("eq", np.equal), ("ne", np.not_equal), ("lt", np.less), ("le", np.less_equal), ("gt", np.greater), ("ge", np.greater_equal),
):  # fmt: skip
    _refused = () if _name in ("eq", "ne") else (no_kernel(f"{_name}_cpu", "ComplexFloat", COMPLEX, COMPLEX),)
    _add(f"{_name}.Tensor", _reference, pairs("fib"), MISFIT, *_refused)
    _add(f"{_name}.Scalar", _reference, with_numbers("fib", (1, 0.5, True)))
for _name, _reference in (
    ("logical_and", np.logical_and),
    ("logical_or", np.logical_or),
    ("logical_xor", np.logical_xor),
):
    _add(_name, _reference, pairs("fib"), MISFIT)
for _name, _reference in (
    ("bitwise_and", np.bitwise_and),
    ("bitwise_or", np.bitwise_or),
    ("bitwise_xor", np.bitwise_xor),
):
    _add(f"{_name}.Tensor", _reference, pairs("ib"), no_kernel(f"{_name}_cpu", "Double", HALVES, HALVES))
    _add(f"{_name}.Scalar", _reference, with_numbers("i", (3, 6)))


def _shifted(left: bool) -> Reference:
    def shift(x: Array, y: Any) -> Array:
        y = np.asarray(y)
        inside, places = (y >= 0) & (y < x.dtype.itemsize * 8), np.where(y >= 0, y, 0).astype(np.float64)
        exact = x * 2.0**places if left else np.floor(x / 2.0**places)
        return np.where(inside, exact, 0 if left else np.where(x < 0, -1, 0)).astype(x.dtype)

    return shift


_SHIFTS = (np.array([5, -5, 7, -1, 3, -8]), np.array([0, 2, 1, 70, -1, -1]))
for _name, _reference, _kernel in (
    ("bitwise_left_shift", _shifted(True), "lshift_cpu"), ("bitwise_right_shift", _shifted(False), "rshift_cpu"),
):  # fmt: skip
    _add(f"{_name}.Tensor", _reference, lambda rng: (Case(args) for args in (_SHIFTS, (whole(rng, 2, 6), _SHIFTS[1]), (INTS, np.array(1)))),
         no_kernel(_kernel, "Double", HALVES, HALVES), no_kernel(_kernel, "Bool", FLAGS, FLAGS))  # fmt: skip
    _add(f"{_name}.Tensor_Scalar", _reference, with_numbers("i", (2, 0)))

# ---------------------------------------------------------------- choice and mixture


def _choices(rng: np.random.Generator) -> Iterator[Case]:
    for case in pairs("fib")(rng):
        shape = np.broadcast_shapes(*(a.shape for a in case.args))
        yield Case((rng.random(shape) < 0.5, *case.args), {}, case.differentiable)
    yield Case((rng.random((4, 1)) < 0.5, spread(rng, 3), spread(rng)))
    yield Case((np.array([True, False]), np.array([NAN, 1.0]), np.array([2.0, INF])), differentiable=False)


def _chosen(number_first: bool) -> Cases:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for case in ones("fib", corners=False)(rng):
            for number in (0, 2.5):
                given = (number, *case.args) if number_first else (*case.args, number)
                yield Case((rng.random(case.args[0].shape) < 0.5, *given), {}, case.differentiable)

    return cases


_NO_CONDITION = "where expected condition to be a boolean tensor, but got a tensor with dtype Double"
_add("where.self", np.where, _choices, Refusal((HALVES, HALVES, HALVES), RuntimeError, _NO_CONDITION))
_add("where.ScalarOther", np.where, _chosen(False))
_add("where.ScalarSelf", np.where, _chosen(True))
_add(
    "where.Scalar",
    np.where,
    lambda rng: (Case((FLAGS, a, b)) for a, b in ((1, 2), (1, 2.5), (True, False), (0.5, 1.5))),
)


def _filled(self: Array, mask: Array, value: Any) -> Array:
    return np.where(mask, np.asarray(value).astype(self.dtype), self)


def _masks(*values: Any) -> Cases:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for case in ones("fib", corners=False)(rng):
            for value in values:
                real = case.args[0].dtype == np.float64
                given = value if real else np.asarray(value, np.float32) if isinstance(value, np.ndarray) else value
                yield Case((*case.args, rng.random(case.args[0].shape) < 0.5, given), {}, real and case.differentiable)
        yield Case((spread(rng, 3, 4), rng.random(4) < 0.5, values[0]))
        yield Case((spread(rng, 4), rng.random((3, 1)) < 0.5, values[0]))

    return cases


_BAD_MASK = Refusal(
    (HALVES, INTS, 1.0), RuntimeError, "masked_fill_ only supports boolean masks, but got mask with dtype long int"
)
_OVERFLOW = "value cannot be converted to type {} without overflow"
_add("masked_fill.Scalar", _filled, _masks(2.5, 0), _BAD_MASK,
     Refusal((np.ones(2, np.int8), FLAGS, 300), RuntimeError, _OVERFLOW.format("int8_t")),
     Refusal((np.ones(2, np.float32), FLAGS, 1e40), RuntimeError, _OVERFLOW.format("float")),
     Refusal((HALVES, FLAGS, 1j), RuntimeError, _OVERFLOW.format("double")))  # fmt: skip
_add("masked_fill.Tensor", _filled, _masks(np.asarray(1.5), np.asarray(2)),
     Refusal((HALVES, FLAGS, np.ones(1)), RuntimeError, "masked_fill_ only supports a 0-dimensional value tensor"))  # fmt: skip


def _triples(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((spread(rng, 2, 3), spread(rng, 2, 3), spread(rng, 2, 3, low=0.5)))
    yield Case((spread(rng, 2, 3), spread(rng, 3), spread(rng, 2, 1, low=0.5)))
    yield Case((spread(rng, 3), spread(rng, 2, 3), spread(rng, low=0.5)))
    yield Case(tuple(spread(rng, 4, low=0.5).astype(np.float32) for _ in range(3)))
    yield Case((np.ones((0, 2)), np.ones(2), np.ones(2)))


def _valued(rng: np.random.Generator) -> Iterator[Case]:
    for number, case in enumerate(_triples(rng)):
        yield case
        yield Case(case.args, {"value": 2 if number % 2 else -0.5})


def _weighted(rng: np.random.Generator) -> Iterator[Case]:
    for case in _triples(rng):
        for weight in (0.25, 0.75, 1):
            yield Case((*case.args[:2], weight))


_WRONG_END = Refusal(
    (HALVES, HALVES.astype(np.float32), 0.5), RuntimeError, "expected dtype double for `end` but got dtype float"
)
_add(
    "lerp.Scalar",
    lambda x, end, w: x + w * (end - x),
    _weighted,
    _WRONG_END,
    no_kernel("lerp_kernel_scalar", "Long", INTS, INTS, 0.5),
)
_add("lerp.Tensor", lambda x, end, w: x + w * (end - x), _triples)
_add("addcmul", lambda x, a, b, value=1: x + value * a * b,
     lambda rng: (case for cases in (_valued(rng), [Case((INTS, INTS, INTS), {"value": 3})]) for case in cases))  # fmt: skip
_add("addcdiv", lambda x, a, b, value=1: x + value * a / b, _valued,
     Refusal((HALVES, INTS, INTS), RuntimeError, "Integer division with addcdiv is no longer supported"))  # fmt: skip

# ---------------------------------------------------------------- moving elements


def _casts(rng: np.random.Generator) -> Iterator[Case]:
    for case in ones("fibc", corners=False)(rng):
        for dtype in (float64, float32, int64, uint8, bool_, complex64, int32):
            array = np.abs(case.args[0]) if dtype is uint8 else case.args[0]
            yield Case((array, dtype), {}, dtype is float64)


def _cast(array: Array, dtype: Any) -> Array:
    real = array.real if array.dtype.kind == "c" and dtype.numpy.kind not in "cb" else array
    return real.astype(getattr(dtype, "numpy", dtype))


def _copies(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((spread(rng, 2, 3), spread(rng, 2, 3)))
    yield Case((spread(rng, 3, 2).T, spread(rng, 3)))
    yield Case((spread(rng, 2, 3), spread(rng)))
    yield Case((spread(rng, 3), whole(rng, 3)))
    yield Case((whole(rng, 3), spread(rng, 3)), differentiable=False)
    yield Case((rng.random(3) < 0.5, spread(rng, 3)), differentiable=False)
    yield Case((np.ones(2, np.float32), np.array([1 + 2j, 3j])))
    yield Case((np.ones((0, 2)), np.ones(2)))


def _over(self: Array, src: Any) -> Array:
    src = np.asarray(src)
    real = src.real if src.dtype.kind == "c" and self.dtype.kind not in "cb" else src
    return np.broadcast_to(real, self.shape).astype(self.dtype)


def _fillings(rng: np.random.Generator) -> Iterator[Case]:
    for case in ones("fib", corners=False)(rng):
        for value in (np.asarray(1.5), np.asarray(2)):
            yield Case((*case.args, value), {}, case.args[0].dtype == np.float64)


_SHARED = Refusal(
    (np.broadcast_to(np.ones(1), (3,)), np.ones(3)),
    RuntimeError,
    "more than one element of the written-to tensor refers",
    in_torch=False,
)
_add("clone", lambda x: x, ones("fibc"))
_add("_to_dtype", _cast, _casts, torch=lambda x, dtype: x.to(dtype, copy=True))
_add("copy_", _over, _copies, MISFIT, _SHARED,
     Refusal((THREE, np.zeros((2, 3))), RuntimeError, r"output with shape \[3\] doesn't match the broadcast shape \[2, 3\]"))  # fmt: skip
_add("fill_.Scalar", _over, with_numbers("fibc", (2, 1.5, True)), Refusal((np.ones(2, np.uint8), 300), RuntimeError, _OVERFLOW.format("uint8_t")),
     Refusal((HALVES, 1j), RuntimeError, _OVERFLOW.format("double")))  # fmt: skip
_add("fill_.Tensor", _over, _fillings,
     Refusal((HALVES, HALVES), RuntimeError, "fill_ only supports 0-dimension value tensor but got tensor with 1 dimensions"))  # fmt: skip
_add("zero_", lambda x: np.zeros_like(x), ones("fibc"))
_add("gw::number_for", lambda x, value: np.asarray(value), with_numbers("fib", (2.5, 2, True)))
