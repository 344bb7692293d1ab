"""Kernels and gradients of `gradwire_protocol.ops.activation`.

An activation's gradient is one op, `*_backward`, which has a gradient of its own: create_graph records it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gradwire_protocol.dtypes import from_numpy
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import OPS, torch_type_name
from gradwire_server import philox
from gradwire_server.loops import host_loops
from gradwire_server.ops.error_function import erf_of_normal
from gradwire_server.rules import gradient, joint_gradient, kernel, pointwise
from gradwire_server.steps import deliver, drop, select, widened, zero_gradient

Array = Any

_DENSITY = 1 / math.sqrt(2 * math.pi)
# Of a block, from which on a compiled loop is worth its call; a small script never gets there.
_LOOP_ELEMENTS = 16_384

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
    loops = host_loops(xp, grad, self, least=_LOOP_ELEMENTS) if grad.ndim == self.ndim == 1 else None
    if loops is None or (out is not None and not out.flags.c_contiguous):
        return deliver(drop(xp, self <= threshold, grad), out)
    made = _apart(xp, out, grad, self)
    loops.threshold_backward(grad, self, self.dtype.type(threshold), made)
    return deliver(made, out)


def _apart(xp: Any, out: Array | None, *inputs: Array) -> Array:
    """Return where a compiled loop puts its result: in `out`, unless an input lies there.

    A loop that finds an input in its way goes an element at a time, up to ten times as slow; a copy costs a tenth.
    """
    if out is None or any(xp.may_share_memory(out, array) for array in inputs):
        return xp.empty_like(inputs[0])
    return out


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


def celu(xp: Any, self: Array, alpha: Any, out: Array | None = None) -> Array:
    """Compute elu with a slope of 1 at 0: alpha * (exp(self / alpha) - 1) below."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return elu(xp, self, alpha, 1, 1 / alpha, out=out)


def hardsigmoid(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute min(max(self + 3, 0), 6) / 6."""
    return xp.true_divide(xp.minimum(xp.maximum(self + 3, 0), 6), 6, out=out)


def hardsigmoid_backward(xp: Any, grad: Array, self: Array, out: Array | None = None) -> Array:
    """Scale the gradient by 1/6 between -3 and 3; stop it elsewhere."""
    return deliver(select(xp, (self > -3) & (self < 3), grad * self.dtype.type(1 / 6)), out)


def hardswish(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute self * hardsigmoid(self)."""
    return xp.true_divide(self * xp.minimum(xp.maximum(self + 3, 0), 6), 6, out=out)


def hardswish_backward(xp: Any, grad: Array, self: Array, out: Array | None = None) -> Array:
    """Scale the gradient by self / 3 + 1/2 between -3 and 3, by 0 below and by 1 above."""
    bent = xp.where(self < 3, grad * (self / 3 + 0.5), grad)
    return deliver(drop(xp, self <= -3, bent), out)


def hardshrink(xp: Any, self: Array, lambd: Any, out: Array | None = None) -> Array:
    """Replace what lies within lambd of 0 by 0."""
    return deliver(drop(xp, (self >= -lambd) & (self <= lambd), self), out)


def softshrink(xp: Any, self: Array, lambd: Any, out: Array | None = None) -> Array:
    """Move each element towards 0 by lambd, and no further."""
    limit = float(xp.finfo(self.dtype).max)
    if not 0 <= lambd <= limit:
        raise RuntimeError(
            f"lambda must be in range [0, {limit:g}] for input dtype {torch_type_name(from_numpy(self.dtype))}, but "
            f"found {lambd:g}"
        )
    return xp.subtract(self, xp.minimum(xp.maximum(self, -lambd), lambd), out=out)


def shrink_backward(xp: Any, grad: Array, self: Array, lambd: Any, out: Array | None = None) -> Array:
    """Stop the gradient within lambd of 0, and at NaN."""
    return deliver(select(xp, (self < -lambd) | (self > lambd), grad), out)


def mish(xp: Any, self: Array, out: Array | None = None) -> Array:
    """Compute self * tanh(softplus(self))."""
    return xp.multiply(self, xp.tanh(xp.logaddexp(self, 0)), out=out)


def mish_backward(xp: Any, grad: Array, self: Array, out: Array | None = None) -> Array:
    """Compute grad * (t + self * s * (1 - t^2)), t = tanh(softplus(self)), s = sigmoid(self)."""
    t = xp.tanh(xp.logaddexp(self, 0))
    slope = t + self * sigmoid(xp, self) * (1 - t * t)
    return xp.multiply(grad, slope, out=out)


def prelu(xp: Any, self: Array, weight: Array, out: Array | None = None) -> Array:
    """Compute self where it is positive, else self * weight."""
    return deliver(xp.where(self > 0, self, self * weight), out)


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
    loops = _gelu_loops(xp, self, approximate)
    if loops is not None and (out is None or out.flags.c_contiguous):
        made, inner = _apart(xp, out, self), xp.empty_like(self)
        loops.erf_argument(self, inner)
        loops.gelu_result(self, xp.tanh(inner, out=inner), self.dtype.type(0.5), self.dtype.type(1), made)
        return deliver(made, out)
    inner = xp.tanh(_tanh_argument(self)) if approximate == "tanh" else erf_of_normal(xp, self)
    inner += 1
    return xp.multiply(self * 0.5, inner, out=out)


def gelu_backward(xp: Any, grad: Array, self: Array, approximate: str, out: Array | None = None) -> Array:
    """Compute grad * gelu'(self): Phi + self * Phi'."""
    loops = _gelu_loops(xp, self, approximate)
    if loops is not None and grad.flags.c_contiguous and (out is None or out.flags.c_contiguous):
        made = _gelu_backward_in_loops(xp, loops, grad, self, _apart(xp, out, grad, self))
        return deliver(made, out)
    square = self * self
    if approximate == "tanh":
        inner = xp.tanh(_tanh_argument(self))
        rest = (1 - inner * inner) * (square * (3 * _TANH_CUBE) + 1) * (0.5 * _TANH_SCALE)
    else:
        inner = erf_of_normal(xp, self)
        square *= -0.5
        rest = xp.exp(square)
        rest *= _DENSITY
    rest *= self
    inner += 1
    inner *= 0.5
    inner += rest
    return xp.multiply(grad, inner, out=out)


def _gelu_loops(xp: Any, self: Array, approximate: str) -> Any:
    """Return the compiled loops for a block of a large array, None where numpy's calls must do."""
    if approximate != "none" or self.ndim != 1 or self.dtype.char != "f":
        return None
    return host_loops(xp, self, least=_LOOP_ELEMENTS)


def _gelu_backward_in_loops(xp: Any, loops: Any, grad: Array, self: Array, out: Array) -> Array:
    number = self.dtype.type
    inner, density = xp.empty_like(self), xp.empty_like(self)
    loops.gelu_backward_arguments(self, number(-0.5), inner, density)
    xp.tanh(inner, out=inner)
    xp.exp(density, out=density)
    loops.gelu_backward_result(grad, self, inner, density, number(_DENSITY), number(0.5), number(1), out)
    return out


@kernel("glu")
def glu(xp: Any, self: Array, dim: int) -> Array:
    """Compute a * sigmoid(b), where a and b are the halves of self along dim."""
    a, b = _halves(self, dim)
    return _glu(xp, a, b)


@kernel("glu_backward")
def glu_backward(xp: Any, grad_output: Array, self: Array, dim: int) -> Array:
    """Compute the gradients of both halves: grad * s and grad * a * s * (1 - s), s = sigmoid(b)."""
    a, b = _halves(self, dim)
    return xp.concatenate([_open(xp, grad_output, b), _gate_slope(xp, grad_output, a, b)], axis=dim)


def _halves(self: Array, dim: int) -> tuple[Array, Array]:
    middle = self.shape[dim] // 2
    before = (slice(None),) * (dim % self.ndim)
    return self[(*before, slice(None, middle))], self[(*before, slice(middle, None))]


@widened
def _glu(xp: Any, a: Array, b: Array, out: Array | None = None) -> Array:
    return a * sigmoid(xp, b)


@widened
def _open(xp: Any, grad: Array, b: Array, out: Array | None = None) -> Array:
    return grad * sigmoid(xp, b)


@widened
def _gate_slope(xp: Any, grad: Array, a: Array, b: Array, out: Array | None = None) -> Array:
    s = sigmoid(xp, b)
    return grad * a * (s * (1 - s))


@kernel("_prelu_kernel_backward")
def prelu_backward(xp: Any, grad: Array, self: Array, weight: Array, result: tuple[Meta, Meta]) -> tuple[Array, Array]:
    """Compute the gradients of self and, not yet summed to its shape, of weight."""
    dtype, positive = result[0].dtype.numpy, self > 0
    to_self = xp.where(positive, grad, grad * weight)
    to_weight = xp.where(positive, self.dtype.type(0), grad * self)
    shape = result[0].shape
    return xp.broadcast_to(to_self, shape).astype(dtype), xp.broadcast_to(to_weight, shape).astype(dtype)


@kernel("gw::rrelu")
def rrelu(
    xp: Any, self: Array, lower: float, upper: float, seed: int, offset: int, result: tuple[Meta, Meta]
) -> tuple[Array, Array]:
    """Multiply what is not positive by a random slope of [lower, upper); return the slopes too, 1 where it is."""
    drawn = philox.uniform(xp, self.shape, result[0].dtype, seed, offset)
    one = self.dtype.type(1)
    noise = xp.where(self <= 0, drawn * self.dtype.type(upper - lower) + self.dtype.type(lower), one)
    return self * noise, noise


pointwise("relu", lambda xp, self, out=None: xp.maximum(self, 0, out=out))
pointwise("hardtanh", hardtanh)
for _function in (
    log_sigmoid, sigmoid, leaky_relu, leaky_relu_backward, elu, elu_backward, silu, silu_backward, sigmoid_backward,
    tanh_backward, softplus,
    softplus_backward, gelu, gelu_backward, celu, hardsigmoid, hardsigmoid_backward, hardswish, hardswish_backward, softshrink,
    mish, mish_backward,
):  # fmt: skip
    pointwise(_function.__name__, widened(_function))
pointwise("_prelu_kernel", widened(prelu))
pointwise("hardshrink", hardshrink)
for _name in ("hardshrink_backward", "softshrink_backward"):
    pointwise(_name, shrink_backward)
pointwise("hardtanh_backward", hardtanh_backward)
pointwise("threshold", threshold)
pointwise("threshold_backward", threshold_backward)

gradient("relu", self=lambda g, call: g.threshold_backward(call.result, 0))
gradient("sigmoid", self=lambda g, call: g.sigmoid_backward(call.result))
gradient("log_sigmoid", self=lambda g, call: g * (-call.self).sigmoid())
gradient("hardtanh", self=lambda g, call: g.hardtanh_backward(call.self, call.min_val, call.max_val))
gradient("leaky_relu", self=lambda g, call: g.leaky_relu_backward(call.self, call.negative_slope, False))
gradient("elu", self=lambda g, call: g.elu_backward(call.alpha, call.scale, call.input_scale, False, call.self))
gradient("celu", self=lambda g, call: g.elu_backward(call.alpha, 1, 1 / call.alpha, False, call.self))
gradient("hardswish", self=lambda g, call: g.hardswish_backward(call.self))
gradient("hardsigmoid", self=lambda g, call: g.hardsigmoid_backward(call.self))
gradient("mish", self=lambda g, call: g.mish_backward(call.self))
gradient("hardshrink", self=lambda g, call: g.hardshrink_backward(call.self, call.lambd))
gradient("softshrink", self=lambda g, call: g.softshrink_backward(call.self, call.lambd))
gradient("gw::rrelu", self=lambda g, call: g * call.result1)
gradient("glu", self=lambda g, call: g.glu_backward(call.self, call.dim))
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
gradient("hardshrink_backward", self=zero_gradient,
         grad_out=lambda g, call: g.hardshrink_backward(call.self, call.lambd))  # fmt: skip
gradient("softshrink_backward", self=zero_gradient,
         grad_output=lambda g, call: g.softshrink_backward(call.self, call.lambd))  # fmt: skip
gradient("hardsigmoid_backward", self=zero_gradient, grad_output=lambda g, call: g.hardsigmoid_backward(call.self))


def _hardswish_second(g: Array, call: Any) -> Array:
    bent = (call.self > -3).logical_and(call.self < 3)
    return OPS["where.ScalarOther"](bent, g * call.grad_output / 3, 0)


def _mish_second(g: Array, call: Any) -> Array:
    """Return mish'' = s u (2 + x (1 - s - 2 s t)), u = 1 - t^2, t = tanh(softplus(x)), s = sigmoid(x)."""
    x = call.self
    s, t = x.sigmoid(), OPS["softplus"](x).tanh()
    return g * call.grad_output * (s * (1 - t * t) * (x * (1 - s - s * t * 2) + 2))


gradient("hardswish_backward", grad_output=lambda g, call: g.hardswish_backward(call.self), self=_hardswish_second)
gradient("mish_backward", grad_output=lambda g, call: g.mish_backward(call.self), self=_mish_second)


def _glu_second(g: Array, call: Any) -> Array:
    """Return the gradient of both halves: grad s' gb, and grad (s' ga + a s'' gb), where g is (ga, gb), s = sigmoid(b)."""
    size = call.meta("self").shape[call.dim] // 2
    (a, b), (ga, gb) = ((x.narrow(call.dim, 0, size), x.narrow(call.dim, size, size)) for x in (call.self, g))
    s = b.sigmoid()
    first = call.grad_output * (s * (1 - s))
    return OPS["cat"]([first * gb, first * (ga + a * gb * (1 - s * 2))], call.dim)


def _glu_grad_output(g: Array, call: Any) -> Array:
    size = call.meta("self").shape[call.dim] // 2
    (a, b), (ga, gb) = ((x.narrow(call.dim, 0, size), x.narrow(call.dim, size, size)) for x in (call.self, g))
    s = b.sigmoid()
    return s * (ga + a * gb * (1 - s))


gradient("glu_backward", grad_output=_glu_grad_output, self=_glu_second)


@joint_gradient("_prelu_kernel")
def prelu_gradient(g: Array, call: Any) -> Mapping[str, Array]:
    """Return both gradients."""
    to_self, to_weight = OPS["_prelu_kernel_backward"](g, call.self, call.weight)
    return {"self": to_self, "weight": to_weight}


@joint_gradient("_prelu_kernel_backward")
def prelu_second_gradient(g: Array, call: Any) -> Mapping[str, Array]:
    """Return the gradients of grad, grad * weight and grad * self, the last two where self is not positive."""
    below = call.self <= 0
    ga, gb = (call.grad_output.zeros_like() if made is None else made for made in call.grads)
    return {
        "grad_output": (ga * call.weight + gb * call.self).where(below, ga),
        "self": OPS["where.ScalarOther"](below, gb * call.grad_output, 0),
        "weight": OPS["where.ScalarOther"](below, ga * call.grad_output, 0),
    }
