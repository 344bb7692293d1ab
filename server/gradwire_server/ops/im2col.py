"""Windows of an array: strided views of them, copied block by block of the batch into bounded scratch memory.

Pure functions of arrays. Columns are laid out (channels, *kernel, samples, *windows), so that one matrix product with a
weight of (out, channels * kernel) makes (out, samples * windows): for one sample that is the result itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gradwire_protocol.errors import LimitExceeded

__all__ = ["Windows", "column_blocks", "image_blocks", "interior", "padded", "tap_slices", "taps", "window_view"]

Array = Any
Shape = tuple[int, ...]

# On a CPU scratch should stay in its cache: a block is one sample, or as many as give a product this many columns
# (measured: fewer starve BLAS, more only push the columns out of the cache). A GPU wants few launches instead.
_CPU_COLUMNS = 128
# Sums at a kernel's places are one call per place and block, so a call should be worth its overhead.
_CPU_SUMMANDS = 1 << 16
_GPU_BYTES = 1 << 28
# What no network comes near, and a hostile call could pass by any factor: padding is no element of any tensor.
_MOST_PADDED = 1 << 18


@dataclass(frozen=True, slots=True)
class Windows:
    """Where the windows of a kernel lie on images of spatial `size`; one entry per spatial axis everywhere."""

    size: Shape
    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    count: Shape  # the windows along each axis

    def __post_init__(self) -> None:
        """Raise LimitExceeded for margins that make far more memory, and places of a kernel, than the image has."""
        reached = [max(n + 2 * p, end) for n, p, end in zip(self.size, self.padding, self.ends, strict=True)]
        if math.prod([max(n, 1) for n in reached]) > max(_MOST_PADDED, 64 * math.prod(self.size)):
            raise LimitExceeded(
                f"an image with its padding may have {_MOST_PADDED} elements, or 64 times those of the image; {self.size} with "
                f"a kernel of {self.kernel} and padding of {self.padding} reaches {tuple(reached)}"
            )

    @property
    def padded_size(self) -> Shape:
        """Return the spatial sizes with the padding on both sides."""
        return tuple(n + 2 * p for n, p in zip(self.size, self.padding, strict=True))

    @property
    def ends(self) -> Shape:
        """Return where the last window ends along each axis, counted with the padding."""
        axes = zip(self.count, self.stride, self.dilation, self.kernel, strict=True)
        return tuple((n - 1) * s + d * (k - 1) + 1 for n, s, d, k in axes)

    @property
    def is_pointwise(self) -> bool:
        """Return whether a window is one element, and none lies in the padding."""
        return math.prod(self.kernel) == 1 and not any(self.padding)


def interior(size: Shape, padding: Shape) -> tuple[Any, ...]:
    """Return what picks the part of a padded array that is not padding, in its last axes."""
    return (..., *(slice(p, p + n) for n, p in zip(size, padding, strict=True)))


def padded(xp: Any, images: Array, windows: Windows, value: Any = 0) -> Array:
    """Return images with `value` around them; the images themselves where there is no padding."""
    if not any(windows.padding):
        return images
    shape = (*images.shape[: images.ndim - len(windows.size)], *windows.padded_size)
    made = xp.full(shape, value, images.dtype) if value else xp.zeros(shape, images.dtype)
    made[interior(windows.size, windows.padding)] = images
    return made


def taps(kernel: Shape) -> Iterator[Shape]:
    """Yield the places in a kernel, the last axis fastest."""
    if not kernel:
        yield ()
        return
    for first in range(kernel[0]):
        for rest in taps(kernel[1:]):
            yield (first, *rest)


def tap_slices(windows: Windows, tap: Shape) -> tuple[Any, ...]:
    """Return what picks, of padded images, the element at place `tap` of every window, in the last axes."""
    axes = zip(tap, windows.dilation, windows.stride, windows.count, strict=True)
    return (..., *(slice(t * d, t * d + s * (n - 1) + 1, s) for t, d, s, n in axes))


def window_view(xp: Any, images: Array, windows: Windows) -> Array:
    """View padded images (N, C, *padded) as (C, *kernel, N, *windows).

    Raises ValueError for windows that reach beyond the images: `as_strided` would read what lies there.
    """
    if any(end > size for end, size in zip(windows.ends, images.shape[2:], strict=True)):
        raise ValueError(f"windows must lie in the padded images; got images {list(images.shape)} and {windows}")
    samples, channels, *steps = images.strides
    inner = tuple(step * d for step, d in zip(steps, windows.dilation, strict=True))
    outer = tuple(step * s for step, s in zip(steps, windows.stride, strict=True))
    return xp.lib.stride_tricks.as_strided(
        images,
        (images.shape[1], *windows.kernel, images.shape[0], *windows.count),
        (channels, *inner, samples, *outer),
    )


def _blocks(xp: Any, images: Array, windows: Windows, columns: int) -> list[tuple[int, int]]:
    """Cut the batch: on a CPU into blocks of at least so many columns, on a GPU into large ones."""
    samples, count = images.shape[0], math.prod(windows.count)
    if getattr(xp, "__name__", "") == "cupy":
        size = _GPU_BYTES // (images.shape[1] * math.prod(windows.kernel) * count * images.dtype.itemsize)
    else:
        size = -(-columns // count)
    size = max(1, min(size, samples))
    return [(start, min(start + size, samples)) for start in range(0, samples, size)]


def column_blocks(xp: Any, images: Array, windows: Windows, groups: int) -> Iterator[tuple[int, int, Array]]:
    """Yield (first sample, end, columns) for images (N, C, *size), the columns as (groups, C / groups * kernel, n * windows).

    The columns are the same memory at each step: they must be used up before the next.
    """
    blocks = _blocks(xp, images, windows, _CPU_COLUMNS)
    length, channels = blocks[0][1], images.shape[1]
    scratch = xp.empty((channels, *windows.kernel, length, *windows.count), images.dtype)
    margin = None
    if any(windows.padding):
        margin = xp.zeros((length, channels, *windows.padded_size), images.dtype)
        inside = margin[interior(windows.size, windows.padding)]
    view = window_view(xp, images if margin is None else margin, windows)
    sample_axis = 1 + len(windows.size)
    for start, end in blocks:
        if end - start < length:
            scratch = scratch.reshape(-1)[: scratch.size // length * (end - start)]
            scratch = scratch.reshape((channels, *windows.kernel, end - start, *windows.count))
        if margin is not None:
            inside[: end - start] = images[start:end]
        first = 0 if margin is not None else start
        part = (slice(None),) * sample_axis + (slice(first, first + end - start),)
        scratch[...] = view[part]
        columns = (end - start) * math.prod(windows.count)
        yield start, end, scratch.reshape((groups, channels // groups * math.prod(windows.kernel), columns))


def image_blocks(xp: Any, images: Array, windows: Windows) -> Iterator[tuple[int, int, Array]]:
    """Yield (first sample, end, zeros of (C, n, *padded)) for images (N, C, *size); on resuming, store the inside of each.

    The zeros are for the sums at the places of windows that lie on each other.
    """
    inside = interior(windows.size, windows.padding)
    for start, end in _blocks(xp, images, windows, -(-_CPU_SUMMANDS // images.shape[1])):
        sums = xp.zeros((images.shape[1], end - start, *windows.padded_size), images.dtype)
        yield start, end, sums
        images[start:end] = sums[inside].swapaxes(0, 1)
