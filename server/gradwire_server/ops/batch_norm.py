"""Kernels and gradients of batch normalization. Inputs of two bytes are computed in float32.

Inputs are seen as (N, C, L). Sums over N and L are made along L first, where numpy adds pairwise, and then in float64:
batches of many rows would lose digits otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire_protocol.dtypes import float64
from gradwire_protocol.meta import Meta
from gradwire_server.ops import batch_norm_blocks
from gradwire_server.ops.normal import Normalized, masked
from gradwire_server.ops.reduction import in_dtype, widened
from gradwire_server.rules import joint_gradient, kernel

Array = Any
Shape = tuple[int, ...]


def _rows(array: Array) -> Array:
    return widened(array).reshape(*array.shape[:2], -1)


def _average(x: Array, count: int) -> Array:
    """Return the mean per channel of (N, C, L), as (C, 1)."""
    inner = x[:, :, 0] if x.shape[2] == 1 else x.sum(axis=2)
    return (inner.sum(axis=0, dtype=float64.numpy) / count).astype(x.dtype)[:, None]


def _column(parameter: Array) -> Array:
    return widened(parameter)[:, None]


def _scaled(xp: Any, values: Array, rstd: Array, weight: Array | None, bias: Array | None) -> Array:
    """Multiply by rstd * weight and add the bias, in the memory of `values`."""
    scale = rstd if weight is None else rstd * _column(weight)
    xp.multiply(values, scale, out=values)
    return values if bias is None else xp.add(values, _column(bias), out=values)


def _normalize(
    xp: Any, input: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array, Array]:
    """Return the result in (N, C, L), and mean, variance and rstd of the batch as (C, 1)."""
    x = _rows(input)
    if batch_norm_blocks.serves(xp, x):
        scale, shift = (None if parameter is None else widened(parameter) for parameter in (weight, bias))
        values, *moments = batch_norm_blocks.normalize(xp, x, scale, shift, eps)
        mean, variance, rstd = (vector[:, None] for vector in moments)
        return values, mean, variance, rstd
    count = x.shape[0] * x.shape[2]
    mean = _average(x, count)
    values = x - mean
    variance = _average(xp.square(values), count)
    rstd = 1 / xp.sqrt(variance + x.dtype.type(eps))
    return _scaled(xp, values, rstd, weight, bias), mean, variance, rstd


def _results(made: Sequence[Array], result: Sequence[Meta]) -> tuple[Array, ...]:
    return tuple(in_dtype(array.reshape(meta.shape), meta) for array, meta in zip(made, result, strict=True))


@kernel("_native_batch_norm_legit.no_stats")
def batch_norm(
    xp: Any, input: Array, weight: Array | None, bias: Array | None, training: bool, momentum: float, eps: float,
    result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Normalize by the moments of the batch; return (that, mean, 1 / sqrt(variance + eps))."""
    values, mean, _, rstd = _normalize(xp, input, weight, bias, eps)
    return _results((values, mean, rstd), result)


@kernel("_native_batch_norm_legit_functional")
def updating_batch_norm(
    xp: Any, input: Array, weight: Array | None, bias: Array | None, running_mean: Array, running_var: Array,
    training: bool, momentum: float, eps: float, result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Normalize by the moments of the batch; return them and the running ones, moved towards mean and unbiased variance."""
    values, mean, variance, rstd = _normalize(xp, input, weight, bias, eps)
    count = values.shape[0] * values.shape[2]
    # As in C, the variance of one element is no number; a Python division would raise.
    unbiased = variance[:, 0] * (count / (count - 1) if count > 1 else float("nan"))
    new_mean = momentum * mean[:, 0] + (1 - momentum) * widened(running_mean).reshape(-1)
    new_var = momentum * unbiased + (1 - momentum) * widened(running_var).reshape(-1)
    return _results((values, mean, rstd, new_mean, new_var), result)


@kernel("_native_batch_norm_legit_no_training")
def fixed_batch_norm(
    xp: Any, input: Array, weight: Array | None, bias: Array | None, running_mean: Array, running_var: Array,
    momentum: float, eps: float, result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Normalize by the running moments; the other two results are empty, as in PyTorch."""
    x = _rows(input)
    rstd = 1 / xp.sqrt(_column(running_var.reshape(-1)) + x.dtype.type(eps))
    values = _scaled(xp, x - _column(running_mean.reshape(-1)), rstd, weight, bias)
    none = xp.zeros((0,), values.dtype)
    return _results((values, none, none), result)


@kernel("gw::store_statistics_")
def store_statistics(xp: Any, self: Sequence[Array], source: Sequence[Array]) -> None:
    """Overwrite each tensor with its source."""
    for into, given in zip(self, source, strict=True):
        into[...] = given.reshape(into.shape)


@kernel("native_batch_norm_backward")
def batch_norm_backward(
    xp: Any, grad_out: Array, input: Array, weight: Array | None, running_mean: Array | None, running_var: Array | None,
    save_mean: Array | None, save_invstd: Array | None, train: bool, eps: float, output_mask: tuple[bool, ...],
    result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Compute rstd w (g - mean(g) - x' mean(g x')), the means only in training; sum(g x'); sum(g)."""
    g, x = _rows(grad_out), _rows(input)
    count = x.shape[0] * x.shape[2]
    mean: Array = save_mean if train else running_mean
    rstd: Array = save_invstd if train else running_var
    mean, rstd = _column(mean.reshape(-1)), _column(rstd.reshape(-1))
    rstd = rstd if train else 1 / xp.sqrt(rstd + x.dtype.type(eps))
    if train and batch_norm_blocks.serves(xp, x):
        scale = None if weight is None else widened(weight)
        found = batch_norm_blocks.gradients(xp, g, x, mean[:, 0], rstd[:, 0], scale, output_mask[0])
        return masked(xp, output_mask, result, *(lambda array=array: array for array in found))
    normal = (x - mean) * rstd
    by_weight: Array = _average(g * normal, count) if output_mask[1] or train else None
    by_bias: Array = _average(g, count) if output_mask[2] or train else None

    def by_input() -> Array:
        scale = rstd if weight is None else rstd * _column(weight)
        if not train:
            return g * scale
        xp.multiply(normal, by_weight, out=normal)
        moved = xp.subtract(g - by_bias, normal, out=normal)
        return xp.multiply(moved, scale, out=moved)

    return masked(xp, output_mask, result, by_input, lambda: by_weight[:, 0] * count, lambda: by_bias[:, 0] * count)


def _gradient(g: Array, call: Any, running: tuple[Any, Any], saved: tuple[Any, Any], train: bool) -> dict[str, Any]:
    mask = (call.needs("input"), call.needs("weight"), call.needs("bias"))
    found = g.native_batch_norm_backward(call.input, call.weight, *running, *saved, train, call.eps, mask)
    return {name: found[i] if mask[i] else None for i, name in enumerate(("input", "weight", "bias"))}


@joint_gradient("_native_batch_norm_legit.no_stats")
def batch_norm_gradient(g: Array, call: Any) -> dict[str, Any]:
    """See the kernel of `native_batch_norm_backward`; only the first result is differentiable, as in PyTorch."""
    return _gradient(g, call, (None, None), (call.result1, call.result2), True)


@joint_gradient("_native_batch_norm_legit_functional")
def updating_batch_norm_gradient(g: Array, call: Any) -> dict[str, Any]:
    """See `batch_norm_gradient`."""
    return _gradient(g, call, (None, None), (call.result1, call.result2), True)


@joint_gradient("_native_batch_norm_legit_no_training")
def fixed_batch_norm_gradient(g: Array, call: Any) -> dict[str, Any]:
    """See the kernel of `native_batch_norm_backward`."""
    return _gradient(g, call, (call.running_mean.detach(), call.running_var.detach()), (None, None), False)


def _normalized(call: Any, view: Shape) -> Normalized:
    """Return the input as it was normalized: by its own moments, or by constants."""
    input = call.input
    if call.train:
        axes = tuple(axis for axis in range(input.ndim) if axis != 1)
        return Normalized.of(input, call.save_invstd.reshape(view), axes)
    rstd = (call.running_var + call.eps).rsqrt().reshape(view)
    return Normalized((input - call.running_mean.reshape(view)) * rstd, rstd, None)


@joint_gradient("native_batch_norm_backward")
def batch_norm_backward_gradient(g: Array, call: Any) -> dict[str, Any]:
    """See `Normalized.second`."""
    view = tuple(size if axis == 1 else 1 for axis, size in enumerate(call.meta("input").shape))

    def spread(parameter: Array | None) -> Array | None:
        return None if parameter is None else parameter.reshape(view)

    a, b, c = (part if wanted else None for part, wanted in zip(call.grads, call.output_mask, strict=True))
    by_grad, by_input, by_weight = _normalized(call, view).second(
        call.grad_out, spread(call.weight), a, spread(b), spread(c)
    )
    if by_weight is not None:
        by_weight = by_weight.sum_to_size(view).reshape(view[1])
    return {"grad_out": by_grad, "input": by_input, "weight": by_weight}
