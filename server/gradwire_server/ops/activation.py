"""Kernels and gradients of the activations among `gradwire_protocol.ops.pointwise`."""

from __future__ import annotations

import math
from typing import Any

from gradwire_server.ops.special import erf
from gradwire_server.rules import gradient, pointwise

Array = Any

_SQRT_HALF, _INVERSE_SQRT_2PI = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)
# The tanh form of gelu (Hendrycks and Gimpel, 2016): u = K (x + C x^3).
_K, _C = math.sqrt(2 / math.pi), 0.044715


def relu(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Bound from below by 0."""
    return xp.maximum(self, 0, out=out)


def leaky_relu(xp: Any, self: Array, negative_slope: Any, out: Array | None = None) -> Array:
    """Scale what is below 0."""
    return xp.where(self > 0, self, self * negative_slope)


def elu(xp: Any, self: Array, alpha: Any, scale: Any, input_scale: Any, out: Array | None = None) -> Array:
    """Compute scale * (self where positive, else alpha * (exp(input_scale * self) - 1))."""
    negative = xp.expm1(xp.minimum(self, 0) * input_scale) * (alpha * scale)
    return xp.where(self > 0, self * scale, negative)


def softplus(xp: Any, self: Array, beta: Any, threshold: Any, out: Array | None = None) -> Array:
    """Compute log(1 + exp(beta x)) / beta, and x itself beyond the threshold."""
    scaled = self * beta
    return xp.where(scaled > threshold, self, xp.log1p(xp.exp(xp.minimum(scaled, threshold))) / beta)


def silu(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute x * sigmoid(x)."""
    return xp.multiply(self, (xp.tanh(self * 0.5) + 1) * 0.5, out=out)


def hardtanh(xp: Any, self: Array, min_val: Any, max_val: Any, out: Array | None = None) -> Array:
    """Bound to [min_val, max_val]."""
    return xp.minimum(xp.maximum(self, min_val, out=out), max_val, out=out)


def gelu(xp: Any, self: Array, approximate: str, out: Array | None = None) -> Array:
    """Compute x * Phi(x), Phi the normal distribution function, or its tanh form."""
    if approximate == "tanh":
        return xp.multiply(self * 0.5, xp.tanh(_K * (self + _C * self * self * self)) + 1, out=out)
    return xp.multiply(self * 0.5, erf(xp, self * _SQRT_HALF) + 1, out=out)


def gelu_backward(xp: Any, grad_output: Array, self: Array, approximate: str, out: Array | None = None) -> Array:
    """Multiply by the derivative of gelu."""
    if approximate == "tanh":
        t = xp.tanh(_K * (self + _C * self * self * self))
        slope = _K * (1 + 3 * _C * self * self)
        return xp.multiply(grad_output, (1 + t) * 0.5 + self * 0.5 * (1 - t * t) * slope, out=out)
    density = xp.exp(self * self * -0.5) * _INVERSE_SQRT_2PI
    return xp.multiply(grad_output, (erf(xp, self * _SQRT_HALF) + 1) * 0.5 + self * density, out=out)


def silu_backward(xp: Any, grad_output: Array, self: Array, out: Array | None = None) -> Array:
    """Multiply by the derivative of silu: s (1 + x (1 - s))."""
    s = (xp.tanh(self * 0.5) + 1) * 0.5
    return xp.multiply(grad_output, s * (self * (1 - s) + 1), out=out)


def sigmoid_backward(xp: Any, grad_output: Array, output: Array, out: Array | None = None) -> Array:
    """Multiply by y (1 - y)."""
    return xp.multiply(grad_output, (1 - output) * output, out=out)


def tanh_backward(xp: Any, grad_output: Array, output: Array, out: Array | None = None) -> Array:
    """Multiply by 1 - y^2."""
    return xp.multiply(grad_output, 1 - output * output, out=out)


def threshold_backward(xp: Any, grad_output: Array, self: Array, threshold: Any, out: Array | None = None) -> Array:
    """Pass what lies above the threshold."""
    return xp.multiply(grad_output, self > threshold, out=out)


for _function in (
    relu, leaky_relu, elu, softplus, silu, hardtanh, gelu, gelu_backward, silu_backward, sigmoid_backward, tanh_backward,
    threshold_backward,
):  # fmt: skip
    pointwise(_function.__name__, _function)


def _gelu_curvature(x: Any, approximate: str) -> Any:
    """Return the second derivative of gelu."""
    if approximate == "none":
        return (x * x * -0.5).exp() * (2 - x * x) * _INVERSE_SQRT_2PI
    t = ((x + x * x * x * _C) * _K).tanh()
    slope = (x * x * (3 * _C) + 1) * _K
    return (1 - t * t) * (slope + x * 0.5 * (x * (6 * _K * _C) - t * slope * slope * 2))


def _silu_curvature(x: Any) -> Any:
    s = x.sigmoid()
    return s * (1 - s) * (x * (1 - s * 2) + 2)


gradient("relu", self=lambda g, call: g.threshold_backward(call.result, 0))
gradient("leaky_relu", self=lambda g, call: (call.self > 0).where(g, g * call.negative_slope))
gradient(
    "elu",
    self=lambda g, call: (call.self > 0).where(
        g * call.scale,
        g * (call.self.clamp(None, 0) * call.input_scale).exp() * (call.alpha * call.scale * call.input_scale),
    ),
)
gradient(
    "softplus",
    self=lambda g, call: (call.self * call.beta > call.threshold).where(g, g * (call.self * call.beta).sigmoid()),
)
gradient("silu", self=lambda g, call: g.silu_backward(call.self))
gradient("hardtanh", self=lambda g, call: (call.self > call.min_val).logical_and(call.self < call.max_val).where(g, 0))
gradient("gelu", self=lambda g, call: g.gelu_backward(call.self, approximate=call.approximate))
gradient(
    "gelu_backward",
    grad_output=lambda g, call: g.gelu_backward(call.self, approximate=call.approximate),
    self=lambda g, call: g * call.grad_output * _gelu_curvature(call.self, call.approximate),
)
gradient(
    "silu_backward",
    grad_output=lambda g, call: g.silu_backward(call.self),
    self=lambda g, call: g * call.grad_output * _silu_curvature(call.self),
)
gradient(
    "sigmoid_backward",
    grad_output=lambda g, call: g.sigmoid_backward(call.output),
    output=lambda g, call: g * call.grad_output * (1 - call.output * 2),
)
gradient(
    "tanh_backward",
    grad_output=lambda g, call: g.tanh_backward(call.output),
    output=lambda g, call: g * call.grad_output * (call.output * -2),
)
gradient("threshold_backward", grad_output=lambda g, call: g.threshold_backward(call.self, call.threshold))
