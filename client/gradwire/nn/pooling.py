"""Layers that pool: maxima, averages and norms of windows, fixed, adaptive or random, and what puts maxima back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gradwire.nn import functional as F
from gradwire.nn.module import Module
from gradwire.tensor import Tensor

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "FractionalMaxPool2d", "FractionalMaxPool3d", "LPPool1d",
    "LPPool2d", "LPPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d",
]  # fmt: skip

Sizes = int | Sequence[int]


def _per_axis(value: Any, count: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Iterable) else (value,) * count


class _Pool(Module):
    """A layer over `axes` spatial axes, whose work is the function `<prefix><axes>d`."""

    axes: int
    prefix: str
    shown: tuple[str, ...]  # the arguments that `repr` shows

    def _pool(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(F, f"{self.prefix}{self.axes}d")(*args, **kwargs)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return ", ".join(f"{name}={getattr(self, name)}" for name in self.shown)


# ---------------------------------------------------------------- maxima
class _MaxPool(_Pool):
    prefix = "max_pool"
    shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
        return_indices: bool = False, ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """Return the maximum of each window of `input`, with `return_indices` also where it lies."""
        return self._pool(
            input, self.kernel_size, self.stride, self.padding, self.dilation, ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )  # fmt: skip


class MaxPool1d(_MaxPool):
    """Return the maximum of each window of (N, C, L) or (C, L)."""

    axes = 1


class MaxPool2d(_MaxPool):
    """Return the maximum of each window of (N, C, H, W) or (C, H, W)."""

    axes = 2


class MaxPool3d(_MaxPool):
    """Return the maximum of each window of (N, C, D, H, W) or (C, D, H, W)."""

    axes = 3


class _MaxUnpool(_Pool):
    prefix = "max_unpool"
    shown = ("kernel_size", "stride", "padding")

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        self.kernel_size = _per_axis(kernel_size, self.axes)
        self.stride = _per_axis(stride if stride is not None else kernel_size, self.axes)
        self.padding = _per_axis(padding, self.axes)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Any:
        """Return zeros with the elements of `input` at `indices`."""
        return self._pool(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool1d(_MaxUnpool):
    """Put the maxima of `MaxPool1d` back at their places in zeros."""

    axes = 1


class MaxUnpool2d(_MaxUnpool):
    """Put the maxima of `MaxPool2d` back at their places in zeros."""

    axes = 2


class MaxUnpool3d(_MaxUnpool):
    """Put the maxima of `MaxPool3d` back at their places in zeros."""

    axes = 3


# ---------------------------------------------------------------- averages
class AvgPool1d(_Pool):
    """Return the mean of each window of (N, C, L) or (C, L)."""

    axes = 1
    prefix = "avg_pool"
    shown = ("kernel_size", "stride", "padding")

    def __init__(
        self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = _per_axis(kernel_size, 1)
        self.stride = _per_axis(stride if stride is not None else kernel_size, 1)
        self.padding = _per_axis(padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """Return the mean of each window of `input`."""
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class _AvgPool(_Pool):
    prefix = "avg_pool"
    shown = ("kernel_size", "stride", "padding")

    def __init__(
        self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Any:
        """Return the mean of each window of `input`, or its sum divided by `divisor_override`."""
        return self._pool(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip


class AvgPool2d(_AvgPool):
    """Return the mean of each window of (N, C, H, W) or (C, H, W)."""

    axes = 2


class AvgPool3d(_AvgPool):
    """Return the mean of each window of (N, C, D, H, W) or (C, D, H, W)."""

    axes = 3


class _LPPool(_Pool):
    prefix = "lp_pool"
    shown = ("norm_type", "kernel_size", "stride", "ceil_mode")

    def __init__(
        self, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """Return the p-norm of each window of `input`."""
        return self._pool(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool1d(_LPPool):
    """Return the p-norm of each window of (N, C, L) or (C, L)."""

    axes = 1


class LPPool2d(_LPPool):
    """Return the p-norm of each window of (N, C, H, W) or (C, H, W)."""

    axes = 2


class LPPool3d(_LPPool):
    """Return the p-norm of each window of (N, C, D, H, W) or (C, D, H, W)."""

    axes = 3


# ---------------------------------------------------------------- windows that cover an image evenly
class _AdaptiveAvgPool(_Pool):
    prefix = "adaptive_avg_pool"
    shown = ("output_size",)

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Any:
        """Return the means of `output_size` windows of `input`."""
        return self._pool(input, self.output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Return the means of windows that cover (N, C, L) or (C, L) evenly."""

    axes = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Return the means of windows that cover (N, C, H, W) or (C, H, W) evenly; a size of None is the input's."""

    axes = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Return the means of windows that cover (N, C, D, H, W) or (C, D, H, W) evenly; a size of None is the input's."""

    axes = 3


class _AdaptiveMaxPool(_Pool):
    prefix = "adaptive_max_pool"
    shown = ("output_size",)

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        """Return the maxima of `output_size` windows of `input`, with `return_indices` also where they lie."""
        return self._pool(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Return the maxima of windows that cover (N, C, L) or (C, L) evenly."""

    axes = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Return the maxima of windows that cover (N, C, H, W) or (C, H, W) evenly; a size of None is the input's."""

    axes = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Return the maxima of windows that cover (N, C, D, H, W) or (C, D, H, W) evenly; a size of None is the input's."""

    axes = 3


# ---------------------------------------------------------------- windows at random places
class _FractionalMaxPool(_Pool):
    prefix = "fractional_max_pool"
    shown = ()

    def __init__(
        self, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
        return_indices: bool = False, _random_samples: Tensor | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = _per_axis(kernel_size, self.axes)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else _per_axis(output_size, self.axes)
        self.output_ratio = None if output_ratio is None else _per_axis(output_ratio, self.axes)
        if output_size is None and output_ratio is None:
            raise ValueError(f"{type(self).__name__} requires specifying either an output size, or a pooling ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        """Return the maximum of each window of `input`, with `return_indices` also where it lies."""
        return self._pool(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices,
            _random_samples=self._random_samples,
        )  # fmt: skip


class FractionalMaxPool2d(_FractionalMaxPool):
    """Return the maxima of windows at random places that cover (N, C, H, W) or (C, H, W) (Graham, 2014)."""

    axes = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """Return the maxima of windows at random places that cover (N, C, D, H, W) or (C, D, H, W) (Graham, 2014)."""

    axes = 3
