"""Resampling of the spatial axes, (N, C, *), and sampling at the points of a grid.

Shapes and refusals: pytorch/aten/src/ATen/native/UpSample.h, UpSample*.cpp, GridSamplerUtils.h.
"""

from __future__ import annotations

import math

from gradwire_protocol.dtypes import Category, bool_, int64, uint8
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.normalization import expect_real
from gradwire_protocol.registry import op, torch_type_name

__all__ = ["GRID_AXES", "UPSAMPLERS"]

Shape = tuple[int, ...]

# ---------------------------------------------------------------- upsampling
_AXES = ("D", "H", "W")
_SCALES = {1: ("scales",), 2: ("scales_h", "scales_w"), 3: ("scales_d", "scales_h", "scales_w")}

# Each op's number of axes, whether it takes `align_corners`, the name of the CPU kernel that lacks a dtype, and whether that
# takes uint8.
UPSAMPLERS = {
    **{f"upsample_nearest{n}d": (n, False, "compute_indices_weights_nearest", True) for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": (n, False, "compute_indices_weights_nearest", True) for n in (1, 2, 3)},
    "upsample_linear1d": (1, True, "compute_indices_weights_linear", False),
    "upsample_bilinear2d": (2, True, "compute_indices_weights_linear", True),
    "upsample_trilinear3d": (3, True, "compute_indices_weights_linear", False),
    "upsample_bicubic2d": (2, True, "compute_indices_weights_cubic", True),
    "_upsample_bilinear2d_aa": (2, True, "compute_index_ranges_weights", True),
    "_upsample_bicubic2d_aa": (2, True, "compute_index_ranges_weights", True),
}


def _check_sizes(size: Shape, output_size: Shape, dims: int) -> None:
    if len(output_size) != dims:
        raise RuntimeError(f"It is expected output_size equals to {dims}, but got size {len(output_size)}")
    if len(size) != dims + 2:
        raise RuntimeError(f"It is expected input_size equals to {dims + 2}, but got size {len(size)}")
    if min(*size[2:], *output_size) > 0:
        return
    names = _AXES[-dims:]
    held = ", ".join(f"{name}: {n}" for name, n in zip(names, size[2:], strict=True))
    found = ", ".join(f"{name}: {n}" for name, n in zip(names, output_size, strict=True))
    link = ") and output (" if dims == 1 else ") output ("
    raise RuntimeError(f"Input and output sizes should be greater than 0, but got input ({held}{link}{found})")


def _check_output(found: Shape, expected: Shape) -> None:
    if found == expected:
        return
    if len(expected) > 3 or len(found) != 3:
        raise RuntimeError(
            f"Expected grad_output to have the same shape as output; output.size is {list(expected)} but got "
            f"grad_output.size {list(found)}"
        )
    axis = next(axis for axis in range(3) if found[axis] != expected[axis])
    raise RuntimeError(
        f"Expected a tensor of dimension 3 and tensor.size[{axis}] == {expected[axis]} but got: dimension 3 and "
        f"tensor.size[{axis}] = {found[axis]}"
    )


def _declare(name: str, dims: int, aligns: bool, kernel: str, takes_bytes: bool) -> None:
    def forward(self: Meta, output_size: Shape, *rest: object) -> Meta:
        _check_sizes(self.shape, output_size, dims)
        if math.prod(self.shape[1:]) == 0:
            raise RuntimeError(
                f"Non-empty {dims + 2}D data tensor expected but got a tensor with sizes {list(self.shape)}"
            )
        if name.endswith("_aa") and self.dtype.is_floating_point and self.dtype.itemsize == 2:
            raise NotImplementedError(f"\"{kernel}\" not implemented for '{torch_type_name(self.dtype)}'")
        if not (takes_bytes and self.dtype is uint8):
            expect_real(kernel, self)
        return Meta.of((*self.shape[:2], *output_size), self.dtype)

    def backward(grad_output: Meta, output_size: Shape, input_size: Shape, *rest: object) -> Meta:
        _check_sizes(input_size, output_size, dims)
        _check_output(grad_output.shape, (*input_size[:2], *output_size))
        if grad_output.dtype.category is not Category.FLOAT:
            raise NotImplementedError(f"\"{name}_backward\" not implemented for '{torch_type_name(grad_output.dtype)}'")
        return Meta.of(input_size, grad_output.dtype)

    rest = (", bool align_corners" if aligns else "") + "".join(f", float? {scale}=None" for scale in _SCALES[dims])
    size = f"int[{dims}] output_size"
    node = "".join(word[:1].upper() + word[1:] for word in name.strip("_").split("_")).replace(f"{dims}d", f"{dims}D")
    op(f"{name}(Tensor self, {size}{rest}) -> Tensor", forward, {"self": ""}, node=f"{node}Backward0")
    op(f"{name}_backward(Tensor grad_output, {size}, int[{dims + 2}] input_size{rest}) -> Tensor", backward,
       {"grad_output": ""}, node=f"{node}BackwardBackward0")  # fmt: skip


for _name, _facts in UPSAMPLERS.items():
    _declare(_name, *_facts)


# ---------------------------------------------------------------- grids
# The number of spatial axes, by op.
GRID_AXES = {"grid_sampler_2d": 2, "grid_sampler_3d": 3}


def _check_grid(name: str, dims: int, input: Meta, grid: Meta, interpolation_mode: int) -> None:
    if input.shape[:1] != grid.shape[:1]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if not grid.ndim or grid.shape[-1] != input.ndim - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {input.ndim - 2} in last dimension, but got grid with sizes "
            f"{list(grid.shape)}"
        )
    for axis, size in enumerate(input.shape[2:], 2):
        if size == 0:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
                f"{list(input.shape)} with dimension {axis} being empty"
            )
    if input.ndim != dims + 2 or grid.ndim != dims + 2:
        raise RuntimeError(
            f"grid_sampler(): expected {dims + 2}D input and grid with same number of dimensions, but got input with "
            f"sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if dims == 3 and interpolation_mode == 2:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if grid.dtype is not input.dtype:
        raise RuntimeError(
            f"expected scalar type {torch_type_name(input.dtype)} but found {torch_type_name(grid.dtype)}"
        )
    expect_real(f"{name}_cpu_kernel_impl", input)


def _declare_grid(name: str, dims: int) -> None:
    def sample(input: Meta, grid: Meta, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Meta:
        _check_grid(name, dims, input, grid, interpolation_mode)
        return Meta.of((*input.shape[:2], *grid.shape[1:-1]), input.dtype)

    op(f"{name}(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
       sample, {"input": "input grid", "grid": "input grid"}, node=f"GridSampler{dims}DBackward0")  # fmt: skip


for _name, _dims in GRID_AXES.items():
    _declare_grid(_name, _dims)


_TAPS = {0: 2, 1: 1, 2: 4}  # along an axis, by mode: linear, nearest, cubic


def _grid_taps(
    grid: Meta, input_size: Shape, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> tuple[Meta, ...]:
    dims = len(input_size)
    if grid.ndim < 2 or grid.shape[-1] != dims:
        raise RuntimeError(f"grid_taps needs a coordinate per axis of {list(input_size)}; got {grid}")
    if interpolation_mode not in _TAPS or grid.dtype.category is not Category.FLOAT:
        raise RuntimeError(
            f"grid_taps needs a mode in {list(_TAPS)} and floats; got mode {interpolation_mode} and {grid}"
        )
    if not 1 <= dims <= 3 or min(input_size) < 1:
        raise RuntimeError(f"grid_taps needs an image of 1 to 3 axes with elements; got {list(input_size)}")
    points = (grid.shape[0], math.prod(grid.shape[1:-1]))
    taps = _TAPS[interpolation_mode] ** dims
    corners, coordinates = (taps, *points), (*points, dims)
    return (
        Meta.of(corners, int64), Meta.of(corners, bool_), Meta.of(coordinates, grid.dtype),
        Meta.of(coordinates, grid.dtype),
    )  # fmt: skip


op("gw::grid_taps(Tensor grid, int[] input_size, int interpolation_mode, int padding_mode, bool align_corners) -> "
   "(Tensor index, Tensor inside, Tensor fraction, Tensor slope)", _grid_taps)  # fmt: skip
