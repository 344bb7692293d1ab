"""Composites that move elements between channels and space, and that make and read grids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_, ints
from gradwire_protocol.registry import OPS, Op

__all__ = ["ResamplingComposites"]

_LINEAR_AA, _CUBIC_AA = OPS["_upsample_bilinear2d_aa"], OPS["_upsample_bicubic2d_aa"]
_GRID_2D, _GRID_3D, _STACK = OPS["grid_sampler_2d"], OPS["grid_sampler_3d"], OPS["stack"]


def _check_shuffle(name: str, self: Any, factor: int, word: str) -> None:
    if self.meta.ndim < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with {self.meta.ndim} dimension(s)"
        )
    if factor <= 0:
        raise RuntimeError(f"{name} expects a positive {word}, but got {factor}")


def _steps(self: Any, count: int, align_corners: bool) -> Any:
    """Return `count` coordinates of an axis from -1 to 1: its corners, or the centres of its elements."""
    places = self.new_ones((count,)).cumsum(0) - 1
    if align_corners:
        return places * (2 / (count - 1)) - 1 if count > 1 else places
    return (places * 2 + 1) / count - 1


def _antialiased(
    self: Any, op: Op, output_size: Any, align_corners: bool, scales: tuple[Any, ...], scale_factors: Any
) -> Any:
    if (output_size is None) == (scale_factors is None):
        raise RuntimeError("Must specify exactly one of output_size and scale_factors")
    if scale_factors is not None:
        scales = tuple(float(factor) for factor in scale_factors)
        output_size = [math.floor(n * factor) for n, factor in zip(self.meta.shape[2:], scales, strict=True)]
    return self._call(op, (self,), (ints(output_size), align_corners), scales)


class ResamplingComposites(Callable_):
    """Shuffles and grids, and the resampling ops that have two forms."""

    __slots__ = ()

    def _upsample_bilinear2d_aa(
        self, output_size: Sequence[int] | None, align_corners: bool, scales_h: float | None = None,
        scales_w: float | None = None, *, scale_factors: Sequence[float] | None = None,
    ) -> Self:  # fmt: skip
        """Resample (N, C, H, W) with a triangle as wide as the step, to `output_size` or by `scale_factors`."""
        return _antialiased(self, _LINEAR_AA, output_size, align_corners, (scales_h, scales_w), scale_factors)  # type: ignore[no-any-return]

    def _upsample_bicubic2d_aa(
        self, output_size: Sequence[int] | None, align_corners: bool, scales_h: float | None = None,
        scales_w: float | None = None, *, scale_factors: Sequence[float] | None = None,
    ) -> Self:  # fmt: skip
        """Resample (N, C, H, W) with a cubic kernel as wide as the step, to `output_size` or by `scale_factors`."""
        return _antialiased(self, _CUBIC_AA, output_size, align_corners, (scales_h, scales_w), scale_factors)  # type: ignore[no-any-return]

    def pixel_shuffle(self, upscale_factor: int) -> Self:
        """Move channels to space: (*, C r r, H, W) -> (*, C, H r, W r)."""
        _check_shuffle("pixel_shuffle", self, upscale_factor, "upscale_factor")
        *lead, channels, height, width = self.meta.shape
        r = upscale_factor
        if channels % (r * r):
            raise RuntimeError(
                "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
                f"but input.size(-3)={channels} is not divisible by {r * r}"
            )
        me: Any = self
        n, c = len(lead), channels // (r * r)
        apart = me.reshape(*lead, c, r, r, height, width)
        order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
        return apart.permute(order).reshape(*lead, c, height * r, width * r)  # type: ignore[no-any-return]

    def pixel_unshuffle(self, downscale_factor: int) -> Self:
        """Move space to channels: (*, C, H r, W r) -> (*, C r r, H, W)."""
        _check_shuffle("pixel_unshuffle", self, downscale_factor, "downscale_factor")
        *lead, channels, height, width = self.meta.shape
        r = downscale_factor
        for name, axis, size in (("height", -2, height), ("width", -1, width)):
            if size % r:
                raise RuntimeError(
                    f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({axis})={size} is "
                    f"not divisible by {r}"
                )
        me: Any = self
        n = len(lead)
        apart = me.reshape(*lead, channels, height // r, r, width // r, r)
        order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
        return apart.permute(order).reshape(*lead, channels * r * r, height // r, width // r)  # type: ignore[no-any-return]

    def channel_shuffle(self, groups: int) -> Self:
        """Deal the channels of `groups` groups out in turn: (N, C, *) -> (N, C, *)."""
        shape = self.meta.shape
        if len(shape) < 3:
            raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(shape)}")
        if groups <= 0:
            raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
        if shape[1] % groups:
            raise RuntimeError(
                f"Number of channels must be divisible by groups. Got {shape[1]} channels and {groups} groups."
            )
        me: Any = self
        apart = me.reshape(shape[0], groups, shape[1] // groups, *shape[2:])
        return apart.transpose(1, 2).reshape(shape)  # type: ignore[no-any-return]

    def grid_sampler(self, grid: Self, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Self:
        """Sample (N, C, *) at the points of a grid, (N, *, axes): 0 bilinear, 1 nearest, 2 bicubic."""
        op = _GRID_3D if self.meta.ndim == 5 else _GRID_2D
        return self._call(op, (self, grid), (interpolation_mode, padding_mode, align_corners))  # type: ignore[no-any-return]

    def affine_grid_generator(self, size: Sequence[int], align_corners: bool) -> Self:
        """Return the points that an affine map sends an image's to: (N, 2, 3) -> (N, H, W, 2), or (N, 3, 4) for volumes."""
        me: Any = self
        counts = tuple(size)[2:]
        dims = len(counts)
        axes = []
        for axis, count in enumerate(counts):
            view = tuple(count if other == axis else 1 for other in range(dims))
            axes.append(_steps(me, count, align_corners).reshape(view).expand(counts))
        points = _STACK((*reversed(axes), me.new_ones(counts)), -1).reshape(1, -1, dims + 1)
        return points.expand(size[0], -1, -1).bmm(me.transpose(1, 2)).reshape(size[0], *counts, dims)  # type: ignore[no-any-return]
