"""Composites of the pooling family: pooling of one axis, and averages over everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_, ints
from gradwire_protocol.dtypes import Category
from gradwire_protocol.registry import OPS, torch_type_name

__all__ = ["PoolingComposites"]

Sizes = int | Sequence[int]


def _single(name: str, argument: str, values: Any) -> int:
    """Return the one int that an average over one axis takes."""
    given = ints(values)
    if given is None or len(given) != 1:
        got = 0 if given is None else len(given)
        raise RuntimeError(f"{name}() argument '{argument}' should contain one int (got {got})")
    return given[0]


def _expect_axis(name: str, self: Any) -> None:
    if self.meta.ndim not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {self.meta.ndim}-dimensional tensor for argument #1 'self' (while "
            f"checking arguments for {name})"
        )


def _max_single(argument: str, values: Any) -> int:
    given: Any = ints(values)
    if len(given) != 1:
        raise RuntimeError(
            f"max_pool1d() {argument} must be an int, list of ints or tuple of ints of size 1 but got size {len(given)}"
        )
    return given[0]  # type: ignore[no-any-return]


def _max_numbers(self: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, int, int, int]:
    """Return (kernel, stride, padding, dilation) of a maximum over one axis; raise RuntimeError in PyTorch's words."""
    shape = self.meta.shape
    if len(shape) not in (2, 3) or 0 in shape[len(shape) - 2 :]:
        raise RuntimeError(
            f"max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, but got:{list(shape)}"
        )
    kernel = _max_single("kernel_size", kernel_size)
    step = kernel if stride in (None, (), []) else _max_single("stride", stride)
    margin, spacing = _max_single("padding", padding), _max_single("dilation", dilation)
    for name, value in (("kernel_size", kernel), ("stride", step), ("dilation", spacing)):
        if value <= 0:
            raise RuntimeError(f"max_pool1d() {name} must be greater than zero, but got {value}")
    if margin < 0:
        raise RuntimeError(f"max_pool1d() padding must be non-negative, but got {margin}")
    if margin > kernel // 2:
        raise RuntimeError(
            f"max_pool1d() padding should be at most half of kernel size, but got padding={margin} and kernel_size={kernel}"
        )
    return kernel, step, margin, spacing


def _check_length(self: Any, numbers: tuple[int, int, int, int], ceil_mode: bool) -> None:
    kernel, step, margin, spacing = numbers
    room = self.meta.shape[-1] + 2 * margin - spacing * (kernel - 1) - 1
    length = (room + (step - 1 if ceil_mode else 0)) // step + 1
    if length <= 0:
        raise RuntimeError(f"max_pool1d() Invalid computed output size: {length}")


class PoolingComposites(Callable_):
    """Methods of the pooling family that are written by hand."""

    __slots__ = ()

    # ---------------------------------------------------------------- maxima
    def max_pool1d_with_indices(
        self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> tuple[Self, Self]:  # fmt: skip
        """Return the maximum of each window of (N, C, L) or (C, L), and where it lies."""
        me: Any = self
        numbers = _max_numbers(me, kernel_size, stride, padding, dilation)
        _check_length(me, numbers, ceil_mode)
        kernel, step, margin, spacing = numbers
        image = me.unsqueeze(-2)
        statics = ((1, kernel), (1, step), (0, margin), (1, spacing), ceil_mode)
        values, indices = image._call(OPS["max_pool2d_with_indices"], (image,), statics)
        return values.squeeze(-2), indices.squeeze(-2)

    def max_pool1d(
        self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> Self:  # fmt: skip
        """Return the maximum of each window of (N, C, L) or (C, L)."""
        values, _ = self.max_pool1d_with_indices(kernel_size, stride, padding, dilation, ceil_mode)
        if self.meta.dtype.category is not Category.FLOAT:
            raise NotImplementedError(f"\"max_pool1d_impl\" not implemented for '{torch_type_name(self.meta.dtype)}'")
        return values

    def max_pool2d(
        self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> Self:  # fmt: skip
        """Return the maximum of each window of (N, C, H, W) or (C, H, W)."""
        return _maximum(self, 2, kernel_size, stride, padding, dilation, ceil_mode)  # type: ignore[no-any-return]

    def max_pool3d(
        self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> Self:  # fmt: skip
        """Return the maximum of each window of (N, C, D, H, W) or (C, D, H, W)."""
        return _maximum(self, 3, kernel_size, stride, padding, dilation, ceil_mode)  # type: ignore[no-any-return]

    # ---------------------------------------------------------------- averages
    def avg_pool1d(
        self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Self:  # fmt: skip
        """Return the mean of each window of (N, C, L) or (C, L)."""
        me: Any = self
        _expect_axis("avg_pool1d", me)
        kernel = _single("avg_pool1d", "kernel_size", kernel_size)
        step = kernel if stride in (None, (), []) else _single("avg_pool1d", "stride", stride)
        margin = _single("avg_pool1d", "padding", padding)
        image = me.unsqueeze(-2)
        statics = ((1, kernel), (1, step), (0, margin), ceil_mode, count_include_pad, None)
        return image._call(OPS["avg_pool2d"], (image,), statics).squeeze(-2)  # type: ignore[no-any-return]

    def adaptive_avg_pool1d(self, output_size: Sizes) -> Self:
        """Return the means of `output_size` even windows: (N, C, L) or (C, L)."""
        me: Any = self
        _expect_axis("adaptive_avg_pool1d", me)
        length = _single("adaptive_avg_pool1d", "output_size", output_size)
        return me.unsqueeze(-2).adaptive_avg_pool2d((1, length)).squeeze(-2)  # type: ignore[no-any-return]

    def adaptive_avg_pool2d(self, output_size: Sizes) -> Self:
        """Return the means of even windows: (N, C, H, W) or (C, H, W) -> (*, *output_size)."""
        return _adaptive_mean(self, 2, output_size)  # type: ignore[no-any-return]

    def adaptive_avg_pool3d(self, output_size: Sizes) -> Self:
        """Return the means of even windows: (N, C, D, H, W) or (C, D, H, W) -> (*, *output_size)."""
        return _adaptive_mean(self, 3, output_size)  # type: ignore[no-any-return]

    def adaptive_max_pool1d(self, output_size: Sizes) -> tuple[Self, Self]:
        """Return the maxima of `output_size` even windows of (N, C, L) or (C, L), and where they lie."""
        me: Any = self
        _expect_axis("adaptive_max_pool1d", me)
        length = _single("adaptive_max_pool1d", "output_size", output_size)
        values, indices = me.unsqueeze(-2).adaptive_max_pool2d((1, length))
        return values.squeeze(-2), indices.squeeze(-2)


def _maximum(self: Any, count: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Any:
    statics = (ints(kernel_size), () if stride is None else ints(stride), ints(padding), ints(dilation), ceil_mode)
    return self._call(OPS[f"max_pool{count}d_with_indices"], (self,), statics)[0]


def _adaptive_mean(self: Any, count: int, output_size: Any) -> Any:
    sizes = (output_size,) * count if isinstance(output_size, int) else tuple(output_size)
    # PyTorch takes the mean of all there, whose gradient is cheaper.
    if sizes == (1,) * count and self.meta.ndim in (count + 1, count + 2):
        return self.mean(tuple(range(-count, 0)), True)
    return self._call(OPS[f"_adaptive_avg_pool{count}d"], (self,), (sizes,))
