"""Convolutions, and the windows of images as columns."""

from __future__ import annotations

from collections.abc import Sequence

from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol.composites.convolution import spatial_ints

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_tbc",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "fold",
    "unfold",
]

Sizes = int | Sequence[int]


def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Sizes | str = 0,
    dilation: Sizes = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Correlate (N, C, L) or (C, L) with (O, C / groups, K); `padding` may be "same" or "valid"."""
    return expect_tensor("conv1d", input).conv1d(weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Sizes | str = 0,
    dilation: Sizes = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Correlate (N, C, H, W) or (C, H, W) with (O, C / groups, KH, KW); `padding` may be "same" or "valid"."""
    return expect_tensor("conv2d", input).conv2d(weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Sizes | str = 0,
    dilation: Sizes = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Correlate (N, C, D, H, W) or (C, D, H, W) with (O, C / groups, KD, KH, KW); `padding` also as for `conv2d`."""
    return expect_tensor("conv3d", input).conv3d(weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Sizes = 0,
    output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    """Apply the transpose of `conv1d`: (N, C, L) or (C, L) with (C, O / groups, K)."""
    self = expect_tensor("conv_transpose1d", input)
    return self.conv_transpose1d(weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Sizes = 0,
    output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    """Apply the transpose of `conv2d`: (N, C, H, W) or (C, H, W) with (C, O / groups, KH, KW)."""
    self = expect_tensor("conv_transpose2d", input)
    return self.conv_transpose2d(weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Sizes = 0,
    output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    """Apply the transpose of `conv3d`: (N, C, D, H, W) or (C, D, H, W) with (C, O / groups, KD, KH, KW)."""
    self = expect_tensor("conv_transpose3d", input)
    return self.conv_transpose3d(weight, bias, stride, padding, output_padding, groups, dilation)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """Correlate along time: (T, N, C) with (K, C, O) and a bias of (O,), giving (T', N, O)."""
    return expect_tensor("conv_tbc", input).conv_tbc(weight, bias, pad)


def unfold(input: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Tensor:
    """Copy the windows of images to columns: (N, C, H, W) -> (N, C * kernel, windows), also without N."""
    given = (("kernel_size", kernel_size), ("dilation", dilation), ("padding", padding), ("stride", stride))
    return expect_tensor("im2col", input).im2col(*(spatial_ints("im2col", name, value, 2) for name, value in given))


def fold(
    input: Tensor, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Tensor:
    """Sum columns at the windows they belong to: (N, C * kernel, windows) -> (N, C, *output_size), also without N."""
    given = (
        ("output_size", output_size), ("kernel_size", kernel_size), ("dilation", dilation), ("padding", padding),
        ("stride", stride),
    )  # fmt: skip
    return expect_tensor("col2im", input).col2im(*(spatial_ints("col2im", name, value, 2) for name, value in given))
