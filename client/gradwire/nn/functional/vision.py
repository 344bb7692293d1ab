"""Resampling of images and volumes, sampling at grids, and shuffles between channels and space."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Sequence
from typing import Any

from gradwire.tensor import Tensor

__all__ = [
    "affine_grid",
    "channel_shuffle",
    "grid_sample",
    "interpolate",
    "pixel_shuffle",
    "pixel_unshuffle",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

Sizes = int | Sequence[int]
Factors = float | Sequence[float]
_NEAREST = {"nearest": "upsample_nearest{}d", "nearest-exact": "_upsample_nearest_exact{}d"}
_SMOOTH = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}


# ---------------------------------------------------------------- interpolation
def interpolate(
    input: Tensor,
    size: Sizes | None = None,
    scale_factor: Factors | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resample the axes behind (N, C) to `size`, or by `scale_factor`.

    `mode` is "nearest", "nearest-exact" or "area", or one of "linear", "bilinear", "bicubic" and "trilinear", by the number of
    axes. Where `scale_factor` is given, it also is the step between samples, unless `recompute_scale_factor`.
    """
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
        )
    counts, factors = _sizes_and_factors(input, size, scale_factor)
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    if recompute_scale_factor or mode == "area":
        factors = [None] * len(counts)
    if antialias and not (mode in ("bilinear", "bicubic") and input.dim() == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
        )
    return _resampled(input, counts, factors, mode, bool(align_corners), antialias)


def _sizes_and_factors(
    input: Tensor, size: Sizes | None, scale_factor: Factors | None
) -> tuple[list[int], list[float | None]]:
    """Return the new size of each axis, and the factor that it follows from, None for a given size."""
    dim, held = input.dim() - 2, list(input.shape[2:])
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        counts = list(size) if isinstance(size, list | tuple) else [size] * dim
        _check_length(
            len(counts), dim, "Input and output", held, f"output size of {size}", "output size in (o1, o2, ...,oK)"
        )
        return _integers(counts), [None] * dim
    if scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    factors: list[Any] = list(scale_factor) if isinstance(scale_factor, list | tuple) else [scale_factor] * dim
    _check_length(
        len(factors), dim, "Input and scale_factor", held, f"scale_factor of shape {scale_factor}",
        "scale_factor in (s1, s2, ...,sK)",
    )  # fmt: skip
    return [math.floor(n * factor) for n, factor in zip(held, factors, strict=True)], [float(f) for f in factors]


def _check_length(count: int, dim: int, what: str, held: list[int], got: str, form: str) -> None:
    if count != dim:
        raise ValueError(
            f"{what} must have the same number of spatial dimensions, but got input with spatial dimensions of {held} and "
            f"{got}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and {form} format."
        )


def _integers(sizes: Sequence[Any]) -> list[int]:
    try:
        return [operator.index(size) for size in sizes]
    except TypeError:
        raise TypeError(
            "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, int], but got size with "
            f"types {[type(size) for size in sizes]}"
        ) from None


def _resampled(
    input: Tensor, counts: list[int], factors: list[float | None], mode: str, align_corners: bool, antialias: bool
) -> Tensor:
    dim = input.dim() - 2
    if dim in (1, 2, 3) and mode in _NEAREST:
        return getattr(input, _NEAREST[mode].format(dim))(counts, *factors)  # type: ignore[no-any-return]
    if dim in (1, 2, 3) and mode == "area":
        from gradwire.nn import functional

        return getattr(functional, f"adaptive_avg_pool{dim}d")(input, counts)  # type: ignore[no-any-return]
    if dim == _SMOOTH.get(mode):
        name = f"_upsample_{mode}2d_aa" if antialias else f"upsample_{mode}{dim}d"
        return getattr(input, name)(counts, align_corners, *factors)  # type: ignore[no-any-return]
    if dim in (1, 2, 3) and mode in _SMOOTH and mode != "bicubic":
        raise NotImplementedError(f"Got {dim + 2}D input, but {mode} mode needs {_SMOOTH[mode] + 2}D input")
    raise NotImplementedError(
        f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.dim()}D) for the modes: nearest | linear | "
        f"bilinear | bicubic | trilinear | lanczos | area | nearest-exact (got {mode})"
    )


def upsample(
    input: Tensor,
    size: Sizes | None = None,
    scale_factor: Factors | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Do as `interpolate`, which replaced this."""
    _warn_of("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Sizes | None = None, scale_factor: Factors | None = None) -> Tensor:
    """Do as `interpolate` with "nearest", which replaced this."""
    _warn_of("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Sizes | None = None, scale_factor: Factors | None = None) -> Tensor:
    """Do as `interpolate` with "bilinear" and aligned corners, which replaced this."""
    _warn_of("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def _warn_of(name: str) -> None:
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=3,
    )


# ---------------------------------------------------------------- grids
_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
_PADDINGS = {"zeros": 0, "border": 1, "reflection": 2}


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Sample (N, C, H, W) at the points (x, y) of a grid, (N, *, 2), or (N, C, D, H, W) at (x, y, z) -> (N, C, *).

    Coordinates go from -1 to 1, from corner to corner of the outer elements: of their centres with `align_corners`.
    """
    if mode not in _MODES:
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in _PADDINGS:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    if align_corners is None:
        _warn_of_corners()
    return input.grid_sampler(grid, _MODES[mode], _PADDINGS[padding_mode], bool(align_corners))


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Return the grid that `grid_sample` transforms an image of `size` by: (N, 2, 3) -> (N, H, W, 2); volumes alike."""
    if align_corners is None:
        _warn_of_corners()
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    if len(size) not in (4, 5):
        raise NotImplementedError(
            f"affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size {size}."
        )
    dims = len(size) - 2
    if theta.dim() != 3 or tuple(theta.shape[-2:]) != (dims, dims + 1):
        raise ValueError(
            f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x{dims + 1} for size {size}. Got {theta.shape}."
        )
    if align_corners and min(size[2:]) == 1:
        warnings.warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids when align_corners=True. This is not "
            "an intended use case of affine_grid. See the documentation of affine_grid for details.",
            stacklevel=2,
        )
    elif min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    return theta.affine_grid_generator(size, bool(align_corners))


def _warn_of_corners() -> None:
    warnings.warn(
        "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please specify "
        "align_corners=True if the old behavior is desired. See the documentation of grid_sample for details.",
        stacklevel=3,
    )


# ---------------------------------------------------------------- shuffles
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Move channels to space: (*, C r r, H, W) -> (*, C, H r, W r)."""
    return input.pixel_shuffle(upscale_factor)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Move space to channels: (*, C, H r, W r) -> (*, C r r, H, W)."""
    return input.pixel_unshuffle(downscale_factor)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Deal the channels of `groups` groups out in turn: (N, C, *) -> (N, C, *)."""
    return input.channel_shuffle(groups)
