"""Pooling over windows of one, two or three axes.

With `return_indices` a maximum comes with its place, counted in the unpadded image of one channel in C order; the functions
`*_with_indices` return it in any case.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradwire.random import rand
from gradwire.tensor import Tensor, expect_tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]

Sizes = int | Sequence[int]
Pair = tuple[Tensor, Tensor]


def _per_axis(value: Any, count: int) -> tuple[Any, ...]:
    return (value,) * count if isinstance(value, int | float) else tuple(value)


def _or_empty(stride: Sizes | None) -> Sizes:
    return () if stride is None else stride


# ---------------------------------------------------------------- maxima
def max_pool1d_with_indices(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Pair:  # fmt: skip
    """Return the maximum of each window of (N, C, L) or (C, L), and where it lies."""
    self = expect_tensor("max_pool1d_with_indices", input)
    return self.max_pool1d_with_indices(kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d_with_indices(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Pair:  # fmt: skip
    """Return the maximum of each window of (N, C, H, W) or (C, H, W), and where it lies."""
    self: Any = expect_tensor("max_pool2d_with_indices", input)
    return self.max_pool2d_with_indices(kernel_size, _or_empty(stride), padding, dilation, ceil_mode)  # type: ignore[no-any-return]


def max_pool3d_with_indices(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Pair:  # fmt: skip
    """Return the maximum of each window of (N, C, D, H, W) or (C, D, H, W), and where it lies."""
    self: Any = expect_tensor("max_pool3d_with_indices", input)
    return self.max_pool3d_with_indices(kernel_size, _or_empty(stride), padding, dilation, ceil_mode)  # type: ignore[no-any-return]


def max_pool1d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """Return the maximum of each window of (N, C, L) or (C, L)."""
    if return_indices:
        return max_pool1d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return expect_tensor("max_pool1d", input).max_pool1d(kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """Return the maximum of each window of (N, C, H, W) or (C, H, W)."""
    made = max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return made if return_indices else made[0]


def max_pool3d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """Return the maximum of each window of (N, C, D, H, W) or (C, D, H, W)."""
    made = max_pool3d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return made if return_indices else made[0]


# ---------------------------------------------------------------- maxima put back
def _unpooled_sizes(
    input: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...], wanted: Any
) -> tuple[int, ...]:
    """Return the sizes that pooling came from: `wanted`, which must be near, or the smallest that fit."""
    count = len(kernel)
    axes = zip(input.shape[-count:], kernel, stride, padding, strict=True)
    plain = tuple((n - 1) * s + k - 2 * p for n, k, s, p in axes)
    if wanted is None:
        return plain
    sizes = wanted[2:] if len(wanted) == count + 2 else wanted
    if len(sizes) != count:
        raise ValueError(
            f"output_size should be a sequence containing {count} or {count + 2} elements, but it has a length of "
            f"'{len(sizes)}'"
        )
    for axis, (size, step) in enumerate(zip(plain, stride, strict=True)):
        if not size - step < sizes[axis] < size + step:
            raise ValueError(
                f'invalid output_size "{sizes}" (dim {axis} must be between {size - step} and {size + step})'
            )
    return tuple(sizes)


def _window(
    kernel_size: Sizes, stride: Sizes | None, padding: Sizes, count: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    kernel = _per_axis(kernel_size, count)
    return kernel, kernel if stride is None else _per_axis(stride, count), _per_axis(padding, count)


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Put maxima back at their places in zeros: (N, C, L) or (C, L)."""
    self: Any = expect_tensor("max_unpool1d", input)
    (length,) = _unpooled_sizes(self, *_window(kernel_size, stride, padding, 1), output_size)
    return self.unsqueeze(-1).max_unpool2d(indices.unsqueeze(-1), (length, 1)).squeeze(-1)  # type: ignore[no-any-return]


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Put maxima back at their places in zeros: (N, C, H, W) or (C, H, W)."""
    self: Any = expect_tensor("max_unpool2d", input)
    sizes = _unpooled_sizes(self, *_window(kernel_size, stride, padding, 2), output_size)
    return self.max_unpool2d(indices, sizes)  # type: ignore[no-any-return]


def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Put maxima back at their places in zeros: (N, C, D, H, W) or (C, D, H, W)."""
    self: Any = expect_tensor("max_unpool3d", input)
    kernel, step, margin = _window(kernel_size, stride, padding, 3)
    sizes = _unpooled_sizes(self, kernel, step, margin, output_size)
    return self.max_unpool3d(indices, sizes, step, margin)  # type: ignore[no-any-return]


# ---------------------------------------------------------------- averages
def avg_pool1d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """Return the mean of each window of (N, C, L) or (C, L)."""
    return expect_tensor("avg_pool1d", input).avg_pool1d(kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """Return the mean of each window of (N, C, H, W) or (C, H, W), or its sum divided by `divisor_override`."""
    self: Any = expect_tensor("avg_pool2d", input)
    return self.avg_pool2d(  # type: ignore[no-any-return]
        kernel_size, _or_empty(stride), padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """Return the mean of each window of (N, C, D, H, W) or (C, D, H, W), or its sum divided by `divisor_override`."""
    self: Any = expect_tensor("avg_pool3d", input)
    return self.avg_pool3d(  # type: ignore[no-any-return]
        kernel_size, _or_empty(stride), padding, ceil_mode, count_include_pad, divisor_override
    )


def _lp_pool(
    name: str, input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None, ceil_mode: bool, count: int
) -> Tensor:
    """Return the p-norm of each window; a negative sum of odd powers counts as 0, so that its root is a number."""
    self: Any = expect_tensor(name, input)
    if math.isinf(norm_type):
        maximum = _MAXIMA[count - 1]
        sign = 1 if norm_type > 0 else -1
        made = maximum(self.abs() if sign > 0 else -self.abs(), kernel_size, stride, 0, 1, ceil_mode)
        return made if sign > 0 else -made  # type: ignore[no-any-return]
    average: Any = _AVERAGES[count - 1](self.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    size = math.prod(_per_axis(kernel_size, count))
    return (average.sign() * average.abs().relu()).mul(size).pow(1.0 / norm_type)  # type: ignore[no-any-return]


_MAXIMA = (max_pool1d, max_pool2d, max_pool3d)
_AVERAGES: Any = (avg_pool1d, avg_pool2d, avg_pool3d)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: int, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """Return the p-norm of each window of (N, C, L) or (C, L)."""
    return _lp_pool("lp_pool1d", input, norm_type, kernel_size, stride, ceil_mode, 1)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """Return the p-norm of each window of (N, C, H, W) or (C, H, W)."""
    return _lp_pool("lp_pool2d", input, norm_type, kernel_size, stride, ceil_mode, 2)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """Return the p-norm of each window of (N, C, D, H, W) or (C, D, H, W)."""
    return _lp_pool("lp_pool3d", input, norm_type, kernel_size, stride, ceil_mode, 3)


# ---------------------------------------------------------------- windows that cover an image evenly
def _sizes_or_own(input: Tensor, output_size: Any, count: int) -> Any:
    """Return the sizes, where None stands for the input's own."""
    if isinstance(output_size, int):
        return (output_size,) * count
    if input.dim() <= len(output_size):
        raise ValueError(f"Input dimension should be at least {len(output_size) + 1}")
    own = input.shape[input.dim() - len(output_size) :]
    return tuple(size if size is not None else n for size, n in zip(output_size, own, strict=True))


def adaptive_avg_pool1d(input: Tensor, output_size: Sizes) -> Tensor:
    """Return the means of `output_size` windows that cover (N, C, L) or (C, L) evenly."""
    return expect_tensor("adaptive_avg_pool1d", input).adaptive_avg_pool1d(output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Return the means of windows that cover (N, C, H, W) or (C, H, W) evenly; a size of None is the input's."""
    self: Any = expect_tensor("adaptive_avg_pool2d", input)
    return self.adaptive_avg_pool2d(_sizes_or_own(input, output_size, 2))  # type: ignore[no-any-return]


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Return the means of windows that cover (N, C, D, H, W) or (C, D, H, W) evenly; a size of None is the input's."""
    self: Any = expect_tensor("adaptive_avg_pool3d", input)
    return self.adaptive_avg_pool3d(_sizes_or_own(input, output_size, 3))  # type: ignore[no-any-return]


def adaptive_max_pool1d_with_indices(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Pair:
    """Return the maxima of windows that cover (N, C, L) or (C, L) evenly, and where they lie."""
    return expect_tensor("adaptive_max_pool1d_with_indices", input).adaptive_max_pool1d(output_size)


def adaptive_max_pool2d_with_indices(input: Tensor, output_size: Any, return_indices: bool = False) -> Pair:
    """Return the maxima of windows that cover (N, C, H, W) or (C, H, W) evenly, and where they lie."""
    self: Any = expect_tensor("adaptive_max_pool2d_with_indices", input)
    return self.adaptive_max_pool2d(_sizes_or_own(input, output_size, 2))  # type: ignore[no-any-return]


def adaptive_max_pool3d_with_indices(input: Tensor, output_size: Any, return_indices: bool = False) -> Pair:
    """Return the maxima of windows that cover (N, C, D, H, W) or (C, D, H, W) evenly, and where they lie."""
    self: Any = expect_tensor("adaptive_max_pool3d_with_indices", input)
    return self.adaptive_max_pool3d(_sizes_or_own(input, output_size, 3))  # type: ignore[no-any-return]


def adaptive_max_pool1d(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Any:
    """Return the maxima of `output_size` windows that cover (N, C, L) or (C, L) evenly."""
    made = adaptive_max_pool1d_with_indices(input, output_size)
    return made if return_indices else made[0]


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Return the maxima of windows that cover (N, C, H, W) or (C, H, W) evenly; a size of None is the input's."""
    made = adaptive_max_pool2d_with_indices(input, output_size)
    return made if return_indices else made[0]


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Return the maxima of windows that cover (N, C, D, H, W) or (C, D, H, W) evenly; a size of None is the input's."""
    made = adaptive_max_pool3d_with_indices(input, output_size)
    return made if return_indices else made[0]


# ---------------------------------------------------------------- windows at random places
def _fractional(
    count: int, input: Tensor, kernel_size: Sizes, output_size: Any, output_ratio: Any, samples: Tensor | None
) -> Pair:
    name = f"fractional_max_pool{count}d"
    self: Any = expect_tensor(name, input)
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if output_size is None:
        ratios = _per_axis(output_ratio, count)
        output_size = tuple(int(n * ratio) for n, ratio in zip(self.shape[-count:], ratios, strict=True))
    if samples is None:
        batch = 1 if self.dim() == count + 1 else self.size(0)
        samples = rand(batch, self.size(-count - 1), count, dtype=self.dtype, device=self.device)
    pool = getattr(self, name)
    return pool(_per_axis(kernel_size, count), _per_axis(output_size, count), samples)  # type: ignore[no-any-return]


def fractional_max_pool2d_with_indices(
    input: Tensor, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Tensor | None = None,
) -> Pair:  # fmt: skip
    """Return the maxima of windows at random places that cover an image (Graham, 2014), and where they lie."""
    return _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool3d_with_indices(
    input: Tensor, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Tensor | None = None,
) -> Pair:  # fmt: skip
    """Return the maxima of windows at random places that cover a volume (Graham, 2014), and where they lie."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool2d(
    input: Tensor, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Tensor | None = None,
) -> Any:  # fmt: skip
    """Return the maxima of windows at random places that cover (N, C, H, W) or (C, H, W)."""
    made = _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)
    return made if return_indices else made[0]


def fractional_max_pool3d(
    input: Tensor, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Tensor | None = None,
) -> Any:  # fmt: skip
    """Return the maxima of windows at random places that cover (N, C, D, H, W) or (C, D, H, W)."""
    made = _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)
    return made if return_indices else made[0]
