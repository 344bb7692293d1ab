"""Kernels and gradients of `gradwire_protocol.ops.pooling`.

Windows are boxes, so maxima and sums are taken along one axis after the other, the last first, in a few strides over whole
arrays per place of the kernel. A maximum carries its place in the kernel along as a small number, its code: of two places
that later axes have already ordered the one of the larger code comes later, so "the last that was greater" is a maximum of
codes. Of equal elements the first counts, of NaNs the last, as in PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.pooling import expanded, pooled_sizes
from gradwire_server.loops import host_loops
from gradwire_server.ops.im2col import Windows
from gradwire_server.ops.reduction import in_dtype, widened
from gradwire_server.ops.shape import add_at
from gradwire_server.rules import gradient, kernel

Array = Any
Shape = tuple[int, ...]
# The parts of (values, codes) at each place along the kernel's axis.
Parts = Iterator[tuple[Array, Array | None]]

# Elements of an image block that several passes go over: a CPU's cache holds it with what is made of it.
_CPU_ELEMENTS = 1 << 17


def _windows(
    size: Shape, kernel_size: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil_mode: bool
) -> Windows:
    count = len(size)
    kernel = expanded(kernel_size, count)
    steps, margin, spacing = (expanded(values, count) for values in (stride or kernel, padding, dilation))
    counts = pooled_sizes(size, kernel, steps, margin, spacing, ceil_mode)
    return Windows(size, kernel, steps, margin, spacing, counts)


def as_rows(array: Array, count: int) -> Array:
    """View (*, *spatial) as (rows, *spatial)."""
    return array.reshape(math.prod(array.shape[: array.ndim - count]), *array.shape[array.ndim - count :])


def _blocks(xp: Any, rows: Array) -> Iterator[slice]:
    size = rows.shape[0]
    if getattr(xp, "__name__", "") != "cupy":
        size = max(1, _CPU_ELEMENTS // max(1, math.prod(rows.shape[1:])))
    for start in range(0, rows.shape[0], max(1, size)):
        yield slice(start, start + size)


def at_axis(axis: int, key: Any) -> tuple[Any, ...]:
    """Return what picks `key` along an axis, and all along those before it."""
    return (slice(None),) * axis + (key,)


def _extents(windows: Windows) -> list[int]:
    """Return the sizes, left padding included, up to the end of the image or of the last window."""
    return [max(end, n + p) for end, n, p in zip(windows.ends, windows.size, windows.padding, strict=True)]


def _inside(windows: Windows) -> tuple[Any, ...]:
    return (slice(None), *(slice(p, p + n) for n, p in zip(windows.size, windows.padding, strict=True)))


def _surrounded(xp: Any, rows: Array, windows: Windows, value: Any) -> Array:
    """Return rows with `value` where windows reach beyond them: the padding, and more where `ceil_mode` rounded up."""
    extents = _extents(windows)
    if tuple(extents) == windows.size:
        return rows
    made = xp.full((rows.shape[0], *extents), value, rows.dtype)
    made[_inside(windows)] = rows
    return made


def _strides_along(windows: Windows, axis: int) -> Iterator[slice]:
    """Yield, for each place of the kernel along an axis, what picks that element of every window."""
    d, s, count = windows.dilation[axis], windows.stride[axis], windows.count[axis]
    for place in range(windows.kernel[axis]):
        yield slice(place * d, place * d + s * (count - 1) + 1, s)


# ---------------------------------------------------------------- maxima
def _lowest(dtype: Any) -> Any:
    """Return what no element is below."""
    if dtype.kind == "f":
        return -math.inf
    bits = 8 * dtype.itemsize
    return 0 if dtype.kind == "u" else -(1 << (bits - 1))


def coded_maximum(xp: Any, parts: Parts, scale: int, dtype: Any, has_nan: bool = True) -> tuple[Array, Array]:
    """Return the maximum of all parts, and its code: the part's number times `scale`, plus the code that it had.

    `has_nan` is False where no element is NaN, which saves a pass over each part.
    """
    best, codes = next(parts)
    best = xp.ascontiguousarray(best)
    codes = None if codes is None else xp.ascontiguousarray(codes)
    for number, (part, own) in enumerate(parts, 1):
        part = xp.ascontiguousarray(part)
        later = xp.greater(part, best)
        if has_nan and part.dtype.kind == "f":
            xp.logical_or(later, xp.isnan(part), out=later)
        code = dtype.type(number * scale) if own is None else own + dtype.type(number * scale)
        found = xp.multiply(later, code, dtype=dtype)
        codes = found if codes is None else xp.maximum(codes, found, out=codes)
        best = xp.maximum(best, part)
    return best, xp.zeros(best.shape, dtype) if codes is None else codes


def code_dtype(xp: Any, kernel: Shape) -> Any:
    """Return the dtype of codes: a byte where that holds all places, since codes cost time by their bytes."""
    return xp.dtype(xp.uint8 if math.prod(kernel) < 256 else xp.int64)


def _window_maxima(xp: Any, rows: Array, windows: Windows) -> tuple[Array, Array]:
    """Return the maximum of every window, and its place in the kernel in C order."""
    if rows.dtype.kind != "f" or getattr(xp, "__name__", "") == "cupy":
        return _maxima(xp, rows, windows, True)
    # A maximum is NaN if any element of its window is. That is rare, and looked for among fewer elements.
    found = _maxima(xp, rows, windows, False)
    return _maxima(xp, rows, windows, True) if xp.isnan(found[0]).any().item() else found


def _maxima(xp: Any, rows: Array, windows: Windows, has_nan: bool) -> tuple[Array, Array]:
    dtype, scale = code_dtype(xp, windows.kernel), 1
    values, codes = _surrounded(xp, rows, windows, _lowest(rows.dtype)), None
    for axis in reversed(range(len(windows.size))):
        parts = [at_axis(axis + 1, key) for key in _strides_along(windows, axis)]
        pairs = [(values[key], None if codes is None else codes[key]) for key in parts]
        values, codes = coded_maximum(xp, iter(pairs), scale, dtype, has_nan)
        scale *= windows.kernel[axis]
    return values, codes


def decoded(codes: Array, kernel: Shape) -> list[Array]:
    """Return the place along each axis of codes in C order."""
    places = []
    for size in reversed(kernel[1:]):
        rest = codes // codes.dtype.type(size)
        places.append(codes - rest * codes.dtype.type(size))
        codes = rest
    return [codes, *reversed(places)]


def broadcast_along(vector: Array, axis: int, ndim: int) -> Array:
    """View a vector such that it broadcasts along an axis of `ndim`."""
    return vector.reshape((-1,) + (1,) * (ndim - axis - 1))


def _window_places(xp: Any, codes: Array, windows: Windows) -> Array:
    """Return where in the image, counted in C order, the places in the windows lie that codes name."""
    if not any(windows.padding):
        return xp.take(_offsets(xp, windows), codes) + _starts(xp, windows)
    total, ndim = xp.zeros(codes.shape, xp.int64), len(windows.size)
    for axis, place in enumerate(decoded(codes, windows.kernel)):
        spacing, step = windows.dilation[axis], math.prod(windows.size[axis + 1 :])
        starts = xp.arange(windows.count[axis]) * windows.stride[axis] - windows.padding[axis]
        if windows.padding[axis]:
            # A window of nothing but the lowest value has code 0, which may lie in the padding: take its first element.
            place = xp.maximum(place, broadcast_along(xp.maximum(-(starts // spacing), 0), axis, ndim))
        total += xp.multiply(place, spacing * step, dtype=xp.int64)
        total += broadcast_along(starts * step, axis, ndim)
    return total


def _offsets(xp: Any, windows: Windows) -> Array:
    """Return how far from the start of a window, counted in C order in the image, each place of the kernel lies."""
    total = 0
    for axis, place in enumerate(decoded(xp.arange(math.prod(windows.kernel)), windows.kernel)):
        total = total + place * (windows.dilation[axis] * math.prod(windows.size[axis + 1 :]))
    return total


def _starts(xp: Any, windows: Windows) -> Array:
    """Return where windows without padding start, counted in C order in the image."""
    total, ndim = 0, len(windows.size)
    for axis, count in enumerate(windows.count):
        starts = xp.arange(count) * (windows.stride[axis] * math.prod(windows.size[axis + 1 :]))
        total = total + broadcast_along(starts, axis, ndim)
    return total


def _is_pairs(windows: Windows) -> bool:
    """Return whether windows are 2 x 2, side by side, and nowhere reach beyond the image."""
    inside = not any(windows.padding) and tuple(_extents(windows)) == windows.size
    return inside and windows.kernel == windows.stride == (2, 2) and windows.dilation == (1, 1)


def scattered(xp: Any, g: Array, indices: Array, result: Meta, count: int) -> Array:
    """Sum gradients at the places that their maxima came from."""
    size = math.prod(result.shape[-count:])
    values = widened(g.reshape(-1))
    made = xp.zeros(math.prod(result.shape), values.dtype)
    rows = as_rows(indices, count)
    loops = host_loops(xp, values)
    if loops is not None:
        wide = [xp.ascontiguousarray(array).reshape(len(rows), -1) for array in (values, rows, made)]
        if loops.add_at_places(*wide):
            return in_dtype(made.reshape(result.shape), result)
        made[...] = 0  # a place outside: let it be refused as ever
    firsts = (xp.arange(rows.shape[0]) * size).reshape((-1,) + (1,) * count)
    add_at(xp, made, (rows + firsts).reshape(-1), values)
    return in_dtype(made.reshape(result.shape), result)


def _define_max(count: int) -> None:
    name = f"max_pool{count}d_with_indices"

    @kernel(name)
    def forward(
        xp: Any, self: Array, kernel_size: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil_mode: bool,
        result: tuple[Meta, Meta],
    ) -> tuple[Array, Array]:  # fmt: skip
        windows = _windows(self.shape[-count:], kernel_size, stride, padding, dilation, ceil_mode)
        made = xp.empty(result[0].shape, self.dtype), xp.empty(result[0].shape, xp.int64)
        rows, values, places = as_rows(self, count), as_rows(made[0], count), as_rows(made[1], count)
        loops = host_loops(xp, rows) if _is_pairs(windows) else None
        if loops is not None:
            loops.max_pool_pairs(rows, values, places)
            return made
        for block in _blocks(xp, rows):
            values[block], codes = _window_maxima(xp, widened(rows[block]), windows)
            places[block] = _window_places(xp, codes, windows)
        return made

    @kernel(f"{name}_backward")
    def backward(
        xp: Any, grad_output: Array, self: Array, kernel_size: Shape, stride: Shape, padding: Shape, dilation: Shape,
        ceil_mode: bool, indices: Array, result: Meta,
    ) -> Array:  # fmt: skip
        return scattered(xp, grad_output, indices, result, count)

    def rule(g: Any, call: Any) -> Any:
        return getattr(g, f"{name}_backward")(
            call.self, call.kernel_size, call.stride, call.padding, call.dilation, call.ceil_mode, call.result1
        )

    gradient(name, self=rule)
    _define_max_twice(f"{name}_backward", count)


def _define_max_twice(name: str, count: int) -> None:
    gradient(
        name,
        grad_output=lambda g, call: gathered(g, call.indices, count),
        self=lambda g, call: g.new_zeros(g.meta.shape),
    )


def gathered(g: Any, indices: Any, count: int) -> Any:
    """Pick, of each image, the elements at the given places."""
    shape, places = g.meta.shape, indices.meta.shape
    flat = g.reshape(*shape[:-count], math.prod(shape[-count:]))
    picked = flat.gather(-1, indices.reshape(*places[:-count], math.prod(places[-count:])))
    return picked.reshape(places)


# ---------------------------------------------------------------- averages
def _window_sums(xp: Any, rows: Array, windows: Windows) -> Array:
    values = _surrounded(xp, rows, windows, 0)
    for axis in reversed(range(len(windows.size))):
        first, *others = _strides_along(windows, axis)
        total = values[at_axis(axis + 1, first)].copy()
        for key in others:
            total += values[at_axis(axis + 1, key)]
        values = total
    return values


def _spread_windows(xp: Any, values: Array, windows: Windows) -> Array:
    """Add each value to all elements of its window: the transpose of `_window_sums`."""
    for axis, extent in enumerate(_extents(windows)):
        made = xp.zeros((*values.shape[: axis + 1], extent, *values.shape[axis + 2 :]), values.dtype)
        for key in _strides_along(windows, axis):
            made[at_axis(axis + 1, key)] += values
        values = made
    return values[_inside(windows)]


def _divisor(xp: Any, windows: Windows, ceil_mode: bool, include_pad: bool, override: int | None) -> Any:
    """Return what sums are divided by: a number, or an array where windows at the border count fewer elements."""
    if override is not None:
        return override
    if not ceil_mode and (include_pad or not any(windows.padding)):
        return math.prod(windows.kernel)
    total, ndim = 1, len(windows.size)
    for axis, (n, k, s, p) in enumerate(
        zip(windows.size, windows.kernel, windows.stride, windows.padding, strict=True)
    ):
        starts = xp.arange(windows.count[axis]) * s - p
        ends = xp.minimum(starts + k, n + p)
        length = ends - starts if include_pad else xp.minimum(ends, n) - xp.maximum(starts, 0)
        total = total * broadcast_along(length, axis, ndim)
    return total


def _divided(xp: Any, sums: Array, divisor: Any) -> Array:
    """Divide; integers are truncated towards zero, as in C."""
    if sums.dtype.kind == "f":
        return sums / (divisor.astype(sums.dtype) if hasattr(divisor, "astype") else sums.dtype.type(divisor))
    signs = (
        xp.sign(sums) * xp.sign(divisor) if hasattr(divisor, "astype") else xp.sign(sums) * (1 if divisor > 0 else -1)
    )
    return xp.abs(sums) // abs(divisor) * signs


def _define_average(count: int) -> None:
    name = f"avg_pool{count}d"

    @kernel(name)
    def forward(
        xp: Any, self: Array, kernel_size: Shape, stride: Shape, padding: Shape, ceil_mode: bool,
        count_include_pad: bool, divisor_override: int | None, result: Meta,
    ) -> Array:  # fmt: skip
        windows = _windows(self.shape[-count:], kernel_size, stride, padding, (1,), ceil_mode)
        divisor = _divisor(xp, windows, ceil_mode, count_include_pad, divisor_override)
        made = xp.empty(result.shape, self.dtype)
        rows, values = as_rows(self, count), as_rows(made, count)
        for block in _blocks(xp, rows):
            values[block] = _divided(xp, _window_sums(xp, widened(rows[block]), windows), divisor)
        return made

    @kernel(f"{name}_backward")
    def backward(
        xp: Any, grad_output: Array, self: Array, kernel_size: Shape, stride: Shape, padding: Shape, ceil_mode: bool,
        count_include_pad: bool, divisor_override: int | None, result: Meta,
    ) -> Array:  # fmt: skip
        windows = _windows(self.shape[-count:], kernel_size, stride, padding, (1,), ceil_mode)
        divisor = _divisor(xp, windows, ceil_mode, count_include_pad, divisor_override)
        made = xp.empty(result.shape, self.dtype)
        rows, values = as_rows(grad_output, count), as_rows(made, count)
        for block in _blocks(xp, rows):
            values[block] = _spread_windows(xp, _divided(xp, widened(rows[block]), divisor), windows)
        return made

    def options(call: Any) -> tuple[Any, ...]:
        return (
            call.kernel_size, call.stride, call.padding, call.ceil_mode, call.count_include_pad, call.divisor_override
        )  # fmt: skip

    gradient(name, self=lambda g, call: getattr(g, f"{name}_backward")(call.self, *options(call)))
    gradient(
        f"{name}_backward",
        grad_output=lambda g, call: getattr(g, name)(*options(call)),
        self=lambda g, call: g.new_zeros(g.meta.shape),
    )


for _count in (2, 3):
    _define_max(_count)
    _define_average(_count)
