"""Samples of the pooling family. The references go over windows one by one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Array = Any
Sizes = Sequence[int]
# The places of each window along one axis.
Places = list[list[int]]

INF, NAN = float("inf"), float("nan")


def _windows(size: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> Places:
    """Return the windows along an axis, without what lies outside of the image."""
    rounded = math.ceil if ceil_mode else math.floor
    count = rounded((size + 2 * p - d * (k - 1) - 1) / s) + 1
    count -= ceil_mode and (count - 1) * s >= size + p
    starts = [i * s - p for i in range(count)]
    return [[start + j * d for j in range(k) if 0 <= start + j * d < size] for start in starts]


def _all_windows(
    shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil: bool
) -> list[Places]:
    count = len(kernel)
    full = [v if len(v) == count else tuple(v) * count for v in (stride or kernel, padding, dilation)]
    axes = zip(shape[-count:], kernel, *full, strict=True)
    return [_windows(*axis, ceil) for axis in axes]


def _bins(size: int, count: int) -> Places:
    return [list(range(i * size // count, -(-(i + 1) * size // count))) for i in range(count)]


def _reduce(x: Array, axes: list[Places], of_window: Callable[[Array, tuple[int, ...]], Any]) -> list[Any]:
    """Call with each window of (*, elements) and its number along each axis."""
    found = []
    for number in itertools.product(*(range(len(places)) for places in axes)):
        window = x
        for axis, (places, i) in enumerate(zip(axes, number, strict=True)):
            window = window.take(places[i], axis - len(axes))
        found.append(of_window(window.reshape(*window.shape[: x.ndim - len(axes)], -1), number))
    return found


def _stacked(parts: list[Any], shape: Sizes, dtype: Any) -> Array:
    return np.stack(parts, -1).reshape(shape).astype(dtype)


def _maxima(x: Array, axes: list[Places]) -> tuple[Array, Array]:
    lead, count = x.shape[: x.ndim - len(axes)], len(axes)
    shape = (*lead, *map(len, axes))
    if not math.prod(shape):
        return np.zeros(shape, x.dtype), np.zeros(shape, np.int64)
    numbers = np.broadcast_to(np.arange(math.prod(x.shape[-count:])).reshape(x.shape[-count:]), x.shape)
    picks = _reduce(x, axes, lambda window, _: window.argmax(-1)[..., None])
    values = [np.take_along_axis(window, pick, -1)[..., 0]
              for window, pick in zip(_reduce(x, axes, lambda w, _: w), picks, strict=True)]  # fmt: skip
    places = [np.take_along_axis(window, pick, -1)[..., 0]
              for window, pick in zip(_reduce(numbers, axes, lambda w, _: w), picks, strict=True)]  # fmt: skip
    return _stacked(values, shape, x.dtype), _stacked(places, shape, np.int64)


def _put_back(g: Array, indices: Array, like: Array, count: int) -> Array:
    out = np.zeros((math.prod(like.shape[: like.ndim - count]), math.prod(like.shape[like.ndim - count :])), g.dtype)
    for row, (values, places) in enumerate(
        zip(g.reshape(len(out), -1) if g.size else [], indices.reshape(len(out), -1) if g.size else [], strict=True)
    ):
        for value, place in zip(values, places, strict=True):
            out[row, place] += value
    return out.reshape(like.shape)


# ---------------------------------------------------------------- maxima
def _max_pool(self: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil: bool) -> Any:
    return _maxima(self, _all_windows(self.shape, kernel, stride, padding, dilation, ceil))


# kernel, stride, padding, dilation, ceil_mode
_MAX2D: tuple[tuple[Any, ...], ...] = (
    ((2, 2), (), (0,), (1,), False),
    ((3, 2), (2, 1), (1, 0), (1, 1), False),
    ((2, 3), (2, 2), (1, 1), (2, 1), True),
    ((3, 3), (3, 2), (0, 1), (1, 2), True),
)
_MAX3D: tuple[tuple[Any, ...], ...] = (
    ((2, 2, 2), (), (0,), (1,), False),
    ((2, 1, 3), (1, 2, 2), (1, 0, 1), (1, 1, 1), True),
)


def _max_cases(rng: np.random.Generator, count: int) -> Iterator[Case]:
    shape = (2, 2, 6, 5) if count == 2 else (1, 2, 4, 4, 5)
    windows = _MAX2D if count == 2 else _MAX3D
    for window in windows:
        yield Case((rng.standard_normal(shape), *window))
    yield Case((rng.standard_normal(shape[::-1]).transpose(), *windows[1]))
    yield Case((rng.standard_normal(shape)[0].astype(np.float32), *windows[1]))
    yield Case((np.ones((0, *shape[1:])), *windows[1]))
    yield Case((rng.integers(-9, 9, shape).astype(np.int32), *windows[1]))
    yield Case((rng.integers(0, 9, shape).astype(np.uint8), *windows[1]))
    yield Case((np.zeros(shape), *windows[1]), differentiable=False)
    yield Case((np.full(shape, -INF), *windows[1]), differentiable=False)
    odd = rng.standard_normal(shape)
    odd.reshape(-1)[7] = NAN
    yield Case((odd, *windows[0]), differentiable=False)
    if count == 2:
        yield Case((rng.standard_normal((1, 1, 20, 18)), (16, 17), (1, 1), (0, 3), (1, 1), False))


def _max_backward_cases(rng: np.random.Generator, count: int) -> Iterator[Case]:
    for case in _max_cases(rng, count):
        x, *window = case.args
        if x.dtype == np.float64 and np.isfinite(x).all():
            values, indices = _max_pool(x, *window)
            stride = window[1] or window[0]
            yield Case((rng.standard_normal(values.shape), x, window[0], stride, *window[2:], indices))


def _max_refusals(count: int) -> tuple[Refusal, ...]:
    x, one, zero = np.ones((2, 4, *(5,) * count)), (1,), (0,)
    word = "two" if count == 2 else "three"
    return (
        Refusal((x, (0,), (), zero, one, False), RuntimeError, "stride should not be zero"),
        Refusal((x, (0,), (1,), zero, one, False), RuntimeError, "kernel size should be greater than zero, but got k"),
        Refusal((x, (2,), (2,), (2,), one, False), RuntimeError,
                "pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 and dilation=1"),
        Refusal((x, (2,), (2,), (-1,), one, False), RuntimeError, "pad must be non-negative, but got pad: -1"),
        Refusal((x, (2,), (2,), zero, zero, False), RuntimeError, "dilation should be greater than zero, but got dilation"),
        Refusal((x, (7,), (2,), zero, one, False), RuntimeError, r"Given input size: \(4x5x.*Calculated output size: \(4x0x"),
        Refusal((x[0, 0], (2,), (2,), zero, one, False), RuntimeError, "non-empty ..? or ..? .batch mode. tensor expected"),
        Refusal((x, (2,) * 4, (2,), zero, one, False), RuntimeError, f"kernel_size must either be a single int, or a tuple of {word}"),
        Refusal((x, (2,), (2,) * 4, zero, one, False), RuntimeError, "stride must either be omitted, a single int, or"),
        Refusal((x, (2,), (2,), (0,) * 4, one, False), RuntimeError, "padding must either be a single int, or"),
        Refusal((x, (2,), (2,), zero, (1,) * 4, False), RuntimeError, "dilation must be either a single int, or"),
        Refusal((x[:, :0], (2,), (2,), zero, one, False), RuntimeError, "Expected"),
        Refusal((x > 0, (2,), (2,), zero, one, False), NotImplementedError, f'"max_pool{count}d" not implemented for \'Bool\''),
    )  # fmt: skip


# ---------------------------------------------------------------- averages
def _divisors(
    shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, ceil: bool, include: bool, override: Any
) -> Array:
    """Return what the sum of each window is divided by."""
    count = len(kernel)
    steps, margins = stride or kernel, padding if len(padding) == count else tuple(padding) * count
    axes = []
    for n, k, s, p, places in zip(
        shape[-count:], kernel, steps, margins, _all_windows(shape, kernel, stride, padding, (1,), ceil), strict=True
    ):
        ends = [min(i * s - p + k, n + p) - (i * s - p) for i in range(len(places))]
        axes.append(ends if include else [len(window) for window in places])
    if override is not None:
        return np.full([len(axis) for axis in axes], override)
    return np.array([math.prod(numbers) for numbers in itertools.product(*axes)]).reshape([len(axis) for axis in axes])


def _sums(x: Array, axes: list[Places]) -> Array:
    shape = (*x.shape[: x.ndim - len(axes)], *map(len, axes))
    return _stacked(_reduce(x, axes, lambda window, _: window.sum(-1)), shape, x.dtype) if x.size else np.zeros(shape)


def _avg_pool(
    self: Array, kernel: Sizes, stride: Sizes, padding: Sizes, ceil: bool, include: bool, override: Any
) -> Array:
    sums = _sums(self, _all_windows(self.shape, kernel, stride, padding, (1,), ceil))
    quotient = sums / _divisors(self.shape, kernel, stride, padding, ceil, include, override)
    return (np.trunc(quotient) if self.dtype.kind == "i" else quotient).astype(self.dtype)


def _spread(g: Array, like: Array, axes: list[Places]) -> Array:
    out = np.zeros(like.shape, g.dtype)
    for number in itertools.product(*(range(len(places)) for places in axes)):
        for place in itertools.product(*(places[i] for places, i in zip(axes, number, strict=True))):
            out[(..., *place)] += g[(..., *number)]
    return out


def _avg_backward(
    g: Array, self: Array, kernel: Sizes, stride: Sizes, padding: Sizes, ceil: bool, include: bool, override: Any
) -> Array:
    divisors = _divisors(self.shape, kernel, stride, padding, ceil, include, override)
    return _spread(g / divisors, self, _all_windows(self.shape, kernel, stride, padding, (1,), ceil))


# kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
_AVG2D: tuple[tuple[Any, ...], ...] = (
    ((2, 2), (), (0,), False, True, None),
    ((3, 2), (2, 1), (1, 1), False, True, None),
    ((3, 2), (2, 3), (1, 0), True, False, None),
    ((3, 3), (2, 2), (1, 1), True, True, None),
    ((2, 3), (1, 2), (1, 1), False, False, 3),
)
_AVG3D: tuple[tuple[Any, ...], ...] = (
    ((2, 2, 2), (), (0,), False, True, None),
    ((2, 1, 3), (1, 2, 2), (1, 0, 1), True, False, None),
    ((2, 3, 2), (2, 2, 2), (1, 1, 1), True, True, None),
)


def _avg_cases(rng: np.random.Generator, count: int) -> Iterator[Case]:
    shape = (2, 2, 6, 5) if count == 2 else (1, 2, 4, 4, 5)
    windows = _AVG2D if count == 2 else _AVG3D
    for window in windows:
        yield Case((rng.standard_normal(shape), *window))
    yield Case((rng.standard_normal(shape[::-1]).transpose(), *windows[1]))
    yield Case((rng.standard_normal(shape)[0].astype(np.float32), *windows[1]))
    yield Case((np.ones((0, *shape[1:])), *windows[1]))
    yield Case((rng.integers(-99, 99, shape), *windows[1]))
    yield Case((rng.integers(-99, 99, shape), *windows[0][:-1], -3))


def _avg_backward_cases(rng: np.random.Generator, count: int) -> Iterator[Case]:
    for case in _avg_cases(rng, count):
        x, *window = case.args
        if x.dtype == np.float64:
            g = rng.standard_normal(_avg_pool(x, *window).shape)
            yield Case((g, x, window[0], window[1] or window[0], *window[2:]))


def _avg_refusals(count: int) -> tuple[Refusal, ...]:
    x, zero, rest = np.ones((2, 4, *(5,) * count)), (0,), (False, True, None)
    large = (
        r"Calculated output size: \(4x0x0\)"
        if count == 2
        else r"input image \(T: 5 H: 5 W: 5\) smaller than kernel size \(kT: 7"
    )
    return (
        Refusal((x, (0,), (), zero, *rest), RuntimeError, "stride should not be zero"),
        Refusal((x, (2,), (2,), (2,), *rest), RuntimeError, "pad should be at most half of effective kernel size"),
        Refusal((x, (7,), (2,), zero, *rest), RuntimeError, large),
        Refusal((x, (2,) * 4, (2,), zero, *rest), RuntimeError, f"avg_pool{count}d: kernel_size must"),
        Refusal((x, (2,), (2,), zero, False, True, 0), RuntimeError, "divisor must be not zero"),
        Refusal((x.astype(np.int32), (2,), (2,), zero, *rest), NotImplementedError, "not implemented for 'Int'"),
    )


# ---------------------------------------------------------------- windows that cover an image evenly
def _adaptive_axes(x: Array, sizes: Sizes) -> list[Places]:
    return [_bins(n, count) for n, count in zip(x.shape[-len(sizes) :], sizes, strict=True)]


def _adaptive_avg(self: Array, sizes: Sizes) -> Array:
    axes = _adaptive_axes(self, sizes)
    counts = [math.prod(n) for n in itertools.product(*([len(window) for window in places] for places in axes))]
    return (_sums(self, axes) / np.array(counts).reshape(*map(len, axes))).astype(self.dtype)


def _adaptive_avg_backward(count: int) -> Callable[[Array, Array], Array]:
    def backward(g: Array, self: Array) -> Array:
        axes = _adaptive_axes(self, g.shape[-count:])
        counts = [math.prod(n) for n in itertools.product(*([len(window) for window in places] for places in axes))]
        return _spread(g / np.array(counts).reshape(*map(len, axes)), self, axes)

    return backward


def _adaptive_max(self: Array, sizes: Sizes) -> Any:
    return _maxima(self, _adaptive_axes(self, sizes))


def _adaptive_cases(rng: np.random.Generator, count: int) -> Iterator[Case]:
    shape = (2, 2, 6, 5) if count == 2 else (1, 2, 4, 5, 3)
    for sizes in ((3, 5), (4, 3), (7, 2), (1, 9)) if count == 2 else ((2, 3, 3), (3, 7, 1)):
        yield Case((rng.standard_normal(shape), sizes))
    sizes = (4, 3, 2)[:count]
    yield Case((rng.standard_normal(shape[::-1]).transpose(), sizes))
    yield Case((rng.standard_normal(shape)[0].astype(np.float32), sizes))
    yield Case((np.ones((0, *shape[1:])), sizes))


def _adaptive_avg_backward_cases(rng: np.random.Generator, count: int) -> Iterator[Case]:
    for case in _adaptive_cases(rng, count):
        x, sizes = case.args
        if x.dtype == np.float64 and x.size:
            yield Case((rng.standard_normal((*x.shape[:-count], *sizes)), x))


def _adaptive_max_backward_cases(rng: np.random.Generator, count: int) -> Iterator[Case]:
    for case in _adaptive_cases(rng, count):
        x, sizes = case.args
        if x.dtype == np.float64 and x.size:
            values, indices = _adaptive_max(x, sizes)
            yield Case((rng.standard_normal(values.shape), x, indices))


def _adaptive_refusals(count: int, maximum: bool) -> tuple[Refusal, ...]:
    x, sizes = np.ones((2, 4, *(5,) * count)), (2,) * count
    negative = "Trying to create tensor with negative dimension -1" if maximum else "must be greater than or equal to 0"
    number = "internal error: output_size.size" if maximum else f"output_size must be {count}"
    return (
        Refusal((x, (-1,) * count), RuntimeError, negative, in_torch=maximum),
        Refusal((x, (2,) * (count + 2)), RuntimeError, number),
        Refusal((x[0, 0], sizes), RuntimeError, f"Expected {count + 1}D or {count + 2}D tensor, but got"),
        Refusal((x[:, :, :0], sizes), RuntimeError, "with dimension 2 being empty"),
        Refusal((x.astype(np.int64), sizes), NotImplementedError, "not implemented for 'Long'"),
    )


# ---------------------------------------------------------------- windows at random places
def _fractional(self: Array, kernel: Sizes, sizes: Sizes, samples: Array) -> Any:
    count = len(kernel)
    lead = self.shape[: self.ndim - count]
    rows = self.reshape(math.prod(lead), *self.shape[-count:])
    found = []
    for row, sample in zip(rows, samples.reshape(-1, count), strict=False):
        ordered = sample[::-1] if count == 2 else sample
        axes = []
        for n, k, pooled, u in zip(row.shape, kernel, sizes, ordered, strict=True):
            alpha = (n - k) / (pooled - 1) if pooled > 1 else 0.0
            starts = [int((i + u) * alpha) - int(u * alpha) for i in range(pooled - 1)] + [n - k]
            axes.append([list(range(start, start + k)) for start in starts])
        found.append(_maxima(row, axes))
    shape = (*lead, *sizes)
    if not found:
        return np.zeros(shape, self.dtype), np.zeros(shape, np.int64)
    return tuple(np.stack(parts).reshape(shape) for parts in zip(*found, strict=True))


def _fractional_cases(rng: np.random.Generator, count: int) -> Iterator[Case]:
    shape = (2, 2, 6, 5) if count == 2 else (1, 2, 5, 6, 7)
    for kernel, sizes in (((2, 3, 2), (3, 3, 4)), ((3, 2, 2), (1, 4, 3))):
        samples = rng.random((shape[0], shape[1], count))
        yield Case((rng.standard_normal(shape), kernel[:count], sizes[:count], samples))
    one = rng.standard_normal(shape)[0]
    yield Case((one, (2,) * count, (3,) * count, rng.random((1, shape[1], count))))
    yield Case((np.ones((0, *shape[1:])), (2,) * count, (3,) * count, np.ones((0, shape[1], count))))


def _fractional_backward_cases(rng: np.random.Generator, count: int) -> Iterator[Case]:
    for case in _fractional_cases(rng, count):
        x, kernel, sizes, samples = case.args
        if x.size:
            values, indices = _fractional(x, kernel, sizes, samples)
            yield Case((rng.standard_normal(values.shape), x, kernel, sizes, indices))


def _fractional_refusals(count: int) -> tuple[Refusal, ...]:
    x, u = np.ones((2, 4, *(5,) * count)), np.ones((2, 4, count))
    pair = (2,) * count
    return (
        Refusal(
            (x, (2,) * 4, pair, u),
            RuntimeError,
            f"fractional_max_pool{count}d: kernel_size must either be a single Int or",
        ),
        Refusal(
            (x, pair, (2,) * 4, u),
            RuntimeError,
            f"fractional_max_pool{count}d: output_size must either be a single Int or",
        ),
        Refusal((x, (3,) * count, (4,) * count, u), RuntimeError, r"pool \w+ 3 too large relative to input \w+ 5"),
        Refusal(
            (x, pair, pair, u[:, :3]), RuntimeError, r"Expect _random_samples.size\(1\) equals to input channel size."
        ),
        Refusal((x, pair, pair, np.ones((2, 4, 4))), RuntimeError, rf"size\(2\) equals to {count}; got 4."),
        Refusal((x[:, :0], pair, pair, u), RuntimeError, r"but got\[2, 0, 5.* with dimension 1 being empty"),
    )


# ---------------------------------------------------------------- maxima put back
def _unpool(self: Array, indices: Array, sizes: Sizes, *rest: Any) -> Array:
    out = np.zeros((*self.shape[: -len(sizes)], math.prod(sizes)), self.dtype)
    lead = out.shape[:-1]
    np.put_along_axis(out, indices.reshape(*lead, math.prod(self.shape[-len(sizes) :])), self.reshape(
        *lead, math.prod(self.shape[-len(sizes) :])), -1)  # fmt: skip
    return out.reshape(*lead, *sizes)


def _unpool_cases(rng: np.random.Generator, count: int) -> Iterator[Case]:
    rest = ((2,) * 3, (0,) * 3) if count == 3 else ()
    sizes = (4, 6, 5)[:count]
    for shape in ((2, 3, *(2, 3, 2)[:count]), (3, *(2, 3, 2)[:count]), (0, 3, *(2, 3, 2)[:count])):
        x = rng.standard_normal(shape)
        rows = [
            rng.permutation(math.prod(sizes))[: math.prod(shape[-count:])] for _ in range(math.prod(shape[:-count]))
        ]
        indices = np.array(rows, np.int64).reshape(shape)
        yield Case((x, indices, sizes, *rest))
        yield Case((x.astype(np.float32), indices, sizes, *rest))


def _unpool_refusals(count: int) -> tuple[Refusal, ...]:
    rest: tuple[Any, ...] = ((2,) * 3, (0,) * 3) if count == 3 else ()
    x, i, sizes = np.ones((2, 3, *(2,) * count)), np.zeros((2, 3, *(2,) * count), np.int64), (4,) * count
    volume = "x".join(["4"] * count)
    return (
        Refusal(
            (x, i + 999, sizes, *rest),
            RuntimeError,
            rf"Found an invalid max index: 999 \(output volumes are of size {volume}",
        ),
        Refusal((x, i - 1, sizes, *rest), RuntimeError, "Found an invalid max index: -1"),
        Refusal((x, i.astype(np.int32), sizes, *rest), RuntimeError, "elements in indices should be type int64"),
        Refusal(
            (x, i[:1], sizes, *rest), RuntimeError, "Expected shape of indices to be same as that of the input tensor"
        ),
        Refusal(
            (x[0, 0], i[0, 0], sizes, *rest), RuntimeError, f"should be a {count + 1}d or {count + 2}d Tensor, but got"
        ),
        Refusal((x, i, (4,) * (count + 2), *rest), RuntimeError, "There should be exactly"),
        Refusal((x.astype(np.int64), i, sizes, *rest), NotImplementedError, "not implemented for 'Long'"),
    )


def _of(
    cases: Callable[[np.random.Generator, int], Iterator[Case]], count: int
) -> Callable[[np.random.Generator], Any]:
    return lambda rng: cases(rng, count)


def _places_backward(count: int) -> Callable[..., Array]:
    """Return the reference of a backward whose last argument is the places, and second the image."""
    return lambda g, self, *rest: _put_back(g, rest[-1], self, count)


SAMPLES: list[Sample] = []
for _n in (2, 3):
    SAMPLES += [
        Sample(f"max_pool{_n}d_with_indices", _max_pool, _of(_max_cases, _n), _max_refusals(_n)),
        Sample(f"max_pool{_n}d_with_indices_backward", _places_backward(_n), _of(_max_backward_cases, _n)),
        Sample(f"avg_pool{_n}d", _avg_pool, _of(_avg_cases, _n), _avg_refusals(_n)),
        Sample(f"avg_pool{_n}d_backward", _avg_backward, _of(_avg_backward_cases, _n)),
        Sample(f"_adaptive_avg_pool{_n}d", _adaptive_avg, _of(_adaptive_cases, _n), _adaptive_refusals(_n, False)),
        Sample(f"_adaptive_avg_pool{_n}d_backward", _adaptive_avg_backward(_n), _of(_adaptive_avg_backward_cases, _n)),
        Sample(f"adaptive_max_pool{_n}d", _adaptive_max, _of(_adaptive_cases, _n), _adaptive_refusals(_n, True)),
        Sample(f"adaptive_max_pool{_n}d_backward", _places_backward(_n), _of(_adaptive_max_backward_cases, _n)),
        Sample(f"fractional_max_pool{_n}d", _fractional, _of(_fractional_cases, _n), _fractional_refusals(_n)),
        Sample(f"fractional_max_pool{_n}d_backward", _places_backward(_n), _of(_fractional_backward_cases, _n)),
        Sample(f"max_unpool{_n}d", _unpool, _of(_unpool_cases, _n), _unpool_refusals(_n)),
    ]
