"""Kernels and gradients of `gradwire_protocol.ops.convolution`: products of matrices, by `im2col`.

A transposed convolution is the gradient of a convolution by its input, so three functions of images serve all: `convolve`,
`spread` (that gradient) and `weight_gradient`. Windows of one element need no columns, all else is a product of the weight
with columns. Groups are a batch of products, also where each channel is a group: measured twice as fast as sums over the
kernel's places. float16 is computed in float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.convolution import window_counts
from gradwire_server.ops.im2col import (
    Windows,
    column_blocks,
    image_blocks,
    interior,
    padded,
    tap_slices,
    taps,
    window_view,
)
from gradwire_server.ops.reduction import in_dtype, widened
from gradwire_server.ops.row_columns import convolve_rows, goes_by_rows, gradients_by_rows, weight_gradient_by_rows
from gradwire_server.products import matmul
from gradwire_server.rules import gradient, joint_gradient, kernel

Array = Any
Shape = tuple[int, ...]

# Past this many channels out for one in, sums over few columns cost less than copies of many: of columns of all axes, and
# of all axes but the first.
_MOST_OUTPUTS, _MOST_OUTPUTS_BY_ROWS = 2, 4
# Past this many elements for one window, the weight's gradient by the gradient's columns multiplies more than it saves copies.
_MOST_GROWTH = 1.5


def _windows(size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, count: Shape) -> Windows:
    stride, padding, dilation = (
        values if len(values) == len(kernel) else values * len(kernel) for values in (stride, padding, dilation)
    )
    return Windows(size, kernel, stride, padding, dilation, count)


def _grouped(matrix: Array, groups: int) -> Array:
    """View (O, I, *kernel) as (groups, O / groups, I * kernel)."""
    return matrix.reshape(groups, matrix.shape[0] // groups, math.prod(matrix.shape[1:]))


# ---------------------------------------------------------------- windows of one element
def _picked(xp: Any, images: Array, windows: Windows, groups: int) -> Array:
    """Return (N, groups, C / groups, windows): the elements that the windows are."""
    picked = images[tap_slices(windows, (0,) * len(windows.size))]
    return picked.reshape(images.shape[0], groups, images.shape[1] // groups, math.prod(windows.count))


def _spread_points(xp: Any, products: Array, shape: Shape, windows: Windows) -> Array:
    """Put (N, groups, C / groups, windows) back to their places in zeros of `shape`."""
    if windows.count == windows.size:
        return products.reshape(shape)
    made = xp.zeros(shape, products.dtype)
    made[tap_slices(windows, (0,) * len(windows.size))] = products.reshape(*shape[:2], *windows.count)
    return made


# ---------------------------------------------------------------- the three products
def convolve(xp: Any, images: Array, weight: Array, windows: Windows, groups: int) -> Array:
    """Correlate (N, C, *size) with (O, C / groups, *kernel): (N, O, *windows)."""
    samples, outputs = images.shape[0], weight.shape[0]
    shape = (samples, outputs, *windows.count)
    if not images.size:
        return xp.zeros(shape, images.dtype)
    matrix = _grouped(weight, groups)
    if windows.is_pointwise:
        return matmul(xp, matrix, _picked(xp, images, windows, groups)).reshape(shape)
    if goes_by_rows(xp, images, windows, groups):
        return convolve_rows(xp, images, weight, windows)
    made = xp.empty(shape, images.dtype)
    for start, end, columns in column_blocks(xp, images, windows, groups):
        if end - start == 1:
            matmul(xp, matrix, columns, out=made[start].reshape(groups, outputs // groups, -1))
        else:
            product = matmul(xp, matrix, columns)
            made[start:end] = product.reshape(outputs, end - start, *windows.count).swapaxes(0, 1)
    return made


def spread(xp: Any, grad: Array, weight: Array, windows: Windows, groups: int) -> Array:
    """Return the gradient of `convolve` by its images: (N, O, *windows) -> (N, C, *size)."""
    channels = weight.shape[1] * groups
    shape = (grad.shape[0], channels, *windows.size)
    if not grad.size or not weight.size:
        return xp.zeros(shape, grad.dtype)
    matrix = _grouped(weight, groups)
    if windows.is_pointwise:
        products = matmul(xp, matrix.swapaxes(1, 2), _picked(xp, grad, _all_points(windows), groups))
        return _spread_points(xp, products, shape, windows)
    back = _back(xp, grad, windows, channels, groups)
    if back is not None:
        return convolve(xp, grad, _mirrored(xp, weight, groups), back, groups)
    return _spread_columns(xp, grad, matrix, shape, windows, groups)


def _back(xp: Any, grad: Array, windows: Windows, channels: int, groups: int) -> Windows | None:
    """Return the windows of the convolution by the mirrored kernel that `spread` is, where that costs less than sums.

    It copies columns, of the gradient, instead of adding up as many of the images.
    """
    margins = tuple(d * (k - 1) - p for d, k, p in zip(windows.dilation, windows.kernel, windows.padding, strict=True))
    covered = max(windows.stride) == 1 and windows.ends == windows.padded_size
    if not covered or min(margins) < 0:
        return None
    back = Windows(windows.count, windows.kernel, windows.stride, margins, windows.dilation, windows.size)
    most = _MOST_OUTPUTS_BY_ROWS if goes_by_rows(xp, grad, back, groups) else _MOST_OUTPUTS
    return back if grad.shape[1] <= most * channels else None


def _all_points(windows: Windows) -> Windows:
    ones = (1,) * len(windows.count)
    return Windows(windows.count, ones, ones, (0,) * len(ones), ones, windows.count)


def _mirrored(xp: Any, weight: Array, groups: int) -> Array:
    """Turn (O, C / groups, *kernel) into (C, O / groups, *kernel) with the kernel's places in reverse."""
    outputs, inputs, *kernel = weight.shape
    places = weight.reshape(groups, outputs // groups, inputs, -1)[..., ::-1]
    return xp.ascontiguousarray(places.swapaxes(1, 2)).reshape(groups * inputs, outputs // groups, *kernel)


def _spread_columns(xp: Any, grad: Array, matrix: Array, shape: Shape, windows: Windows, groups: int) -> Array:
    transposed = matrix.swapaxes(1, 2)
    made = xp.empty(shape, grad.dtype)
    for start, end, sums in image_blocks(xp, made, windows):
        folded = _folded(grad[start:end], groups)
        # An outer product is one multiplication each, for which BLAS is slow.
        columns = xp.multiply(transposed, folded) if matrix.shape[1] == 1 else matmul(xp, transposed, folded)
        columns = columns.reshape(shape[1], *windows.kernel, end - start, *windows.count)
        for tap in taps(windows.kernel):
            sums[tap_slices(windows, tap)] += columns[(slice(None), *tap)]
    return made


def _folded(images: Array, groups: int) -> Array:
    """Return (n, O, *windows) as (groups, O / groups, n * windows): a view of one sample, else a copy."""
    outputs = images.shape[1]
    return images.swapaxes(0, 1).reshape(groups, outputs // groups, -1)


def weight_gradient(xp: Any, grad: Array, images: Array, windows: Windows, groups: int) -> Array:
    """Return the gradient of `convolve` by its weight: (N, O, *windows), (N, C, *size) -> (O, C / groups, *kernel)."""
    channels, outputs = images.shape[1], grad.shape[1]
    shape = (outputs, channels // groups, *windows.kernel)
    if not images.size or not grad.size:
        return xp.zeros(shape, grad.dtype)
    if windows.is_pointwise:
        points = _picked(xp, images, windows, groups)
        products = matmul(xp, _picked(xp, grad, _all_points(windows), groups), points.swapaxes(2, 3))
        return products.sum(axis=0, dtype=grad.dtype).reshape(shape)
    if goes_by_rows(xp, images, windows, groups):
        return weight_gradient_by_rows(xp, grad, images, windows)
    total: Array = None
    for start, end, columns in column_blocks(xp, images, windows, groups):
        # The columns as they lie and the narrow gradient transposed: twice as fast as the reverse.
        product = matmul(xp, columns, _folded(grad[start:end], groups).swapaxes(1, 2))
        total = product if total is None else xp.add(total, product, out=total)
    return total.swapaxes(1, 2).reshape(shape)


# ---------------------------------------------------------------- kernels
def _add_bias(made: Array, bias: Array | None) -> Array:
    if bias is not None:
        made += bias.reshape(-1, *(1,) * (made.ndim - 2))
    return made


@kernel("convolution")
def convolution(
    xp: Any, input: Array, weight: Array, bias: Array | None, stride: Shape, padding: Shape, dilation: Shape,
    transposed: bool, output_padding: Shape, groups: int, result: Meta,
) -> Array:  # fmt: skip
    """Correlate, or with `transposed` spread: see the module's text."""
    images, factors, kernel = widened(input), widened(weight), weight.shape[2:]
    if transposed:
        windows = _windows(result.shape[2:], kernel, stride, padding, dilation, input.shape[2:])
        made = spread(xp, images, factors, windows, groups)
    else:
        windows = _windows(input.shape[2:], kernel, stride, padding, dilation, result.shape[2:])
        made = convolve(xp, images, factors, windows, groups)
    return in_dtype(_add_bias(made, bias), result)


@kernel("convolution_backward")
def convolution_backward(
    xp: Any, grad_output: Array, input: Array, weight: Array, bias_sizes: Shape | None, stride: Shape, padding: Shape,
    dilation: Shape, transposed: bool, output_padding: Shape, groups: int, output_mask: Sequence[bool],
    result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Return the gradients by input, weight and bias, those that `output_mask` names."""
    g, images, factors, kernel = widened(grad_output), widened(input), widened(weight), weight.shape[2:]
    ends = (g.shape[2:], images.shape[2:]) if transposed else (images.shape[2:], g.shape[2:])
    windows = _windows(ends[0], kernel, stride, padding, dilation, ends[1])
    both = output_mask[0] and output_mask[1] and not transposed
    found = _both_gradients(xp, g, images, factors, windows, groups) if both else None
    made = [xp.zeros((0,), meta.dtype.numpy) for meta in result]
    if found is not None:
        made[:2] = in_dtype(found[0], result[0]), in_dtype(found[1], result[1])
    elif output_mask[0]:
        by_input = convolve if transposed else spread
        made[0] = in_dtype(by_input(xp, g, factors, windows, groups), result[0])
    if found is None and output_mask[1]:
        pair = (images, g) if transposed else (g, images)
        made[1] = in_dtype(weight_gradient(xp, *pair, windows, groups), result[1])
    if output_mask[2]:
        made[2] = in_dtype(g.sum(axis=(0, *range(2, g.ndim)), dtype=g.dtype), result[2])
    return tuple(made)


def _both_gradients(
    xp: Any, grad: Array, images: Array, weight: Array, windows: Windows, groups: int
) -> tuple[Array, Array] | None:
    """Return the gradients by images and weight where they share columns, else None."""
    back = _back(xp, grad, windows, images.shape[1], groups)
    if back is None or windows.is_pointwise or not weight.size or not goes_by_rows(xp, grad, back, groups):
        return None
    if math.prod(windows.size) > _MOST_GROWTH * math.prod(windows.count):
        return None
    return gradients_by_rows(xp, grad, images, _mirrored(xp, weight, groups), windows, back)


def _geometry(call: Any) -> tuple[Any, ...]:
    return call.stride, call.padding, call.dilation, call.transposed, call.output_padding, call.groups


@joint_gradient("convolution")
def convolution_gradient(g: Array, call: Any) -> dict[str, Array | None]:
    """See the kernel of `convolution_backward`."""
    bias = call.meta("bias")
    mask = (call.needs("input"), call.needs("weight"), call.needs("bias"))
    found = g.convolution_backward(
        call.input, call.weight, None if bias is None else bias.shape, *_geometry(call), mask
    )
    return {name: found[i] if mask[i] else None for i, name in enumerate(("input", "weight", "bias"))}


@joint_gradient("convolution_backward")
def convolution_backward_gradient(g: Array, call: Any) -> dict[str, Array | None]:
    """Differentiate <a, dx> + <b, dw> + <c, db>; all three are bilinear, so each part is again one of them.

    <a, dx(g, w)> = <g, a * w> and <b, dw(g, x)> = <g, x * b> with * the convolution, so a stands where x was and b where w.
    """
    a, b, c = (part if wanted else None for part, wanted in zip(call.grads, call.output_mask, strict=True))
    geometry = _geometry(call)
    grad, input, weight = call.grad_output, call.input, call.weight
    by_grad: list[Array] = []
    by_input = by_weight = None
    if a is not None:
        by_grad.append(a.convolution(weight, c, *geometry))
        if call.needs("weight"):
            by_weight = grad.convolution_backward(a, weight, None, *geometry, (False, True, False))[1]
    elif c is not None:
        by_grad.append(c.reshape(-1, *(1,) * (grad.meta.ndim - 2)).expand(grad.meta.shape))
    if b is not None:
        by_grad.append(input.convolution(b, None, *geometry))
        if call.needs("input"):
            by_input = grad.convolution_backward(input, b, None, *geometry, (True, False, False))[0]
    by_output = by_grad[0] if len(by_grad) == 1 else by_grad[0] + by_grad[1] if by_grad else None
    return {"grad_output": by_output, "input": by_input, "weight": by_weight}


# ---------------------------------------------------------------- windows as columns
def _pairs(*values: Shape) -> list[Shape]:
    return [(value[0], value[-1]) for value in values]


@kernel("im2col")
def im2col(
    xp: Any, self: Array, kernel_size: Shape, dilation: Shape, padding: Shape, stride: Shape, result: Meta
) -> Array:
    """Copy the windows of (N, C, H, W) to (N, C * kernel, windows)."""
    kernel, steps, margin, jumps = _pairs(kernel_size, dilation, padding, stride)
    size = self.shape[-2:]
    windows = Windows(size, kernel, jumps, margin, steps, window_counts(size, kernel, jumps, margin, steps))
    images = self.reshape(-1, *self.shape[-3:])
    if not images.size:
        return xp.zeros(result.shape, self.dtype)
    view = window_view(xp, padded(xp, images, windows), windows)
    return view.transpose(3, 0, 1, 2, 4, 5).reshape(result.shape)


@kernel("col2im")
def col2im(
    xp: Any, self: Array, output_size: Shape, kernel_size: Shape, dilation: Shape, padding: Shape, stride: Shape,
    result: Meta,
) -> Array:  # fmt: skip
    """Sum (N, C * kernel, windows) at their places in (N, C, *output_size): the transpose of `im2col`."""
    size, kernel, steps, margin, jumps = _pairs(output_size, kernel_size, dilation, padding, stride)
    windows = Windows(size, kernel, jumps, margin, steps, window_counts(size, kernel, jumps, margin, steps))
    columns = widened(self.reshape(*result.shape[:-2], *kernel, *windows.count))
    sums = xp.zeros((*result.shape[:-2], *windows.padded_size), columns.dtype)
    for i, j in taps(kernel):
        sums[tap_slices(windows, (i, j))] += columns[..., i, j, :, :]
    return in_dtype(sums[interior(size, margin)], result)


gradient(
    "im2col",
    self=lambda g, call: g.col2im(
        call.meta("self").shape[-2:], call.kernel_size, call.dilation, call.padding, call.stride
    ),
)
gradient("col2im", self=lambda g, call: g.im2col(call.kernel_size, call.dilation, call.padding, call.stride))
