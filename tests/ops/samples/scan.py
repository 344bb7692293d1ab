"""Samples of the scan family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample
from tests.ops.samples.shape import OUT_OF_RANGE, values

Array = Any
NAN, INF = float("nan"), float("inf")


def _extreme(beats: Any) -> Any:
    def reference(self: Array, dim: int) -> tuple[Array, Array]:
        rows = np.moveaxis(self.reshape(self.shape or (1,)), dim, 0)
        indices = np.zeros(rows.shape, np.int64)
        for i in range(1, len(rows)):
            best, row = np.take_along_axis(rows, indices[i - 1 : i], 0)[0], rows[i]
            wins = np.isnan(row) | (~np.isnan(best) & beats(row, best))
            indices[i] = np.where(wins, i, indices[i - 1])
        found = np.take_along_axis(rows, indices, 0)
        return np.moveaxis(found, 0, dim).reshape(self.shape), np.moveaxis(indices, 0, dim).reshape(self.shape)

    return reference


def _extreme_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((values(rng, 3, 5), 1))
    yield Case((values(rng, 5, 3).T, 0))
    yield Case((values(rng, 2, 7, 2), -2))
    yield Case((values(rng), 0))
    yield Case((np.array([1.0, NAN, 2.0, NAN, 3.0]), 0), differentiable=False)
    yield Case((rng.integers(0, 3, (2, 9)), 1))
    yield Case((rng.random(9) > 0.5, 0))
    yield Case((np.zeros((0, 3)), 0), torch_gradient=False)  # PyTorch's gradient requires grad itself there
    yield Case((values(rng, 6, dtype=np.float32), 0))


def _logcumsumexp(self: Array, dim: int) -> Array:
    if self.dtype.kind == "c":
        return np.log(np.exp(self).cumsum(dim))
    return np.logaddexp.accumulate(self.reshape(self.shape or (1,)), dim).reshape(self.shape)


def _log_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((values(rng, 3, 5), 1))
    yield Case((values(rng, 5, 3).T, 0))
    yield Case((values(rng, 2, 7, 2), -2))
    yield Case((values(rng), 0))
    yield Case((np.array([-INF, 0.0, 800.0, -800.0]), 0), differentiable=False)
    yield Case((np.array([0.5 + 1j, 2 - 1j, -0.5j]), 0))
    yield Case((np.zeros((0, 3)), 0))
    yield Case((values(rng, 6, dtype=np.float32), 0))


_OUTSIDE = Refusal((np.ones((2, 3)), 2), IndexError, OUT_OF_RANGE)


def _unordered(name: str) -> Refusal:
    words = f"\"{name}_cpu\" not implemented for 'ComplexFloat'"
    return Refusal((np.ones(2, np.complex64), 0), NotImplementedError, words)


SAMPLES: list[Sample] = [
    Sample("cummax", _extreme(np.greater_equal), _extreme_cases, (_OUTSIDE, _unordered("cummax"))),
    Sample("cummin", _extreme(np.less_equal), _extreme_cases, (_OUTSIDE, _unordered("cummin"))),
    Sample(
        "logcumsumexp",
        _logcumsumexp,
        _log_cases,
        (
            _OUTSIDE,
            Refusal(
                (np.ones(2, np.int64), 0), NotImplementedError, "\"logcumsumexp_out_cpu\" not implemented for 'Long'"
            ),
        ),
    ),
]
