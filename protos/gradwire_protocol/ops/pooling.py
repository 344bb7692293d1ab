"""Pooling over windows: maxima with their places, averages, adaptive and fractional windows, and what undoes maxima.

Shapes and refusals: pytorch/aten/src/ATen/native/Pool.h and the files named after the ops. A place is counted in the
unpadded image of one channel, in C order. Ops over one axis are composites of those over two.
"""

from __future__ import annotations

from gradwire_protocol.dtypes import Category, int64
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import op, torch_type_name

__all__ = ["expanded", "pooled_sizes"]

Shape = tuple[int, ...]

_WORDS = {2: "two", 3: "three"}


def expanded(values: Shape, count: int) -> Shape:
    """Return a number per axis, where one stands for all."""
    return values if len(values) == count else values * count


def _pooled(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    if stride == 0:
        raise RuntimeError("stride should not be zero")
    if padding < 0:
        raise RuntimeError(f"pad must be non-negative, but got pad: {padding}")
    if padding > ((kernel - 1) * dilation + 1) // 2:
        raise RuntimeError(
            f"pad should be at most half of effective kernel size, but got pad={padding}, kernel_size={kernel} and "
            f"dilation={dilation}"
        )
    count = (size + 2 * padding - dilation * (kernel - 1) - 1 + (stride - 1 if ceil_mode else 0)) // stride + 1
    # With ceil_mode the last window must still begin inside the image or its left padding.
    return count - 1 if ceil_mode and (count - 1) * stride >= size + padding else count


def pooled_sizes(size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil_mode: bool) -> Shape:
    """Return how many windows lie along each axis; raise RuntimeError for windows that cannot be."""
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple(_pooled(*axis, ceil_mode) for axis in axes)


def _check_counts(name: str, count: int, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape) -> None:
    a, words = ("must be" if (name, count) == ("avg_pool", 3) else "must either be"), _WORDS[count]
    omitted = "must be omitted" if (name, count) == ("avg_pool", 3) else "must either be omitted"
    if len(kernel) not in (1, count):
        raise RuntimeError(f"{name}{count}d: kernel_size {a} a single int, or a tuple of {words} ints")
    if len(stride) not in (0, 1, count):
        raise RuntimeError(f"{name}{count}d: stride {omitted}, a single int, or a tuple of {words} ints")
    if len(padding) not in (1, count):
        raise RuntimeError(f"{name}{count}d: padding {a} a single int, or a tuple of {words} ints")
    if len(dilation) not in (1, count):
        raise RuntimeError(f"{name}{count}d: dilation must be either a single int, or a tuple of {words} ints")


def _check_positive(kernel: Shape, stride: Shape, dilation: Shape) -> None:
    axes = ("T", "H", "W")[-len(kernel) :]
    letters = (("kernel size", "k", kernel), ("stride", "d", stride), ("dilation", "dilation", dilation))
    for words, letter, values in letters:
        if min(values) < 1:
            got = " ".join(f"{letter}{axis}: {value}" for axis, value in zip(axes, values, strict=True))
            raise RuntimeError(f"{words} should be greater than zero, but got {got}")


def _check_image(name: str, count: int, self: Meta) -> None:
    """Refuse what is no image, or a batch of them, with elements."""
    if self.ndim not in (count + 1, count + 2):
        raise RuntimeError(f"non-empty {count + 1}D or {count + 2}D (batch mode) tensor expected for input")
    for axis in range(1 if self.ndim == count + 2 else 0, self.ndim):
        if self.shape[axis]:
            continue
        if count == 2:
            raise RuntimeError(
                "Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, but got:"
                f"{list(self.shape)}"
            )
        raise RuntimeError(
            f"{name}(): Expected input's non-batch dimensions to have positive length, but input has a shape of "
            f"{list(self.shape)} and non-batch dimension {axis - (self.ndim - count - 1)} has length zero!"
        )


def _expect(name: str, self: Meta, *, integers: str = "") -> None:
    """Refuse dtypes that PyTorch has no kernel of; `integers`: "all" of them are taken, "long", or none."""
    category = self.dtype.category
    taken = category is Category.FLOAT or (integers == "all" and category is Category.INT)
    if not taken and not (integers == "long" and self.dtype is int64):
        raise NotImplementedError(f"\"{name}\" not implemented for '{torch_type_name(self.dtype)}'")


def _windows(
    name: str, count: int, self: Meta, kernel_size: Shape, stride: Shape, padding: Shape, dilation: Shape,
    ceil_mode: bool,
) -> Meta:  # fmt: skip
    _check_counts(name, count, kernel_size, stride, padding, dilation)
    kernel = expanded(kernel_size, count)
    steps, margin, spacing = (expanded(values, count) for values in (stride or kernel, padding, dilation))
    if self.ndim not in (count + 1, count + 2):
        _check_image(f"{name}{count}d", count, self)
    size = self.shape[-count:]
    if min(steps) > 0 and min(kernel) > 0:
        _check_positive(kernel, steps, spacing)
    if (name, count) == ("avg_pool", 3) and any(n < k for n, k in zip(size, kernel, strict=True)):
        texts = [" ".join(f"{start}{axis}: {n}" for axis, n in zip("THW", values, strict=True))
                 for start, values in (("", size), ("k", kernel))]  # fmt: skip
        raise RuntimeError(f"input image ({texts[0]}) smaller than kernel size ({texts[1]})")
    counts = pooled_sizes(size, kernel, steps, margin, spacing, ceil_mode)
    _check_positive(kernel, steps, spacing)
    _check_image(f"{name}{count}d", count, self)
    if min(counts) < 1:
        planes = self.shape[-count - 1]
        given, made = ("x".join(map(str, (planes, *sizes))) for sizes in (size, counts))
        raise RuntimeError(f"Given input size: ({given}). Calculated output size: ({made}). Output size is too small")
    return Meta.of((*self.shape[:-count], *counts), self.dtype)


def _with_places(values: Meta) -> tuple[Meta, Meta]:
    return values, Meta.of(values.shape, int64)


def _check_gradient(name: str, grad_output: Meta, expected: Meta) -> None:
    if grad_output.shape != expected.shape or grad_output.dtype is not expected.dtype:
        raise RuntimeError(f"{name} needs grad_output to be {expected}; got {grad_output}")


def _check_places(name: str, indices: Meta, shape: Shape) -> None:
    if indices.dtype is not int64 or indices.shape != shape:
        raise RuntimeError(f"{name} needs indices to be int64{list(shape)}; got {indices}")


# ---------------------------------------------------------------- maxima
def _declare_max(count: int) -> None:
    name = f"max_pool{count}d"

    def forward(
        self: Meta, kernel_size: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil_mode: bool
    ) -> tuple[Meta, Meta]:
        values = _windows("max_pool", count, self, kernel_size, stride, padding, dilation, ceil_mode)
        _expect(name, self, integers="all")
        return _with_places(values)

    def backward(
        grad_output: Meta, self: Meta, kernel_size: Shape, stride: Shape, padding: Shape, dilation: Shape,
        ceil_mode: bool, indices: Meta,
    ) -> Meta:  # fmt: skip
        values, _ = forward(self, kernel_size, stride, padding, dilation, ceil_mode)
        _check_gradient(f"{name}_backward", grad_output, values)
        _check_places(f"{name}_backward", indices, values.shape)
        return Meta.of(self.shape, self.dtype)

    list_, node = f"int[{count}]", f"MaxPool{count}DWithIndicesBackward"
    op(f"{name}_with_indices(Tensor self, {list_} kernel_size, {list_} stride=[], {list_} padding=[0], {list_} dilation=[1], "
       "bool ceil_mode=False) -> (Tensor, Tensor)", forward, {"self": "self result1"}, node=f"{node}0")  # fmt: skip
    op(f"{name}_with_indices_backward(Tensor grad_output, Tensor self, {list_} kernel_size, {list_} stride, "
       f"{list_} padding, {list_} dilation, bool ceil_mode, Tensor indices) -> Tensor",
       backward, {"grad_output": "indices", "self": ""}, node=f"{node}Backward0")  # fmt: skip


# ---------------------------------------------------------------- averages
def _declare_average(count: int) -> None:
    name = f"avg_pool{count}d"

    def forward(
        self: Meta, kernel_size: Shape, stride: Shape, padding: Shape, ceil_mode: bool, count_include_pad: bool,
        divisor_override: int | None,
    ) -> Meta:  # fmt: skip
        if divisor_override == 0:
            raise RuntimeError("divisor must be not zero")
        result = _windows("avg_pool", count, self, kernel_size, stride, padding, (1,), ceil_mode)
        _expect(name, self, integers="long")
        return result

    def backward(
        grad_output: Meta, self: Meta, kernel_size: Shape, stride: Shape, padding: Shape, ceil_mode: bool,
        count_include_pad: bool, divisor_override: int | None,
    ) -> Meta:  # fmt: skip
        values = forward(self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
        _check_gradient(f"{name}_backward", grad_output, values)
        return Meta.of(self.shape, self.dtype)

    list_ = f"int[{count}]"
    op(f"{name}(Tensor self, {list_} kernel_size, {list_} stride=[], {list_} padding=[0], bool ceil_mode=False, "
       "bool count_include_pad=True, int? divisor_override=None) -> Tensor", forward, {"self": "self"},
       node=f"AvgPool{count}DBackward0")  # fmt: skip
    op(f"{name}_backward(Tensor grad_output, Tensor self, {list_} kernel_size, {list_} stride, {list_} padding, "
       "bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor", backward,
       {"grad_output": "", "self": ""}, node=f"AvgPool{count}DBackwardBackward0")  # fmt: skip


# ---------------------------------------------------------------- windows that cover an image evenly
def _check_adaptive(name: str, count: int, self: Meta, colon: str) -> None:
    if self.ndim not in (count + 1, count + 2):
        raise RuntimeError(f"{name}(): Expected {count + 1}D or {count + 2}D tensor, but got{colon} {list(self.shape)}")
    for axis in range(self.ndim - count, self.ndim):
        if not self.shape[axis]:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes "
                f"{list(self.shape)} with dimension {axis} being empty"
            )


def _declare_adaptive_average(count: int) -> None:
    name = f"adaptive_avg_pool{count}d"

    def forward(self: Meta, output_size: Shape) -> Meta:
        if len(output_size) != count:
            raise RuntimeError(f"{name}: output_size must be {count}")
        if min(output_size) < 0:
            raise RuntimeError(
                f"{name}: elements of output_size must be greater than or equal to 0 but received "
                f"{{{', '.join(map(str, output_size))}}}"
            )
        _check_adaptive(name, count, self, "")
        _expect(name if count == 2 else f"{name}_cpu", self)
        return Meta.of((*self.shape[:-count], *output_size), self.dtype)

    def backward(grad_output: Meta, self: Meta) -> Meta:
        _check_gradient(f"{name}_backward", grad_output, forward(self, grad_output.shape[-count:]))
        return Meta.of(self.shape, self.dtype)

    op(f"_{name}(Tensor self, int[{count}] output_size) -> Tensor", forward, {"self": "self"},
       node=f"AdaptiveAvgPool{count}DBackward0")  # fmt: skip
    op(f"_{name}_backward(Tensor grad_output, Tensor self) -> Tensor", backward, {"grad_output": "", "self": ""},
       node=f"AdaptiveAvgPool{count}DBackwardBackward0")  # fmt: skip


def _declare_adaptive_max(count: int) -> None:
    name = f"adaptive_max_pool{count}d"

    def forward(self: Meta, output_size: Shape) -> tuple[Meta, Meta]:
        _check_adaptive(name, count, self, ":")
        if len(output_size) != count:
            raise RuntimeError(f"{name}(): internal error: output_size.size() must be {count}")
        shape = (*self.shape[:-count], *output_size)
        if min(output_size) < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {min(output_size)}: {list(shape)}")
        _expect(name if count == 2 else f"{name}_cpu", self)
        return _with_places(Meta.of(shape, self.dtype))

    def backward(grad_output: Meta, self: Meta, indices: Meta) -> Meta:
        values, _ = forward(self, grad_output.shape[-count:])
        _check_gradient(f"{name}_backward", grad_output, values)
        _check_places(f"{name}_backward", indices, values.shape)
        return Meta.of(self.shape, self.dtype)

    op(f"{name}(Tensor self, int[{count}] output_size) -> (Tensor, Tensor)", forward, {"self": "self result1"},
       node=f"AdaptiveMaxPool{count}DBackward0")  # fmt: skip
    op(f"{name}_backward(Tensor grad_output, Tensor self, Tensor indices) -> Tensor", backward,
       {"grad_output": "indices", "self": ""}, node=f"AdaptiveMaxPool{count}DBackwardBackward0")  # fmt: skip


# ---------------------------------------------------------------- windows at random places
def _check_fractional(count: int, self: Meta, kernel_size: Shape, output_size: Shape) -> None:
    name, ints = f"fractional_max_pool{count}d", "Ints" if count == 2 else "three Ints"
    for words, values in (("kernel_size", kernel_size), ("output_size", output_size)):
        if len(values) != count:
            raise RuntimeError(f"{name}: {words} must either be a single Int or tuple of {ints}")
    if self.ndim not in (count + 1, count + 2):
        raise RuntimeError(f"{name}(): Expected {count + 1}D or {count + 2}D tensor, but got: {list(self.shape)}")
    for axis in range(self.ndim - count - 1, self.ndim):
        if not self.shape[axis]:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but got{list(self.shape)} with "
                f"dimension {axis} being empty."
            )
    axes, suffix = ("time", "height", "width")[-count:], "" if count == 2 else "_out"
    for axis_name, size, kernel, pooled in zip(axes, self.shape[-count:], kernel_size, output_size, strict=True):
        if kernel < 1 or pooled < 1:
            raise RuntimeError(f"{name}: kernel_size and output_size must be positive; got {kernel} and {pooled}")
        # PyTorch wants a place to spare in volumes.
        if pooled + kernel - (1 if count == 2 else 0) > size:
            raise RuntimeError(
                f"{name}{suffix}(): pool {axis_name} {kernel} too large relative to input {axis_name} {size}"
            )


def _check_random_samples(count: int, self: Meta, random_samples: Meta) -> None:
    if random_samples.dtype is not self.dtype:
        raise RuntimeError("Expect _random_samples to have the same dtype as input")
    if random_samples.ndim != 3:
        raise RuntimeError(f"Expect _random_samples to have 3 dimensions got {random_samples.ndim}")
    batch = self.shape[0] if self.ndim == count + 2 else 1
    if random_samples.shape[0] < batch:
        raise RuntimeError("Expect _random_samples.size(0) no less then input batch size.")
    if random_samples.shape[1] != self.shape[-count - 1]:
        raise RuntimeError("Expect _random_samples.size(1) equals to input channel size.")
    if random_samples.shape[2] != count:
        raise RuntimeError(f"Expect _random_samples.size(2) equals to {count}; got {random_samples.shape[2]}.")


def _declare_fractional(count: int) -> None:
    name = f"fractional_max_pool{count}d"

    def forward(self: Meta, kernel_size: Shape, output_size: Shape, random_samples: Meta) -> tuple[Meta, Meta]:
        _check_fractional(count, self, kernel_size, output_size)
        _expect(f"{name}_out_frame", self)
        _check_random_samples(count, self, random_samples)
        return _with_places(Meta.of((*self.shape[:-count], *output_size), self.dtype))

    def backward(grad_output: Meta, self: Meta, kernel_size: Shape, output_size: Shape, indices: Meta) -> Meta:
        values = Meta.of((*self.shape[:-count], *output_size), self.dtype)
        _check_gradient(f"{name}_backward", grad_output, values)
        _check_places(f"{name}_backward", indices, values.shape)
        return Meta.of(self.shape, self.dtype)

    sizes = f"int[{count}] kernel_size, int[{count}] output_size"
    op(f"{name}(Tensor self, {sizes}, Tensor random_samples) -> (Tensor, Tensor)", forward, {"self": "self result1"},
       node=f"FractionalMaxPool{count}DBackward0")  # fmt: skip
    op(f"{name}_backward(Tensor grad_output, Tensor self, {sizes}, Tensor indices) -> Tensor", backward,
       {"grad_output": "indices", "self": ""}, node=f"FractionalMaxPool{count}DBackwardBackward0")  # fmt: skip


# ---------------------------------------------------------------- maxima put back
def _check_unpool(count: int, self: Meta, indices: Meta, output_size: Shape) -> None:
    if indices.dtype is not int64:
        got = f" but got: {torch_type_name(indices.dtype)}" if count == 2 else ""
        raise RuntimeError(f"elements in indices should be type int64{got}")
    if len(output_size) != count:
        axes = "(height, width)" if count == 2 else "(depth, height, width)"
        raise RuntimeError(
            f"There should be exactly {_WORDS[count]} elements {axes} in output_size, but got {len(output_size)} elements."
        )
    if self.ndim not in (count + 1, count + 2):
        raise RuntimeError(
            f"Input to max_unpooling{count}d should be a {count + 1}d or {count + 2}d Tensor, but got a tensor with "
            f"{self.ndim} dimensions."
        )
    if self.shape != indices.shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(self.shape)}) but got indices "
            f"tensor with shape: {list(indices.shape)}"
        )
    for axis in range(1, self.ndim):
        if not self.shape[axis]:
            raise RuntimeError(
                f"max_unpooling{count}d_forward_out_cpu(): Expected input to have non-zero size for non-batch dimensions, but got "
                f"{list(self.shape)} with dimension {axis} being empty."
            )


def _max_unpool2d(self: Meta, indices: Meta, output_size: Shape) -> Meta:
    _check_unpool(2, self, indices, output_size)
    _expect("max_unpool2d", self)
    return Meta.of((*self.shape[:-2], *output_size), self.dtype)


def _max_unpool3d(self: Meta, indices: Meta, output_size: Shape, stride: Shape, padding: Shape) -> Meta:
    _check_unpool(3, self, indices, output_size)
    for words, values in (("stride", stride), ("padding", padding)):
        if len(values) != 3:
            raise RuntimeError(
                f"There should be exactly three elements (depth, height, width) in {words}, but got: {len(values)} elements."
            )
    if min(stride) <= 0:
        raise RuntimeError(f"strides should be greater than zero, but got stride: {list(stride)}")
    _expect("max_unpool3d", self)
    return Meta.of((*self.shape[:-3], *output_size), self.dtype)


for _count in (2, 3):
    _declare_max(_count)
    _declare_average(_count)
    _declare_adaptive_average(_count)
    _declare_adaptive_max(_count)
    _declare_fractional(_count)
op("max_unpool2d(Tensor self, Tensor indices, int[2] output_size) -> Tensor", _max_unpool2d, {"self": "indices"},
   node="MaxUnpool2DBackward0")  # fmt: skip
op("max_unpool3d(Tensor self, Tensor indices, int[3] output_size, int[3] stride, int[3] padding) -> Tensor",
   _max_unpool3d, {"self": "indices"}, node="MaxUnpool3DBackward0")  # fmt: skip
