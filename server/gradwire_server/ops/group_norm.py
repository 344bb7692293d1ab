"""Kernels and gradients of group and RMS normalization. Inputs of two bytes are computed in float32."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_server.ops.normal import Normalized, added, empties, input_gradient, masked
from gradwire_server.ops.reduction import in_dtype, widened
from gradwire_server.rules import joint_gradient, kernel

Array = Any
Shape = tuple[int, ...]


# ---------------------------------------------------------------- group norm
# An input is seen as (N, group, channels of a group, HxW); the moments are over the last two axes.
_GROUP_AXES = (2, 3)


def _grouped(array: Array, N: int, C: int, HxW: int, group: int) -> Array:
    return array.reshape(N, group, C // group, HxW)


def _of_channels(parameter: Array, group: int) -> Array:
    return parameter.reshape(1, group, parameter.shape[0] // group, 1)


@kernel("native_group_norm")
def group_norm(
    xp: Any, input: Array, weight: Array | None, bias: Array | None, N: int, C: int, HxW: int, group: int, eps: float,
    result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Compute x' * weight + bias with x' = (x - mean) / sqrt(variance + eps), and return (that, mean, rstd)."""
    if input.size == 0:
        return tuple(empties(xp, result))
    x = _grouped(widened(input), N, C, HxW, group)
    mean = x.mean(axis=_GROUP_AXES, keepdims=True)
    values = xp.subtract(x, mean)
    rstd = 1 / xp.sqrt(xp.square(values).mean(axis=_GROUP_AXES, keepdims=True) + x.dtype.type(eps))
    xp.multiply(values, rstd, out=values)
    if weight is not None:
        xp.multiply(values, _of_channels(weight, group), out=values)
    if bias is not None:
        xp.add(values, _of_channels(bias, group), out=values)
    made = (values, mean, rstd)
    return tuple(in_dtype(array.reshape(meta.shape), meta) for array, meta in zip(made, result, strict=True))


@kernel("native_group_norm_backward")
def group_norm_backward(
    xp: Any, grad_out: Array, input: Array, mean: Array, rstd: Array, weight: Array | None, N: int, C: int, HxW: int,
    group: int, output_mask: tuple[bool, ...], result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Compute rstd * (h - mean(h) - x' mean(h x')) with h = g weight; sum(g x'); sum(g)."""
    if input.size == 0:
        return tuple(empties(xp, result))
    g = _grouped(widened(grad_out), N, C, HxW, group)
    scale = widened(rstd)[:, :, None, None]
    normal = (_grouped(widened(input), N, C, HxW, group) - widened(mean)[:, :, None, None]) * scale

    def by_input() -> Array:
        h = g if weight is None else g * _of_channels(widened(weight), group)
        return input_gradient(xp, h, normal, scale, _GROUP_AXES)

    return masked(
        xp, output_mask, result, by_input, lambda: (g * normal).sum(axis=3).sum(axis=0),
        lambda: g.sum(axis=3).sum(axis=0),
    )  # fmt: skip


@joint_gradient("native_group_norm")
def group_norm_gradient(g: Array, call: Any) -> dict[str, Array | None]:
    """See the kernel of `native_group_norm_backward`; mean and rstd are differentiable too, as in PyTorch."""
    mask = (call.needs("input"), call.needs("weight"), call.needs("bias"))
    sizes = (call.N, call.C, call.HxW, call.group)
    found = g.native_group_norm_backward(call.input, call.result1, call.result2, call.weight, *sizes, mask)
    gradients = {name: found[i] if mask[i] else None for i, name in enumerate(("input", "weight", "bias"))}
    if mask[0] and (call.grads[1] is not None or call.grads[2] is not None):
        gradients["input"] = gradients["input"] + _through_moments(call, sizes)
    return gradients


def _through_moments(call: Any, sizes: tuple[int, int, int, int]) -> Array:
    """Return the gradient of the input by way of the two other results: mean' = 1 / n, rstd' = -rstd^2 x' / n."""
    of_group = (call.N, call.group, 1, 1)
    mean, rstd = call.result1.reshape(of_group), call.result2.reshape(of_group)
    count = call.C // call.group * call.HxW
    parts = []
    if call.grads[1] is not None:
        parts.append(
            (call.grads[1].reshape(of_group) / count).expand(call.N, call.group, call.C // call.group, call.HxW)
        )
    if call.grads[2] is not None:
        centred = _grouped(call.input, *sizes) - mean
        parts.append(call.grads[2].reshape(of_group) * rstd.pow(3) * centred / -count)
    found = added(parts)
    assert found is not None
    return found.reshape(call.meta("input").shape)


@joint_gradient("native_group_norm_backward")
def group_norm_backward_gradient(g: Array, call: Any) -> dict[str, Array | None]:
    """See `Normalized.second`."""
    sizes = (call.N, call.C, call.HxW, call.group)

    def spread(parameter: Array | None) -> Array | None:
        return None if parameter is None else _of_channels(parameter, call.group)

    a, b, c = (part if wanted else None for part, wanted in zip(call.grads, call.output_mask, strict=True))
    input = _grouped(call.input, *sizes)
    normalized = Normalized.of(input, call.rstd.reshape(call.N, call.group, 1, 1), _GROUP_AXES)
    by_grad, by_input, by_weight = normalized.second(
        _grouped(call.grad_out, *sizes), spread(call.weight), None if a is None else _grouped(a, *sizes), spread(b),
        spread(c),
    )  # fmt: skip
    shape = call.meta("input").shape
    return {
        "grad_out": None if by_grad is None else by_grad.reshape(shape),
        "input": None if by_input is None else by_input.reshape(shape),
        "weight": None if by_weight is None else by_weight.sum((0, 3)).reshape(call.C),
    }


# ---------------------------------------------------------------- RMS norm
def _inner_axes(ndim: int, normalized_shape: Shape) -> Shape:
    return tuple(range(ndim - len(normalized_shape), ndim))


@kernel("_fused_rms_norm")
def rms_norm(
    xp: Any, input: Array, normalized_shape: Shape, weight: Array | None, eps: float, result: tuple[Meta, ...]
) -> tuple[Array, ...]:
    """Compute x * rstd * weight with rstd = 1 / sqrt(mean(x^2) + eps), and return (that, rstd)."""
    if input.size == 0:
        return tuple(empties(xp, result))
    x = widened(input)
    axes = _inner_axes(x.ndim, normalized_shape)
    rstd = 1 / xp.sqrt(xp.square(x).mean(axis=axes, keepdims=True) + x.dtype.type(eps))
    values = x * rstd
    if weight is not None:
        values = values * weight
    return tuple(in_dtype(array, meta) for array, meta in zip((values, rstd), result, strict=True))


@kernel("_fused_rms_norm_backward")
def rms_norm_backward(
    xp: Any, grad_out: Array, input: Array, normalized_shape: Shape, rstd: Array, weight: Array | None,
    output_mask: tuple[bool, ...], result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Compute rstd * (h - x' mean(h x')) with h = g weight and x' = x rstd; sum(g x')."""
    if input.size == 0:
        return tuple(empties(xp, result))
    g, normal = widened(grad_out), widened(input) * rstd
    axes = _inner_axes(input.ndim, normalized_shape)
    outer = tuple(range(input.ndim - len(normalized_shape)))

    def by_input() -> Array:
        return input_gradient(xp, g if weight is None else g * weight, normal, rstd, axes, centred=False)

    return masked(xp, output_mask, result, by_input, lambda: (g * normal).sum(axis=outer))


@joint_gradient("_fused_rms_norm")
def rms_norm_gradient(g: Array, call: Any) -> dict[str, Array | None]:
    """See the kernel of `_fused_rms_norm_backward`; rstd is not a differentiable output, as in PyTorch."""
    mask = (call.needs("input"), call.needs("weight"))
    found = g._fused_rms_norm_backward(call.input, call.normalized_shape, call.result1, call.weight, mask)
    return {name: found[i] if mask[i] else None for i, name in enumerate(("input", "weight"))}


@joint_gradient("_fused_rms_norm_backward")
def rms_norm_backward_gradient(g: Array, call: Any) -> dict[str, Array | None]:
    """See `Normalized.second`."""
    a, b = (part if wanted else None for part, wanted in zip(call.grads, call.output_mask, strict=True))
    axes = _inner_axes(call.meta("input").ndim, call.normalized_shape)
    normalized = Normalized.of(call.input, call.rstd, axes, centred=False)
    found = normalized.second(call.grad_out, call.weight, a, b, None)
    return dict(zip(("grad_out", "input", "weight"), found, strict=True))
