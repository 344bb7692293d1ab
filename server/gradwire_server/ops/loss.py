"""Kernels and gradients of `gradwire_protocol.ops.loss`. float16 is computed in float32."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradwire_protocol.infer import broadcast_shapes
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import OPS
from gradwire_server.ops.reduction import in_dtype, total, widened
from gradwire_server.rules import gradient, kernel

Array = Any
NONE, MEAN = 0, 1


def _reduced(xp: Any, loss: Array, reduction: int, result: Meta) -> Array:
    """Reduce the losses of the elements; the mean of none is NaN."""
    if reduction == NONE:
        return in_dtype(loss, result)
    summed = total(loss, None, False, result)
    return in_dtype(xp.true_divide(summed, loss.size) if reduction == MEAN else summed, result)


def _share(g: Array, call: Any, numel: int) -> Array:
    """Return the gradient of one element's loss, before its own derivative."""
    return g / max(numel, 1) if call.reduction == MEAN else g


# ---------------------------------------------------------------- negative log likelihood
def _classes(xp: Any, self: Array, target: Array, ignore_index: int) -> tuple[Array, Array, Array]:
    """Return (self with a batch axis, target class or 0 with an axis for the class, whether each target counts).

    Raises IndexError for a target that is no class. It costs a wait for the device, which PyTorch saves by an assertion
    that ends the process.
    """
    rows = self if self.ndim > 1 else self.reshape(1, -1)
    given = target.astype("int64").reshape((rows.shape[0], *rows.shape[2:]))
    counts = xp.not_equal(given, ignore_index)
    index = xp.where(counts, given, 0)
    # As unsigned, a negative class is too high as well: one comparison.
    outside = index.view("uint64") >= rows.shape[1]
    if outside.any().item():
        first = given.reshape(-1)[outside.reshape(-1).argmax()].item()
        raise IndexError(f"Target {first} is out of bounds.")
    return rows, xp.expand_dims(index, 1), counts


def _weights(xp: Any, rows: Array, weight: Array | None, index: Array, counts: Array) -> Array:
    """Return the weight of each target, 0 where it is ignored."""
    dtype = widened(rows[:0]).dtype
    if weight is None:
        return counts.astype(dtype)
    return xp.where(counts, xp.take(weight.reshape(-1).astype(dtype), index[:, 0]), dtype.type(0))


def _plain_targets(
    xp: Any, self: Array, target: Array, weight: Array | None, reduction: int, ignore_index: int
) -> Array | None:
    """Return where the targets of a matrix lie in its memory, if none is ignored or wrong and all count alike.

    The usual case, in a third of the calls that the general one needs.
    """
    if weight is not None or self.ndim != 2 or reduction == NONE or not self.flags.c_contiguous or not self.size:
        return None
    rows, classes = self.shape
    if target.dtype != "int64" or 0 <= ignore_index < classes:
        return None
    # As unsigned, a negative class is the highest.
    if target.view("uint64").max().item() >= classes:
        return None
    return xp.arange(0, rows * classes, classes) + target


@kernel("nll_loss_forward", "nll_loss2d_forward")
def nll_forward(
    xp: Any, self: Array, target: Array, weight: Array | None, reduction: int, ignore_index: int,
    result: tuple[Meta, Meta],
) -> tuple[Array, Array]:  # fmt: skip
    """Compute -weight[target] * self[target], summed, or averaged over the weights; and the sum of the weights."""
    places = _plain_targets(xp, self, target, weight, reduction, ignore_index)
    if places is not None:
        picked = -widened(self.reshape(-1)[places])
        count = picked.dtype.type(len(places))
        value = picked.sum() / count if reduction == MEAN else picked.sum()
        return in_dtype(value, result[0]), xp.asarray(count, result[1].dtype.numpy)
    rows, index, counts = _classes(xp, self, target, ignore_index)
    weights = _weights(xp, rows, weight, index, counts)
    picked = widened(xp.take_along_axis(rows, index, 1)[:, 0])
    # Not a product with the weight 0: what is ignored may be infinite.
    loss = xp.where(counts, -(picked * weights), weights.dtype.type(0))
    if reduction == NONE and self.ndim > 1:
        return in_dtype(loss, result[0]), xp.zeros((), result[1].dtype.numpy)
    weighed = weights.sum()
    summed = loss.sum()
    value = xp.true_divide(summed, weighed) if reduction == MEAN else summed
    return in_dtype(value, result[0]), in_dtype(weighed, result[1])


@kernel("nll_loss_backward", "nll_loss2d_backward")
def nll_backward(
    xp: Any, grad_output: Array, self: Array, target: Array, weight: Array | None, reduction: int, ignore_index: int,
    total_weight: Array, result: Meta,
) -> Array:  # fmt: skip
    """Write -weight[target] * g at each target, divided by the sum of the weights for the mean."""
    places = _plain_targets(xp, self, target, weight, reduction, ignore_index)
    if places is not None:
        made = xp.zeros(self.shape, result.dtype.numpy)
        share = xp.true_divide(grad_output, total_weight) if reduction == MEAN else grad_output
        made.reshape(-1)[places] = -share
        return made
    rows, index, counts = _classes(xp, self, target, ignore_index)
    weights = _weights(xp, rows, weight, index, counts)
    g = xp.true_divide(grad_output, total_weight) if reduction == MEAN else grad_output
    # Where nothing counts the sum of the weights is 0, and g infinite.
    values = xp.where(counts, -(weights * g), weights.dtype.type(0)).astype(result.dtype.numpy)
    out = xp.zeros(rows.shape, result.dtype.numpy)
    xp.put_along_axis(out, index, xp.expand_dims(values, 1), 1)
    return out.reshape(result.shape)


def _nll_gradients(name: str) -> None:
    forward, backward = OPS[f"{name}_forward"], OPS[f"{name}_backward"]

    def at_targets(g: Array, call: Any) -> Array:
        return backward(g, call.self, call.target, call.weight, call.reduction, call.ignore_index, call.result1)

    def back(g: Array, call: Any) -> Array:
        """Read where the op wrote, which is the loss itself."""
        summed = forward(g, call.target, call.weight, 2 if call.reduction else NONE, call.ignore_index)[0]
        return summed / call.total_weight if call.reduction == MEAN else summed

    gradient(f"{name}_forward", self=at_targets)
    gradient(f"{name}_backward", grad_output=back)


_nll_gradients("nll_loss")
_nll_gradients("nll_loss2d")


# ---------------------------------------------------------------- losses of a difference
def _difference_loss(
    name: str,
    value: Callable[..., Array],
    slope: Callable[..., Array],
    curvature: Callable[..., Array | int],
    check: Callable[[float], None],
) -> None:
    """Register a loss f(self - target): f and f' over `xp`, f'' in tensor methods, of (difference, *parameters)."""

    def difference(self: Array, target: Array, result: Meta) -> Array:
        dtype = result.dtype.numpy
        return widened(self.astype(dtype, copy=False)) - widened(target.astype(dtype, copy=False))

    def forward(xp: Any, self: Array, target: Array, reduction: int, *parameters: float, result: Meta) -> Array:
        for parameter in parameters:
            check(parameter)
        return _reduced(xp, value(xp, difference(self, target, result), *parameters), reduction, result)

    def backward(
        xp: Any, grad_output: Array, self: Array, target: Array, reduction: int, *parameters: float, result: Meta
    ) -> Array:
        d = difference(self, target, result)
        g = widened(grad_output.astype(result.dtype.numpy, copy=False))
        if reduction == MEAN:
            g = g / g.dtype.type(max(d.size, 1))
        return in_dtype(slope(xp, d, *parameters) * g, result)

    op = OPS[f"{name}_backward"]

    def parameters(call: Any) -> tuple[float, ...]:
        return tuple(getattr(call, argument.name) for argument in op.arguments[4:])

    def through_slope(g: Array, call: Any) -> Array:
        bent = curvature(call.self - call.target, *parameters(call))
        return _share(g, call, call.output_meta().numel) * call.grad_output * bent

    kernel(name)(forward)
    kernel(f"{name}_backward")(backward)
    gradient(name,
             self=lambda g, call: op(g, call.self, call.target, call.reduction, *parameters(call)),
             target=lambda g, call: op(g, call.target, call.self, call.reduction, *parameters(call)))  # fmt: skip
    gradient(f"{name}_backward",
             grad_output=lambda g, call: op(g, call.self, call.target, call.reduction, *parameters(call)),
             self=through_slope, target=lambda g, call: -through_slope(g, call))  # fmt: skip


def _smooth(xp: Any, d: Array, beta: float) -> Array:
    size = xp.abs(d)
    return size if beta == 0 else xp.where(size < beta, xp.square(d) * (0.5 / beta), size - 0.5 * beta)


def _smooth_slope(xp: Any, d: Array, beta: float) -> Array:
    return xp.sign(d) if beta == 0 else xp.clip(d / beta, -1, 1)


def _huber(xp: Any, d: Array, delta: float) -> Array:
    size = xp.abs(d)
    return xp.where(size <= delta, xp.square(d) * 0.5, (size - 0.5 * delta) * delta)


def _check_beta(beta: float) -> None:
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")


def _check_delta(delta: float) -> None:
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")


_difference_loss("mse_loss", lambda xp, d: xp.square(d), lambda xp, d: d + d, lambda d: 2, lambda parameter: None)
_difference_loss("smooth_l1_loss", _smooth, _smooth_slope,
                 lambda d, beta: d.abs().lt(beta) * (1 / beta if beta else 0.0), _check_beta)  # fmt: skip
_difference_loss("huber_loss", _huber, lambda xp, d, delta: xp.clip(d, -delta, delta),
                 lambda d, delta: d.abs().le(delta), _check_delta)  # fmt: skip


# ---------------------------------------------------------------- binary cross entropy
@kernel("binary_cross_entropy_with_logits")
def with_logits(
    xp: Any, self: Array, target: Array, weight: Array | None, pos_weight: Array | None, reduction: int, result: Meta
) -> Array:
    """Compute weight * ((1 - y) x - (1 + (pos_weight - 1) y) log(sigmoid(x))).

    log(sigmoid(x)) = min(x, 0) - log1p(exp(-|x|)), which neither overflows nor cancels.
    """
    x, y = (widened(array.astype(result.dtype.numpy, copy=False)) for array in (self, target))
    log_sigmoid = xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x)))
    if pos_weight is not None:
        log_sigmoid = log_sigmoid * ((pos_weight - 1) * y + 1)
    loss = (1 - y) * x - log_sigmoid
    return _reduced(xp, loss if weight is None else loss * weight, reduction, result)


def _weighted(loss: Array, call: Any) -> Array:
    return loss if call.weight is None else loss * call.weight


def _with_logits_gradient(g: Array, call: Any) -> Array:
    """Return g * weight * ((p y + 1 - y) sigmoid(x) - p y), which is g * (sigmoid(x) - y) for a pos_weight p of 1."""
    x, y = call.self, call.target
    g = _weighted(_share(g, call, call.meta("target").numel), call)
    if call.pos_weight is None:
        return (x.sigmoid() - y) * g
    positive = call.pos_weight * y
    return ((positive + 1 - y) * x.sigmoid() - positive) * g


def _log_sigmoid(x: Array) -> Array:
    size = x.abs()
    return (x - size) * 0.5 - (-size).exp().log1p()


def _with_logits_target(g: Array, call: Any) -> Array:
    """Return g * weight * ((1 - p) log(sigmoid(x)) - x)."""
    x = call.self
    slope = -x if call.pos_weight is None else (1 - call.pos_weight) * _log_sigmoid(x) - x
    return slope * _weighted(_share(g, call, call.meta("target").numel), call)


gradient("binary_cross_entropy_with_logits", self=_with_logits_gradient, target=_with_logits_target)

# PyTorch's: a logarithm is no less than -100, and x (1 - x) no less than 1e-12.
_LOG_FLOOR, _VARIANCE_FLOOR = -100, 1e-12


def _check_probability(xp: Any, name: str, array: Array) -> None:
    """Raise RuntimeError for what is no probability; like the check of targets, this waits for the device."""
    if xp.logical_not(xp.logical_and(xp.greater_equal(array, 0), xp.less_equal(array, 1))).any().item():
        raise RuntimeError(f"all elements of {name} should be between 0 and 1")


@kernel("binary_cross_entropy")
def cross_entropy(xp: Any, self: Array, target: Array, weight: Array | None, reduction: int, result: Meta) -> Array:
    """Compute -weight * (y log(x) + (1 - y) log(1 - x))."""
    _check_probability(xp, "input", self)
    _check_probability(xp, "target", target)
    x, y = widened(self), widened(target)
    loss = (y - 1) * xp.maximum(xp.log1p(-x), _LOG_FLOOR) - y * xp.maximum(xp.log(x), _LOG_FLOOR)
    return _reduced(xp, loss if weight is None else loss * weight, reduction, result)


@kernel("binary_cross_entropy_backward")
def cross_entropy_backward(
    xp: Any, grad_output: Array, self: Array, target: Array, weight: Array | None, reduction: int, result: Meta
) -> Array:
    """Compute g * weight * (x - y) / (x (1 - x))."""
    x, g = widened(self), widened(grad_output.astype(result.dtype.numpy, copy=False))
    slope = (x - widened(target)) / xp.maximum((1 - x) * x, _VARIANCE_FLOOR)
    value = g * slope if weight is None else g * slope * weight
    return in_dtype(value / max(result.numel, 1) if reduction == MEAN else value, result)


def _backward(g: Array, call: Any) -> Array:
    return g.binary_cross_entropy_backward(call.self, call.target, call.weight, call.reduction)


def _backward_self(g: Array, call: Any) -> Array:
    """Differentiate (x - y) / (x (1 - x)) by x: (x^2 - 2 x y + y) / (x (1 - x))^2."""
    x, y = call.self, call.target
    spread = ((1 - x) * x).clamp(_VARIANCE_FLOOR)
    slope = (x * x - 2 * x * y + y) / (spread * spread)
    return slope * call.grad_output * _weighted(_share(g, call, call.output_meta().numel), call)


def _backward_target(g: Array, call: Any) -> Array:
    x = call.self
    slope = -((1 - x) * x).clamp(_VARIANCE_FLOOR).reciprocal()
    return slope * call.grad_output * _weighted(_share(g, call, call.output_meta().numel), call)


def _target_gradient(g: Array, call: Any) -> Array:
    """Return g * weight * (log(1 - x) - log(x)); a mean is over the elements of the broadcast arguments."""
    metas = [call.meta(name) for name in ("self", "target", "weight")]
    numel = math.prod(broadcast_shapes(*(meta.shape for meta in metas if meta is not None)))
    return _weighted(_share(g, call, numel), call) * ((-call.self).log1p() - call.self.log())


gradient("binary_cross_entropy", self=_backward, target=_target_gradient)
gradient("binary_cross_entropy_backward", grad_output=_backward, self=_backward_self, target=_backward_target)
