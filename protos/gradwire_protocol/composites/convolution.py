"""Composites of the convolution family: the calls by number of axes, with or without a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.registry import OPS

__all__ = ["ConvolutionComposites", "spatial_ints"]

Sizes = int | Sequence[int]

_CONVOLUTION = OPS["convolution"]


def spatial_ints(name: str, argument: str, values: Any, count: int) -> tuple[int, ...]:
    """Return a size per spatial axis: an int stands for `count` of them. Raise TypeError for what is no integer."""
    if type(values) is int:
        return (values,) * count
    if isinstance(values, list | tuple) and all(type(value) is int for value in values):
        return tuple(values)
    raise TypeError(f"{name}(): argument '{argument}' must be tuple of ints, not {type(values).__name__}")


def _batched(name: str, self: Any, count: int) -> bool:
    if self.meta.ndim not in (count + 1, count + 2):
        raise RuntimeError(
            f"Expected {count + 1}D (unbatched) or {count + 2}D (batched) input to {name}, but got input of size: "
            f"{list(self.meta.shape)}"
        )
    return bool(self.meta.ndim == count + 2)


def _convolved(self: Any, weight: Any, bias: Any, batched: bool, statics: tuple[Any, ...]) -> Any:
    if batched:
        return self._call(_CONVOLUTION, (self, weight, bias), statics)
    batch = self.unsqueeze(0)
    return batch._call(_CONVOLUTION, (batch, weight, bias), statics).squeeze(0)


def _padded_same(
    self: Any, weight: Any, stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[Any, tuple[int, ...]]:
    """Return the input and the padding that keep its sizes; where they cannot be even, a zero is added at the end."""
    if any(step != 1 for step in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    kernel = weight.meta.shape[2:]
    steps = dilation if len(dilation) == len(kernel) else dilation * len(kernel)
    totals = [d * (k - 1) for d, k in zip(steps, kernel, strict=False)]
    if any(total % 2 for total in totals):
        self = self.constant_pad_nd([side for total in reversed(totals) for side in (0, total % 2)])
    return self, tuple(total // 2 for total in totals)


def _conv(self: Any, count: int, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    name = f"conv{count}d"
    steps, spacing = spatial_ints(name, "stride", stride, count), spatial_ints(name, "dilation", dilation, count)
    batched = _batched(name, self, count)
    if padding == "same":
        self, margins = _padded_same(self, weight, steps, spacing)
    elif padding == "valid":
        margins = (0,) * count
    elif isinstance(padding, str):
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    else:
        margins = spatial_ints(name, "padding", padding, count)
    return _convolved(self, weight, bias, batched, (steps, margins, spacing, False, (0,) * count, groups))


def _conv_transpose(
    self: Any, count: int, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int,
    dilation: Any,
) -> Any:  # fmt: skip
    name = f"conv_transpose{count}d"
    given = (("stride", stride), ("padding", padding), ("dilation", dilation), ("output_padding", output_padding))
    steps, margins, spacing, extra = (spatial_ints(name, argument, value, count) for argument, value in given)
    batched = _batched(name, self, count)
    return _convolved(self, weight, bias, batched, (steps, margins, spacing, True, extra, groups))


class ConvolutionComposites(Callable_):
    """Methods of the convolution family that are written by hand."""

    __slots__ = ()

    def conv1d(
        self, weight: Self, bias: Self | None = None, stride: Sizes = 1, padding: Sizes | str = 0, dilation: Sizes = 1,
        groups: int = 1,
    ) -> Self:  # fmt: skip
        """Correlate (N, C, L) or (C, L) with (O, C / groups, K); `padding` may be "same" or "valid"."""
        return _conv(self, 1, weight, bias, stride, padding, dilation, groups)  # type: ignore[no-any-return]

    def conv2d(
        self, weight: Self, bias: Self | None = None, stride: Sizes = 1, padding: Sizes | str = 0, dilation: Sizes = 1,
        groups: int = 1,
    ) -> Self:  # fmt: skip
        """Correlate (N, C, H, W) or (C, H, W) with (O, C / groups, KH, KW); `padding` may be "same" or "valid"."""
        return _conv(self, 2, weight, bias, stride, padding, dilation, groups)  # type: ignore[no-any-return]

    def conv3d(
        self, weight: Self, bias: Self | None = None, stride: Sizes = 1, padding: Sizes | str = 0, dilation: Sizes = 1,
        groups: int = 1,
    ) -> Self:  # fmt: skip
        """Correlate (N, C, D, H, W) or (C, D, H, W) with (O, C / groups, KD, KH, KW); `padding` also as for `conv2d`."""
        return _conv(self, 3, weight, bias, stride, padding, dilation, groups)  # type: ignore[no-any-return]

    def conv_transpose1d(
        self, weight: Self, bias: Self | None = None, stride: Sizes = 1, padding: Sizes = 0, output_padding: Sizes = 0,
        groups: int = 1, dilation: Sizes = 1,
    ) -> Self:  # fmt: skip
        """Apply the transpose of `conv1d`: (N, C, L) or (C, L) with (C, O / groups, K)."""
        return _conv_transpose(self, 1, weight, bias, stride, padding, output_padding, groups, dilation)  # type: ignore[no-any-return]

    def conv_transpose2d(
        self, weight: Self, bias: Self | None = None, stride: Sizes = 1, padding: Sizes = 0, output_padding: Sizes = 0,
        groups: int = 1, dilation: Sizes = 1,
    ) -> Self:  # fmt: skip
        """Apply the transpose of `conv2d`: (N, C, H, W) or (C, H, W) with (C, O / groups, KH, KW)."""
        return _conv_transpose(self, 2, weight, bias, stride, padding, output_padding, groups, dilation)  # type: ignore[no-any-return]

    def conv_transpose3d(
        self, weight: Self, bias: Self | None = None, stride: Sizes = 1, padding: Sizes = 0, output_padding: Sizes = 0,
        groups: int = 1, dilation: Sizes = 1,
    ) -> Self:  # fmt: skip
        """Apply the transpose of `conv3d`: (N, C, D, H, W) or (C, D, H, W) with (C, O / groups, KD, KH, KW)."""
        return _conv_transpose(self, 3, weight, bias, stride, padding, output_padding, groups, dilation)  # type: ignore[no-any-return]

    def conv_tbc(self, weight: Self, bias: Self, pad: int = 0) -> Self:
        """Correlate along time: (T, N, C) with (K, C, O) and a bias of (O,), giving (T', N, O)."""
        me: Any = self
        if self.meta.ndim != 3:
            raise RuntimeError("Input must have 3 dims: time, batch, in_channel")
        if weight.meta.ndim != 3:
            raise RuntimeError("Weight tensor must have 3 dims: kernel_width, in_channels, out_channels.")
        if bias.meta.ndim != 1:
            raise RuntimeError("Bias must be 1-D")
        kernel: Any = weight
        made = me.permute(1, 2, 0).conv1d(kernel.permute(2, 1, 0), bias, 1, pad)
        return made.permute(2, 0, 1)  # type: ignore[no-any-return]
