"""Samples of the creation family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradwire_protocol.dtypes import DType, bool_, float32, float64, int32, int64
from tests.ops.samples.record import Case, Refusal, Sample


def _full_cases(rng: np.random.Generator) -> Iterator[Case]:
    for size in ((), (3,), (2, 0), (2, 3, 4)):
        yield Case((size, 2.5), {"dtype": float32})
        yield Case((size, 0), {"dtype": int64})
        yield Case((size, True), {"dtype": bool_})
    yield Case(((2,), -7), {"dtype": float64})


def _like_cases(rng: np.random.Generator) -> Iterator[Case]:
    for array in (np.zeros((2, 3), np.float32), np.zeros((), np.int64), np.zeros((0, 2)), np.zeros((2, 3)).T):
        yield Case((array, 3))
        yield Case((array, 1.5), {"dtype": float64})


def _new_cases(rng: np.random.Generator) -> Iterator[Case]:
    for array in (np.zeros((2, 3), np.float32), np.zeros((), np.int64)):
        yield Case((array, (4, 1), 3))
        yield Case((array, (), 1.5), {"dtype": float64})


def _eye_cases(rng: np.random.Generator) -> Iterator[Case]:
    for n, m in ((3, 3), (2, 4), (4, 2), (0, 3)):
        yield Case((n, m), {"dtype": float32})
        yield Case((n, m), {"dtype": int32})


def _arange_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((5, 0, 1), {"dtype": int64})
    yield Case((4, 10, -3), {"dtype": int64})
    yield Case((7, 0.5, 0.25), {"dtype": float32})
    yield Case((0, 1, 1), {"dtype": float64})


def _linspace_cases(rng: np.random.Generator) -> Iterator[Case]:
    for steps in (0, 1, 2, 5, 10):
        yield Case((steps, -1.0, 2.0), {"dtype": float64})
        yield Case((steps, 0.0, 1.0), {"dtype": float32})


def _array(shape: Any, value: Any, dtype: DType) -> Any:
    return np.full(shape, value, dtype.numpy)


_NEGATIVE = Refusal(
    ((2, -1), 0), RuntimeError, "Trying to create tensor with negative dimension -1", {"dtype": float32}, in_torch=True
)
_HUGE = Refusal(((2**40, 2**40), 0), RuntimeError, "a tensor may have", {"dtype": float32}, in_torch=False)

SAMPLES: list[Sample] = [
    Sample("full", lambda size, fill_value, dtype: _array(size, fill_value, dtype), _full_cases, (_NEGATIVE, _HUGE)),
    Sample(
        "full_like",
        lambda self, fill_value, dtype=None: np.full(self.shape, fill_value, dtype.numpy if dtype else self.dtype),
        _like_cases,
    ),
    Sample(
        "new_full",
        lambda self, size, fill_value, dtype=None: np.full(size, fill_value, dtype.numpy if dtype else self.dtype),
        _new_cases,
    ),
    Sample("eye.m", lambda n, m, dtype: np.eye(n, m, dtype=dtype.numpy), _eye_cases),
    Sample(
        "gw::arange",
        lambda length, start, step, dtype: np.array([start + i * step for i in range(length)], dtype.numpy),
        _arange_cases,
    ),
    Sample(
        "gw::linspace",
        lambda steps, start, end, dtype: np.linspace(start, end, steps).astype(dtype.numpy),
        _linspace_cases,
    ),
]
