"""Samples of the embedding family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Array = Any
LOOKUPS = (np.array([[1, 3], [3, 0]]), np.array(2, np.int32), np.zeros((0, 2), np.int64), np.array([1, 1, 1]))
WEIGHT = np.zeros((4, 3))
IDS = np.array([0, 1, 2])
BAGS = np.array([0, 2])


# ---------------------------------------------------------------- one by one
def _embedding_cases(rng: np.random.Generator) -> Iterator[Case]:
    for indices in LOOKUPS:
        for padding in (-1, 1):
            # The gradient of the padding row is zero by definition, not by mathematics.
            yield Case((rng.standard_normal((4, 3)), indices, padding), differentiable=padding < 0)
    yield Case((rng.standard_normal((4, 3)), LOOKUPS[0], -1, True), differentiable=False)
    yield Case((rng.standard_normal((3, 4)).T, np.array([0, 2])))
    yield Case((rng.standard_normal((4, 9)).astype(np.float32), np.array([0, 2])))


def _backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    for width in (3, 9):
        for indices in LOOKUPS:
            # float32 where there are no indices, since there PyTorch's gradient fails in a reshape.
            dtype = np.float64 if indices.size else np.float32
            for padding in (-1, 1):
                g = rng.standard_normal((*indices.shape, width)).astype(dtype)
                yield Case((g, indices, 4, padding, False))
    # PyTorch's second gradient has no regard to the frequencies.
    yield Case((rng.standard_normal((3, 3)), LOOKUPS[3], 4, -1, True), differentiable=False)
    yield Case((rng.standard_normal((2, 3)).astype(np.float16), np.array([1, 1]), 4, -1, False))


def _backward(grad_output: Array, indices: Array, num_weights: int, padding_idx: int, by_freq: bool) -> Array:
    out = np.zeros((num_weights, grad_output.shape[-1]), np.float64)
    np.add.at(out, indices[indices != padding_idx], grad_output[indices != padding_idx])
    if by_freq:
        out /= np.maximum(np.bincount(indices.reshape(-1), minlength=num_weights), 1)[:, None]
    return out.astype(grad_output.dtype)


def _renorm_cases(rng: np.random.Generator) -> Iterator[Case]:
    for norm_type in (1.0, 2.0, 3.0, float("inf")):
        yield Case((rng.standard_normal((4, 3)) * 2, np.array([[0, 2], [2, 3]]), 1.5, norm_type))
    yield Case((rng.standard_normal((4, 3)).astype(np.float32), np.array([], np.int64), 1.0, 2.0))


def _renorm(self: Array, indices: Array, max_norm: float, norm_type: float) -> Array:
    out = self.copy()
    for row in np.unique(indices):
        norm = np.linalg.norm(self[row], norm_type)
        if norm > max_norm:
            out[row] *= max_norm / (norm + 1e-7)
    return out


# ---------------------------------------------------------------- in bags
def _bag_cases(rng: np.random.Generator) -> Iterator[Case]:
    indices = np.array([0, 3, 1, 3, 3, 2])
    for mode in (0, 1, 2):
        for offsets in (np.array([0, 2, 2, 5]), np.array([0, 6])):
            yield Case((rng.standard_normal((4, 3)), indices, offsets, False, mode, None, False, -1))
            yield Case((rng.standard_normal((4, 9)), indices, offsets, False, mode, None, True, -1))
            yield Case(
                (rng.standard_normal((4, 3)), indices, offsets, False, mode, None, False, 3), differentiable=False
            )
        yield Case(
            (rng.standard_normal((4, 3)), indices, np.array([0, 4]), True, mode, None, False, 3), differentiable=False
        )
        yield Case((rng.standard_normal((4, 3)), np.zeros(0, np.int64), np.array([0, 0]), False, mode, None, False, -1))
        yield Case(
            (rng.standard_normal((4, 3)).astype(np.float32), indices, np.array([0]), False, mode, None, False, -1)
        )
    yield Case((rng.standard_normal((4, 3)), indices, np.array([0, 2, 2]), False, 0, rng.standard_normal(6), False, -1))


def _bag(
    weight: Array, indices: Array, offsets: Array, by_freq: bool, mode: int, samples: Any, last: bool, padding_idx: int
) -> Any:
    starts = offsets[:-1] if last else offsets
    bag = np.searchsorted(starts, np.arange(indices.size), side="right") - 1
    out, sizes = np.zeros((len(starts), weight.shape[1]), weight.dtype), np.zeros(len(starts), np.int64)
    largest = np.zeros(out.shape if mode == 2 else len(starts), np.int64)
    for number in range(len(starts)):
        members = np.flatnonzero((bag == number) & (indices != padding_idx))
        sizes[number] = len(members)
        rows = weight[indices[members]] * (1 if samples is None else samples[members, None])
        if not len(members):
            continue
        out[number] = rows.max(0) if mode == 2 else rows.mean(0) if mode == 1 else rows.sum(0)
        if mode == 2:
            largest[number] = indices[members][rows.argmax(0)]
    return out, bag, sizes, largest


def _torch_bag(
    weight: Any, indices: Any, offsets: Any, by_freq: Any, mode: Any, samples: Any, last: Any, padding_idx: int
) -> Any:
    """Call PyTorch's, whose other results depend on the way it takes: those are put in our form."""
    import torch

    found = torch.ops.aten._embedding_bag(weight, indices, offsets, by_freq, mode, False, samples, last, padding_idx)
    starts = offsets[:-1] if last else offsets
    bag = torch.searchsorted(starts, torch.arange(indices.numel()), right=True) - 1
    sizes = torch.zeros(len(starts), dtype=torch.long).index_add(0, bag, (indices != padding_idx).long())
    largest = found[3] if mode == 2 else torch.zeros(len(starts), dtype=torch.long)
    return found[0], bag, sizes, largest


def _bag_refusal(words: str, *rest: Any, error: type[Exception] = RuntimeError) -> Refusal:
    return Refusal(rest, error, words, in_torch=False)


_BAG_REFUSALS = (
    _bag_refusal("input has to be a 1D Tensor", WEIGHT, IDS[None], BAGS),
    _bag_refusal("offsets has to be a 1D Tensor", WEIGHT, IDS, BAGS[None]),
    _bag_refusal("weight has to be a 2D Tensor", WEIGHT[0], IDS, BAGS),
    _bag_refusal("one of the following scalar types: Long, Int", WEIGHT, IDS.astype(float), BAGS),
    _bag_refusal("one of the following scalar types: Half", WEIGHT.astype(int), IDS, BAGS),
    _bag_refusal("`mode` must be sum, mean, or max", WEIGHT, IDS, BAGS, False, 5),
    _bag_refusal("number of offset should be at least 1", WEIGHT, IDS, BAGS[:0], False, 0, None, True),
    _bag_refusal("only supported with mode='sum'", WEIGHT, IDS, BAGS, False, 1, np.ones(3)),
    _bag_refusal("to have the same type as tensor", WEIGHT, IDS, BAGS, False, 0, np.ones(3, np.float32)),
    _bag_refusal("a weight per sample", WEIGHT, IDS, BAGS, False, 0, np.ones(2)),
)

SAMPLES: list[Sample] = [
    Sample(
        "embedding",
        lambda weight, indices, padding_idx=-1, by_freq=False: weight[indices],
        _embedding_cases,
        (
            Refusal((np.zeros(3), np.array([1])), RuntimeError, "'weight' must be 2-D"),
            Refusal((np.zeros((3, 2)), np.array([1.0])), RuntimeError, "one of the following scalar types: Long, Int"),
        ),
    ),
    Sample(
        "embedding_dense_backward",
        _backward,
        _backward_cases,
        (
            Refusal(
                (np.zeros((2, 3)), np.array([1]), 4, -1, False),
                RuntimeError,
                "embedding_dense_backward needs a gradient of shape",
                in_torch=False,
            ),
        ),
        rtol=1e-3,
    ),
    Sample(
        "embedding_renorm_",
        _renorm,
        _renorm_cases,
        (
            Refusal((np.zeros(3), IDS, 1.0, 2.0), RuntimeError, "Expected 2-dimensional tensor, but got 1-dimensional"),
            Refusal((WEIGHT, np.array([1.0]), 1.0, 2.0), RuntimeError, "one of the following scalar types: Long, Int"),
            Refusal((WEIGHT.astype(int), IDS, 1.0, 2.0), RuntimeError, "floating-point weight", in_torch=False),
        ),
    ),
    Sample("_embedding_bag", _bag, _bag_cases, _BAG_REFUSALS, differentiable_outputs=1, torch=_torch_bag),
]
