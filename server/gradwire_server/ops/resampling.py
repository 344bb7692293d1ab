"""Kernels and gradients of upsampling. All of it is linear and separable: per axis, each output is a sum over few taps.

The taps of an axis are `index` and `weight`, (taps, outputs). Forward, they are gathered, so that an infinite element
reaches only its neighbours; backward, they are a matrix. Positions are computed in the dtype and the order of operations of
PyTorch's CPU kernels (UpSample.h, UpSampleKernel.cpp), since rounding decides which element is nearest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.resampling import UPSAMPLERS
from gradwire_server.ops.reduction import in_dtype, widened
from gradwire_server.rules import gradient, kernel

Array = Any
Taps = tuple[Array, Array | None]


def _step(size: int, count: int, scale: float | None, align_corners: bool) -> float:
    """Return how far apart the outputs lie on the input's axis."""
    if align_corners:
        return (size - 1) / (count - 1) if count > 1 else 0.0
    return 1.0 / scale if scale is not None and scale > 0 else size / count


def _positions(xp: Any, count: int, step: float, align_corners: bool, dtype: Any) -> Array:
    """Return where the outputs lie, in elements of the input: corners on corners, or edges on edges."""
    place = xp.arange(count, dtype=dtype)
    return place * dtype.type(step) if align_corners else (place + dtype.type(0.5)) * dtype.type(step) - dtype.type(0.5)


def _split(xp: Any, position: Array, size: int) -> tuple[Array, Array]:
    """Return the element at or before each position, and how far beyond it lies, in [0, 1]."""
    index = xp.minimum(xp.floor(position), size - 1)
    return index.astype(xp.int64), xp.clip(position - index, 0, 1)


def nearest(xp: Any, size: int, count: int, scale: float | None, align_corners: bool, dtype: Any) -> Taps:
    """Take the element below i * step."""
    position = xp.arange(count, dtype=dtype) * dtype.type(_step(size, count, scale, False))
    return _floored(xp, position, size), None


def nearest_of_plane(xp: Any, size: int, count: int, scale: float | None, align_corners: bool, dtype: Any) -> Taps:
    """Do as `nearest`, but at the same or twice the size take i or i / 2, whatever the scale.

    PyTorch's kernel for planes of up to 128 rows and columns does so (`nearest_idx`, `_use_vectorized_kernel_cond_2d`).
    """
    if count in (size, 2 * size):
        return (xp.arange(count) // (count // size))[None], None
    return nearest(xp, size, count, scale, align_corners, dtype)


def nearest_exact(xp: Any, size: int, count: int, scale: float | None, align_corners: bool, dtype: Any) -> Taps:
    """Take the element whose centre is nearest to (i + 1/2) * step - 1/2."""
    position = _positions(xp, count, _step(size, count, scale, False), False, dtype)
    return _floored(xp, xp.maximum(position, 0) + dtype.type(0.5), size), None


def _floored(xp: Any, position: Array, size: int) -> Array:
    # PyTorch calls floorf: in float32, whatever the dtype.
    return xp.minimum(xp.floor(position.astype(xp.float32)), size - 1).astype(xp.int64)[None]


def linear(xp: Any, size: int, count: int, scale: float | None, align_corners: bool, dtype: Any) -> Taps:
    """Interpolate between the two elements around the position."""
    if size == count:
        return xp.arange(count)[None], None
    position = _positions(xp, count, _step(size, count, scale, align_corners), align_corners, dtype)
    low, beyond = _split(xp, xp.maximum(position, 0), size)
    return xp.stack([low, xp.minimum(low + 1, size - 1)]), xp.stack([1 - beyond, beyond])


def cubic(xp: Any, size: int, count: int, scale: float | None, align_corners: bool, dtype: Any) -> Taps:
    """Convolve four elements with Keys' kernel (1981), a = -0.75; the edges are repeated."""
    position = _positions(xp, count, _step(size, count, scale, align_corners), align_corners, dtype)
    low, beyond = _split(xp, position, size)
    index = xp.clip(low[None] + xp.arange(-1, 3)[:, None], 0, size - 1)
    distances = (beyond + 1, beyond, 1 - beyond, 2 - beyond)
    return index, xp.stack([_keys(xp, distance, -0.75) for distance in distances])


def _keys(xp: Any, x: Array, a: float) -> Array:
    """Return the weight of an element at the distance x >= 0."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return xp.where(x <= 1, near, xp.where(x < 2, far, 0))


def _triangle(xp: Any, x: Array) -> Array:
    return xp.maximum(1 - x, 0)


def _antialiased(width: int, weigh: Callable[[Any, Array], Array]) -> Callable[..., Taps]:
    def taps(xp: Any, size: int, count: int, scale: float | None, align_corners: bool, dtype: Any) -> Taps:
        """Convolve with a kernel of `width` elements, stretched to the step where the output is smaller."""
        if size == count:
            return xp.arange(count)[None], None
        step = _step(size, count, scale, align_corners)
        stretch = max(step, 1.0)
        support = width * 0.5 * stretch
        most = math.ceil(support) * 2 + 1
        centre = (xp.arange(count, dtype=dtype) + dtype.type(0.5)) * dtype.type(step)
        first = xp.maximum((centre - dtype.type(support - 0.5)).astype(xp.int64), 0)
        end = xp.minimum((centre + dtype.type(support + 0.5)).astype(xp.int64), size)
        places = first[None] + xp.arange(most)[:, None]
        distance = xp.abs((places.astype(dtype) - centre + dtype.type(0.5)) * dtype.type(1 / stretch))
        weight = xp.where(places < end, weigh(xp, distance), 0).astype(dtype)
        total = weight.sum(axis=0)
        return xp.minimum(places, size - 1), weight / xp.where(total == 0, 1, total)

    return taps


_TAPS: dict[str, Callable[..., Taps]] = {
    "upsample_nearest": nearest, "_upsample_nearest_exact": nearest_exact, "upsample_linear": linear,
    "upsample_bilinear": linear, "upsample_trilinear": linear, "upsample_bicubic": cubic,
    "_upsample_bilinear_aa": _antialiased(2, _triangle),
    "_upsample_bicubic_aa": _antialiased(4, lambda xp, x: _keys(xp, x, -0.5)),
}  # fmt: skip


def _gathered(xp: Any, x: Array, axis: int, taps: Taps) -> Array:
    """Sum the taps of each output along `axis`, counted from the last."""
    index, weight = taps
    if weight is None:
        return xp.take(x, index[0], axis=axis)
    found = None
    for number in range(index.shape[0]):
        part = xp.take(x, index[number], axis=axis) * weight[number].reshape(-1, *(1,) * (-1 - axis))
        found = part if found is None else xp.add(found, part, out=found)
    return found


def _matrix(xp: Any, taps: Taps, size: int, dtype: Any) -> Array:
    """Return the taps as a matrix (outputs, inputs); those of one output may name an element twice, at an edge."""
    index, weight = taps
    made = xp.zeros((index.shape[1], size), dtype)
    rows = xp.arange(index.shape[1])
    for number in range(index.shape[0]):
        made[rows, index[number]] += 1 if weight is None else weight[number]
    return made


def _multiplied(xp: Any, x: Array, axis: int, matrix: Array) -> Array:
    return xp.moveaxis(xp.matmul(xp.moveaxis(x, axis, -1), matrix), -1, axis)


def _rounded(xp: Any, x: Array, axis: int, taps: Taps) -> Array:
    """Resample an axis of bytes in fixed point, as PyTorch does: weights of 16 bits, half a unit added, shifted down.

    In float64, which holds these integers.
    """
    weights = _matrix(xp, taps, x.shape[axis], xp.dtype("float64"))
    largest = weights.max()
    # One more bit as long as the largest weight keeps within 16; a comparison per bit, so that no value is waited for.
    bits = sum((xp.floor(0.5 + largest * 2.0 ** (bit + 1)) < 2.0**15).astype(xp.int64) for bit in range(22))
    unit = xp.power(2.0, bits)
    whole = xp.sign(weights) * xp.floor(xp.abs(weights) * unit + 0.5)
    found = xp.floor((_multiplied(xp, x, axis, whole.T) + unit / 2) / unit)
    return xp.clip(found, 0, 255)


def _register(name: str, dims: int, aligns: bool) -> None:
    usual = _TAPS[name.replace(f"{dims}d", "")]

    def finder(output_size: tuple[int, ...]) -> Callable[..., Taps]:
        return nearest_of_plane if name == "upsample_nearest2d" and sum(output_size) <= 128 else usual

    def split(rest: Sequence[Any]) -> tuple[bool, Sequence[float | None]]:
        return (bool(rest[0]), rest[1:]) if aligns else (False, rest)

    @kernel(name)
    def forward(xp: Any, self: Array, output_size: tuple[int, ...], *rest: Any, result: Meta) -> Array:
        align_corners, scales = split(rest)
        is_bytes = self.dtype == xp.uint8
        x, find = widened(self), finder(output_size)
        place = x.dtype if not is_bytes else xp.dtype("float32" if "nearest" in name else "float64")
        for axis in range(-1, -1 - dims, -1):
            if is_bytes and "nearest" not in name and self.shape[axis] == output_size[axis]:
                continue  # as in PyTorch, whatever the scale
            taps = find(xp, self.shape[axis], output_size[axis], scales[axis], align_corners, place)
            apply = _rounded if is_bytes and taps[1] is not None else _gathered
            x = apply(xp, x, axis, taps)
        return in_dtype(x, result) if x is not self else self.copy()

    @kernel(f"{name}_backward")
    def backward(
        xp: Any, grad_output: Array, output_size: tuple[int, ...], input_size: tuple[int, ...], *rest: Any, result: Meta
    ) -> Array:
        align_corners, scales = split(rest)
        g, find = widened(grad_output), finder(output_size)
        for axis in range(-1, -1 - dims, -1):
            taps = find(xp, input_size[axis], output_size[axis], scales[axis], align_corners, g.dtype)
            g = _multiplied(xp, g, axis, _matrix(xp, taps, input_size[axis], g.dtype))
        return in_dtype(g, result)

    def arguments(call: Any) -> tuple[Any, ...]:
        names = ("align_corners",) * aligns + {1: ("scales",), 2: ("scales_h", "scales_w")}.get(
            dims, ("scales_d", "scales_h", "scales_w")
        )
        return tuple(getattr(call, argument) for argument in names)

    def back(g: Array, call: Any) -> Array:
        return getattr(g, f"{name}_backward")(call.output_size, call.meta("self").shape, *arguments(call))

    gradient(name, self=back)
    gradient(f"{name}_backward", grad_output=lambda g, call: getattr(g, name)(call.output_size, *arguments(call)))


for _name, _facts in UPSAMPLERS.items():
    _register(_name, _facts[0], _facts[1])
