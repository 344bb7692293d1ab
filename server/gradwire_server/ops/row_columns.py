"""Convolutions that go down row by row, on a CPU: columns for all axes but the first, and a product per row of the kernel.

A row further down the kernel needs the same columns a row further on, which is the same memory from a later place. So a
3x3 kernel copies each element three times instead of nine, and the products write where the result belongs. Pure functions
of arrays, for one group and a stride of 1 along the first axis; all else goes through `im2col`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from gradwire_server.ops.im2col import Windows, taps

__all__ = ["convolve_rows", "goes_by_rows", "gradients_by_rows", "weight_gradient_by_rows"]

Array = Any
# Elements of a block of columns: half a MiB of float32 shares a second-level cache with what is multiplied and made.
_COLUMNS = 1 << 17
# Products of fewer columns starve BLAS; `im2col` gathers those of several samples in one product.
_FEWEST_COLUMNS = 64
# Of fewer elements copies cost less than the calls: one for each place of the kernel along all axes but the first.
_FEWEST_ELEMENTS = 1 << 12


def goes_by_rows(xp: Any, images: Array, windows: Windows, groups: int) -> bool:
    """Return whether these functions serve a convolution. On a GPU its many small products would all be launches."""
    return (
        groups == 1
        and len(windows.kernel) > 1
        and windows.kernel[0] > 1
        and windows.stride[0] == 1
        and math.prod(windows.count) >= _FEWEST_COLUMNS
        and images.size >= _FEWEST_ELEMENTS
        and getattr(xp, "__name__", "") != "cupy"
    )


def _covered(windows: Windows, tap: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
    """Return which windows have a place of the kernel inside the image, and these places, along all axes but the first."""
    of_windows, of_image = [], []
    geometry = zip(
        windows.size[1:], windows.stride[1:], windows.padding[1:], windows.dilation[1:], windows.count[1:], tap,
        strict=True,
    )  # fmt: skip
    for size, stride, padding, dilation, count, place in geometry:
        offset = place * dilation - padding
        first, end = max(0, -(offset // stride)), min(count, (size - 1 - offset) // stride + 1)
        if end <= first:
            return None
        of_windows.append(slice(first, end))
        of_image.append(slice(first * stride + offset, (end - 1) * stride + offset + 1, stride))
    return tuple(of_windows), tuple(of_image)


def _blocks(xp: Any, images: Array, windows: Windows) -> Iterator[tuple[int, int, Array]]:
    """Yield (first sample, end, columns) with columns (n, C * kernel[1:], padded rows * windows[1:]), in the same memory."""
    samples, channels = images.shape[:2]
    inner, rows = windows.kernel[1:], windows.padded_size[0]
    width = channels * math.prod(inner)
    length = rows * math.prod(windows.count[1:])
    step = max(1, min(samples, _COLUMNS // (width * length)))
    # What lies in the padding is zero for every sample: it is written here and never again.
    scratch = xp.zeros((step, channels, *inner, rows, *windows.count[1:]), images.dtype)
    inside = slice(windows.padding[0], windows.padding[0] + windows.size[0])
    places = [(tap, _covered(windows, tap)) for tap in taps(inner)]
    for start in range(0, samples, step):
        end = min(start + step, samples)
        for tap, covered in places:
            if covered is not None:
                of_windows, of_image = covered
                scratch[(slice(end - start), slice(None), *tap, inside, *of_windows)] = images[
                    (slice(start, end), slice(None), slice(None), *of_image)
                ]
        yield start, end, scratch[: end - start].reshape(end - start, width, length)


def _shifts(windows: Windows) -> list[slice]:
    """Return, for each row of the kernel, which columns it is multiplied with."""
    row, total = math.prod(windows.count[1:]), math.prod(windows.count)
    starts = [place * windows.dilation[0] * row for place in range(windows.kernel[0])]
    return [slice(start, start + total) for start in starts]


def _by_rows(xp: Any, weight: Array) -> Array:
    """Turn (O, C, *kernel) into (kernel[0], O, C * kernel[1:])."""
    turned = xp.ascontiguousarray(xp.moveaxis(weight, 2, 0))
    return turned.reshape(weight.shape[2], weight.shape[0], -1)


def _multiply_rows(xp: Any, factors: Array, columns: Array, shifts: list[slice], made: Array, scratch: Array) -> None:
    """Sum the products of each row of the kernel in `made`."""
    xp.matmul(factors[0], columns[:, :, shifts[0]], out=made)
    for place, shift in enumerate(shifts[1:], 1):
        xp.add(made, xp.matmul(factors[place], columns[:, :, shift], out=scratch), out=made)


def convolve_rows(xp: Any, images: Array, weight: Array, windows: Windows) -> Array:
    """Correlate (N, C, *size) with (O, C, *kernel): (N, O, *windows)."""
    samples, outputs = images.shape[0], weight.shape[0]
    made = xp.empty((samples, outputs, math.prod(windows.count)), images.dtype)
    factors, shifts, scratch = _by_rows(xp, weight), _shifts(windows), None
    for start, end, columns in _blocks(xp, images, windows):
        if scratch is None:
            scratch = xp.empty((end - start, *made.shape[1:]), made.dtype)
        _multiply_rows(xp, factors, columns, shifts, made[start:end], scratch[: end - start])
    return made.reshape(samples, outputs, *windows.count)


def _add_products(xp: Any, columns: Array, others: Array, shifts: list[slice], totals: Array) -> None:
    """Add to (kernel[0], width, M) the products of (n, width, length) and (n, M, windows), summed over n."""
    turned = others.swapaxes(1, 2)
    for place, shift in enumerate(shifts):
        totals[place] += xp.matmul(columns[:, :, shift], turned).sum(axis=0)


def weight_gradient_by_rows(xp: Any, grad: Array, images: Array, windows: Windows) -> Array:
    """Return the gradient by the weight: (N, O, *windows), (N, C, *size) -> (O, C, *kernel)."""
    outputs, channels = grad.shape[1], images.shape[1]
    totals = xp.zeros((windows.kernel[0], channels * math.prod(windows.kernel[1:]), outputs), grad.dtype)
    flat, shifts = grad.reshape(*grad.shape[:2], -1), _shifts(windows)
    for start, end, columns in _blocks(xp, images, windows):
        _add_products(xp, columns, flat[start:end], shifts, totals)
    places = totals.reshape(windows.kernel[0], channels, -1, outputs)
    return places.transpose(3, 1, 0, 2).reshape(outputs, channels, *windows.kernel)


def gradients_by_rows(
    xp: Any, grad: Array, images: Array, mirrored: Array, windows: Windows, back: Windows
) -> tuple[Array, Array]:
    """Return the gradients by images and weight from one copy of columns, those of the gradient.

    `back` and `mirrored` are the windows and the weight (C, O, *kernel) of the convolution of (N, O, *windows) that the
    gradient by the images is. The image's elements are that convolution's windows, so the weight's gradient needs no
    columns of the image: of the mirrored kernel it is the product of these columns with the image itself.
    """
    outputs, channels = grad.shape[1], images.shape[1]
    made = xp.empty((images.shape[0], channels, math.prod(windows.size)), grad.dtype)
    totals = xp.zeros((windows.kernel[0], outputs * math.prod(windows.kernel[1:]), channels), grad.dtype)
    flat, factors, shifts, scratch = images.reshape(made.shape), _by_rows(xp, mirrored), _shifts(back), None
    for start, end, columns in _blocks(xp, grad, back):
        if scratch is None:
            scratch = xp.empty((end - start, *made.shape[1:]), made.dtype)
        _multiply_rows(xp, factors, columns, shifts, made[start:end], scratch[: end - start])
        _add_products(xp, columns, flat[start:end], shifts, totals)
    places = totals.reshape(windows.kernel[0], outputs, -1, channels)[::-1, :, ::-1]
    by_weight = places.transpose(1, 3, 0, 2).reshape(outputs, channels, *windows.kernel)
    return made.reshape(images.shape), by_weight
