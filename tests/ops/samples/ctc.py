"""Samples of connectionist temporal classification."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Array = Any


def _log_probs(rng: np.random.Generator, *sizes: int) -> Array:
    scores = rng.standard_normal(sizes)
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


def _inputs(rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array, Array, int]]:
    """Yield samples with repeated labels, an empty target, too few steps, and none at all."""
    lengths, counts = np.array([4, 3, 4, 1, 0, 0]), np.array([2, 2, 0, 2, 0, 1])
    targets = np.array([[1, 2], [1, 1], [0, 0], [2, 1], [0, 0], [2, 2]])
    yield _log_probs(rng, 4, 6, 3), targets, lengths, counts, 0
    yield _log_probs(rng, 4, 6, 3), np.array([1, 0, 0, 0, 1, 0, 1]), lengths, counts, 2
    yield _log_probs(rng, 4, 2, 3).astype(np.float32), np.array([[1, 2, 1], [2, 1, 2]]), lengths[:2], counts[:2], 0
    yield _log_probs(rng, 4, 2, 3), np.zeros((2, 0), np.int32), lengths[:2].astype(np.int32), counts[2:5:2], 0


def _split(targets: Array, counts: Array) -> list[list[int]]:
    if targets.ndim == 2:
        return [list(row[:count]) for row, count in zip(targets, counts, strict=True)]
    ends = np.cumsum(counts)
    return [list(targets[end - count : end]) for end, count in zip(ends, counts, strict=True)]


def _reads(path: tuple[int, ...], blank: int) -> list[int]:
    return [label for label, _ in itertools.groupby(path) if label != blank]


def _ways(log_probs: Array, targets: Array, lengths: Array, counts: Array, blank: int) -> Iterator[Any]:
    """Yield (sample, path, its log probability) for each path that reads as its target."""
    for number, target in enumerate(_split(targets, counts)):
        steps = int(lengths[number])
        for path in itertools.product(range(log_probs.shape[2]), repeat=steps):
            if _reads(path, blank) == target:
                yield number, path, sum(log_probs[step, number, label] for step, label in enumerate(path))


def _loss(
    log_probs: Array, targets: Array, lengths: Array, counts: Array, blank: int = 0, zero_infinity: bool = False
) -> Array:
    """Sum over all paths."""
    total = np.zeros(log_probs.shape[1])
    for number, _, value in _ways(log_probs, targets, lengths, counts, blank):
        total[number] += np.exp(value)
    with np.errstate(divide="ignore"):
        return (-np.log(total)).astype(log_probs.dtype)


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    for log_probs, targets, lengths, counts, blank in _inputs(rng):
        # The gradient is by what log_probs is a log_softmax of.
        yield Case((log_probs, targets, lengths, counts, blank, True), differentiable=False)


def _backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    for log_probs, targets, lengths, counts, blank in _inputs(rng):
        g = rng.standard_normal(log_probs.shape[1]).astype(log_probs.dtype)
        loss = _loss(log_probs, targets, lengths, counts, blank)
        for zero_infinity in (False, True):
            yield Case((g, log_probs, targets, lengths, counts, loss, blank, zero_infinity), differentiable=False)


def _backward(
    grad: Array, log_probs: Array, targets: Array, lengths: Array, counts: Array, loss: Array, blank: int, zero: bool
) -> Array:
    share = np.zeros(log_probs.shape)
    for number, path, value in _ways(log_probs, targets, lengths, counts, blank):
        for step, label in enumerate(path):
            share[step, number, label] += np.exp(value + loss[number])
    out = (np.exp(log_probs) - share) * grad[:, None]
    out[:, np.isinf(loss)] = 0 if zero else np.nan
    out[np.arange(log_probs.shape[0])[:, None] >= lengths] = 0
    return out.astype(log_probs.dtype)


def _torch(log_probs: Any, targets: Any, lengths: Any, counts: Any, blank: Any, zero_infinity: Any) -> Any:
    import torch

    found = torch.ops.aten._ctc_loss.Tensor(log_probs, targets, lengths.long(), counts.long(), blank, zero_infinity)
    return found[0]


def _torch_backward(
    grad: Any, log_probs: Any, targets: Any, lengths: Any, counts: Any, loss: Any, blank: Any, zero: Any
) -> Any:
    import torch

    lengths, counts = lengths.long(), counts.long()
    loss, alpha = torch.ops.aten._ctc_loss.Tensor(log_probs, targets, lengths, counts, blank, zero)
    op = torch.ops.aten._ctc_loss_backward.Tensor
    return op(grad, log_probs, targets, lengths, counts, loss, alpha, blank, zero)


_P, _T, _L = np.zeros((4, 2, 3)), np.ones((2, 1), np.int64), np.array([4, 4])
_C = np.array([1, 1])
_REFUSALS = (
    Refusal((_P[0], _T, _L, _C), RuntimeError, r"log_probs must be of shape \(T, N, C\)", in_torch=False),
    Refusal((_P[:0], _T, _L, _C, 0, False), RuntimeError, "log_probs tensor must not be empty"),
    Refusal((_P.astype(int), _T, _L, _C, 0, False), NotImplementedError, "\"ctc_loss_cpu\" not implemented for 'Long'"),
    Refusal((_P, _T[None], _L, _C, 0, False), RuntimeError, "Expected 1 to 2 dimensions, but got 3-dimensional"),
    Refusal((_P, _T, _L, _C, 7, False), RuntimeError, "blank must be in label range"),
    Refusal((_P, _T, _L.astype(float), _C), RuntimeError, "input_lengths must be integral", in_torch=False),
    Refusal((_P, _T, _L[:1], _C, 0, False), RuntimeError, "input_lengths must be of size batch_size"),
    Refusal((_P, _T, _L, _C[:1], 0, False), RuntimeError, "target_lengths must be of size batch_size"),
    Refusal((_P, _T[:1], _L, _C, 0, False), RuntimeError, "to have size 2 at dimension 0, but got size 1"),
)

SAMPLES: list[Sample] = [
    Sample(
        "gw::ctc_loss",
        _loss,
        _cases,
        _REFUSALS,
        torch=_torch,
        gradients_by_values=False,
        second_order=False,
    ),
    Sample(
        "gw::ctc_loss_backward",
        _backward,
        _backward_cases,
        (
            Refusal(
                (_L[:1] * 1.0, _P, _T, _L, _C, _L * 1.0, 0, False),
                RuntimeError,
                "grad must be of size batch_size",
                in_torch=False,
            ),
        ),
        torch=_torch_backward,
        gradients_by_values=False,
        second_order=False,
    ),
]
