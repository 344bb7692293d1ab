"""Samples of the normalization family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradwire_protocol.dtypes import DType, float32, float64
from tests.ops.samples.record import Case, Refusal, Sample

Array = Any
INF = float("inf")


# ---------------------------------------------------------------- softmax
def _inputs(rng: np.random.Generator) -> Iterator[tuple[Array, int]]:
    for dim in (0, 1, -1):
        yield rng.standard_normal((2, 3, 4)), dim
    yield rng.standard_normal((4, 3)).T, 0
    yield rng.standard_normal((3, 4)).astype(np.float32), 1
    yield rng.standard_normal(5), -1
    yield np.asarray(rng.standard_normal()), 0
    yield np.ones((0, 3)), 0
    yield np.ones((2, 0)), 1
    yield np.array([[1000.0, 0.0, -1000.0], [-INF, 2.0, 3.0]]), 1
    yield rng.standard_normal((2, 3)).astype(np.float16), 1


def _softmax(self: Array, dim: int, half_to_float: bool = False) -> Array:
    if self.size == 0:
        return self
    rows = self.reshape(self.shape or (1,)).astype(np.float64)
    scores = np.exp(rows - rows.max(axis=dim, keepdims=True))
    return (scores / scores.sum(axis=dim, keepdims=True)).reshape(self.shape).astype(self.dtype)


def _log_softmax(self: Array, dim: int, half_to_float: bool = False) -> Array:
    if self.size == 0:
        return self
    rows = self.reshape(self.shape or (1,)).astype(np.float64)
    scores = rows - rows.max(axis=dim, keepdims=True)
    return (scores - np.log(np.exp(scores).sum(axis=dim, keepdims=True))).reshape(self.shape).astype(self.dtype)


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    for array, dim in _inputs(rng):
        yield Case((array, dim, False), differentiable=bool(np.isfinite(array).all()))


def _backward_cases(forward: Any) -> Any:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for array, dim in _inputs(rng):
            if np.isfinite(array).all() and array.dtype != np.float16:
                dtype = float32 if array.dtype == np.float32 else float64
                g = rng.standard_normal(array.shape).astype(array.dtype)
                yield Case((g, forward(array, dim), dim, dtype))

    return cases


def _sum(array: Array, dim: int) -> Array:
    return array.sum(axis=dim, keepdims=True) if array.ndim else array


def _softmax_backward(grad_output: Array, output: Array, dim: int, input_dtype: DType) -> Array:
    return output * (grad_output - _sum(grad_output * output, dim))


def _log_softmax_backward(grad_output: Array, output: Array, dim: int, input_dtype: DType) -> Array:
    return grad_output - np.exp(output) * _sum(grad_output, dim)


def _refusals(name: str) -> tuple[Refusal, ...]:
    whole = np.ones((2, 3), np.int64)
    return (
        Refusal((np.ones((2, 3)), 2, False), IndexError, r"expected to be in range of \[-2, 1\], but got 2"),
        Refusal((whole, 1, False), NotImplementedError, f"\"{name}_lastdim_kernel_impl\" not implemented for 'Long'"),
        Refusal((whole, 0, False), NotImplementedError, f"\"{name}_kernel_impl\" not implemented for 'Long'"),
        Refusal((np.ones((2, 3)), 0, True), RuntimeError, "conversion is supported for Half type only", in_torch=False),
    )


def _shapes(in_torch: bool) -> Refusal:
    words = r"'grad' to have same size as tensor for argument #2 'output'"
    return Refusal((np.ones((2, 3)), np.ones(3), 0, float64), RuntimeError, words, in_torch=in_torch)


# ---------------------------------------------------------------- layer norm
def _layer_norm_cases(rng: np.random.Generator) -> Iterator[Case]:
    for dtype in (np.float64, np.float32):
        x = rng.standard_normal((2, 3, 4)).astype(dtype)
        weight, bias = rng.standard_normal((2, 4)).astype(dtype)
        yield Case((x, (4,), weight, bias, 1e-5))
        yield Case((x, (3, 4), None, None, 1e-3))
        yield Case((x[0], (4,), weight, None, 1e-5))
        yield Case((x[0, 0], (4,), None, bias, 1e-5))
    yield Case((np.ones((0, 3)), (3,), None, None, 1e-5))
    yield Case((rng.standard_normal((2, 5)).astype(np.float32), (5,), None, None, 1e-5))


def _moments(input: Array, normalized_shape: Any, eps: float) -> tuple[Array, Array]:
    axes = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    x = input.astype(np.float64)
    mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    return mean.astype(input.dtype), (1 / np.sqrt(variance + eps)).astype(input.dtype)


def _layer_norm(input: Array, normalized_shape: Any, weight: Any, bias: Any, eps: float) -> Any:
    mean, rstd = _moments(input, normalized_shape, eps)
    normal = (input.astype(np.float64) - mean) * rstd
    scaled = normal * (1 if weight is None else weight) + (0 if bias is None else bias)
    return scaled.astype(input.dtype), mean, rstd


def _backward_layer_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape in ((4,), (3, 4)):
        x, g = rng.standard_normal((2, 2, 3, 4))
        weight = rng.standard_normal(shape)
        moments = _moments(x, shape, 1e-5)
        # mean and rstd are functions of the input: finite differences that hold them fixed would mean nothing.
        yield Case((g, x, shape, *moments, weight, (True, True, True)), differentiable=False)
        yield Case((g, x, shape, *moments, None, (True, False, False)), differentiable=False)
        yield Case((g, x, shape, *moments, weight, (False, True, True)), differentiable=False)


def _layer_norm_backward(
    grad_out: Array, input: Array, normalized_shape: Any, mean: Array, rstd: Array, weight: Any, output_mask: Any
) -> Any:
    inner = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    outer = tuple(range(input.ndim - len(normalized_shape)))
    normal, h = (input - mean) * rstd, grad_out * (1 if weight is None else weight)
    average = h.mean(axis=inner, keepdims=True) + normal * (h * normal).mean(axis=inner, keepdims=True)
    found = (rstd * (h - average), (grad_out * normal).sum(axis=outer), grad_out.sum(axis=outer))
    return tuple(array if wanted else np.zeros(0) for array, wanted in zip(found, output_mask, strict=True))


def _torch_backward(
    grad_out: Any, input: Any, normalized_shape: Any, mean: Any, rstd: Any, weight: Any, output_mask: Any
) -> Any:
    import torch

    found = torch.ops.aten.native_layer_norm_backward(
        grad_out, input, normalized_shape, mean, rstd, weight, weight, output_mask
    )
    return tuple(
        array if wanted else torch.zeros(0, dtype=torch.float64)
        for array, wanted in zip(found, output_mask, strict=True)
    )


_X = np.ones((3, 4))
_LAYER_REFUSALS = (
    Refusal(
        (_X, (3,), None, None, 1e-5), RuntimeError, r"Given normalized_shape=\[3\], expected input with shape \[\*, 3\]"
    ),
    Refusal((_X, (), None, None, 1e-5), RuntimeError, "Expected normalized_shape to be at least 1-dimensional"),
    Refusal(
        (_X, (4,), np.ones(3), None, 1e-5), RuntimeError, "Expected weight to be of same shape as normalized_shape"
    ),
    Refusal((_X, (4,), None, np.ones(3), 1e-5), RuntimeError, "Expected bias to be of same shape as normalized_shape"),
    Refusal((_X, (4,), np.ones(4, np.float32), None, 1e-5), RuntimeError, "mixed dtype"),
    Refusal(
        (_X.astype(np.int64), (4,), None, None, 1e-5), NotImplementedError, '"LayerNormKernelImpl" not implemented'
    ),
)

SAMPLES: list[Sample] = [
    Sample("_softmax", _softmax, _cases, _refusals("softmax")),
    Sample("_log_softmax", _log_softmax, _cases, _refusals("log_softmax")),
    Sample("_softmax_backward_data", _softmax_backward, _backward_cases(_softmax), (_shapes(True),)),
    Sample("_log_softmax_backward_data", _log_softmax_backward, _backward_cases(_log_softmax), (_shapes(False),)),
    Sample("native_layer_norm", _layer_norm, _layer_norm_cases, _LAYER_REFUSALS, rtol=1e-4, differentiable_outputs=1),
    Sample(
        "native_layer_norm_backward",
        _layer_norm_backward,
        _backward_layer_cases,
        (
            Refusal(
                (_X, _X, (3,), _X, _X, None, (True, True, True)), RuntimeError, "Given normalized_shape", in_torch=False
            ),
            Refusal((_X, _X, (4,), _X, _X, None, (True,)), RuntimeError, "output_mask must have 3", in_torch=False),
        ),
        torch=_torch_backward,
        gradients_by_values=False,
    ),
]
