"""Samples of the loss family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Array = Any
IGNORED = -100


def _reduce(loss: Array, reduction: int) -> Array:
    with np.errstate(invalid="ignore"):
        return (
            loss
            if reduction == 0
            else np.asarray(loss.sum() / (np.float64(loss.size) if reduction == 1 else 1)).astype(loss.dtype)
        )


# ---------------------------------------------------------------- negative log likelihood
def _nll_inputs(rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array | None, int]]:
    scores = -rng.random((5, 4)) - 0.1
    target = rng.integers(0, 4, 5)
    weight = rng.random(4) + 0.5
    yield scores, target, None, IGNORED
    yield scores, target, weight, IGNORED
    yield scores, target, weight, int(target[0])
    yield scores, np.array([0, IGNORED, 3, IGNORED, 1]), weight, IGNORED
    yield scores.astype(np.float32), target.astype(np.uint8), None, IGNORED
    yield scores[0], np.asarray(2), weight, IGNORED
    yield scores[0], np.asarray([1]), None, IGNORED
    yield scores[:0], target[:0], None, IGNORED
    yield scores, np.full(5, IGNORED), None, IGNORED
    yield np.asfortranarray(scores), target, None, IGNORED


def _nll2d_inputs(rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array | None, int]]:
    scores, target = -rng.random((2, 3, 2, 4)) - 0.1, rng.integers(0, 3, (2, 2, 4))
    yield scores, target, None, IGNORED
    yield scores, target, rng.random(3) + 0.5, 1
    yield scores.astype(np.float32), target, None, 2


def _nll_cases(inputs: Any) -> Callable[..., Iterator[Case]]:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for scores, target, weight, ignore_index in inputs(rng):
            for reduction in (0, 1, 2):
                # The mean of nothing is NaN.
                some = bool((target != ignore_index).any())
                # PyTorch's backward refuses the target of one element that its forward takes for a vector.
                theirs = scores.ndim > 1 or target.ndim == 0
                yield Case(
                    (scores, target, weight, reduction, ignore_index), differentiable=some, torch_gradient=theirs
                )

    return cases


def _weights(rows: Array, given: Array, weight: Array | None, ignore_index: int) -> Array:
    counts = given != ignore_index
    found = np.ones(given.shape) if weight is None else weight[np.where(counts, given, 0)]
    return np.where(counts, found, 0).astype(rows.dtype)


def _batch(self: Array, target: Array) -> tuple[Array, Array]:
    rows = self if self.ndim > 1 else self[None]
    return rows, target.astype(np.int64).reshape((rows.shape[0], *rows.shape[2:]))


def _nll(self: Array, target: Array, weight: Array | None, reduction: int, ignore_index: int) -> tuple[Array, Array]:
    rows, given = _batch(self, target)
    weights, loss = _weights(rows, given, weight, ignore_index), np.zeros(given.shape, self.dtype)
    for place in np.ndindex(given.shape):
        if given[place] != ignore_index:
            loss[place] = -weights[place] * rows[(place[0], given[place], *place[1:])]
    total = np.asarray(weights.sum())
    if reduction == 0 and self.ndim > 1:
        return loss, np.zeros((), self.dtype)
    with np.errstate(invalid="ignore"):
        return np.asarray(loss.sum() / (total if reduction == 1 else 1)), total


def _nll_backward_cases(inputs: Any) -> Callable[..., Iterator[Case]]:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for scores, target, weight, ignore_index in inputs(rng):
            if scores.ndim == target.ndim:
                continue  # ATen's loss takes one target for one sample; its gradient does not
            for reduction in (0, 1, 2):
                output, total = _nll(scores, target, weight, reduction, ignore_index)
                g = np.asarray(rng.standard_normal(output.shape)).astype(scores.dtype)
                some = bool((target != ignore_index).any())
                yield Case((g, scores, target, weight, reduction, ignore_index, total), differentiable=some)

    return cases


def _nll_backward(
    grad_output: Array,
    self: Array,
    target: Array,
    weight: Array | None,
    reduction: int,
    ignore_index: int,
    total_weight: Array,
) -> Array:
    rows, given = _batch(self, target)
    weights, found = _weights(rows, given, weight, ignore_index), np.zeros_like(rows, order="C")
    for place in np.ndindex(given.shape):
        if given[place] != ignore_index:
            g = grad_output[place] if grad_output.ndim else grad_output / (total_weight if reduction == 1 else 1)
            found[(place[0], given[place], *place[1:])] = -weights[place] * g
    return found.reshape(self.shape)


_SCORES, _TARGET, _IMAGES = np.ones((3, 4)), np.zeros(3, np.int64), np.ones((1, 3, 2, 2))
_POINTS = np.zeros((1, 2, 2), np.int64)


def _nll_refused(words: str, *arguments: Any, error: type[Exception] = RuntimeError) -> Refusal:
    return Refusal((*arguments, 1, IGNORED), error, words)


_NLL_REFUSALS = (
    _nll_refused("input tensor should be 1D or 2D", np.ones((1, 3, 4)), _TARGET, None),
    _nll_refused("0D or 1D target tensor expected, multi-target not supported", _SCORES, _TARGET[:, None], None),
    _nll_refused(r"size mismatch \(got input: \[3, 4\], target: \[2\]\)", _SCORES, _TARGET[:2], None),
    _nll_refused(
        "For 1D input, 1D target must have size 1, but got target size: 3", _SCORES[0], _TARGET, None, error=ValueError
    ),
    _nll_refused("expected target dtype to be Long or Byte, but got Int", _SCORES, _TARGET.astype(np.int32), None),
    _nll_refused(
        "weight tensor should be defined either for all 4 classes or no classes", _SCORES, _TARGET, np.ones(3)
    ),
    _nll_refused("expected scalar type Double but found Float", _SCORES, _TARGET, np.ones(4, np.float32)),
    _nll_refused(
        "\"nll_loss_out_frame\" not implemented for 'Long'",
        _SCORES.astype(np.int64),
        _TARGET,
        None,
        error=NotImplementedError,
    ),
    Refusal((_SCORES, _TARGET, None, 3, IGNORED), ValueError, "3 is not a valid value for reduction", in_torch=False),
    # Found by the kernel, since the values decide.
    _nll_refused("Target 4 is out of bounds.", _SCORES, _TARGET + 4, None, error=IndexError),
    _nll_refused("Target -1 is out of bounds.", _SCORES, _TARGET - 1, None, error=IndexError),
)
_NLL2D_REFUSALS = (
    _nll_refused(
        r"only batches of spatial inputs supported \(4D tensors\), but got input of dimension: 3",
        _IMAGES[0],
        _POINTS,
        None,
    ),
    _nll_refused(
        r"only batches of spatial targets supported \(3D tensors\) but got targets of dimension: 2",
        _IMAGES,
        _POINTS[0],
        None,
    ),
    _nll_refused("weight tensor should be defined either for all or no classes", _IMAGES, _POINTS, np.ones(4)),
    _nll_refused(r"size mismatch \(got input: \[1, 3, 2, 2\] , target: \[1, 2, 1\]", _IMAGES, _POINTS[..., :1], None),
    _nll_refused("Target 3 is out of bounds.", _IMAGES, _POINTS + 3, None, error=IndexError),
)


# ---------------------------------------------------------------- losses of a difference
def _pairs(rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    x, y = 2 * rng.standard_normal((2, 3, 4))
    yield x, y
    yield x, y[0]
    yield x.T, y.T
    yield x.astype(np.float32), y
    yield x.astype(np.float32), np.ones((3, 4), np.int64)
    yield np.asarray(1.5), np.asarray(-0.2)
    yield x[:0], y[:0]


def _difference_cases(*parameters: float) -> Callable[..., Iterator[Case]]:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for self, target in _pairs(rng):
            for reduction in (0, 1, 2):
                # PyTorch divides a broadcast mean by the wrong count in its gradient; F.mse_loss broadcasts before.
                yield Case((self, target, reduction, *parameters), torch_gradient=self.shape == target.shape)

    return cases


def _difference_backward_cases(*parameters: float) -> Callable[..., Iterator[Case]]:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for self, target in _pairs(rng):
            if self.shape == target.shape and self.dtype == target.dtype:
                yield Case((rng.standard_normal(self.shape), self, target, 0, *parameters))
                yield Case((np.asarray(0.7), self, target, 1, *parameters))
                yield Case((np.asarray(-1.3), self, target, 2, *parameters))

    return cases


def _difference(self: Array, target: Array) -> Array:
    return self - target.astype(np.float32 if target.dtype.kind == "i" else target.dtype)


def _loss(value: Callable[..., Array]) -> Callable[..., Array]:
    def reference(self: Array, target: Array, reduction: int = 1, *parameters: float) -> Array:
        d = _difference(self, target)
        return _reduce(np.asarray(value(d, *parameters), d.dtype), reduction)

    return reference


def _slope(slope: Callable[..., Array]) -> Callable[..., Array]:
    def reference(grad_output: Array, self: Array, target: Array, reduction: int, *parameters: float) -> Array:
        g = grad_output / max(self.size, 1) if reduction == 1 else grad_output
        return np.asarray(slope(self - target, *parameters) * g)

    return reference


def _smooth_l1(d: Array, beta: float) -> Array:
    return np.where(abs(d) < beta, d * d / (2 * beta), abs(d) - beta / 2)


def _huber(d: Array, delta: float) -> Array:
    return np.where(abs(d) <= delta, d * d / 2, delta * (abs(d) - delta / 2))


def _same_dtypes(cases: Any) -> Callable[..., Iterator[Case]]:
    """Leave out the mixed dtypes: ATen's `huber_loss` has an untidy rule for those."""
    return lambda rng: (case for case in cases(rng) if case.args[0].dtype == case.args[1].dtype)


def _difference_refusals(kernel: str, *parameters: float) -> tuple[Refusal, ...]:
    x, whole = np.ones((3, 4)), np.ones((3, 4), np.int64)
    return (
        Refusal(
            (x, np.ones(2), 1, *parameters),
            RuntimeError,
            r"The size of tensor a \(4\) must match the size of tensor b \(2\)",
        ),
        Refusal((whole, whole, 1, *parameters), NotImplementedError, f"\"{kernel}\" not implemented for 'Long'"),
        Refusal((x, x, 7, *parameters), ValueError, "7 is not a valid value for reduction", in_torch=False),
    )


def _difference_samples(
    name: str, kernel: str, value: Any, slope: Any, *parameters: float, bad: str = "", same: bool = False
) -> list[Sample]:
    cases = _difference_cases(*parameters)
    x = np.ones(3)
    refused = (Refusal((x, x, 1, -1.0), RuntimeError, bad),) if bad else ()
    return [
        Sample(
            name,
            _loss(value),
            _same_dtypes(cases) if same else cases,
            (*_difference_refusals(kernel, *parameters), *refused),
        ),
        Sample(
            f"{name}_backward",
            _slope(slope),
            _difference_backward_cases(*parameters),
            (
                Refusal(
                    (x, x, np.ones(2), 1, *parameters), RuntimeError, "must match the size of tensor", in_torch=False
                ),
            ),
        ),
    ]


# ---------------------------------------------------------------- binary cross entropy
def _logit_cases(rng: np.random.Generator) -> Iterator[Case]:
    x, y = 3 * rng.standard_normal((3, 4)), rng.random((3, 4))
    weight, positive = rng.random(4) + 0.5, rng.random(4) + 0.5
    for reduction in (0, 1, 2):
        yield Case((x, y, None, None, reduction))
        yield Case((x, y, weight, positive, reduction))
    yield Case((x.T, y.T, None, None, 1))
    yield Case((x, y, None, positive, 1))
    yield Case((x.astype(np.float32), y.astype(np.float32), weight[:1].astype(np.float32), None, 1))
    yield Case((np.asarray(0.3), np.asarray(1.0), None, None, 0))
    yield Case((np.array([1000.0, -1000.0]), np.array([1.0, 1.0]), None, None, 0), differentiable=False)
    yield Case((x[:0], y[:0], None, None, 2))


def _with_logits(self: Array, target: Array, weight: Any, pos_weight: Any, reduction: int) -> Array:
    positive = 1 if pos_weight is None else pos_weight
    loss = (1 - target) * np.logaddexp(0, self) + positive * target * np.logaddexp(0, -self)
    return _reduce(np.asarray(loss if weight is None else loss * weight, self.dtype), reduction)


def _probability_cases(rng: np.random.Generator) -> Iterator[Case]:
    x, y, weight = rng.random((3, 4)) * 0.8 + 0.1, rng.random((3, 4)), rng.random(4) + 0.5
    for reduction in (0, 1, 2):
        yield Case((x, y, None, reduction))
        yield Case((x.T, y.T, weight[:3], reduction))
    yield Case((x.astype(np.float32), y.astype(np.float32), None, 1))
    yield Case((np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0]), None, 0), differentiable=False)


def _cross_entropy(self: Array, target: Array, weight: Any, reduction: int) -> Array:
    with np.errstate(divide="ignore"):
        logs, others = np.maximum(np.log(self), -100), np.maximum(np.log(1 - self), -100)
    loss = -(target * logs + (1 - target) * others)
    return _reduce(loss if weight is None else loss * weight, reduction)


def _cross_entropy_backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    for case in _probability_cases(rng):
        self, target, weight, reduction = case.args
        if case.differentiable and self.dtype == np.float64:
            g = rng.standard_normal(self.shape if reduction == 0 else ())
            yield Case((np.asarray(g), self, target, weight, reduction))


def _cross_entropy_backward(grad_output: Array, self: Array, target: Array, weight: Any, reduction: int) -> Array:
    g = grad_output * (1 if weight is None else weight) * (self - target) / (self * (1 - self))
    return g / self.size if reduction == 1 else g


_X = np.full((3, 4), 0.5)
_WHOLE = np.ones((3, 4), np.int64)

SAMPLES: list[Sample] = [
    Sample("nll_loss_forward", _nll, _nll_cases(_nll_inputs), _NLL_REFUSALS),
    Sample("nll_loss2d_forward", _nll, _nll_cases(_nll2d_inputs), _NLL2D_REFUSALS),
    Sample(
        "nll_loss_backward",
        _nll_backward,
        _nll_backward_cases(_nll_inputs),
        (
            Refusal(
                (np.ones(2), _SCORES, _TARGET, None, 0, IGNORED, np.ones(())),
                RuntimeError,
                r"must have shape \[3\]",
                in_torch=False,
            ),
        ),
    ),
    Sample(
        "nll_loss2d_backward",
        _nll_backward,
        _nll_backward_cases(_nll2d_inputs),
        (
            Refusal(
                (np.ones(2), _IMAGES, _POINTS, None, 0, IGNORED, np.ones(())),
                RuntimeError,
                r"must have shape \[1, 2, 2\]",
                in_torch=False,
            ),
        ),
    ),
    *_difference_samples("mse_loss", "mse_cpu", lambda d: d * d, lambda d: 2 * d),
    *_difference_samples(
        "smooth_l1_loss",
        "smooth_l1_cpu",
        _smooth_l1,
        lambda d, beta: np.clip(d / beta, -1, 1),
        0.7,
        bad="smooth_l1_loss does not support negative values for beta",
    ),
    *_difference_samples(
        "huber_loss",
        "huber_cpu",
        _huber,
        lambda d, delta: np.clip(d, -delta, delta),
        1.3,
        bad="huber_loss does not support non-positive values for delta",
        same=True,
    ),
    Sample(
        "binary_cross_entropy_with_logits",
        _with_logits,
        _logit_cases,
        (
            Refusal(
                (_X, _X[0], None, None, 1),
                RuntimeError,
                r"output with shape \[4\] doesn't match the broadcast shape \[3, 4\]",
            ),
            Refusal(
                (_WHOLE, _WHOLE, None, None, 1), NotImplementedError, "\"log_sigmoid_cpu\" not implemented for 'Long'"
            ),
            Refusal((_X, _X, None, np.ones(3), 1), RuntimeError, "must match the size of tensor"),
        ),
    ),
    Sample(
        "binary_cross_entropy",
        _cross_entropy,
        _probability_cases,
        (
            Refusal((_X, _X.astype(np.float32), None, 1), RuntimeError, "Found dtype Float but expected Double"),
            Refusal(
                (_WHOLE, _WHOLE, None, 1), NotImplementedError, "\"binary_cross_entropy\" not implemented for 'Long'"
            ),
            Refusal((_X + 1, _X, None, 1), RuntimeError, "all elements of input should be between 0 and 1"),
            Refusal((_X, _X - 1, None, 1), RuntimeError, "all elements of target should be between 0 and 1"),
        ),
    ),
    Sample(
        "binary_cross_entropy_backward",
        _cross_entropy_backward,
        _cross_entropy_backward_cases,
        (Refusal((np.ones(2), _X, _X, None, 0), RuntimeError, "must match the size of tensor", in_torch=False),),
    ),
]
