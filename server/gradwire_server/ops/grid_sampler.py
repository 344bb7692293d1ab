"""Kernel and gradient of sampling at the points of a grid (pytorch/aten/src/ATen/native/GridSampler.h).

A point reads the corners of the cell that it lies in, or the 4 x 4 elements around it. `gw::grid_taps` says which, and where
in the cell; the gradient is written in differentiable methods over that, so it has gradients of any order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.resampling import GRID_AXES
from gradwire_protocol.registry import OPS
from gradwire_server.ops.normal import added
from gradwire_server.ops.reduction import in_dtype, widened
from gradwire_server.rules import joint_gradient, kernel

Array = Any
Shape = tuple[int, ...]

BILINEAR, NEAREST, BICUBIC = 0, 1, 2
ZEROS, BORDER, REFLECTION = 0, 1, 2
# Where the taps of an axis lie, counted from the element below the point.
_OFFSETS = {BILINEAR: (0, 1), NEAREST: (0,), BICUBIC: (-1, 0, 1, 2)}
_A = -0.75  # of Keys' cubic kernel, as PyTorch has it


# ---------------------------------------------------------------- where the taps are
def _reflected(xp: Any, x: Array, size: int, align_corners: bool) -> tuple[Array, Array]:
    """Fold coordinates back into the axis, at the centres of its ends or at their outer edges; return the slope too."""
    low, span = (0.0, float(size - 1)) if align_corners else (-0.5, float(size))
    if span == 0:
        return xp.zeros_like(x), xp.zeros_like(x)
    distance = xp.abs(x - low)
    flips, rest = xp.floor(distance / span), xp.fmod(distance, span)
    is_even = xp.fmod(flips, 2) == 0
    slope = xp.where(x < low, -1, 1) * xp.where(is_even, 1, -1)
    return xp.where(is_even, rest, span - rest) + low, slope.astype(x.dtype)


def _clipped(xp: Any, x: Array, size: int) -> tuple[Array, Array]:
    return xp.clip(x, 0, size - 1), ((x > 0) & (x < size - 1)).astype(x.dtype)


def _padded(xp: Any, x: Array, size: int, padding_mode: int, align_corners: bool) -> tuple[Array, Array]:
    """Return coordinates after padding, with their derivatives by `x`."""
    slope = xp.ones_like(x)
    if padding_mode == REFLECTION:
        x, slope = _reflected(xp, x, size, align_corners)
    if padding_mode != ZEROS:
        x, inside = _clipped(xp, x, size)
        slope = slope * inside
    return x, slope


def _axis_taps(
    xp: Any, coordinate: Array, size: int, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> tuple[list[Array], Array, Array]:
    """Return the elements that each point reads (maybe outside), where it lies behind the first, and d x / d grid."""
    scale = (size - 1) / 2 if align_corners else size / 2
    x = (coordinate + 1) * scale - (0 if align_corners else 0.5)
    slope = xp.full_like(x, scale)
    if interpolation_mode != BICUBIC:
        x, by_padding = _padded(xp, x, size, padding_mode, align_corners)
        slope = slope * by_padding
    low = xp.rint(x) if interpolation_mode == NEAREST else xp.floor(x)
    places = [low + offset for offset in _OFFSETS[interpolation_mode]]
    if interpolation_mode == BICUBIC:
        # Here each tap is padded, not the point.
        places = [_padded(xp, place, size, padding_mode, align_corners)[0] for place in places]
    return places, x - low, slope


def _taps(
    xp: Any, grid: Array, size: Shape, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> tuple[Array, Array, Array, Array]:
    """Return flat index and inside (taps, N, P), fraction and slope (N, P, axes); a grid's first coordinate is x."""
    points = grid.reshape(grid.shape[0], -1, len(size))
    found = [
        _axis_taps(xp, points[..., -1 - axis], size[axis], interpolation_mode, padding_mode, align_corners)
        for axis in range(len(size))
    ]
    indices, insides = [], []
    for places in itertools.product(*(places for places, _, _ in found)):
        inside, index = True, 0
        for place, length in zip(places, size, strict=True):
            inside = inside & (place >= 0) & (place <= length - 1)
            index = index * length + xp.clip(xp.nan_to_num(place), 0, length - 1).astype(xp.int64)
        indices.append(index)
        insides.append(inside)
    fraction, slope = (xp.stack([axis[number] for axis in found], axis=-1) for number in (1, 2))
    return xp.stack(indices), xp.stack(insides), fraction, slope


@kernel("gw::grid_taps")
def grid_taps(
    xp: Any, grid: Array, input_size: Shape, interpolation_mode: int, padding_mode: int, align_corners: bool,
    result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """See `_taps`."""
    index, inside, *rest = _taps(xp, widened(grid), input_size, interpolation_mode, padding_mode, align_corners)
    return index, inside, *(in_dtype(array, meta) for array, meta in zip(rest, result[2:], strict=True))


# ---------------------------------------------------------------- how they are weighed
def _near(x: Array) -> Array:
    return ((_A + 2) * x - (_A + 3)) * x * x + 1


def _far(x: Array) -> Array:
    return ((_A * x - 5 * _A) * x + 8 * _A) * x - 4 * _A


def _weights(t: Array, interpolation_mode: int) -> list[Array]:
    """Return the weight of each tap of an axis; arrays of the kernel's or of the gradient's kind."""
    if interpolation_mode == NEAREST:
        return [t * 0 + 1]
    if interpolation_mode == BILINEAR:
        return [1 - t, t]
    return [_far(t + 1), _near(t), _near(1 - t), _far(2 - t)]


def _slopes(t: Array, interpolation_mode: int) -> list[Array]:
    """Return the derivatives of `_weights` by t."""
    if interpolation_mode == NEAREST:
        return [t * 0]
    if interpolation_mode == BILINEAR:
        return [t * 0 - 1, t * 0 + 1]

    def near(x: Array) -> Array:
        return (3 * (_A + 2) * x - 2 * (_A + 3)) * x

    def far(x: Array) -> Array:
        return (3 * _A * x - 10 * _A) * x + 8 * _A

    return [far(t + 1), near(t), -near(1 - t), -far(2 - t)]


def _product(factors: Sequence[Array]) -> Array:
    found = factors[0]
    for factor in factors[1:]:
        found = found * factor
    return found


def _register(name: str, dims: int) -> None:
    @kernel(name)
    def forward(
        xp: Any,
        input: Array,
        grid: Array,
        interpolation_mode: int,
        padding_mode: int,
        align_corners: bool,
        result: Meta,
    ) -> Array:
        """Sum the taps, (N, C, *) at (N, *, axes) -> (N, C, *); those outside count as zero."""
        index, inside, fraction, _ = _taps(
            xp, widened(grid), input.shape[2:], interpolation_mode, padding_mode, align_corners
        )
        flat = widened(input).reshape(*input.shape[:2], math.prod(input.shape[2:]))
        of_axes = [_weights(fraction[..., axis], interpolation_mode) for axis in range(dims)]
        found = xp.zeros((*input.shape[:2], index.shape[2]), flat.dtype)
        for number, weights in enumerate(itertools.product(*of_axes)):
            weight = xp.where(inside[number], _product(weights), 0)
            # What is outside may be next to an infinite element.
            values = xp.where(inside[number][:, None], xp.take_along_axis(flat, index[number][:, None], axis=2), 0)
            found += values * weight[:, None]
        return in_dtype(found.reshape(result.shape), result)

    @joint_gradient(name)
    def gradient(g: Array, call: Any) -> dict[str, Array | None]:
        return _gradient(g, call, dims)


def _gradient(g: Array, call: Any, dims: int) -> dict[str, Array | None]:
    """Differentiate sum over taps of value * weight(x), with x = slope * grid, by the values and by the grid."""
    input, grid, mode = call.input, call.grid, call.interpolation_mode
    index, inside, fraction, slope = OPS["gw::grid_taps"](
        grid, input.shape[2:], mode, call.padding_mode, call.align_corners
    )
    (n, c), points = input.shape[:2], index.shape[2]
    # Of the same value, and as differentiable as the grid: within a cell the point moves as the grid does.
    moved = (grid - grid.detach()).reshape(n, points, dims).flip(-1)
    t = fraction + slope * moved
    axes = [t.select(-1, axis) for axis in range(dims)]
    weights, slopes = ([rule(axis, mode) for axis in axes] for rule in (_weights, _slopes))
    flat, g = input.reshape(n, c, math.prod(input.shape[2:])), g.reshape(n, c, points)
    by_input: list[Array] = []
    by_axis: list[list[Array]] = [[] for _ in range(dims)]
    for number, corner in enumerate(itertools.product(range(len(_OFFSETS[mode])), repeat=dims)):
        place = index.select(0, number).unsqueeze(1).expand(n, c, points)
        here = inside.select(0, number).unsqueeze(1)
        held = [weights[axis][tap] for axis, tap in enumerate(corner)]
        if call.needs("input"):
            part = (g * _product(held).unsqueeze(1)).masked_fill(here.logical_not(), 0)
            by_input.append(flat.new_zeros(flat.shape).scatter_add(2, place, part))
        if call.needs("grid") and mode != NEAREST:
            along = (g * flat.gather(2, place).masked_fill(here.logical_not(), 0)).sum(1)
            for axis, tap in enumerate(corner):
                by_axis[axis].append(along * _product([*held[:axis], slopes[axis][tap], *held[axis + 1 :]]))
    summed = [added(parts) for parts in by_axis]
    by_grid = None if summed[0] is None else (OPS["stack"](tuple(summed), -1) * slope).flip(-1).reshape(grid.shape)
    if by_grid is None and call.needs("grid"):
        by_grid = grid.new_zeros(grid.shape)
    found = added(by_input)
    return {"input": None if found is None else found.reshape(input.shape), "grid": by_grid}


for _name, _dims in GRID_AXES.items():
    _register(_name, _dims)
