"""Kernels and gradients of `gradwire_protocol.ops.normalization`. float16 is computed in float32."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from gradwire_protocol.dtypes import DType
from gradwire_protocol.meta import Meta
from gradwire_server.loops import host_loops
from gradwire_server.ops.reduction import in_dtype, widened
from gradwire_server.ops.row_sums import column_sums, row_dots, row_sums
from gradwire_server.rules import gradient, joint_gradient, kernel

Array = Any
# Elements of a block of rows.
_BLOCK = 32_768
# Over more rows a plain sum loses digits.
_MOST_ROWS = 65_536
Shape = tuple[int, ...]


# ---------------------------------------------------------------- softmax
def _last_axis(xp: Any, dim: int, *arrays: Array) -> Any:
    """Return the compiled loops if they take these arrays, and `dim` is the last of their axes."""
    return host_loops(xp, *arrays) if arrays[0].ndim and dim % arrays[0].ndim == arrays[0].ndim - 1 else None


def _row_blocks(*arrays: Array) -> Iterator[list[Array]]:
    """Yield a few rows of all arrays at a time, which a CPU's cache holds."""
    matrices = [array.reshape(-1, array.shape[-1]) for array in arrays]
    step = max(1, _BLOCK // matrices[0].shape[1])
    for start in range(0, len(matrices[0]), step):
        yield [matrix[start : start + step] for matrix in matrices]


def _rows(array: Array) -> Array:
    """Give an array without axes one, so that `dim` names it and results can be written in place."""
    return array if array.ndim else array.reshape(1)


@kernel("_softmax")
def softmax(xp: Any, self: Array, dim: int, half_to_float: bool, result: Meta) -> Array:
    """Compute exp(self - m) / sum(exp(self - m)), with m the maximum along `dim`."""
    if self.size == 0:
        return xp.zeros(result.shape, result.dtype.numpy)
    rows = widened(_rows(self))
    loops = _last_axis(xp, dim, rows)
    if loops is not None:
        values = xp.empty_like(rows)
        for given, made in _row_blocks(rows, values):
            loops.below_row_maxima(given, made)
            loops.divide_by_row_sums(xp.exp(made, out=made))
        return in_dtype(values, result)
    values = xp.subtract(rows, rows.max(axis=dim, keepdims=True))
    xp.exp(values, out=values)
    xp.divide(values, values.sum(axis=dim, keepdims=True), out=values)
    return in_dtype(values.reshape(result.shape), result)


@kernel("_log_softmax")
def log_softmax(xp: Any, self: Array, dim: int, half_to_float: bool, result: Meta) -> Array:
    """Compute self - m - log(sum(exp(self - m))), with m the maximum along `dim`."""
    if self.size == 0:
        return xp.zeros(result.shape, result.dtype.numpy)
    rows = widened(_rows(self))
    loops = _last_axis(xp, dim, rows)
    if loops is not None:
        values = xp.empty_like(rows)
        for given, made in _row_blocks(rows, values):
            loops.below_row_maxima(given, made)
            loops.subtract_row_logs(made, xp.exp(made))
        return in_dtype(values, result)
    values = xp.subtract(rows, rows.max(axis=dim, keepdims=True))
    xp.subtract(values, xp.log(xp.exp(values).sum(axis=dim, keepdims=True)), out=values)
    return in_dtype(values.reshape(result.shape), result)


@kernel("_softmax_backward_data")
def softmax_backward(xp: Any, grad_output: Array, output: Array, dim: int, input_dtype: DType, result: Meta) -> Array:
    """Compute output * (g - sum(g * output))."""
    g, y = widened(_rows(grad_output)), widened(_rows(output))
    loops = _last_axis(xp, dim, g, y)
    if loops is not None:
        values = xp.empty_like(g)
        for parts in _row_blocks(g, y, values):
            loops.softmax_backward(*parts)
        return in_dtype(values, result)
    product = xp.multiply(g, y)
    weighted = xp.multiply(y, product.sum(axis=dim, keepdims=True))
    return in_dtype(xp.subtract(product, weighted, out=product).reshape(result.shape), result)


@kernel("_log_softmax_backward_data")
def log_softmax_backward(
    xp: Any, grad_output: Array, output: Array, dim: int, input_dtype: DType, result: Meta
) -> Array:
    """Compute g - exp(output) * sum(g)."""
    g, y = widened(_rows(grad_output)), widened(_rows(output))
    loops = _last_axis(xp, dim, g, y)
    if loops is not None:
        values = xp.empty_like(g)
        for given, output, made in _row_blocks(g, y, values):
            loops.log_softmax_backward(given, xp.exp(output), made)
        return in_dtype(values, result)
    values = xp.exp(y)
    xp.multiply(values, g.sum(axis=dim, keepdims=True), out=values)
    return in_dtype(xp.subtract(g, values, out=values).reshape(result.shape), result)


gradient("_softmax", self=lambda g, call: g._softmax_backward_data(call.result, call.dim, call.meta("self").dtype))
gradient(
    "_log_softmax", self=lambda g, call: g._log_softmax_backward_data(call.result, call.dim, call.meta("self").dtype)
)


def _softmax_twice(g: Array, call: Any) -> Array:
    """Differentiate y * (g' - sum(g' y)) by y: g g' - g sum(g' y) - g' sum(g y)."""
    y, g_output, dim = call.output, call.grad_output, call.dim
    return g * (g_output - (g_output * y).sum(dim, True)) - g_output * (g * y).sum(dim, True)


gradient(
    "_softmax_backward_data",
    grad_output=lambda g, call: g._softmax_backward_data(call.output, call.dim, call.meta("grad_output").dtype),
    output=_softmax_twice,
)
gradient(
    "_log_softmax_backward_data",
    grad_output=lambda g, call: g - (g * call.output.exp()).sum(call.dim, True),
    output=lambda g, call: -(call.grad_output.sum(call.dim, True) * call.output.exp() * g),
)


# ---------------------------------------------------------------- layer norm
def _inner_axes(ndim: int, normalized_shape: Shape) -> Shape:
    return tuple(range(ndim - len(normalized_shape), ndim))


def _matrix(array: Array, normalized_shape: Shape) -> Array:
    """View what is normalized as the rows of a matrix."""
    rows = math.prod(array.shape[: array.ndim - len(normalized_shape)])
    return array.reshape(rows, math.prod(normalized_shape))


@kernel("native_layer_norm")
def layer_norm(
    xp: Any, input: Array, normalized_shape: Shape, weight: Array | None, bias: Array | None, eps: float,
    result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Compute x' * weight + bias with x' = (x - mean) / sqrt(variance + eps), and return (that, mean, rstd)."""
    x, count = _matrix(widened(input), normalized_shape), math.prod(normalized_shape)
    loops = _row_loops(xp, x, weight, bias)
    if loops is not None:
        values, mean, rstd = xp.empty_like(x), xp.empty(len(x), x.dtype), xp.empty(len(x), x.dtype)
        numbers = xp.asarray((count, eps), x.dtype)
        loops.layer_norm(x, weight.reshape(-1), bias.reshape(-1), numbers, values, mean, rstd)  # type: ignore[union-attr]
        return tuple(array.reshape(meta.shape) for array, meta in zip((values, mean, rstd), result, strict=True))
    mean = row_sums(xp, x) / count
    values = xp.subtract(x, mean)
    rstd = 1 / xp.sqrt(row_dots(xp, values, values) / count + x.dtype.type(eps))
    xp.multiply(values, rstd, out=values)
    if weight is not None:
        xp.multiply(values, weight.reshape(-1), out=values)
    if bias is not None:
        xp.add(values, bias.reshape(-1), out=values)
    return tuple(
        in_dtype(array.reshape(meta.shape), meta) for array, meta in zip((values, mean, rstd), result, strict=True)
    )


def _row_loops(xp: Any, x: Array, *others: Array | None) -> Any:
    """Return the compiled loops if they take these, which are all there, and the rows are not too many."""
    return None if len(x) > _MOST_ROWS or any(array is None for array in others) else host_loops(xp, x, *others)


@kernel("native_layer_norm_backward")
def layer_norm_backward(
    xp: Any, grad_out: Array, input: Array, normalized_shape: Shape, mean: Array, rstd: Array,
    weight: Array | None, output_mask: tuple[bool, ...], result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Compute rstd * (h - mean(h) - x' mean(h x')) with h = g weight; sum(g x'); sum(g)."""
    g, x, count = (
        _matrix(widened(grad_out), normalized_shape), _matrix(widened(input), normalized_shape), math.prod(normalized_shape)
    )  # fmt: skip
    loops = _row_loops(xp, x, g, mean, rstd, weight) if all(output_mask) else None
    if loops is not None:
        by_x, by_weight, by_bias = xp.empty_like(x), xp.zeros(count), xp.zeros(count)  # summed in double precision
        mean, rstd, weight = (array.reshape(-1) for array in (mean, rstd, weight))  # type: ignore[union-attr]
        loops.layer_norm_backward(g, x, mean, rstd, weight, by_x, by_weight, by_bias)
        found = zip((by_x, by_weight, by_bias), result, strict=True)
        return tuple(in_dtype(array.reshape(meta.shape), meta) for array, meta in found)
    scale = widened(rstd).reshape(-1, 1)
    normal = x - widened(mean).reshape(-1, 1)
    xp.multiply(normal, scale, out=normal)
    h = g if weight is None else g * widened(weight).reshape(-1)
    made = [xp.zeros((0,), meta.dtype.numpy) for meta in result]
    if output_mask[0]:
        moved = xp.multiply(normal, row_dots(xp, h, normal) / count)
        xp.add(moved, row_sums(xp, h) / count, out=moved)
        xp.subtract(h, moved, out=moved)
        made[0] = xp.multiply(moved, scale, out=moved)
    if output_mask[1]:
        made[1] = column_sums(xp, xp.multiply(g, normal, out=normal))
    if output_mask[2]:
        made[2] = column_sums(xp, g)
    return tuple(
        in_dtype(array.reshape(meta.shape), meta) if asked else array
        for array, meta, asked in zip(made, result, output_mask, strict=True)
    )


@joint_gradient("native_layer_norm")
def layer_norm_gradient(g: Array, call: Any) -> dict[str, Array | None]:
    """See the kernel of `native_layer_norm_backward`; mean and rstd are not differentiable outputs, as in PyTorch."""
    mask = (call.needs("input"), call.needs("weight"), call.needs("bias"))
    found = g.native_layer_norm_backward(
        call.input, call.normalized_shape, call.result1, call.result2, call.weight, mask
    )
    return {name: found[i] if mask[i] else None for i, name in enumerate(("input", "weight", "bias"))}


def _normal(call: Any, axes: Shape) -> tuple[Array, Array]:
    """Return (x', rstd) as differentiable functions of the input, for third derivatives; eps is taken from rstd."""
    centred = call.input - call.input.mean(axes, True)
    variance = (centred * centred).mean(axes, True)
    rstd = (variance + (call.rstd.pow(-2) - variance).detach()).rsqrt()
    return centred * rstd, rstd


@joint_gradient("native_layer_norm_backward")
def layer_norm_backward_gradient(g: Array, call: Any) -> dict[str, Array | None]:
    """Differentiate a . P(g w) + b . (g x') + c . g, where a, b, c are the gradients that come in.

    P(v) = rstd (v - mean(v) - x' mean(v x')) is its own transpose and the derivative of x' by x; that of rstd by x is
    -rstd^2 x' / n. With h = g w, of a . P(h) the part through rstd is -rstd^2 x' (mean(a h) - mean(a) mean(h) -
    mean(a x') mean(h x')), and that through x' is -P(rstd (a mean(h x') + h mean(a x'))).
    """
    axes = _inner_axes(call.meta("input").ndim, call.normalized_shape)
    normal, rstd = _normal(call, axes)
    grad, weight = call.grad_out, call.weight
    a, b, c = (part if wanted else None for part, wanted in zip(call.grads, call.output_mask, strict=True))

    def mean(v: Array) -> Array:
        return v.mean(axes, True)

    def project(v: Array) -> Array:
        return rstd * (v - mean(v) - normal * mean(v * normal))

    by_grad, by_input, by_weight = [], [], None
    if a is not None:
        h, projected = grad if weight is None else grad * weight, project(a)
        by_grad.append(projected if weight is None else projected * weight)
        by_weight = grad * projected
        spread = mean(a * h) - mean(a) * mean(h) - mean(a * normal) * mean(h * normal)
        by_input.append(-(rstd * rstd * normal * spread))
        by_input.append(-project(rstd * (a * mean(h * normal) + h * mean(a * normal))))
    if b is not None:
        by_grad.append(b * normal)
        by_input.append(project(b * grad))
    if c is not None:
        by_grad.append(c.expand(grad.shape))
    return {"grad_out": _sum(by_grad), "input": _sum(by_input), "weight": by_weight}


def _sum(parts: list[Array]) -> Array | None:
    found = None
    for part in parts:
        found = part if found is None else found + part
    return found
