"""Samples of the pointwise family: families are tables of references in plain numpy, their inputs are made by kind.

A functional op and its in-place form share a line.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gradwire_protocol.dtypes import bool_, complex64, float32, float64, int32, int64, uint8
from gradwire_protocol.infer import floating
from gradwire_protocol.ops import OPS
from tests.ops.samples.record import Case, Refusal, Sample

Array = Any
Cases = Callable[[np.random.Generator], Iterator[Case]]
Reference = Callable[..., Any]
NAN, INF = math.nan, math.inf

SAMPLES: list[Sample] = []
_CORNERS = np.array([NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, 30.0, -30.0])
_erf, _erfc = np.vectorize(math.erf, otypes=[float]), np.vectorize(math.erfc, otypes=[float])


# ---------------------------------------------------------------- inputs
def _spread(rng: np.random.Generator, *shape: int, low: float = -2.0, high: float = 2.0) -> Array:
    return np.asarray(rng.uniform(low, high, shape))


def _whole(rng: np.random.Generator, *shape: int, low: int = -4, high: int = 5, dtype: Any = np.int64) -> Array:
    return np.asarray(rng.integers(low, high, shape)).astype(dtype)


def _floats(rng: np.random.Generator, low: float, high: float) -> Iterator[Case]:
    """Make one tensor of several ranks, layouts and precisions, within the bounds of the function's domain."""
    yield Case((_spread(rng, 2, 3, low=low, high=high),))
    yield Case((_spread(rng, 4, 3, low=low, high=high).T,))
    yield Case((_spread(rng, low=low, high=high),))
    yield Case((_spread(rng, 3, 6, low=low, high=high)[:, ::2],), differentiable=False)
    yield Case((_spread(rng, 5, low=low, high=high).astype(np.float32),))
    yield Case((np.ones((0, 3)),))


def _wholes(rng: np.random.Generator, low: int = -4) -> Iterator[Case]:
    yield Case((_whole(rng, 2, 3, low=low),))
    yield Case((_whole(rng, 4, low=low, dtype=np.int32),))
    yield Case((_whole(rng, 4, low=max(low, 0), dtype=np.uint8),))
    yield Case((_whole(rng, low=low),))


def _bools(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((rng.random((2, 3)) < 0.5,))
    yield Case((np.asarray(True),))


def _complexes(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((_spread(rng, 2, 3) + 1j * _spread(rng, 2, 3),))
    yield Case(((_spread(rng, 4) + 1j * _spread(rng, 4)).astype(np.complex64),))


def _ones(kinds: str, low: float = -2.0, high: float = 2.0, corners: bool = True) -> Cases:
    """Make cases of one tensor: floats (f), integers (i), bools (b) and complex numbers (c), as `kinds` says."""

    def cases(rng: np.random.Generator) -> Iterator[Case]:
        if "f" in kinds:
            yield from _floats(rng, low, high)
        if "f" in kinds and corners:
            yield Case((_CORNERS,), differentiable=False)
            yield Case((_CORNERS.astype(np.float32),), differentiable=False)
        if "i" in kinds:
            yield from _wholes(rng, 0 if low >= 0 else -4)
        if "b" in kinds:
            yield from _bools(rng)
        if "c" in kinds:
            yield from _complexes(rng)

    return cases


def _extended(cases: Cases, *arguments: tuple[Any, ...], **keywords: Any) -> Cases:
    """Give every case each of the further arguments in turn, floating ones all of them."""

    def more(rng: np.random.Generator) -> Iterator[Case]:
        for number, case in enumerate(cases(rng)):
            for rest in arguments if number < 3 else arguments[:1]:
                yield Case((*case.args, *rest), {**case.kwargs, **keywords}, case.differentiable)

    return more


def _pairs(kinds: str, low: float = -2.0, high: float = 2.0, nonzero: bool = False) -> Cases:
    """Make cases of two tensors that broadcast, of equal and of different dtypes and ranks."""

    def floats(rng: np.random.Generator, *shape: int) -> Array:
        return _spread(rng, *shape, low=low, high=high)

    def wholes(rng: np.random.Generator, *shape: int, dtype: Any = np.int64, signed: bool = True) -> Array:
        values = _whole(rng, *shape, low=1 if nonzero else 0, high=5, dtype=dtype)
        return values * rng.choice((-1, 1), shape).astype(dtype) if signed and low < 0 else values

    def cases(rng: np.random.Generator) -> Iterator[Case]:
        if "f" in kinds:
            yield Case((floats(rng, 2, 3), floats(rng, 2, 3)))
            yield Case((floats(rng, 3, 2).T, floats(rng, 3)))
            yield Case((floats(rng, 2, 1), floats(rng, 2, 3)[:, ::2]))
            yield Case((floats(rng), floats(rng)))
            yield Case((floats(rng, 4).astype(np.float32), floats(rng, 4)), differentiable=False)
            yield Case((floats(rng, 4).astype(np.float32), floats(rng)), differentiable=False)
            yield Case((floats(rng, 0, 3), floats(rng, 3)))
        if "f" in kinds and "i" in kinds:
            yield Case((floats(rng, 4).astype(np.float32), wholes(rng, 4)))
            yield Case((wholes(rng, 4), floats(rng).astype(np.float32)))
        if "i" in kinds:
            yield Case((wholes(rng, 2, 6), wholes(rng, 6)))
            yield Case((wholes(rng, 6, dtype=np.int32), wholes(rng)))
            yield Case((wholes(rng, 6, dtype=np.uint8, signed=False), wholes(rng, 6, dtype=np.int8)))
        if "b" in kinds:
            yield Case((rng.random(6) < 0.5, rng.random(6) < 0.5))
        if "b" in kinds and "i" in kinds:
            yield Case((rng.random(6) < 0.5, wholes(rng, 6)))

    return cases


def _with_numbers(kinds: str, numbers: Sequence[Any], low: float = -2.0, high: float = 2.0) -> Cases:
    return _extended(_ones(kinds, low, high, corners=False), *((number,) for number in numbers))


def _same_shape(cases: Cases) -> Cases:
    """Leave the cases whose result can be written over their first tensor."""

    def fitting(rng: np.random.Generator) -> Iterator[Case]:
        for case in cases(rng):
            self, shapes = case.args[0], [a.shape for a in case.args if isinstance(a, np.ndarray)]
            fits = np.broadcast_shapes(*shapes) == self.shape and self.flags.owndata | bool(self.ndim)
            kinds = [np.asarray(a).dtype.kind for a in case.args if a is not None]
            if fits and max("biufc".index(kind) for kind in kinds) <= "biufc".index(self.dtype.kind):
                yield case

    return fitting


# ---------------------------------------------------------------- what goes into the list
def _add(
    name: str, reference: Reference, cases: Cases, *refusals: Refusal, inplace: bool = True, **options: Any
) -> None:
    """Add the sample of an op, and that of its in-place form on the cases that can be written back."""
    SAMPLES.append(Sample(name, reference, cases, refusals, **options))
    head, dot, overload = name.partition(".")
    written = f"{head}_{dot}{overload}"
    if inplace and written in OPS:
        torch_name = {"pow_.Tensor_Scalar": "Scalar", "pow_.Tensor_Tensor": "Tensor"}.get(written)
        options = {**options, **({"torch": _aten(head + "_", torch_name)} if torch_name else {})}
        SAMPLES.append(Sample(written, _stored(reference), _floating_only(name, _same_shape(cases)), (), **options))


def _aten(name: str, overload: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(getattr(torch.ops.aten, name), overload)(*args, **kwargs)

    return call


def _stored(reference: Reference) -> Reference:
    """Return what an in-place op leaves in self."""

    def written(self: Array, *rest: Any, **keywords: Any) -> Array:
        result = np.asarray(reference(self, *rest, **keywords))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
            return result.astype(self.dtype)

    return written


def _floating_only(name: str, cases: Cases) -> Cases:
    """Leave out integers where the result is a float, which they cannot hold."""
    if name not in _TO_FLOAT:
        return cases
    return lambda rng: (case for case in cases(rng) if case.args[0].dtype.kind in "fc")


_TO_FLOAT = frozenset(name for name, op in OPS.items() if op.infer is floating) | {"erf", "erfc", "atan2"}


def _no_kernel(kernel: str, name: str, value: Array, *rest: Any, **keywords: Any) -> Refusal:
    return Refusal((value, *rest), NotImplementedError, f"\"{kernel}\" not implemented for '{name}'", keywords)


_INTS, _FLAGS, _COMPLEX = np.ones(2, np.int64), np.array([True, False]), np.ones(2, np.complex64)
_HALVES, _THREE, _FOUR = np.array([1.5, -0.5]), np.zeros(3), np.zeros(4)
_MISFIT = Refusal((_THREE, _FOUR), RuntimeError, r"The size of tensor a \(\d\) must match the size of tensor b \(\d\)")

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
         _ones("fibc" if _whole_too else "fc", _low, _high))  # fmt: skip
for _name, _reference in (("erf", _erf), ("erfc", _erfc)):
    _add(
        _name,
        lambda x, f=_reference: f(x.astype(np.float64)),
        _ones("fib", -3, 3),
        _no_kernel(f"{_name}_vml_cpu", "ComplexFloat", _COMPLEX),
    )
for _name, _reference in (("floor", np.floor), ("ceil", np.ceil), ("trunc", np.trunc), ("round", np.round)):
    _add(_name, _reference, _ones("fi"), _no_kernel(f"{_name}_vml_cpu", "Bool", _FLAGS))
_add("round.decimals", lambda x, decimals: np.round(x, decimals),
     lambda rng: (Case(c.args, {"decimals": d}, c.differentiable) for d in (1, 0, -1) for c in _floats(rng, -20, 20)),
     _no_kernel("round_cpu", "Long", _INTS, decimals=1))  # fmt: skip
_add("frac", lambda x: x - np.trunc(x), _ones("f"), _no_kernel("frac_cpu", "Long", _INTS))
_add("neg", np.negative, _ones("fic"), Refusal((_FLAGS,), RuntimeError, "Negation, the `-` operator, on a bool tensor"))
_add("abs", np.abs, _ones("fi"), _no_kernel("abs_cpu", "Bool", _FLAGS))


def _sign(x: Array) -> Array:
    return x if x.dtype.kind == "b" else np.nan_to_num(np.sign(x), nan=0.0)


_add("sign", _sign, _ones("fib"), Refusal((_COMPLEX,), NotImplementedError, "is not intended to support complex"))
# PyTorch's gradient of a real sgn is a tensor without memory, which its numpy() refuses; that of sign is the same zeros.
SAMPLES.append(Sample("sgn", _sign, _ones("fibc"), torch=lambda x: x.sgn() if x.is_complex() else x.sign()))
SAMPLES.append(Sample("sgn_", _stored(_sign), _ones("fibc"), torch=lambda x: x.sgn_() if x.is_complex() else x.sign_()))
_add("conj_physical", lambda x: x if x.dtype.kind == "b" else np.conj(x), _ones("fibc"))
_add("bitwise_not", np.invert, _ones("ib"), _no_kernel("bitwise_not_cpu", "Double", _HALVES))
_add("logical_not", np.logical_not, _ones("fibc"))
_add("isnan", np.isnan, _ones("fibc"))
_add("isinf", np.isinf, _ones("fibc"))
_add("isfinite", np.isfinite, _ones("fibc"))


def _numbers(x: Array, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Array:
    return x if x.dtype.kind in "biu" else np.nan_to_num(x, nan=nan or 0.0, posinf=posinf, neginf=neginf)


_add("nan_to_num", _numbers, _extended(_ones("fib"), (), (1.5, 2.0, -2.0), (None, None, 7.0)))

# ---------------------------------------------------------------- activations
_smooth = _ones("f", -3, 3, corners=False)


def _phi(x: Array) -> Array:
    return (1 + _erf(x / math.sqrt(2))) / 2


def _tanh_phi(x: Array) -> Array:
    return (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def _density(x: Array) -> Array:
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _logistic(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _gelu(x: Array, approximate: str = "none") -> Array:
    return x * (_phi(x) if approximate == "none" else _tanh_phi(x))


def _elu(x: Array, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Array:
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) * input_scale))


def _softplus(x: Array, beta: float = 1, threshold: float = 20) -> Array:
    return np.where(x * beta > threshold, x, np.logaddexp(0, np.minimum(x * beta, 50)) / beta)


def _bounded(x: Array, low: float = -1, high: float = 1) -> Array:
    return np.minimum(np.maximum(x, x.dtype.type(low)), x.dtype.type(high))


_add("relu", lambda x: np.maximum(x, 0), _ones("fi"), Refusal((_FLAGS,), RuntimeError, "Boolean inputs not supported for relu"),
     Refusal((_COMPLEX,), NotImplementedError, "clamp is not supported for complex types"))  # fmt: skip
_add("leaky_relu", lambda x, slope=0.01: np.where(x > 0, x, x * slope), _extended(_ones("f"), (), (0.3,)),
     _no_kernel("leaky_relu_cpu", "Long", _INTS))  # fmt: skip
_add("elu", _elu, _extended(_ones("f"), (), (1.5, 1.2, 0.7)), _no_kernel("elu_cpu", "Long", _INTS))
_add("threshold", lambda x, threshold, value: np.where(x <= threshold, x.dtype.type(value), x),
     _extended(_ones("f"), (0.1, 20.0), (1, -1)), _no_kernel("threshold_cpu", "Bool", _FLAGS, 1, 0))  # fmt: skip
_add("hardtanh", _bounded, _extended(_ones("f"), (), (-0.5, 0.7)),
     Refusal((np.ones(2, np.uint8),), RuntimeError, "cannot do hardtanh on an unsigned type with negative limits"),
     Refusal((_FLAGS,), RuntimeError, "Bool inputs not supported for hardtanh"))  # fmt: skip
_add("silu", lambda x: x * _logistic(x), _smooth, _no_kernel("silu_cpu", "Long", _INTS))
_add("gelu", _gelu, lambda rng: (Case(c.args, kw) for kw in ({}, {"approximate": "tanh"}) for c in _smooth(rng)),
     _no_kernel("GeluKernelImpl", "Long", _INTS),
     Refusal((_HALVES,), RuntimeError, "approximate argument must be either none or tanh", {"approximate": "erf"}))  # fmt: skip
_bends = _extended(_ones("f", corners=False), (), (2.0, 1.0), (0.5, 20))
_add("softplus", _softplus, _bends, _no_kernel("softplus_cpu", "Long", _INTS))
_add("log_sigmoid", lambda x: -np.logaddexp(0, -x), _smooth, _no_kernel("log_sigmoid_cpu", "Long", _INTS))

_SLOPES: dict[str, tuple[Reference, tuple[tuple[Any, ...], ...]]] = {
    "sigmoid_backward": (lambda g, y: g * y * (1 - y), ((),)),
    "tanh_backward": (lambda g, y: g * (1 - y**2), ((),)),
    "silu_backward": (lambda g, x: g * _logistic(x) * (1 + x * (1 - _logistic(x))), ((),)),
    "threshold_backward": (lambda g, x, threshold: np.where(x > threshold, g, 0), ((0,), (0.5,))),
    "hardtanh_backward": (lambda g, x, low, high: np.where((x > low) & (x < high), g, 0), ((-1, 1), (-0.5, 0.7))),
    "leaky_relu_backward": (lambda g, x, slope, result: np.where(x > 0, g, g * slope), ((0.1, False), (0.3, True))),
    "softplus_backward": (
        lambda g, x, beta, threshold: np.where(x * beta > threshold, g, g * _logistic(x * beta)), ((1, 20), (2.0, 1.0))
    ),
}  # fmt: skip
for _name, (_reference, _rests) in _SLOPES.items():
    _add(_name, _reference, _extended(_pairs("f"), *_rests))


def _gelu_backward(g: Array, x: Array, approximate: str = "none") -> Array:
    if approximate == "none":
        return g * (_phi(x) + x * _density(x))
    k, t = math.sqrt(2 / math.pi), 2 * _tanh_phi(x) - 1
    return g * ((1 + t) / 2 + x / 2 * (1 - t**2) * k * (1 + 3 * 0.044715 * x**2))


def _elu_backward(g: Array, alpha: float, scale: float, input_scale: float, is_result: bool, x: Array) -> Array:
    below = input_scale * (x + alpha * scale if is_result else alpha * scale * np.exp(x * input_scale))
    return np.where(x > 0, g * scale, g * below)


def _elu_backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    for is_result in (False, True):
        for case in _pairs("f")(rng):
            yield Case((case.args[0], 1.5, 1.2, 0.7, is_result, case.args[1]), {}, case.differentiable)


_add("gelu_backward", _gelu_backward,
     lambda rng: (Case(c.args, kw, c.differentiable) for kw in ({}, {"approximate": "tanh"}) for c in _pairs("f")(rng)))  # fmt: skip
_add("elu_backward", _elu_backward, _elu_backward_cases)

# ---------------------------------------------------------------- arithmetic of two
_TWO_BOOLS = Refusal(
    (_FLAGS, _FLAGS), RuntimeError, "Subtraction, the `-` operator, with two bool tensors is not supported"
)
_ONE_BOOL = Refusal(
    (_FLAGS, _HALVES), RuntimeError, "Subtraction, the `-` operator, with a bool tensor is not supported"
)
_FLOAT_ALPHA = Refusal(
    (_INTS, _INTS), RuntimeError, "argument alpha must not be a floating point number", {"alpha": 0.5}
)
_BOOL_ALPHA = Refusal(
    (_HALVES, _HALVES), RuntimeError, "Boolean alpha only supported for Boolean results", {"alpha": True}
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
    _add(f"{_name}.Tensor", _reference, _scaled(_pairs(_kinds)), _MISFIT, _FLOAT_ALPHA, _BOOL_ALPHA, *_refused)
    _add(f"{_name}.Scalar", _reference, _extended(_ones(_kinds, corners=False), (2,), (2.5,), (1.5, 2)))
_add("mul.Tensor", np.multiply, _pairs("fib"), _MISFIT)
_add("mul.Scalar", lambda x, y: x * y, _with_numbers("fibc", (*_NUMBERS, True)))
_add("div.Tensor", np.true_divide, _pairs("fib", 0.5, 3, nonzero=True), _MISFIT)
_add("div.Scalar", np.true_divide, _with_numbers("fibc", _NUMBERS))


def _divided(x: Array, y: Any, rounding_mode: str | None) -> Array:
    exact = x / np.asarray(y)
    return {None: exact, "floor": np.floor(exact), "trunc": np.trunc(exact)}[rounding_mode]


def _modes(cases: Cases, modes: Sequence[str | None]) -> Cases:
    return lambda rng: (Case(c.args, {"rounding_mode": m}, c.differentiable) for m in modes for c in cases(rng))


_ZERO = Refusal((_INTS, np.array([1, 0])), RuntimeError, "ZeroDivisionError")
_BAD_MODE = Refusal(
    (_HALVES, _HALVES),
    RuntimeError,
    "rounding_mode to be one of None, 'trunc', or 'floor' but found 'up'",
    {"rounding_mode": "up"},
)
_SIGNED, _SIGNED_NUMBERS = _pairs("fi", nonzero=True), _with_numbers("fi", (1.5, 2, -3))
_ROUNDED = ("floor", "trunc")
_add("div.Tensor_mode", _divided, _modes(_SIGNED, _ROUNDED), _BAD_MODE, _no_kernel("div_floor_cpu", "Bool", _FLAGS, _FLAGS, rounding_mode="floor"),
     Refusal(_ZERO.args, RuntimeError, _ZERO.match, {"rounding_mode": "trunc"}))  # fmt: skip
_add(
    "div.Scalar_mode",
    _divided,
    _modes(_SIGNED_NUMBERS, _ROUNDED),
    Refusal((_INTS, 0), RuntimeError, _ZERO.match, {"rounding_mode": "floor"}),
)
SAMPLES.append(
    Sample("floor_divide", np.floor_divide, _SIGNED, (_ZERO, _no_kernel("div_floor_cpu", "Bool", _FLAGS, _FLAGS)))
)
SAMPLES.append(Sample("floor_divide_", _stored(np.floor_divide), _same_shape(_SIGNED)))
_add("floor_divide.Scalar", np.floor_divide, _SIGNED_NUMBERS, Refusal((_INTS, 0), RuntimeError, "ZeroDivisionError"))
for _name, _reference in (("remainder", np.mod), ("fmod", np.fmod)):
    _add(f"{_name}.Tensor", _reference, _SIGNED, _ZERO, _no_kernel(f"{_name}_cpu", "Bool", _FLAGS, _FLAGS))
    _add(f"{_name}.Scalar", _reference, _SIGNED_NUMBERS, Refusal((_INTS, 0), RuntimeError, "ZeroDivisionError"))
_add("remainder.Scalar_Tensor", np.mod,
     lambda rng: (Case((n, c.args[0]), {}, c.differentiable) for n in (5.25, 7) for c in _ones("fi", 0.5, 3, corners=False)(rng)
                  if np.all(c.args[0] != 0)))  # fmt: skip


def _power(x: Any, y: Any) -> Array:
    """Compute x^y; 0 for an integer to a negative power, unless it is 1 or -1."""
    if np.asarray(x).dtype.kind in "iu" and np.asarray(y).dtype.kind in "iu":
        return np.trunc(np.power(np.asarray(x, np.float64), y))
    return np.power(x, y)


def _bases(rng: np.random.Generator) -> Iterator[Case]:
    for exponent in (2, 3, 0.5, -1, 2.5, -0.5, -2, 1, 0):
        yield Case((_spread(rng, 2, 3, low=0.3), exponent))
        yield Case((_spread(rng, 3, low=0.3).astype(np.float32), exponent))
    yield Case((_CORNERS, 2), differentiable=False)
    yield Case((_CORNERS, 3.0), differentiable=False)
    for exponent in (2, 3, 0, 0.5):
        yield Case((_whole(rng, 5, low=0), exponent))
    yield Case((_whole(rng, 3, dtype=np.uint8, low=0), 2))


def _exponents(rng: np.random.Generator) -> Iterator[Case]:
    yield from _pairs("f", 0.2, 2)(rng)
    yield Case((np.array([1, -1, 2, -3, 0, 4, 1]), np.array([-1, -3, -1, 3, 0, 2, -4])))
    yield Case((np.array([2, 3], np.uint8), np.array([3, 2], np.uint8)))
    yield Case((np.array([0.0, 0.0, 2.0]), np.array([0.0, 2.0, 0.0])), differentiable=False)


_NEGATIVE_POWER = Refusal((_INTS, -1), RuntimeError, "Integers to negative integer powers are not allowed")
_add("pow.Tensor_Scalar", _power, _bases, _NEGATIVE_POWER)
_add("pow.Tensor_Tensor", _power, _exponents, _MISFIT, _no_kernel("pow", "Bool", _FLAGS, _FLAGS))
_add("pow.Scalar", _power,
     lambda rng: (Case((base, _spread(rng, 2, 3))) for base in (2, 0.5, 1)), _no_kernel("pow", "Bool", True, _FLAGS))  # fmt: skip
_add(
    "atan2",
    lambda y, x: np.arctan2(y.astype(np.float64), x.astype(np.float64)),
    _pairs("fi", 0.3, 2, nonzero=True),
    _no_kernel("atan2_cpu", "ComplexFloat", _COMPLEX, _COMPLEX),
)
for _name, _reference in (("maximum", np.maximum), ("minimum", np.minimum)):
    _add(_name, _reference,
         lambda rng: (case for cases in (_pairs("fib")(rng), [Case((_CORNERS, _CORNERS[::-1].copy()), {}, False)]) for case in cases),
         _MISFIT, Refusal((_COMPLEX, _COMPLEX), RuntimeError, f"{_name} not implemented for complex tensors"))  # fmt: skip

# ---------------------------------------------------------------- bounds


def _clamped(x: Any, low: Any = None, high: Any = None) -> Array:
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _bounds(rng: np.random.Generator) -> Iterator[Case]:
    for case in _pairs("fi")(rng):
        self, other = case.args
        yield Case((self, other, other + np.asarray(1, other.dtype)), {}, case.differentiable)
        yield Case((self, other, None), {}, case.differentiable)
        yield Case((self, None, other), {}, case.differentiable)
    yield Case((_spread(rng, 6), np.full(6, 0.5), np.full(6, -0.5)))


_NO_BOUND = Refusal((_HALVES,), RuntimeError, "At least one of 'min' or 'max' must not be None")
_COMPLEX_CLAMP = Refusal((_COMPLEX, 1.0), NotImplementedError, "clamp is not supported for complex types")
_number_bounds = _extended(_ones("fi"), (-0.5, 0.7), (None, 0.3), (-0.3, None), (1, -1))
_add("clamp", _clamped, _number_bounds, _NO_BOUND, _COMPLEX_CLAMP)
_add("clamp.Tensor", _clamped, _bounds, _NO_BOUND)
for _name, _reference in (("clamp_min", np.maximum), ("clamp_max", np.minimum)):
    _add(
        _name,
        _reference,
        _with_numbers("fi", (0.3, 1)),
        _no_kernel(f"{_name}_scalar_cpu", "Bool", _FLAGS, True),
        _COMPLEX_CLAMP,
    )
    _add(f"{_name}.Tensor", _reference, _pairs("fib"), _MISFIT)

# ---------------------------------------------------------------- comparison, logic and bits
for _name, _reference in (
    ("eq", np.equal), ("ne", np.not_equal), ("lt", np.less), ("le", np.less_equal), ("gt", np.greater), ("ge", np.greater_equal),
):  # fmt: skip
    _refused = () if _name in ("eq", "ne") else (_no_kernel(f"{_name}_cpu", "ComplexFloat", _COMPLEX, _COMPLEX),)
    _add(f"{_name}.Tensor", _reference, _pairs("fib"), _MISFIT, *_refused)
    _add(f"{_name}.Scalar", _reference, _with_numbers("fib", (1, 0.5, True)))
for _name, _reference in (
    ("logical_and", np.logical_and),
    ("logical_or", np.logical_or),
    ("logical_xor", np.logical_xor),
):
    _add(_name, _reference, _pairs("fib"), _MISFIT)
for _name, _reference in (
    ("bitwise_and", np.bitwise_and),
    ("bitwise_or", np.bitwise_or),
    ("bitwise_xor", np.bitwise_xor),
):
    _add(f"{_name}.Tensor", _reference, _pairs("ib"), _no_kernel(f"{_name}_cpu", "Double", _HALVES, _HALVES))
    _add(f"{_name}.Scalar", _reference, _with_numbers("i", (3, 6)))


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
    _add(f"{_name}.Tensor", _reference, lambda rng: (Case(args) for args in (_SHIFTS, (_whole(rng, 2, 6), _SHIFTS[1]), (_INTS, np.array(1)))),
         _no_kernel(_kernel, "Double", _HALVES, _HALVES), _no_kernel(_kernel, "Bool", _FLAGS, _FLAGS))  # fmt: skip
    _add(f"{_name}.Tensor_Scalar", _reference, _with_numbers("i", (2, 0)))

# ---------------------------------------------------------------- choice and mixture


def _choices(rng: np.random.Generator) -> Iterator[Case]:
    for case in _pairs("fib")(rng):
        shape = np.broadcast_shapes(*(a.shape for a in case.args))
        yield Case((rng.random(shape) < 0.5, *case.args), {}, case.differentiable)
    yield Case((rng.random((4, 1)) < 0.5, _spread(rng, 3), _spread(rng)))
    yield Case((np.array([True, False]), np.array([NAN, 1.0]), np.array([2.0, INF])), differentiable=False)


def _chosen(number_first: bool) -> Cases:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for case in _ones("fib", corners=False)(rng):
            for number in (0, 2.5):
                given = (number, *case.args) if number_first else (*case.args, number)
                yield Case((rng.random(case.args[0].shape) < 0.5, *given), {}, case.differentiable)

    return cases


_NO_CONDITION = "where expected condition to be a boolean tensor, but got a tensor with dtype Double"
_add("where.self", np.where, _choices, Refusal((_HALVES, _HALVES, _HALVES), RuntimeError, _NO_CONDITION))
_add("where.ScalarOther", np.where, _chosen(False))
_add("where.ScalarSelf", np.where, _chosen(True))
_add(
    "where.Scalar",
    np.where,
    lambda rng: (Case((_FLAGS, a, b)) for a, b in ((1, 2), (1, 2.5), (True, False), (0.5, 1.5))),
)


def _filled(self: Array, mask: Array, value: Any) -> Array:
    return np.where(mask, np.asarray(value).astype(self.dtype), self)


def _masks(*values: Any) -> Cases:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for case in _ones("fib", corners=False)(rng):
            for value in values:
                real = case.args[0].dtype == np.float64
                given = value if real else np.asarray(value, np.float32) if isinstance(value, np.ndarray) else value
                yield Case((*case.args, rng.random(case.args[0].shape) < 0.5, given), {}, real and case.differentiable)
        yield Case((_spread(rng, 3, 4), rng.random(4) < 0.5, values[0]))
        yield Case((_spread(rng, 4), rng.random((3, 1)) < 0.5, values[0]))

    return cases


_BAD_MASK = Refusal(
    (_HALVES, _INTS, 1.0), RuntimeError, "masked_fill_ only supports boolean masks, but got mask with dtype long int"
)
_OVERFLOW = "value cannot be converted to type {} without overflow"
_add("masked_fill.Scalar", _filled, _masks(2.5, 0), _BAD_MASK,
     Refusal((np.ones(2, np.int8), _FLAGS, 300), RuntimeError, _OVERFLOW.format("int8_t")),
     Refusal((np.ones(2, np.float32), _FLAGS, 1e40), RuntimeError, _OVERFLOW.format("float")),
     Refusal((_HALVES, _FLAGS, 1j), RuntimeError, _OVERFLOW.format("double")))  # fmt: skip
_add("masked_fill.Tensor", _filled, _masks(np.asarray(1.5), np.asarray(2)),
     Refusal((_HALVES, _FLAGS, np.ones(1)), RuntimeError, "masked_fill_ only supports a 0-dimensional value tensor"))  # fmt: skip


def _triples(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((_spread(rng, 2, 3), _spread(rng, 2, 3), _spread(rng, 2, 3, low=0.5)))
    yield Case((_spread(rng, 2, 3), _spread(rng, 3), _spread(rng, 2, 1, low=0.5)))
    yield Case((_spread(rng, 3), _spread(rng, 2, 3), _spread(rng, low=0.5)))
    yield Case(tuple(_spread(rng, 4, low=0.5).astype(np.float32) for _ in range(3)))
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
    (_HALVES, _HALVES.astype(np.float32), 0.5), RuntimeError, "expected dtype double for `end` but got dtype float"
)
_add(
    "lerp.Scalar",
    lambda x, end, w: x + w * (end - x),
    _weighted,
    _WRONG_END,
    _no_kernel("lerp_kernel_scalar", "Long", _INTS, _INTS, 0.5),
)
_add("lerp.Tensor", lambda x, end, w: x + w * (end - x), _triples)
_add("addcmul", lambda x, a, b, value=1: x + value * a * b,
     lambda rng: (case for cases in (_valued(rng), [Case((_INTS, _INTS, _INTS), {"value": 3})]) for case in cases))  # fmt: skip
_add("addcdiv", lambda x, a, b, value=1: x + value * a / b, _valued,
     Refusal((_HALVES, _INTS, _INTS), RuntimeError, "Integer division with addcdiv is no longer supported"))  # fmt: skip

# ---------------------------------------------------------------- moving elements


def _casts(rng: np.random.Generator) -> Iterator[Case]:
    for case in _ones("fibc", corners=False)(rng):
        for dtype in (float64, float32, int64, uint8, bool_, complex64, int32):
            array = np.abs(case.args[0]) if dtype is uint8 else case.args[0]
            yield Case((array, dtype), {}, dtype is float64)


def _cast(array: Array, dtype: Any) -> Array:
    real = array.real if array.dtype.kind == "c" and dtype.numpy.kind not in "cb" else array
    return real.astype(getattr(dtype, "numpy", dtype))


def _copies(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((_spread(rng, 2, 3), _spread(rng, 2, 3)))
    yield Case((_spread(rng, 3, 2).T, _spread(rng, 3)))
    yield Case((_spread(rng, 2, 3), _spread(rng)))
    yield Case((_spread(rng, 3), _whole(rng, 3)))
    yield Case((_whole(rng, 3), _spread(rng, 3)), differentiable=False)
    yield Case((rng.random(3) < 0.5, _spread(rng, 3)), differentiable=False)
    yield Case((np.ones(2, np.float32), np.array([1 + 2j, 3j])))
    yield Case((np.ones((0, 2)), np.ones(2)))


def _over(self: Array, src: Any) -> Array:
    src = np.asarray(src)
    real = src.real if src.dtype.kind == "c" and self.dtype.kind not in "cb" else src
    return np.broadcast_to(real, self.shape).astype(self.dtype)


def _fillings(rng: np.random.Generator) -> Iterator[Case]:
    for case in _ones("fib", corners=False)(rng):
        for value in (np.asarray(1.5), np.asarray(2)):
            yield Case((*case.args, value), {}, case.args[0].dtype == np.float64)


_SHARED = Refusal(
    (np.broadcast_to(np.ones(1), (3,)), np.ones(3)),
    RuntimeError,
    "more than one element of the written-to tensor refers",
    in_torch=False,
)
_add("clone", lambda x: x, _ones("fibc"))
_add("_to_dtype", _cast, _casts, torch=lambda x, dtype: x.to(dtype, copy=True))
_add("copy_", _over, _copies, _MISFIT, _SHARED,
     Refusal((_THREE, np.zeros((2, 3))), RuntimeError, r"output with shape \[3\] doesn't match the broadcast shape \[2, 3\]"))  # fmt: skip
_add("fill_.Scalar", _over, _with_numbers("fibc", (2, 1.5, True)), Refusal((np.ones(2, np.uint8), 300), RuntimeError, _OVERFLOW.format("uint8_t")),
     Refusal((_HALVES, 1j), RuntimeError, _OVERFLOW.format("double")))  # fmt: skip
_add("fill_.Tensor", _over, _fillings,
     Refusal((_HALVES, _HALVES), RuntimeError, "fill_ only supports 0-dimension value tensor but got tensor with 1 dimensions"))  # fmt: skip
_add("zero_", lambda x: np.zeros_like(x), _ones("fibc"))
_add("real", lambda x: x.real, _ones("fic"))
_add("gw::number_for", lambda x, value: np.asarray(value), _with_numbers("fib", (2.5, 2, True)))
