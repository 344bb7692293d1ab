"""Kernels and gradients of pooling whose windows follow from the size of the result, and of what puts maxima back.

Bin i of `count` covers floor(i n / count) <= place < ceil((i + 1) n / count) of n places. The bins that hold a place are
given by the same formula with n and count swapped, so the gradient of an average is a sum over bins too.
"""

from __future__ import annotations

import math
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_server.ops.pooling import (
    as_rows,
    broadcast_along,
    code_dtype,
    coded_maximum,
    decoded,
    gathered,
    scattered,
)
from gradwire_server.ops.reduction import in_dtype, widened
from gradwire_server.rules import gradient, kernel

Array = Any
Shape = tuple[int, ...]


def _bins(xp: Any, size: int, count: int) -> tuple[Array, Array, int]:
    """Return (first place, end) of each bin, and how long bins are at most."""
    numbers = xp.arange(count)
    longest = size // count if size % count == 0 else size // count + 2
    return numbers * size // count, ((numbers + 1) * size + count - 1) // count, longest


# ---------------------------------------------------------------- averages
def _bin_sums(xp: Any, rows: Array, axis: int, count: int) -> Array:
    """Sum an axis over `count` bins."""
    size = rows.shape[axis]
    if size % count == 0:
        return rows.reshape(*rows.shape[:axis], count, size // count, *rows.shape[axis + 1 :]).sum(axis=axis + 1)
    starts, ends, longest = _bins(xp, size, count)
    total: Any = 0
    for number in range(longest):
        places = starts + number
        part = xp.take(rows, xp.minimum(places, size - 1), axis=axis)
        total = total + xp.where(broadcast_along(places < ends, axis, rows.ndim), part, rows.dtype.type(0))
    return total


def _lengths(xp: Any, sizes: Shape, counts: Shape, dtype: Any) -> Array:
    """Return how many elements each bin has."""
    total: Any = 1
    for axis, (size, count) in enumerate(zip(sizes, counts, strict=True)):
        starts, ends, _ = _bins(xp, size, count)
        total = total * broadcast_along(ends - starts, axis, len(sizes))
    return total.astype(dtype)


def _define_average(count: int) -> None:
    name = f"_adaptive_avg_pool{count}d"

    @kernel(name)
    def forward(xp: Any, self: Array, output_size: Shape, result: Meta) -> Array:
        if not math.prod(result.shape):
            return xp.zeros(result.shape, self.dtype)
        rows = widened(as_rows(self, count))
        lengths = _lengths(xp, self.shape[-count:], output_size, rows.dtype)
        for axis, size in enumerate(output_size, 1):
            rows = _bin_sums(xp, rows, axis, size)
        return in_dtype((rows / lengths).reshape(result.shape), result)

    @kernel(f"{name}_backward")
    def backward(xp: Any, grad_output: Array, self: Array, result: Meta) -> Array:
        if not grad_output.size:
            return xp.zeros(result.shape, self.dtype)
        rows = widened(as_rows(grad_output, count))
        rows = rows / _lengths(xp, self.shape[-count:], grad_output.shape[-count:], rows.dtype)
        for axis, size in enumerate(self.shape[-count:], 1):
            rows = _bin_sums(xp, rows, axis, size)
        return in_dtype(rows.reshape(result.shape), result)

    gradient(name, self=lambda g, call: getattr(g, f"{name}_backward")(call.self))
    gradient(
        f"{name}_backward",
        grad_output=lambda g, call: getattr(g, name)(call.meta("grad_output").shape[-count:]),
        self=lambda g, call: g.new_zeros(g.meta.shape),
    )


# ---------------------------------------------------------------- maxima
def _bin_maxima(xp: Any, rows: Array, counts: Shape) -> tuple[Array, Array]:
    """Return the maximum of each bin, and its place in the image in C order."""
    sizes = rows.shape[1:]
    bins = [_bins(xp, size, count) for size, count in zip(sizes, counts, strict=True)]
    lengths = tuple(longest for _, _, longest in bins)
    dtype, scale = code_dtype(xp, lengths), 1
    values: Array = rows
    codes: Array = None
    for axis in reversed(range(len(sizes))):
        starts, ends, longest = bins[axis]
        # Past the end of a bin its last element comes again, which changes no maximum.
        places = [xp.minimum(starts + number, ends - 1) for number in range(longest)]
        parts = [
            (xp.take(values, place, axis=axis + 1), None if codes is None else xp.take(codes, place, axis=axis + 1))
            for place in places
        ]
        values, codes = coded_maximum(xp, iter(parts), scale, dtype)
        scale *= longest
    total, ndim = xp.zeros(codes.shape, xp.int64), len(sizes)
    for axis, place in enumerate(decoded(codes, lengths)):
        starts, ends, _ = bins[axis]
        spot = xp.minimum(place + broadcast_along(starts, axis, ndim), broadcast_along(ends - 1, axis, ndim))
        total += spot * math.prod(sizes[axis + 1 :])
    return values, total


def _define_max(count: int) -> None:
    name = f"adaptive_max_pool{count}d"

    @kernel(name)
    def forward(xp: Any, self: Array, output_size: Shape, result: tuple[Meta, Meta]) -> tuple[Array, Array]:
        shape = result[0].shape
        if not math.prod(shape):
            return xp.zeros(shape, self.dtype), xp.zeros(shape, xp.int64)
        values, places = _bin_maxima(xp, widened(as_rows(self, count)), output_size)
        return in_dtype(values.reshape(shape), result[0]), places.reshape(shape)

    @kernel(f"{name}_backward")
    def backward(xp: Any, grad_output: Array, self: Array, indices: Array, result: Meta) -> Array:
        return scattered(xp, grad_output, indices, result, count)

    gradient(name, self=lambda g, call: getattr(g, f"{name}_backward")(call.self, call.result1))
    _define_twice(f"{name}_backward", count)


def _define_twice(name: str, count: int) -> None:
    gradient(
        name,
        grad_output=lambda g, call: gathered(g, call.indices, count),
        self=lambda g, call: g.new_zeros(g.meta.shape),
    )


# ---------------------------------------------------------------- windows at random places
def _random_starts(xp: Any, samples: Array, size: int, kernel: int, count: int) -> Array:
    """Return where windows begin, (rows, count): int((i + u) a) - int(u a) with a = (size - kernel) / (count - 1).

    The last window ends with the image (Graham, 2014). Computed in the samples' dtype, as in PyTorch.
    """
    made = xp.full((samples.shape[0], count), size - kernel, xp.int64)
    if count > 1:
        dtype = samples.dtype
        alpha = dtype.type(size - kernel) / dtype.type(count - 1)
        sample = samples.reshape(-1, 1)
        places = (xp.arange(count - 1).astype(dtype) + sample) * alpha
        made[:, :-1] = places.astype(xp.int64) - (sample * alpha).astype(xp.int64)
    return made


def _fractional_maxima(xp: Any, rows: Array, kernel: Shape, counts: Shape, samples: Array) -> tuple[Array, Array]:
    """Return the maximum of each window, and its place in the image; the samples are (rows, axes).

    Of two axes the first sample is the width's, as in PyTorch.
    """
    sizes, ndim = rows.shape[1:], len(counts)
    dtype, scale = code_dtype(xp, kernel), 1
    starts = []
    for axis in range(ndim):
        column = samples[:, 1 - axis if ndim == 2 else axis]
        begin = _random_starts(xp, column, sizes[axis], kernel[axis], counts[axis])
        starts.append(begin.reshape(begin.shape[0], *(1,) * axis, counts[axis], *(1,) * (ndim - axis - 1)))
    values: Array = rows
    codes: Array = None
    for axis in reversed(range(ndim)):
        places = [starts[axis] + number for number in range(kernel[axis])]
        parts = [
            (xp.take_along_axis(values, place, axis + 1),
             None if codes is None else xp.take_along_axis(codes, place, axis + 1))
            for place in places
        ]  # fmt: skip
        values, codes = coded_maximum(xp, iter(parts), scale, dtype)
        scale *= kernel[axis]
    total = xp.zeros(codes.shape, xp.int64)
    for axis, place in enumerate(decoded(codes, kernel)):
        total += (starts[axis] + place) * math.prod(sizes[axis + 1 :])
    return values, total


def _define_fractional(count: int) -> None:
    name = f"fractional_max_pool{count}d"

    @kernel(name)
    def forward(
        xp: Any, self: Array, kernel_size: Shape, output_size: Shape, random_samples: Array, result: tuple[Meta, Meta]
    ) -> tuple[Array, Array]:
        shape, rows = result[0].shape, widened(as_rows(self, count))
        if not rows.size:
            return xp.zeros(shape, self.dtype), xp.zeros(shape, xp.int64)
        samples = random_samples.reshape(-1, count)[: rows.shape[0]]
        values, places = _fractional_maxima(xp, rows, kernel_size, output_size, samples)
        return in_dtype(values.reshape(shape), result[0]), places.reshape(shape)

    @kernel(f"{name}_backward")
    def backward(
        xp: Any, grad_output: Array, self: Array, kernel_size: Shape, output_size: Shape, indices: Array, result: Meta
    ) -> Array:
        return scattered(xp, grad_output, indices, result, count)

    def rule(g: Any, call: Any) -> Any:
        back = getattr(g, f"{name}_backward")
        return back(call.self, call.kernel_size, call.output_size, call.result1)

    gradient(name, self=rule)
    _define_twice(f"{name}_backward", count)


# ---------------------------------------------------------------- maxima put back
def _unpooled(xp: Any, self: Array, indices: Array, output_size: Shape, result: Meta) -> Array:
    """Put values at their places in zeros; a place outside of the image is a RuntimeError."""
    count, size = len(output_size), math.prod(output_size)
    outside = indices.view(xp.uint64) >= size
    if outside.any().item():
        value = indices.reshape(-1)[xp.flatnonzero(outside)[0].item()].item()
        volume = "x".join(map(str, output_size))
        raise RuntimeError(f"Found an invalid max index: {value} (output volumes are of size {volume})")
    made = xp.zeros(math.prod(result.shape), self.dtype)
    rows = as_rows(indices, count)
    firsts = (xp.arange(rows.shape[0]) * size).reshape((-1,) + (1,) * count)
    made[(rows + firsts).reshape(-1)] = self.reshape(-1)
    return made.reshape(result.shape)


@kernel("max_unpool2d")
def max_unpool2d(xp: Any, self: Array, indices: Array, output_size: Shape, result: Meta) -> Array:
    """Put values at their places in zeros."""
    return _unpooled(xp, self, indices, output_size, result)


@kernel("max_unpool3d")
def max_unpool3d(
    xp: Any, self: Array, indices: Array, output_size: Shape, stride: Shape, padding: Shape, result: Meta
) -> Array:
    """Put values at their places in zeros; `stride` and `padding` play no part, as in PyTorch."""
    return _unpooled(xp, self, indices, output_size, result)


gradient("max_unpool2d", self=lambda g, call: gathered(g, call.indices, 2))
gradient("max_unpool3d", self=lambda g, call: gathered(g, call.indices, 3))
for _count in (2, 3):
    _define_average(_count)
    _define_max(_count)
    _define_fractional(_count)
