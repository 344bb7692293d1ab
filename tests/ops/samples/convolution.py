"""Samples of the convolution family. The references sum over the places of a kernel, one after the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Array = Any
Sizes = Sequence[int]


def _places(kernel: Sizes) -> Iterator[tuple[int, ...]]:
    return itertools.product(*map(range, kernel))


def _window(place: Sizes, stride: Sizes, dilation: Sizes, count: Sizes) -> tuple[Any, ...]:
    axes = zip(place, stride, dilation, count, strict=True)
    return (..., *(slice(k * d, k * d + s * (n - 1) + 1, s) for k, s, d, n in axes))


def _counts(size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> tuple[int, ...]:
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)


def _pad(x: Array, padding: Sizes) -> Array:
    return np.pad(x, [(0, 0)] * (x.ndim - len(padding)) + [(p, p) for p in padding])


def _crop(x: Array, padding: Sizes, size: Sizes) -> Array:
    return x[(..., *(slice(p, p + n) for p, n in zip(padding, size, strict=True)))]


def _groups(x: Array, groups: int) -> Array:
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])


def _convolve(x: Array, w: Array, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Array:
    kernel, padded = w.shape[2:], _groups(_pad(x, padding), groups)
    counts = _counts(x.shape[2:], kernel, stride, padding, dilation)
    factors = w.reshape(groups, -1, *w.shape[1:])
    out = np.zeros((x.shape[0], groups, factors.shape[1], *counts), x.dtype)
    for place in _places(kernel):
        part = padded[_window(place, stride, dilation, counts)]
        out += np.einsum("ngc...,goc->ngo...", part, factors[(..., *place)])
    return out.reshape(x.shape[0], w.shape[0], *counts)


def _spread(g: Array, w: Array, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Array:
    factors = w.reshape(groups, -1, *w.shape[1:])
    padded = np.zeros(
        (g.shape[0], groups, w.shape[1], *(n + 2 * p for n, p in zip(size, padding, strict=True))), g.dtype
    )
    for place in _places(w.shape[2:]):
        part = np.einsum("ngo...,goc->ngc...", _groups(g, groups), factors[(..., *place)])
        padded[_window(place, stride, dilation, g.shape[2:])] += part
    return _crop(padded, padding, size).reshape(g.shape[0], w.shape[1] * groups, *size)


def _weigh(g: Array, x: Array, w: Array, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Array:
    out = np.zeros((groups, w.shape[0] // groups, *w.shape[1:]), w.dtype)
    padded, grad = _groups(_pad(x, padding), groups), _groups(g, groups)
    for place in _places(w.shape[2:]):
        part = padded[_window(place, stride, dilation, g.shape[2:])]
        size = math.prod(g.shape[2:])
        flat = grad.reshape(*grad.shape[:3], size), part.reshape(*part.shape[:3], size)
        out[(..., *place)] = np.einsum("ngol,ngcl->goc", *flat)
    return out.reshape(w.shape)


def _spatial(shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, extra: Sizes) -> list[int]:
    axes = zip(shape, kernel, stride, padding, dilation, extra, strict=True)
    return [(n - 1) * s - 2 * p + d * (k - 1) + o + 1 for n, k, s, p, d, o in axes]


def _convolution(
    input: Array, weight: Array, bias: Any, stride: Sizes, padding: Sizes, dilation: Sizes, transposed: bool,
    output_padding: Sizes, groups: int,
) -> Array:  # fmt: skip
    kernel = weight.shape[2:]
    stride, padding, dilation = (v if len(v) > 1 else v * len(kernel) for v in (stride, padding, dilation))
    if transposed:
        size = _spatial(input.shape[2:], kernel, stride, padding, dilation, output_padding)
        out = _spread(input, weight, size, stride, padding, dilation, groups)
    else:
        out = _convolve(input, weight, stride, padding, dilation, groups)
    return out if bias is None else out + bias.reshape(-1, *(1,) * len(kernel))


def _backward(
    grad_output: Array, input: Array, weight: Array, bias_sizes: Any, stride: Sizes, padding: Sizes, dilation: Sizes,
    transposed: bool, output_padding: Sizes, groups: int, output_mask: Sequence[bool],
) -> tuple[Array, ...]:  # fmt: skip
    geometry = (stride, padding, dilation, groups)
    if transposed:
        found = (_convolve(grad_output, weight, *geometry), _weigh(input, grad_output, weight, *geometry))
    else:
        found = (
            _spread(grad_output, weight, input.shape[2:], *geometry),
            _weigh(grad_output, input, weight, *geometry),
        )
    made = (*found, grad_output.sum((0, *range(2, grad_output.ndim))))
    return tuple(a if wanted else np.zeros(0, a.dtype) for a, wanted in zip(made, output_mask, strict=True))


# input, weight, stride, padding, dilation, transposed, output padding, groups
_GEOMETRIES: tuple[tuple[Any, ...], ...] = (
    ((2, 2, 5, 6), (3, 2, 3, 2), (1, 1), (1, 0), (1, 1), False, (0, 0), 1),
    ((2, 4, 6, 5), (6, 2, 2, 3), (2, 1), (1, 2), (1, 2), False, (0, 0), 2),
    ((3, 2, 15, 14), (8, 2, 3, 3), (1, 1), (1, 1), (1, 1), False, (0, 0), 1),
    ((3, 2, 5, 5), (3, 2, 3, 3), (2, 2), (0, 0), (1, 1), False, (0, 0), 1),
    ((2, 3, 4, 4), (5, 3, 1, 1), (1, 1), (0, 0), (1, 1), False, (0, 0), 1),
    ((2, 4, 5, 4), (2, 2, 1, 1), (2, 3), (0, 0), (1, 1), False, (0, 0), 2),
    ((2, 3, 3, 3), (2, 3, 1, 1), (1, 1), (1, 1), (1, 1), False, (0, 0), 1),
    ((2, 3, 5, 5), (6, 1, 3, 3), (2, 1), (1, 1), (1, 2), False, (0, 0), 3),
    ((2, 2, 7), (3, 2, 3), (1,), (4,), (2,), False, (0,), 1),
    ((1, 2, 3, 4, 3), (2, 2, 2, 2, 2), (1, 2, 1), (1, 0, 1), (1, 1, 1), False, (0, 0, 0), 1),
    ((2, 3, 4, 3), (3, 2, 3, 2), (2, 1), (1, 0), (1, 1), True, (1, 0), 1),
    ((2, 4, 3, 3), (4, 3, 2, 2), (1, 2), (0, 1), (2, 1), True, (0, 1), 2),
    ((2, 3, 4), (3, 1, 3), (2,), (1,), (1,), True, (1,), 3),
    ((2, 3, 4), (3, 2, 1), (2,), (0,), (1,), True, (1,), 1),
    ((1, 2, 6), (2, 2, 2), (1,), (2,), (2,), True, (1,), 2),
    ((2, 3, 5, 4), (3, 4, 3, 3), (1, 1), (1, 1), (1, 1), True, (0, 0), 1),
    ((2, 4, 7, 6), (4, 1, 3, 3), (2, 2), (1, 1), (1, 1), False, (0, 0), 4),
    ((4, 8, 10, 13), (8, 8, 3, 2), (1, 1), (1, 1), (1, 2), False, (0, 0), 1),
)


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    for number, (shape, kernel, *geometry) in enumerate(_GEOMETRIES):
        x, w = rng.standard_normal(shape), rng.standard_normal(kernel)
        channels = kernel[1] * geometry[-1] if geometry[3] else kernel[0]
        bias = rng.standard_normal(channels) if number % 3 else None
        yield Case((x, w, bias, *geometry))
    plain = ((1, 1), (0, 0), (1, 1), False, (0, 0), 1)
    x, w = rng.standard_normal((2, 5, 5, 2)).transpose(0, 3, 1, 2), rng.standard_normal((3, 2, 3, 3))
    yield Case((x, w, None, (1,), (1,), (1,), False, (0,), 1))
    yield Case((x[:0], w, None, *plain))
    yield Case((x.astype(np.float32), w.astype(np.float32), np.ones(3, np.float32), *plain))
    yield Case((rng.integers(-3, 3, (2, 2, 4, 4)), rng.integers(-3, 3, (3, 2, 2, 2)), np.arange(3), *plain))


def _backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    masks = ((True, True, True), (True, False, False), (False, True, False), (True, True, False), (False, False, True))
    for number, case in enumerate(_cases(rng)):
        x, w, _, *geometry = case.args
        if x.dtype != np.float64 or len(geometry[0]) != w.ndim - 2:
            continue
        g = rng.standard_normal(_convolution(x, w, None, *geometry).shape)
        channels = g.shape[1]
        yield Case((g, x, w, [channels], *geometry, masks[number % len(masks)]))


def _torch_backward(*args: Any) -> Any:
    import torch

    made = torch.ops.aten.convolution_backward(*args)
    return tuple(torch.zeros(0, dtype=torch.float64) if array is None else array for array in made)


_X, _W = np.ones((2, 4, 5, 5)), np.ones((6, 4, 3, 3))
_ONE, _ZERO = (1, 1), (0, 0)


def _refused(
    error: type[Exception], match: str, x: Array = _X, w: Array = _W, bias: Any = None, stride: Sizes = _ONE,
    padding: Sizes = _ZERO, dilation: Sizes = _ONE, transposed: bool = False, extra: Sizes = _ZERO, groups: int = 1,
    in_torch: bool = True,
) -> Refusal:  # fmt: skip
    args = (x, w, bias, stride, padding, dilation, transposed, extra, groups)
    return Refusal(args, error, match, in_torch=in_torch)


_REFUSALS = (
    _refused(RuntimeError, r"expected stride to be a single integer value or a list of 2 values", stride=(1, 1, 1)),
    _refused(RuntimeError, "non-positive stride is not supported", stride=(0, 1)),
    _refused(RuntimeError, "negative padding is not supported", padding=(0, -1)),
    _refused(RuntimeError, "non-positive dilation is not supported", dilation=(1, 0), in_torch=False),
    _refused(RuntimeError, "non-positive groups is not supported", groups=0),
    _refused(RuntimeError, "negative output_padding is not supported", transposed=True, extra=(-1, 0)),
    _refused(RuntimeError, r"Given groups=2, weight of size \[6, 4, 3, 3\], expected input\[2, 4, 5, 5\] to have 8 channels, "
             "but got 4 channels instead", groups=2),
    _refused(RuntimeError, r"expected weight to be divisible by 4 at dimension 0, but got weight of size \[\[6", groups=4),
    _refused(RuntimeError, "expected weight to be at least 7 at dimension 0", groups=7),
    _refused(RuntimeError, r"Given transposed=1, weight of size \[6, 4, 3, 3\], expected input\[2, 4, 5, 5\] to have 6",
             transposed=True),
    _refused(RuntimeError, r"Input type \(torch.FloatTensor\) and weight type \(torch.DoubleTensor\) should be the same",
             x=_X.astype(np.float32)),
    _refused(RuntimeError, r"Input type \(float\) and bias type \(double\)", x=_X.astype(np.float32),
             w=_W.astype(np.float32), bias=np.ones(6), in_torch=False),
    _refused(RuntimeError, "expected bias to be 1-dimensional with 6 elements, but got bias of size", bias=np.ones(5)),
    _refused(RuntimeError, "Expected 4-dimensional input for 4-dimensional weight", x=_X[0]),
    _refused(RuntimeError, "weight should have at least three dimensions", w=np.ones((3, 3)), stride=(1,)),
    _refused(RuntimeError, r"Calculated padded input size per channel: \(5 x 2\). Kernel size: \(3 x 3\)", x=_X[..., :2]),
    _refused(RuntimeError, "output padding must be smaller than either stride or dilation, but got output_padding_height: 1",
             x=np.ones((2, 6, 5, 5)), transposed=True, extra=(1, 1)),
    _refused(NotImplementedError, "not implemented for 'Bool'", x=_X.astype(bool), w=_W.astype(bool)),
    _refused(RuntimeError, "Output size is too small", x=np.ones((2, 6, 5, 5)), transposed=True, padding=(4, 4),
             in_torch=False),
    _refused(RuntimeError, "kernel size should be greater than zero", w=_W[..., :0], in_torch=False),
)  # fmt: skip


# ---------------------------------------------------------------- windows as columns
def _columns(x: Array, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Array:
    counts = _counts(x.shape[-2:], kernel, stride, padding, dilation)
    padded = _pad(x, padding)
    found = [padded[_window(place, stride, dilation, counts)] for place in _places(kernel)]
    return np.stack(found, -3).reshape(*x.shape[:-3], x.shape[-3] * math.prod(kernel), math.prod(counts))


def _images(x: Array, size: Sizes, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Array:
    counts = _counts(size, kernel, stride, padding, dilation)
    columns = x.reshape(*x.shape[:-2], x.shape[-2] // math.prod(kernel), *kernel, *counts)
    sums = np.zeros((*columns.shape[:-4], *(n + 2 * p for n, p in zip(size, padding, strict=True))), x.dtype)
    for i, j in _places(kernel):
        sums[_window((i, j), stride, dilation, counts)] += columns[..., i, j, :, :]
    return _crop(sums, padding, size)


_WINDOWS = (
    ((2, 3), (1, 1), (0, 0), (1, 1)),
    ((2, 2), (1, 2), (1, 0), (2, 1)),
    ((3, 1), (1, 1), (2, 1), (3, 2)),
)


def _im2col_cases(rng: np.random.Generator) -> Iterator[Case]:
    for windows in _WINDOWS:
        yield Case((rng.standard_normal((2, 3, 5, 4)), *windows))
    yield Case((rng.standard_normal((3, 4, 5)).transpose(0, 2, 1), *_WINDOWS[1]))
    yield Case((np.ones((0, 3, 5, 4)), *_WINDOWS[0]))
    yield Case((rng.standard_normal((2, 3, 4)).astype(np.float32), *_WINDOWS[1]))
    yield Case((rng.standard_normal((2, 3, 4)) > 0, *_WINDOWS[1]))


def _col2im_cases(rng: np.random.Generator) -> Iterator[Case]:
    for case in _im2col_cases(rng):
        x, *windows = case.args
        columns = _columns(x, *windows)
        values = rng.standard_normal(columns.shape)
        values = values > 0 if x.dtype == bool else values.astype(x.dtype)
        yield Case((values, x.shape[-2:], *windows))


_COLUMN_REFUSALS = (
    Refusal(
        (_X, (0, 1), _ONE, _ZERO, _ONE),
        RuntimeError,
        "kernel size should be greater than zero, but got kernel_height: 0",
    ),
    Refusal((_X, (2, 2), (0, 1), _ZERO, _ONE), RuntimeError, "dilation should be greater than zero"),
    Refusal((_X, (2, 2), _ONE, (-1, 0), _ONE), RuntimeError, "padding should be non-negative, but got pad_height: -1"),
    Refusal((_X, (2, 2), _ONE, _ZERO, (0, 1)), RuntimeError, "stride should be greater than zero"),
    Refusal(
        (_X, (8, 8), _ONE, _ZERO, _ONE), RuntimeError, r"calculated shape of the array of sliding blocks as \(-2, -2\)"
    ),
    Refusal((_X[:, :0], (2, 2), _ONE, _ZERO, _ONE), RuntimeError, r"Expected 3D or 4D \(batch mode\) tensor"),
    Refusal((_X, (2, 2, 2), _ONE, _ZERO, _ONE), RuntimeError, "It is expected kernel_size equals to 2, but got size 3"),
    Refusal((_X.astype(np.int64), (2, 2), _ONE, _ZERO, _ONE), NotImplementedError, "not implemented for 'Long'"),
)
_C = np.ones((2, 16, 16))
_IMAGE_REFUSALS = (
    Refusal((_C, (5, 5), (3, 3), _ONE, _ZERO, _ONE), RuntimeError, "to be divisible by the product of kernel_size"),
    Refusal((_C, (6, 5), (2, 2), _ONE, _ZERO, _ONE), RuntimeError, r"number of sliding blocks 5 \* 4 = 20, but got"),
    Refusal((_C[0, 0], (6, 5), (2, 2), _ONE, _ZERO, _ONE), RuntimeError, r"Expected 2D or 3D \(batch mode\) tensor"),
    Refusal(
        (_C.astype(np.int64), (5, 5), (2, 2), _ONE, _ZERO, _ONE), NotImplementedError, "not implemented for 'Long'"
    ),
)

SAMPLES: list[Sample] = [
    Sample("convolution", _convolution, _cases, _REFUSALS, rtol=1e-4, atol=1e-5),
    Sample(
        "convolution_backward",
        _backward,
        _backward_cases,
        (
            Refusal(
                (np.ones((2, 6, 3, 2)), _X, _W, None, _ONE, _ZERO, _ONE, False, _ZERO, 1, (True, True, False)),
                RuntimeError, "needs grad_output to be", in_torch=False,
            ),
            Refusal(
                (np.ones((2, 6, 3, 3)), _X, _W, None, _ONE, _ZERO, _ONE, False, _ZERO, 1, (True, True)),
                RuntimeError, "output_mask must have 3 elements", in_torch=False,
            ),
        ),
        torch=_torch_backward,
    ),
    Sample("im2col", _columns, _im2col_cases, _COLUMN_REFUSALS),
    Sample("col2im", _images, _col2im_cases, _IMAGE_REFUSALS),
]  # fmt: skip
