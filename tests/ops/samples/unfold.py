"""Samples of windows along an axis, and of numbers in geometric steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradwire_protocol.dtypes import float32, float64, int64
from tests.ops.samples.record import Case, Refusal, Sample


def _unfold(self: Any, dimension: int, size: int, step: int) -> Any:
    if self.ndim == 0:
        return np.repeat(self.reshape(1), size)[:size]
    dimension %= self.ndim
    return np.lib.stride_tricks.sliding_window_view(self, size, axis=dimension).take(
        range(0, self.shape[dimension] - size + 1, step), axis=dimension
    )


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    x = rng.standard_normal((3, 7))
    yield Case((x, 1, 3, 2))
    yield Case((x, 1, 2, 1))
    yield Case((x, -2, 2, 1))
    yield Case((x.T, 0, 3, 3))
    yield Case((np.arange(5), 0, 2, 2))


def _backward(grad_in: Any, input_sizes: Any, dim: int, size: int, step: int) -> Any:
    made = np.zeros(input_sizes, grad_in.dtype)
    places = _unfold(np.arange(made.size).reshape(input_sizes), dim, size, step)
    np.add.at(made.reshape(-1), places.reshape(-1), grad_in.reshape(-1))
    return made


def _backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    for size, step in ((3, 2), (2, 1), (2, 3)):
        windows = (7 - size) // step + 1
        yield Case((rng.standard_normal((3, windows, size)), (3, 7), 1, size, step))


def _logspace(steps: int, start: Any, end: Any, base: float, dtype: Any) -> Any:
    return np.logspace(start, end, steps, base=base).astype(dtype.numpy)


def _logspaces(rng: np.random.Generator) -> Iterator[Case]:
    for steps, start, end in ((5, 0, 2), (1, 1.0, 3.0), (0, 0, 1)):
        yield Case((steps, start, end, 10.0), {"dtype": float64})
    yield Case((4, 0.0, 3.0, 2.0), {"dtype": float32})
    yield Case((4, 0, 3, 2.0), {"dtype": int64})


_X = np.ones((2, 3))
SAMPLES: list[Sample] = [
    Sample(
        "unfold",
        _unfold,
        _cases,
        (Refusal((_X, 1, 4, 1), RuntimeError, "maximum size for tensor at dimension 1 is 3 but size is 4"),),
    ),
    Sample("unfold_backward", _backward, _backward_cases),
    Sample("gw::logspace", _logspace, _logspaces),
]
