"""Kernels and gradients of the activations among `gradwire_protocol.ops.pointwise`, and of the ops they are made of.

An activation's gradient is one op, `*_backward`, which has a gradient of its own: create_graph records it.
"""

from __future__ import annotations

import math
from typing import Any

from gradwire_server.ops.special import erf
from gradwire_server.rules import gradient, pointwise
from gradwire_server.steps import deliver, select, widened, zero_gradient

Array = Any

_INV_SQRT2, _DENSITY = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)
# The tanh form of gelu: D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016.
_TANH_SCALE, _TANH_CUBE = math.sqrt(2 / math.pi), 0.044715


def log_sigmoid(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute log(1 / (1 + exp(-self))) as min(self, 0) - log1p(exp(-|self|)), which cannot overflow."""
    return xp.subtract(xp.minimum(self, 0), xp.log1p(xp.exp(-xp.abs(self))), out=out)


def sigmoid(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute 1 / (1 + exp(-self)); where exp overflows, the result is rightly 0."""
    return xp.reciprocal(1 + xp.exp(-self), out=out)


def hardtanh(xp: Any, self: Array, min_val: Any, max_val: Any, out: Array | None = None) -> Array:
    """Clamp to [min_val, max_val]; an integer tensor to the bounds without their fractions."""
    if self.dtype.kind != "f":
        if self.dtype.kind == "u" and (min(min_val, max_val) < 0 or min_val > max_val):  # -1 has arrived as 255
            raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
        min_val, max_val = self.dtype.type(min_val), self.dtype.type(max_val)
    return xp.minimum(xp.maximum(self, min_val), max_val, out=out)


def hardtanh_backward(xp: Any, grad: Array, self: Array, low: Any, high: Any, out: Array | None = None) -> Array:
    """Pass the gradient strictly between the bounds."""
    return deliver(select(xp, (self > low) & (self < high), grad), out)


def leaky_relu(xp: Any, self: Array, slope: Any, out: Array | None = None) -> Array:
    """Compute self where it is positive, else self * slope; as a sum, which unlike a choice does not branch."""
    return xp.add(xp.maximum(self, 0), xp.minimum(self, 0) * slope, out=out)


def leaky_relu_backward(
    xp: Any, grad: Array, self: Array, slope: Any, self_is_result: bool, out: Array | None = None
) -> Array:
    """Scale the gradient by the slope where `self` (or the result, whose sign is the same) is not positive."""
    return deliver(xp.where(self > 0, grad, grad * slope), out)


def threshold(xp: Any, self: Array, threshold: Any, value: Any, out: Array | None = None) -> Array:
    """Replace what is not above the threshold."""
    return deliver(xp.where(self <= threshold, self.dtype.type(value), self), out)


def threshold_backward(xp: Any, grad: Array, self: Array, threshold: Any, out: Array | None = None) -> Array:
    """Pass the gradient where self is above the threshold, or NaN."""
    return deliver(select(xp, ~(self <= threshold), grad), out)


def elu(xp: Any, self: Array, alpha: Any, scale: Any, input_scale: Any, out: Array | None = None) -> Array:
    """Compute scale * self, and where self is not positive scale * alpha * (exp(self * input_scale) - 1)."""
    return deliver(xp.where(self <= 0, xp.expm1(self * input_scale) * (alpha * scale), self * scale), out)


def elu_backward(
    xp: Any,
    grad: Array,
    alpha: Any,
    scale: Any,
    input_scale: Any,
    is_result: bool,
    self: Array,
    out: Array | None = None,
) -> Array:
    """Scale the gradient by elu's slope at `self`, or at the place whose elu is `self`."""
    steep = self + alpha * scale if is_result else xp.exp(self * input_scale) * (alpha * scale)
    return deliver(xp.where(self <= 0, grad * steep * input_scale, grad * scale), out)


def silu(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute self * sigmoid(self)."""
    return xp.true_divide(self, 1 + xp.exp(-self), out=out)


def silu_backward(xp: Any, grad: Array, self: Array, out: Array | None = None) -> Array:
    """Compute grad * s * (1 + self * (1 - s)), s = sigmoid(self)."""
    s = sigmoid(xp, self)
    slope = s * (1 + self * (1 - s))
    return xp.multiply(grad, slope, out=out)


def sigmoid_backward(xp: Any, grad: Array, output: Array, out: Array | None = None) -> Array:
    """Compute grad * output * (1 - output)."""
    slope = (1 - output) * output
    return xp.multiply(grad, slope, out=out)


def tanh_backward(xp: Any, grad: Array, output: Array, out: Array | None = None) -> Array:
    """Compute grad * (1 - output^2)."""
    slope = 1 - output * output
    return xp.multiply(grad, slope, out=out)


def softplus(xp: Any, self: Array, beta: Any, threshold: Any, out: Array | None = None) -> Array:
    """Compute log(1 + exp(beta * self)) / beta; above the threshold of beta * self, just self."""
    scaled = self * beta
    return deliver(xp.where(scaled > threshold, self, xp.log1p(xp.exp(scaled)) / beta), out)


def softplus_backward(xp: Any, grad: Array, self: Array, beta: Any, threshold: Any, out: Array | None = None) -> Array:
    """Scale the gradient by sigmoid(beta * self); above the threshold by 1."""
    scaled = self * beta
    return deliver(xp.where(scaled > threshold, grad, grad * sigmoid(xp, scaled)), out)


def _tanh_argument(x: Array) -> Array:
    return (x * x * _TANH_CUBE + 1) * x * _TANH_SCALE


def gelu(xp: Any, self: Array, approximate: str, out: Array | None = None) -> Array:
    """Compute self * Phi(self), Phi the normal distribution, which `tanh` approximates."""
    by_tanh = approximate == "tanh"
    inner = xp.tanh(_tanh_argument(self)) if by_tanh else erf(xp, self * _INV_SQRT2)
    return xp.multiply(self * 0.5, inner + 1, out=out)


def gelu_backward(xp: Any, grad: Array, self: Array, approximate: str, out: Array | None = None) -> Array:
    """Compute grad * gelu'(self): Phi + self * Phi'."""
    square = self * self
    if approximate == "tanh":
        inner = xp.tanh(_tanh_argument(self))
        rest = (1 - inner * inner) * (square * (3 * _TANH_CUBE) + 1) * (0.5 * _TANH_SCALE)
    else:
        inner = erf(xp, self * _INV_SQRT2)
        rest = xp.exp(square * -0.5) * _DENSITY
    return xp.multiply(grad, (inner + 1) * 0.5 + self * rest, out=out)


pointwise("relu", lambda xp, self, out=None: xp.maximum(self, 0, out=out))
pointwise("hardtanh", hardtanh)
for _function in (
    log_sigmoid, sigmoid, leaky_relu, leaky_relu_backward, elu, elu_backward, silu, silu_backward, sigmoid_backward,
    tanh_backward, softplus,
    softplus_backward, gelu, gelu_backward,
):  # fmt: skip
    pointwise(_function.__name__, widened(_function))
pointwise("hardtanh_backward", hardtanh_backward)
pointwise("threshold", threshold)
pointwise("threshold_backward", threshold_backward)

gradient("relu", self=lambda g, call: g.threshold_backward(call.result, 0))
gradient("sigmoid", self=lambda g, call: g.sigmoid_backward(call.result))
gradient("log_sigmoid", self=lambda g, call: g * (-call.self).sigmoid())
gradient("hardtanh", self=lambda g, call: g.hardtanh_backward(call.self, call.min_val, call.max_val))
gradient("leaky_relu", self=lambda g, call: g.leaky_relu_backward(call.self, call.negative_slope, False))
gradient("elu", self=lambda g, call: g.elu_backward(call.alpha, call.scale, call.input_scale, False, call.self))
gradient("threshold", self=lambda g, call: g.threshold_backward(call.self, call.threshold))
gradient("silu", self=lambda g, call: g.silu_backward(call.self))
gradient("gelu", self=lambda g, call: g.gelu_backward(call.self, approximate=call.approximate))
gradient("softplus", self=lambda g, call: g.softplus_backward(call.self, call.beta, call.threshold))
gradient(
    "threshold_backward",
    grad_output=lambda g, call: g.threshold_backward(call.self, call.threshold),
    self=zero_gradient,
)
gradient("hardtanh_backward", self=zero_gradient,
         grad_output=lambda g, call: g.hardtanh_backward(call.self, call.min_val, call.max_val))  # fmt: skip
gradient("leaky_relu_backward", self=zero_gradient,
         grad_output=lambda g, call: g.leaky_relu_backward(
             call.self, call.negative_slope, call.self_is_result))  # fmt: skip
gradient("sigmoid_backward", grad_output=lambda g, call: g.sigmoid_backward(call.output),
         output=lambda g, call: g * call.grad_output * (1 - call.output * 2))  # fmt: skip
gradient("tanh_backward", grad_output=lambda g, call: g.tanh_backward(call.output),
         output=lambda g, call: g * call.grad_output * (call.output * -2))  # fmt: skip


def _silu_second(g: Array, call: Any) -> Array:
    """Return silu'' = s (1 - s) (2 + x (1 - 2 s)), s = sigmoid(x)."""
    s = call.self.sigmoid()
    return g * call.grad_output * (s * (1 - s) * (call.self * (1 - s * 2) + 2))


def _softplus_second(g: Array, call: Any) -> Array:
    """Return softplus'' = beta s (1 - s), s = sigmoid(beta x); 0 above the threshold."""
    s = (call.self * call.beta).sigmoid()
    slope = g * call.grad_output * (s * (1 - s) * call.beta)
    return slope.masked_fill((call.self * call.beta).gt(call.threshold), 0)


def _elu_second(g: Array, call: Any) -> Array:
    """Return elu'' below 0, where elu' is input_scale * (result + alpha scale), or that in terms of x; above, 0."""
    x = call.self_or_result
    if call.is_result:
        slope = g * call.grad_output * call.input_scale
    else:
        steep = (x * call.input_scale).exp() * (call.alpha * call.scale * call.input_scale**2)
        slope = g * call.grad_output * steep
    return slope.masked_fill(x.ge(0), 0)


def _gelu_second(g: Array, call: Any) -> Array:
    """Return gelu'' = (2 - x^2) Phi'; for tanh(u) = t in Phi's place: (1 - t^2) (u' + x / 2 (u'' - 2 t u'^2))."""
    x = call.self
    square = x * x
    if call.approximate == "none":
        return g * call.grad_output * (2 - square) * ((square * -0.5).exp() * _DENSITY)
    t = _tanh_argument(x).tanh()
    first = (square * (3 * _TANH_CUBE) + 1) * _TANH_SCALE
    second = x * (6 * _TANH_CUBE * _TANH_SCALE) - t * 2 * first * first
    return g * call.grad_output * ((1 - t * t) * (first + x * 0.5 * second))


gradient("silu_backward", grad_output=lambda g, call: g.silu_backward(call.self), self=_silu_second)
gradient("softplus_backward", self=_softplus_second,
         grad_output=lambda g, call: g.softplus_backward(call.self, call.beta, call.threshold))  # fmt: skip
gradient("elu_backward", self_or_result=_elu_second,
         grad_output=lambda g, call: g.elu_backward(
             call.alpha, call.scale, call.input_scale, call.is_result, call.self_or_result))  # fmt: skip
gradient("gelu_backward", self=_gelu_second,
         grad_output=lambda g, call: g.gelu_backward(call.self, approximate=call.approximate))  # fmt: skip
