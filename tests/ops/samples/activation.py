"""Samples of the activations and of the ops that their gradients are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from gradwire_protocol.dtypes import from_numpy
from gradwire_server import philox
from tests.ops.samples.elementwise import (
    COMPLEX,
    FLAGS,
    HALVES,
    INTS,
    Array,
    Reference,
    add_to,
    erf,
    extended,
    no_kernel,
    ones,
    pairs,
    spread,
)
from tests.ops.samples.record import Case, Refusal, Sample

SAMPLES: list[Sample] = []
_add = add_to(SAMPLES)
_smooth = ones("f", -3, 3, corners=False)


def _phi(x: Array) -> Array:
    return (1 + erf(x / math.sqrt(2))) / 2


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


_add("relu", lambda x: np.maximum(x, 0), ones("fi"), Refusal((FLAGS,), RuntimeError, "Boolean inputs not supported for relu"),
     Refusal((COMPLEX,), NotImplementedError, "clamp is not supported for complex types"))  # fmt: skip
_add("leaky_relu", lambda x, slope=0.01: np.where(x > 0, x, x * slope), extended(ones("f"), (), (0.3,)),
     no_kernel("leaky_relu_cpu", "Long", INTS))  # fmt: skip
_add("elu", _elu, extended(ones("f"), (), (1.5, 1.2, 0.7)), no_kernel("elu_cpu", "Long", INTS))
_add("threshold", lambda x, threshold, value: np.where(x <= threshold, x.dtype.type(value), x),
     extended(ones("f"), (0.1, 20.0), (1, -1)), no_kernel("threshold_cpu", "Bool", FLAGS, 1, 0))  # fmt: skip
_add("hardtanh", _bounded, extended(ones("f"), (), (-0.5, 0.7)),
     Refusal((np.ones(2, np.uint8),), RuntimeError, "cannot do hardtanh on an unsigned type with negative limits"),
     Refusal((FLAGS,), RuntimeError, "Bool inputs not supported for hardtanh"))  # fmt: skip
_add("silu", lambda x: x * _logistic(x), _smooth, no_kernel("silu_cpu", "Long", INTS))
_add("gelu", _gelu, lambda rng: (Case(c.args, kw) for kw in ({}, {"approximate": "tanh"}) for c in _smooth(rng)),
     no_kernel("GeluKernelImpl", "Long", INTS),
     Refusal((HALVES,), RuntimeError, "approximate argument must be either none or tanh", {"approximate": "erf"}))  # fmt: skip
_bends = extended(ones("f", corners=False), (), (2.0, 1.0), (0.5, 20))
_add("softplus", _softplus, _bends, no_kernel("softplus_cpu", "Long", INTS))
_add("log_sigmoid", lambda x: -np.logaddexp(0, -x), _smooth, no_kernel("log_sigmoid_cpu", "Long", INTS))

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
    _add(_name, _reference, extended(pairs("f"), *_rests))


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
        for case in pairs("f")(rng):
            yield Case((case.args[0], 1.5, 1.2, 0.7, is_result, case.args[1]), {}, case.differentiable)


_add("gelu_backward", _gelu_backward,
     lambda rng: (Case(c.args, kw, c.differentiable) for kw in ({}, {"approximate": "tanh"}) for c in pairs("f")(rng)))  # fmt: skip
_add("elu_backward", _elu_backward, _elu_backward_cases)


def _mish(x: Array) -> Array:
    return x * np.tanh(np.logaddexp(x, 0))


def _mish_backward(g: Array, x: Array) -> Array:
    t = np.tanh(np.logaddexp(x, 0))
    return g * (t + x * (1 - t**2) * _logistic(x))


def _outside(kept: Array, x: Array, lambd: float) -> Array:
    return np.where(np.abs(x) <= lambd, 0, kept)


_LAMBDS = ((), (0.3,), (0,))
_add("celu", lambda x, alpha=1.0: _elu(x, alpha, 1, 1 / alpha), extended(ones("f"), (), (1.5,)),
     no_kernel("elu_cpu", "Long", INTS), Refusal((HALVES, 0), RuntimeError, "alpha cannot be 0 for CELU"))  # fmt: skip
_add("hardsigmoid", lambda x: np.clip(x / 6 + 0.5, 0, 1), ones("f", -4, 4), no_kernel("hardsigmoid_cpu", "Long", INTS),
     second_order=False)  # fmt: skip
_add("hardswish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1), ones("f", -4, 4), no_kernel("hardswish_cpu", "Bool", FLAGS))
_add("mish", _mish, _smooth, no_kernel("mish_cpu", "Long", INTS))
_add(
    "hardshrink",
    lambda x, lambd=0.5: _outside(x, x, lambd),
    extended(ones("f"), *_LAMBDS),
    no_kernel("hardshrink_cpu", "Long", INTS),
)
_add("softshrink", lambda x, lambd=0.5: x - np.clip(x, -lambd, lambd), extended(ones("f", corners=False), *_LAMBDS),
     no_kernel("softshrink_check", "Long", INTS),
     Refusal((HALVES, -1.0), RuntimeError, r"lambda must be in range \[0, 1.79769e\+308\] for input dtype Double, but found -1"))  # fmt: skip
_add("hardsigmoid_backward", lambda g, x: np.where(np.abs(x) < 3, g / 6, 0), pairs("f", -4, 4), second_order=False)
_add("hardswish_backward", lambda g, x: g * np.where(np.abs(x) < 3, x / 3 + 0.5, x > 0), pairs("f", -4, 4))
# PyTorch's kernel does not promote a 0-dim self.
_add("mish_backward", _mish_backward, lambda rng: (c for c in pairs("f")(rng) if c.differentiable))
for _name in ("hardshrink_backward", "softshrink_backward"):
    _add(_name, _outside, extended(pairs("f"), (0.5,), (0.3,)))


# ---------------------------------------------------------------- gated, learned and random slopes
def _glu(x: Array, dim: int = -1) -> Array:
    a, b = np.split(x, 2, dim)
    return a * _logistic(b)


def _glu_backward(g: Array, x: Array, dim: int) -> Array:
    a, b = np.split(x, 2, dim)
    s = _logistic(b)
    return np.concatenate([g * s, g * a * s * (1 - s)], dim)


def _splits(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((spread(rng, 3, 4),))
    yield Case((spread(rng, 4, 3), 0))
    yield Case((spread(rng, 3, 4, 2), -2))
    yield Case((spread(rng, 6, 5).T, 1))
    yield Case((spread(rng, 4).astype(np.float32),))
    yield Case((np.ones((0, 4)), 1))
    yield Case((np.ones((3, 0)), 1))


def _split_gradients(rng: np.random.Generator) -> Iterator[Case]:
    for case in _splits(rng):
        x, dim = (*case.args, -1)[:2]
        yield Case((rng.standard_normal(_glu(x, dim).shape).astype(x.dtype), x, dim))


_ODD = Refusal((np.ones((2, 3)), 1), RuntimeError, "Halving dimension must be even, but dimension 1 is size 3")
_add("glu", _glu, _splits, _ODD, no_kernel("glu_cpu", "Long", INTS), Refusal((np.ones(()),), RuntimeError, "glu does not support 0-dim"),
     Refusal((np.ones((2, 2)), 2), IndexError, r"Dimension out of range \(expected to be in range of \[-2, 1\], but got 2\)"))  # fmt: skip
_add("glu_backward", _glu_backward, _split_gradients)


def _slopes(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((spread(rng, 2, 3), spread(rng, 3)))
    yield Case((spread(rng, 2, 3, 4), spread(rng, 1, 3, 1)))
    yield Case((spread(rng), spread(rng)))
    yield Case((spread(rng, 4).astype(np.float32), spread(rng, 1).astype(np.float32)))
    yield Case((np.ones((0, 2)), np.ones((1, 1))))


def _slope_gradients(rng: np.random.Generator) -> Iterator[Case]:
    for case in _slopes(rng):
        yield Case((rng.standard_normal(case.args[0].shape).astype(case.args[0].dtype), *case.args))


def _prelu_backward(g: Array, x: Array, w: Array) -> tuple[Array, Array]:
    return np.where(x > 0, g, g * w), np.where(x > 0, 0, g * x)


def _rrelu(x: Array, lower: float, upper: float, seed: int, offset: int) -> tuple[Array, Array]:
    drawn = philox.uniform(np, x.shape, from_numpy(x.dtype), seed, offset)
    noise = np.where(x <= 0, drawn * x.dtype.type(upper - lower) + x.dtype.type(lower), x.dtype.type(1))
    return x * noise, noise


_add("_prelu_kernel", lambda x, w: np.where(x > 0, x, x * w), _slopes, no_kernel("prelu_cpu", "Long", INTS, INTS))
_add(
    "_prelu_kernel_backward",
    _prelu_backward,
    _slope_gradients,
    no_kernel("prelu_backward_cpu", "Long", INTS, INTS, INTS),
)
SAMPLES.append(
    Sample("gw::rrelu", _rrelu, extended(ones("f"), (0.125, 0.5, 7, 3), (-0.1, -0.1, 7, 3)), differentiable_outputs=1)
)
