"""Convolutions of any number of spatial axes, their backward, and the windows of an image as columns.

Shapes and refusals: pytorch/aten/src/ATen/native/Convolution.cpp, im2col_shape_check.h. A convolution with `transposed` is
the gradient, by its input, of the one without: (C, O / groups, *kernel) is its weight.
"""

from __future__ import annotations

from gradwire_protocol.dtypes import Category, bool_
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import op, torch_type_name

__all__ = ["spatial_shape", "window_counts"]

Shape = tuple[int, ...]


def window_counts(size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape) -> Shape:
    """Return how many windows fit along each axis, padded on both sides: (size + 2p - d(k - 1) - 1) // s + 1."""
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)


def spatial_shape(
    size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, transposed: bool, output_padding: Shape
) -> Shape:
    """Return the spatial sizes of a convolution's result."""
    if not transposed:
        return window_counts(size, kernel, stride, padding, dilation)
    axes = zip(size, kernel, stride, padding, dilation, output_padding, strict=True)
    return tuple((n - 1) * s - 2 * p + d * (k - 1) + extra + 1 for n, k, s, p, d, extra in axes)


def _expanded(name: str, values: Shape, count: int) -> Shape:
    if len(values) == count:
        return values
    if len(values) == 1:
        return values * count
    raise RuntimeError(
        f"expected {name} to be a single integer value or a list of {count} values to match the convolution dimensions, "
        f"but got {name}={list(values)}"
    )


def _check_numbers(stride: Shape, padding: Shape, dilation: Shape, output_padding: Shape, groups: int) -> None:
    if min(padding) < 0:
        raise RuntimeError("negative padding is not supported")
    if min(output_padding) < 0:
        raise RuntimeError("negative output_padding is not supported")
    if min(stride) <= 0:
        raise RuntimeError("non-positive stride is not supported")
    if min(dilation) <= 0:
        raise RuntimeError("non-positive dilation is not supported")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")


def _check_dtypes(input: Meta, weight: Meta, bias: Meta | None) -> None:
    if weight.dtype is not input.dtype:
        raise RuntimeError(
            f"Input type (torch.{torch_type_name(input.dtype)}Tensor) and weight type (torch."
            f"{torch_type_name(weight.dtype)}Tensor) should be the same or input should be a MKLDNN tensor and weight is a "
            "dense tensor"
        )
    if bias is not None and bias.dtype is not input.dtype:
        words = {
            "float32": "float",
            "float64": "double",
            "float16": "c10::Half",
            "bfloat16": "c10::BFloat16",
            "int64": "long int",
        }
        names = [words.get(meta.dtype.name, meta.dtype.name) for meta in (input, bias)]
        raise RuntimeError(f"Input type ({names[0]}) and bias type ({names[1]}) should be the same")
    if input.dtype is bool_:
        raise NotImplementedError("\"slow_conv2d_cpu\" not implemented for 'Bool'")


def _check_channels(input: Meta, weight: Meta, transposed: bool, groups: int) -> None:
    sizes = list(weight.shape)
    if weight.shape[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of size "
            f"{sizes} instead"
        )
    if weight.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of size "
            f"[{sizes}] instead"
        )
    channels = weight.shape[0] if transposed else weight.shape[1] * groups
    if input.shape[1] != channels:
        given = "transposed=1" if transposed else f"groups={groups}"
        raise RuntimeError(
            f"Given {given}, weight of size {sizes}, expected input{list(input.shape)} to have {channels} channels, but "
            f"got {input.shape[1]} channels instead"
        )


def _check_bias(bias: Meta | None, weight: Meta, transposed: bool, channels: int) -> None:
    if bias is not None and bias.shape != (channels,):
        given = "transposed=1, " if transposed else ""
        raise RuntimeError(
            f"Given {given}weight of size {list(weight.shape)}, expected bias to be 1-dimensional with {channels} "
            f"elements, but got bias of size {list(bias.shape)} instead"
        )


def _by(values: Shape) -> str:
    return " x ".join(map(str, values))


def _check_fit(input: Meta, kernel: Shape, padding: Shape, dilation: Shape) -> None:
    padded = tuple(n + 2 * p for n, p in zip(input.shape[2:], padding, strict=True))
    spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    if any(size < span for size, span in zip(padded, spans, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: ({_by(padded)}). Kernel size: ({_by(spans)}). Kernel size can't be "
            "greater than actual input size"
        )


def _check_output_padding(output_padding: Shape, stride: Shape, dilation: Shape) -> None:
    if any(o >= s and o >= d for o, s, d in zip(output_padding, stride, dilation, strict=True)):
        axes = ("depth", "height", "width")[-len(stride) :]
        texts = [
            f"{name}_{axis}: {value}"
            for name, values in (("output_padding", output_padding), ("stride", stride), ("dilation", dilation))
            for axis, value in zip(axes, values, strict=False)
        ]
        raise RuntimeError(f"output padding must be smaller than either stride or dilation, but got {' '.join(texts)}")


def _convolution(
    input: Meta, weight: Meta, bias: Meta | None, stride: Shape, padding: Shape, dilation: Shape, transposed: bool,
    output_padding: Shape, groups: int,
) -> Meta:  # fmt: skip
    count = weight.ndim - 2
    if count < 1:
        raise RuntimeError("weight should have at least three dimensions")
    stride, padding = _expanded("stride", stride, count), _expanded("padding", padding, count)
    dilation, output_padding = (
        _expanded("dilation", dilation, count),
        _expanded("output_padding", output_padding, count),
    )
    if input.ndim != weight.ndim:
        raise RuntimeError(
            f"Expected {weight.ndim}-dimensional input for {weight.ndim}-dimensional weight {list(weight.shape)}, but got "
            f"{input.ndim}-dimensional input of size {list(input.shape)} instead"
        )
    _check_numbers(stride, padding, dilation, output_padding, groups)
    _check_channels(input, weight, transposed, groups)
    channels = weight.shape[1] * groups if transposed else weight.shape[0]
    _check_bias(bias, weight, transposed, channels)
    kernel = weight.shape[2:]
    if min(kernel) == 0:
        raise RuntimeError(f"kernel size should be greater than zero, but got weight of size {list(weight.shape)}")
    if transposed:
        _check_output_padding(output_padding, stride, dilation)
    else:
        _check_fit(input, kernel, padding, dilation)
    _check_dtypes(input, weight, bias)
    spatial = spatial_shape(input.shape[2:], kernel, stride, padding, dilation, transposed, output_padding)
    if min(spatial) <= 0:
        raise RuntimeError(
            f"Given input size per channel: ({_by(input.shape[2:])}). Calculated output size per channel: "
            f"({_by(spatial)}). Output size is too small"
        )
    return Meta.of((input.shape[0], channels, *spatial), input.dtype)


def _convolution_backward(
    grad_output: Meta, input: Meta, weight: Meta, bias_sizes: Shape | None, stride: Shape, padding: Shape,
    dilation: Shape, transposed: bool, output_padding: Shape, groups: int, output_mask: tuple[bool, ...],
) -> tuple[Meta, ...]:  # fmt: skip
    expected = _convolution(input, weight, None, stride, padding, dilation, transposed, output_padding, groups)
    if grad_output.shape != expected.shape or grad_output.dtype is not expected.dtype:
        raise RuntimeError(f"convolution_backward needs grad_output to be {expected}; got {grad_output}")
    if len(output_mask) != 3:
        raise RuntimeError(f"output_mask must have 3 elements; got {len(output_mask)}")
    shapes = (input.shape, weight.shape, (expected.shape[1],))
    # PyTorch leaves a result that is not in the mask undefined; here it is an empty vector.
    return tuple(
        Meta.of(shape if wanted else (0,), input.dtype) for shape, wanted in zip(shapes, output_mask, strict=True)
    )


_GEOMETRY = "int[] stride, int[] padding, int[] dilation, bool transposed, int[] output_padding, int groups"
_KEPT = "input weight"
op(f"convolution(Tensor input, Tensor weight, Tensor? bias, {_GEOMETRY}) -> Tensor", _convolution,
   {"input": _KEPT, "weight": _KEPT, "bias": _KEPT})  # fmt: skip
_KEPT = "grad_output input weight"
op(f"convolution_backward(Tensor grad_output, Tensor input, Tensor weight, int[]? bias_sizes, {_GEOMETRY}, "
   "bool[3] output_mask) -> (Tensor, Tensor, Tensor)", _convolution_backward,
   {"grad_output": _KEPT, "input": _KEPT, "weight": _KEPT}, node="ConvolutionBackwardBackward0")  # fmt: skip


# ---------------------------------------------------------------- windows as columns
def _pair(name: str, values: Shape) -> tuple[int, int]:
    if len(values) not in (1, 2):
        raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(values)}")
    return values[0], values[-1]


def _check_windows(kernel: Shape, dilation: Shape, padding: Shape, stride: Shape) -> None:
    positive = (("kernel size", "kernel", kernel), ("dilation", "dilation", dilation), ("stride", "stride", stride))
    for words, name, values in positive:
        if min(values) < 1:
            raise RuntimeError(
                f"{words} should be greater than zero, but got {name}_height: {values[0]} {name}_width: {values[1]}"
            )
    if min(padding) < 0:
        raise RuntimeError(f"padding should be non-negative, but got pad_height: {padding[0]} pad_width: {padding[1]}")


def _expect_kernel(name: str, self: Meta) -> None:
    if self.dtype.category is Category.INT:
        raise NotImplementedError(f"\"{name}_out_cpu\" not implemented for '{torch_type_name(self.dtype)}'")


def _im2col(self: Meta, kernel_size: Shape, dilation: Shape, padding: Shape, stride: Shape) -> Meta:
    kernel, steps = _pair("kernel_size", kernel_size), _pair("dilation", dilation)
    margin, jumps = _pair("padding", padding), _pair("stride", stride)
    _check_windows(kernel, steps, margin, jumps)
    first = self.ndim - 3
    if self.ndim not in (3, 4) or 0 in self.shape[first:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, "
            f"but got: {list(self.shape)}"
        )
    size = self.shape[-2:]
    counts = window_counts(size, kernel, jumps, margin, steps)
    if min(counts) < 1:
        raise RuntimeError(
            f"Given input with spatial size ({size[0]}, {size[1]}), kernel_size=({kernel[0]}, {kernel[1]}), dilation="
            f"({steps[0]}, {steps[1]}), padding=({margin[0]}, {margin[1]}), calculated shape of the array of sliding "
            f"blocks as ({counts[0]}, {counts[1]}), but its components must be at least one."
        )
    _expect_kernel("im2col", self)
    rows = self.shape[first] * kernel[0] * kernel[1]
    return Meta.of((*self.shape[:first], rows, counts[0] * counts[1]), self.dtype)


def _col2im(self: Meta, output_size: Shape, kernel_size: Shape, dilation: Shape, padding: Shape, stride: Shape) -> Meta:
    size, kernel = _pair("output_size", output_size), _pair("kernel_size", kernel_size)
    steps, margin, jumps = _pair("dilation", dilation), _pair("padding", padding), _pair("stride", stride)
    _check_windows(kernel, steps, margin, jumps)
    if self.ndim not in (2, 3) or 0 in self.shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
            f"input, but got: {list(self.shape)}"
        )
    taps, (rows, columns) = kernel[0] * kernel[1], self.shape[-2:]
    if rows % taps:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={rows} and kernel_size=({kernel[0]}, {kernel[1]})."
        )
    counts = window_counts(size, kernel, jumps, margin, steps)
    if columns != counts[0] * counts[1]:
        raise RuntimeError(
            f"Given output_size=({size[0]}, {size[1]}), kernel_size=({kernel[0]}, {kernel[1]}), dilation=({steps[0]}, "
            f"{steps[1]}), padding=({margin[0]}, {margin[1]}), stride=({jumps[0]}, {jumps[1]}), expected size of input's "
            f"dimension 2 to match the calculated number of sliding blocks {counts[0]} * {counts[1]} = "
            f"{counts[0] * counts[1]}, but got input.size(2)={columns}."
        )
    _expect_kernel("col2im", self)
    return Meta.of((*self.shape[:-2], rows // taps, *size), self.dtype)


_WINDOWS = "int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride"
op(f"im2col(Tensor self, {_WINDOWS}) -> Tensor", _im2col, {"self": ""}, node="Im2ColBackward0")
op(f"col2im(Tensor self, int[2] output_size, {_WINDOWS}) -> Tensor", _col2im, {"self": ""},
   node="Col2ImBackward0")  # fmt: skip
