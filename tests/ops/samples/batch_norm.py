"""Samples of the batch, group and RMS normalizations. References: the formulas of torch.nn's documentation, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Array = Any
Cases = Callable[[np.random.Generator], Iterator[Case]]
DOUBLE, SINGLE, HALF = np.float64, np.float32, np.float16


def _wide(array: Array) -> Array:
    return np.asarray(array, DOUBLE)


def _affine(normal: Array, weight: Array, bias: Array, view: tuple[int, ...]) -> Array:
    scaled = normal if weight is None else normal * _wide(weight).reshape(view)
    return scaled if bias is None else scaled + _wide(bias).reshape(view)


def _made(arrays: tuple[Array, ...], output_mask: tuple[bool, ...]) -> tuple[Array, ...]:
    return tuple(array if wanted else np.zeros(0) for array, wanted in zip(arrays, output_mask, strict=True))


def _defined(op: str) -> Callable[..., Any]:
    """Return PyTorch's op, its undefined results as empty vectors. Its group norm takes contiguous inputs only."""

    def call(input: Any, *args: Any) -> Any:
        import torch

        found = getattr(torch.ops.aten, op)(input.contiguous(), *args)
        return tuple(torch.zeros(0, dtype=torch.float64) if array is None else array for array in found)

    return call


def _torch_group_backward(*args: Any) -> Any:
    """PyTorch's kernel trips over a mask, and over no weight."""
    *tensors, weight, N, C, HxW, group, output_mask = args
    weight = tensors[0].new_ones(C) if weight is None else weight
    found = _defined("native_group_norm_backward")(*tensors, weight, N, C, HxW, group, (True, True, True))
    return tuple(array if wanted else array.new_zeros(0) for array, wanted in zip(found, output_mask, strict=True))


# ---------------------------------------------------------------- batch norm
def _view(input: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the axes of the moments of a batch, and the shape in which those broadcast."""
    return (0, *range(2, input.ndim)), (1, -1, *(1,) * (input.ndim - 2))


def _normal(input: Array, mean: Array, variance: Array, eps: float) -> tuple[Array, Array]:
    _, view = _view(input)
    rstd = 1 / np.sqrt(_wide(variance) + eps)
    return (_wide(input) - _wide(mean).reshape(view)) * rstd.reshape(view), rstd


def _cast(arrays: tuple[Array, ...], input: Array, *parameters: Array) -> tuple[Array, ...]:
    dtype = next((parameter.dtype for parameter in parameters if parameter is not None), input.dtype)
    return (arrays[0].astype(input.dtype), *(array.astype(dtype) for array in arrays[1:]))


def _by_batch(input: Array, weight: Array, bias: Array, training: bool, momentum: float, eps: float) -> Any:
    axes, view = _view(input)
    mean, variance = _wide(input).mean(axes), _wide(input).var(axes)
    normal, rstd = _normal(input, mean, variance, eps)
    return _cast((_affine(normal, weight, bias, view), mean, rstd), input, weight, bias)


def _updating(
    input: Array, weight: Array, bias: Array, running_mean: Array, running_var: Array, training: bool, momentum: float,
    eps: float,
) -> Any:  # fmt: skip
    axes, _ = _view(input)
    out, mean, rstd = _by_batch(input, weight, bias, True, momentum, eps)
    new_mean = (1 - momentum) * running_mean + momentum * _wide(input).mean(axes)
    new_var = (1 - momentum) * running_var + momentum * _wide(input).var(axes, ddof=1)
    return _cast((out, mean, rstd, new_mean, new_var), input, running_mean)


def _by_running(
    input: Array, weight: Array, bias: Array, running_mean: Array, running_var: Array, momentum: float, eps: float
) -> Any:
    normal, _ = _normal(input, running_mean, running_var, eps)
    found = _affine(normal, weight, bias, _view(input)[1])
    return _cast((found, np.zeros(0), np.zeros(0)), input, running_mean)


def _batches(rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array, Array, Array]]:
    """Yield inputs with weight, bias, running mean and running variance."""
    for shape, dtype, parameter in (
        ((4, 3), DOUBLE, DOUBLE),
        ((2, 3, 4), DOUBLE, DOUBLE),
        ((2, 3, 2, 2), SINGLE, SINGLE),
        ((1, 2, 3, 1, 2), DOUBLE, DOUBLE),
        ((5, 2, 3), HALF, SINGLE),
        ((3000, 2), SINGLE, SINGLE),
    ):
        rows = rng.standard_normal((4, shape[1])).astype(parameter)
        yield rng.standard_normal(shape).astype(dtype) + dtype(1), *rows[:3], np.abs(rows[3]) + parameter(0.5)
    wide = rng.standard_normal((3, 5, 4)).transpose(0, 2, 1)
    yield wide, np.ones(4), np.zeros(4), np.zeros(4), np.ones(4)


def _by_batch_cases(rng: np.random.Generator) -> Iterator[Case]:
    for number, (input, weight, bias, *_) in enumerate(_batches(rng)):
        yield Case((input, weight, None if number == 3 else bias, True, 0.1, 1e-5))
    yield Case((rng.standard_normal((4, 3)), None, None, True, 0.1, 1e-3))
    yield Case((rng.standard_normal((4, 3)), None, np.ones(3), True, 0.1, 1e-3))
    yield Case((np.full((4, 3), 100.0, np.float32), None, None, True, 0.1, 1e-5))


def _updating_cases(rng: np.random.Generator) -> Iterator[Case]:
    for momentum, (input, *rest) in zip((0.1, 0.0, 1.0, 0.3, 0.5, 0.1, 0.1), _batches(rng), strict=True):
        yield Case((input, *rest, True, momentum, 1e-5))


def _by_running_cases(rng: np.random.Generator) -> Iterator[Case]:
    for input, *rest in _batches(rng):
        yield Case((input, *rest, 0.1, 1e-5))
    yield Case((np.ones((2, 3)), None, None, np.zeros(3), np.ones(3), 0.1, 1e-5))


def _backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape in ((4, 3), (2, 3, 4), (2, 3, 2, 2)):
        g, x = rng.standard_normal((2, *shape))
        weight, running_mean, running_var = np.abs(rng.standard_normal((3, 3))) + 0.1
        _, mean, rstd = _by_batch(x, None, None, True, 0.1, 1e-5)
        # The moments are functions of the input: finite differences that hold them fixed would mean nothing.
        for given, mask in ((weight, (True,) * 3), (None, (True, False, True)), (weight, (False, True, True))):
            arguments = (g, x, given, None, None, mean, rstd, True, 1e-5, mask)
            # PyTorch's second gradient trips over a bias without a weight.
            yield Case(arguments, differentiable=False, torch_gradient=given is not None)
        yield Case((g, x, weight, running_mean, running_var, None, None, False, 1e-5, (True, True, True)))
        yield Case((g, x, None, running_mean, running_var, None, None, False, 1e-5, (True, False, False)))


def _batch_backward(
    grad_out: Array, input: Array, weight: Array, running_mean: Array, running_var: Array, save_mean: Array,
    save_invstd: Array, train: bool, eps: float, output_mask: tuple[bool, ...],
) -> Any:  # fmt: skip
    axes, view = _view(input)
    rstd = (save_invstd if train else 1 / np.sqrt(running_var + eps)).reshape(view)
    normal = (input - (save_mean if train else running_mean).reshape(view)) * rstd
    h = grad_out * (1 if weight is None else weight.reshape(view))
    average = h.mean(axes, keepdims=True) + normal * (h * normal).mean(axes, keepdims=True)
    found = rstd * (h - average) if train else rstd * h
    return _made((found, (grad_out * normal).sum(axes), grad_out.sum(axes)), output_mask)


# PyTorch's native ops do not check the sizes of parameters (they write beyond them); its batch_norm does.
_X, _V = np.ones((3, 4, 2)), np.ones(3)
_MOVED = (True, 0.1, 1e-5)
_BATCH_REFUSALS = (
    Refusal((np.ones(4), None, None, *_MOVED), IndexError, "Dimension out of range"),
    Refusal((_X, _V, None, *_MOVED), RuntimeError, "weight should contain 4 elements", in_torch=False),
    Refusal((_X, None, _V, *_MOVED), RuntimeError, "bias should contain 4 elements", in_torch=False),
    Refusal((_X.astype(np.int64), None, None, *_MOVED), NotImplementedError, '"batch_norm" not implemented for'),
    Refusal((np.ones((0, 4)), None, None, *_MOVED), RuntimeError, "must have at least one element"),
    Refusal(
        (_X.astype(SINGLE), np.ones(4), None, *_MOVED), RuntimeError, "mixed dtype .CPU.: expect parameter to have"
    ),
    Refusal((_X, np.ones(4, SINGLE), None, *_MOVED), RuntimeError, "mixed dtype .CPU.: all inputs must share"),
    Refusal((_X, None, None, False, 0.1, 1e-5), RuntimeError, "must be defined in evaluation", in_torch=False),
)
_RUNNING_REFUSALS = (
    Refusal((_X, None, None, _V, np.ones(4), 0.1, 1e-5), RuntimeError, "running_mean should contain 4", in_torch=False),
    Refusal((_X, None, None, np.ones(4), _V, 0.1, 1e-5), RuntimeError, "running_var should contain 4", in_torch=False),
)
_UPDATING_REFUSALS = (
    Refusal((_X, None, None, _V, np.ones(4), *_MOVED), RuntimeError, "running_mean should contain 4", in_torch=False),
    Refusal((_X, None, None, *(np.ones(4),) * 2, False, 0.1, 1e-5), RuntimeError, "in training only", in_torch=False),
)
_BACKWARD_REFUSALS = (
    Refusal(
        (_X, _X, None, None, None, None, None, True, 1e-5, (True,) * 3), RuntimeError, "needs save_mean", in_torch=False
    ),
    Refusal(
        (_X, _X, None, None, None, None, None, False, 1e-5, (True,) * 3),
        RuntimeError,
        "needs running_mean",
        in_torch=False,
    ),
)


# ---------------------------------------------------------------- running statistics
def _store_cases(rng: np.random.Generator) -> Iterator[Case]:
    for dtype in (SINGLE, DOUBLE):
        self = [np.zeros(3, dtype), np.ones((2, 2), dtype)]
        yield Case((self, [rng.standard_normal(3), rng.standard_normal((2, 2)).astype(dtype)]), differentiable=False)


def _store(self: list[Array], source: list[Array]) -> Any:
    return [given.astype(into.dtype) for into, given in zip(self, source, strict=True)]


_STORE_REFUSALS = (
    Refusal(([_V], []), RuntimeError, "a source for each tensor", in_torch=False),
    Refusal(([_V], [np.ones(4)]), RuntimeError, "as many elements as it writes", in_torch=False),
)


# ---------------------------------------------------------------- group norm
def _group_norm(
    input: Array, weight: Array, bias: Array, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Array, ...]:
    rows = _wide(input).reshape(N, group, -1)
    mean, rstd = rows.mean(2), 1 / np.sqrt(rows.var(2) + eps)
    normal = ((rows - mean[:, :, None]) * rstd[:, :, None]).reshape(N, C, HxW)
    found = _affine(normal, weight, bias, (1, C, 1)).reshape(input.shape)
    return _cast((found, mean, rstd), input, weight, bias)


def _group_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape, group, dtype in (((2, 4, 3), 2, DOUBLE), ((3, 4), 2, DOUBLE), ((2, 6, 2, 2), 3, SINGLE)):
        weight, bias = rng.standard_normal((2, shape[1])).astype(dtype)
        sizes = (shape[0], shape[1], int(np.prod(shape[2:])), group)
        yield Case((rng.standard_normal(shape).astype(dtype), weight, bias, *sizes, 1e-5))
    yield Case((rng.standard_normal((2, 4, 3)), None, None, 2, 4, 3, 4, 1e-3))
    yield Case((rng.standard_normal((2, 4, 3)), np.ones(4), None, 2, 4, 3, 1, 1e-3))
    # PyTorch's gradient trips over a bias without a weight.
    swapped = rng.standard_normal((2, 3, 4)).transpose(0, 2, 1)
    yield Case((swapped, None, np.ones(4), 2, 4, 3, 2, 1e-5), torch_gradient=False)
    yield Case((rng.standard_normal((2, 4, 3)).astype(HALF), np.ones(4, SINGLE), None, 2, 4, 3, 2, 1e-5))


def _group_backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    g, x = rng.standard_normal((2, 2, 4, 3))
    weight = rng.standard_normal(4)
    _, mean, rstd = _group_norm(x, None, None, 2, 4, 3, 2, 1e-5)
    for given, mask in ((weight, (True,) * 3), (None, (True, False, True)), (weight, (False, True, True))):
        yield Case((g, x, mean, rstd, given, 2, 4, 3, 2, mask), differentiable=False, torch_gradient=given is not None)


def _group_backward(
    grad_out: Array, input: Array, mean: Array, rstd: Array, weight: Array, N: int, C: int, HxW: int, group: int,
    output_mask: tuple[bool, ...],
) -> Any:  # fmt: skip
    layout = (N, group, C // group, HxW)
    scale = rstd[:, :, None, None]
    normal = (input.reshape(layout) - mean[:, :, None, None]) * scale
    h = (grad_out.reshape(N, C, HxW) * (1 if weight is None else weight[:, None])).reshape(layout)
    average = h.mean((2, 3), keepdims=True) + normal * (h * normal).mean((2, 3), keepdims=True)
    by_weight = (grad_out * normal.reshape(grad_out.shape)).reshape(N, C, HxW).sum((0, 2))
    by_bias = grad_out.reshape(N, C, HxW).sum((0, 2))
    return _made(((scale * (h - average)).reshape(input.shape), by_weight, by_bias), output_mask)


_GROUP_REFUSALS = (
    Refusal((_X, None, None, 3, 4, 2, 3, 1e-5), RuntimeError, "to be divisible by num_groups"),
    Refusal((_X, None, None, 3, 4, 2, 0, 1e-5), RuntimeError, "to be greater than 0"),
    Refusal((_X, _V, None, 3, 4, 2, 2, 1e-5), RuntimeError, "Expected weight to be a vector of size"),
    Refusal((_X, None, _V, 3, 4, 2, 2, 1e-5), RuntimeError, "Expected bias to be a vector of size"),
    Refusal((_X, None, None, 3, 4, 5, 2, 1e-5), RuntimeError, "N . C . HxW elements", in_torch=False),
)


# ---------------------------------------------------------------- RMS norm
def _rms_norm(input: Array, normalized_shape: tuple[int, ...], weight: Array, eps: float) -> Any:
    axes = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    rstd = 1 / np.sqrt((_wide(input) ** 2).mean(axes, keepdims=True) + eps)
    found = _wide(input) * rstd * (1 if weight is None else _wide(weight))
    return found.astype(input.dtype), rstd.astype(SINGLE if input.dtype == HALF else input.dtype)


def _rms_cases(rng: np.random.Generator) -> Iterator[Case]:
    for dtype in (DOUBLE, SINGLE, HALF):
        x = rng.standard_normal((2, 3, 4)).astype(dtype)
        yield Case((x, (4,), np.arange(1, 5, dtype=dtype), 1e-5))
        yield Case((x, (3, 4), None, 1e-3))
    yield Case((rng.standard_normal(5), (5,), np.arange(5.0), 1e-5))
    yield Case((rng.standard_normal((4, 3)).T, (4,), np.ones(4), 1e-5))


def _rms_backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape in ((4,), (3, 4)):
        g, x = rng.standard_normal((2, 2, 3, 4))
        weight = rng.standard_normal(shape)
        rstd = _rms_norm(x, shape, None, 1e-5)[1]
        yield Case((g, x, shape, rstd, weight, (True, True)), differentiable=False)
        yield Case((g, x, shape, rstd, None, (True, False)), differentiable=False)


def _rms_backward(
    grad_out: Array, input: Array, normalized_shape: tuple[int, ...], rstd: Array, weight: Array,
    output_mask: tuple[bool, ...],
) -> Any:  # fmt: skip
    inner = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    outer = tuple(range(input.ndim - len(normalized_shape)))
    normal, h = input * rstd, grad_out * (1 if weight is None else weight)
    found = rstd * (h - normal * (h * normal).mean(inner, keepdims=True))
    return _made((found, (grad_out * normal).sum(outer)), output_mask)


def _torch_rms_norm(input: Any, normalized_shape: tuple[int, ...], weight: Any, eps: float) -> Any:
    """PyTorch has the fused kernels on GPUs only."""
    import torch

    axes = tuple(range(-len(normalized_shape), 0))
    rstd = (input.to(torch.promote_types(input.dtype, torch.float32)).pow(2).mean(axes, True) + eps).rsqrt()
    return torch.rms_norm(input, normalized_shape, weight, eps), rstd


def _torch_rms_backward(
    grad_out: Any, input: Any, normalized_shape: tuple[int, ...], rstd: Any, weight: Any, output_mask: tuple[bool, ...]
) -> Any:
    inner, outer = tuple(range(-len(normalized_shape), 0)), tuple(range(input.ndim - len(normalized_shape)))
    rstd = (input.pow(2).mean(inner, True) + 1e-5).rsqrt()
    normal, h = input * rstd, grad_out if weight is None else grad_out * weight
    found = rstd * (h - normal * (h * normal).mean(inner, True)), (grad_out * normal).sum(outer)
    return tuple(array if wanted else array.new_zeros(0) for array, wanted in zip(found, output_mask, strict=True))


_RMS_REFUSALS = (
    Refusal((_X, (3,), None, 1e-5), RuntimeError, "Given normalized_shape=.3., expected input with", in_torch=False),
    Refusal((_X, (2,), _V, 1e-5), RuntimeError, "Expected weight to be of same shape", in_torch=False),
)

SAMPLES: list[Sample] = [
    Sample("_native_batch_norm_legit.no_stats", _by_batch, _by_batch_cases, _BATCH_REFUSALS, rtol=2e-3, atol=1e-3,
           differentiable_outputs=1),
    Sample("_native_batch_norm_legit_functional", _updating, _updating_cases, _UPDATING_REFUSALS, rtol=2e-3, atol=1e-3,
           differentiable_outputs=1),
    Sample("_native_batch_norm_legit_no_training", _by_running, _by_running_cases, _RUNNING_REFUSALS, rtol=2e-3,
           atol=1e-3, differentiable_outputs=1),
    Sample("native_batch_norm_backward", _batch_backward, _backward_cases, _BACKWARD_REFUSALS,
           torch=_defined("native_batch_norm_backward")),
    Sample("gw::store_statistics_", _store, _store_cases, _STORE_REFUSALS),
    Sample("native_group_norm", _group_norm, _group_cases, _GROUP_REFUSALS, rtol=2e-3, atol=1e-3,
           torch=_defined("native_group_norm")),
    Sample("native_group_norm_backward", _group_backward, _group_backward_cases,
           torch=_torch_group_backward, gradients_by_values=False),
    Sample("_fused_rms_norm", _rms_norm, _rms_cases, _RMS_REFUSALS, rtol=2e-3, atol=1e-3, differentiable_outputs=1,
           torch=_torch_rms_norm),
    Sample("_fused_rms_norm_backward", _rms_backward, _rms_backward_cases, torch=_torch_rms_backward,
           gradients_by_values=False),
]  # fmt: skip
