"""Layers that convolve, and those that turn windows into columns and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from gradwire.creation import empty
from gradwire.nn import functional as F
from gradwire.nn import init
from gradwire.nn.module import Module
from gradwire.nn.parameter import Parameter
from gradwire.tensor import Tensor

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Fold", "Unfold"]

Sizes = int | Sequence[int]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def _per_axis(value: Any, count: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, Iterable) else (value,) * count


def _check(
    in_channels: int, out_channels: int, stride: tuple[int, ...], padding: Any, groups: int, padding_mode: str
) -> None:
    if groups <= 0:
        raise ValueError("groups must be a positive integer")
    if in_channels % groups:
        raise ValueError("in_channels must be divisible by groups")
    if out_channels % groups:
        raise ValueError("out_channels must be divisible by groups")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"Invalid padding string {padding!r}, should be one of {{'same', 'valid'}}")
        if padding == "same" and any(step != 1 for step in stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
    if padding_mode not in _PADDING_MODES:
        raise ValueError(f"padding_mode must be one of {_PADDING_MODES}, but got padding_mode='{padding_mode}'")


class _ConvNd(Module):
    """The parameters of a convolution over `axes` spatial axes.

    `weight` is (out_channels, in_channels / groups, *kernel_size), transposed (in_channels, out_channels / groups, ...),
    `bias` is (out_channels,) or None. Both start uniform over +-1/sqrt(fan in), the weight drawn first, as in PyTorch.
    """

    weight: Parameter
    bias: Parameter | None
    padding: Any  # a number per axis, or a word
    axes: int

    def _set_up(
        self, channels: tuple[int, int], kernel_size: Sizes, stride: Sizes, padding: Sizes | str, dilation: Sizes,
        transposed: bool, output_padding: Sizes, groups: int, bias: bool, padding_mode: str, device: Any, dtype: Any,
    ) -> None:  # fmt: skip
        self.in_channels, self.out_channels = channels
        self.kernel_size = _per_axis(kernel_size, self.axes)
        self.stride = _per_axis(stride, self.axes)
        self.padding = padding if isinstance(padding, str) else _per_axis(padding, self.axes)
        self.dilation = _per_axis(dilation, self.axes)
        self.transposed = transposed
        self.output_padding = _per_axis(output_padding, self.axes)
        self.groups = groups
        self.padding_mode = padding_mode
        _check(*channels, self.stride, padding, groups, padding_mode)
        first, second = reversed(channels) if not transposed else channels
        shape = (first, second // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        made = Parameter(empty(self.out_channels, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new starting values."""
        # a = sqrt(5) makes the bound of kaiming_uniform_ 1/sqrt(fan in).
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """Return the arguments that are not the default."""
        zeros, ones = (0,) * self.axes, (1,) * self.axes
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        parts += [f"padding={self.padding}"] * (self.padding != zeros)
        parts += [f"dilation={self.dilation}"] * (self.dilation != ones)
        parts += [f"output_padding={self.output_padding}"] * (self.output_padding != zeros)
        parts += [f"groups={self.groups}"] * (self.groups != 1)
        parts += ["bias=False"] * (self.bias is None)
        parts += [f"padding_mode={self.padding_mode}"] * (self.padding_mode != "zeros")
        return ", ".join(parts)


class _Conv(_ConvNd):
    """A convolution; `padding_mode` says what stands around the input."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1, padding: Sizes | str = 0,
        dilation: Sizes = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._set_up((in_channels, out_channels), kernel_size, stride, padding, dilation, False, 0, groups, bias,
                     padding_mode, device, dtype)  # fmt: skip

    def _margins(self) -> list[int]:
        """Return what `pad` takes: the sides of the last axis first."""
        if self.padding == "same":
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [side for total in reversed(totals) for side in (total // 2, total - total // 2)]
        sizes = (0,) * self.axes if self.padding == "valid" else self.padding
        return [side for size in reversed(sizes) for side in (size, size)]

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolution of `input`: (N, C, *) or (C, *)."""
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._margins(), mode=self.padding_mode)
            padding = (0,) * self.axes
        convolve = getattr(F, f"conv{self.axes}d")
        return convolve(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)  # type: ignore[no-any-return]


class Conv1d(_Conv):
    """Correlate (N, C, L) or (C, L) with a kernel."""

    axes = 1


class Conv2d(_Conv):
    """Correlate (N, C, H, W) or (C, H, W) with a kernel."""

    axes = 2


class Conv3d(_Conv):
    """Correlate (N, C, D, H, W) or (C, D, H, W) with a kernel."""

    axes = 3


class _ConvTranspose(_ConvNd):
    """The transpose of a convolution: its gradient by the input."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1, padding: Sizes = 0,
        output_padding: Sizes = 0, groups: int = 1, bias: bool = True, dilation: Sizes = 1, padding_mode: str = "zeros",
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        self._set_up((in_channels, out_channels), kernel_size, stride, padding, dilation, True, output_padding, groups,
                     bias, padding_mode, device, dtype)  # fmt: skip

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Return the transposed convolution of `input`, of spatial sizes `output_size` where several are possible."""
        extra = self.output_padding if output_size is None else self._output_padding(input, output_size)
        convolve = getattr(F, f"conv_transpose{self.axes}d")
        return convolve(  # type: ignore[no-any-return]
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )

    def _output_padding(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        axes, leading = self.axes, 2 if input.dim() == self.axes + 2 else 1
        wanted = list(output_size)[leading:] if len(output_size) == leading + axes else list(output_size)
        if len(wanted) != axes:
            raise ValueError(
                f"ConvTranspose{axes}D: for {input.dim()}D input, output_size must have {axes} or {leading + axes} "
                f"elements (got {len(output_size)})"
            )
        lowest = [
            (input.size(leading + axis) - 1) * self.stride[axis] - 2 * self.padding[axis]
            + self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            for axis in range(axes)
        ]  # fmt: skip
        highest = [low + step - 1 for low, step in zip(lowest, self.stride, strict=True)]
        if any(not low <= size <= high for low, size, high in zip(lowest, wanted, highest, strict=True)):
            raise ValueError(
                f"requested an output size of {wanted}, but valid sizes range from {lowest} to {highest} (for an input of "
                f"{input.size()[2:]})"
            )
        return tuple(size - low for size, low in zip(wanted, lowest, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """Apply the transpose of `Conv1d` to (N, C, L) or (C, L)."""

    axes = 1


class ConvTranspose2d(_ConvTranspose):
    """Apply the transpose of `Conv2d` to (N, C, H, W) or (C, H, W)."""

    axes = 2


class ConvTranspose3d(_ConvTranspose):
    """Apply the transpose of `Conv3d` to (N, C, D, H, W) or (C, D, H, W)."""

    axes = 3


class Unfold(Module):
    """Copy windows to columns: (N, C, H, W) -> (N, C * kernel, windows)."""

    def __init__(self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """Return the columns of `input`."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Sum columns at their windows: (N, C * kernel, windows) -> (N, C, *output_size)."""

    def __init__(
        self, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """Return the images of `input`."""
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
