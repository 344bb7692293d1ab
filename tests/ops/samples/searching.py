"""Samples of the searching family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample
from tests.ops.samples.shape import values

Array = Any
NAN = float("nan")
MASK = np.array([[True, False, True], [False, False, True]])


# ---------------------------------------------------------------- by truth
def _nonzero(self: Array, size: int, fill_value: int = -1) -> Array:
    found = np.argwhere(self)[:size]
    return np.pad(found, [(0, size - len(found)), (0, 0)], constant_values=fill_value)


def _nonzero_cases(rng: np.random.Generator) -> Iterator[Case]:
    for array in (rng.integers(0, 2, (3, 4)), values(rng, 2, 3, 2), values(rng, 5, dtype=np.bool_), np.zeros((0, 2))):
        yield Case((array,), {"size": 3})
        yield Case((array.T,), {"size": 20, "fill_value": 7})
    yield Case((np.array(1.0),), {"size": 2})


def _masked_select_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((values(rng, 2, 3), MASK, 3))
    yield Case((values(rng, 3), MASK, 3))
    yield Case((values(rng, 2, 1), MASK, 3))
    yield Case((values(rng, 4, 2, 3), MASK[1], 8))
    yield Case((values(rng, 3, 2, dtype=np.int32).T, MASK, 3))
    yield Case((values(rng), np.array(True), 1))
    yield Case((values(rng, 0, 3), MASK[0], 0))


def _scatter(self: Array, mask: Array, source: Array) -> Array:
    out = np.array(np.broadcast_to(self, np.broadcast_shapes(self.shape, mask.shape)))
    chosen = np.broadcast_to(mask, out.shape)
    out[chosen] = source.reshape(-1)[: chosen.sum()]
    return out


def _inplace_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((values(rng, 2, 3), MASK, values(rng, 3)))
    yield Case((values(rng, 3, 2).T, MASK, values(rng, 5, 2)))
    yield Case((values(rng, 4, 2, 3), MASK[1], values(rng, 8)))
    yield Case((values(rng, 2, 3), ~MASK & MASK, values(rng, 0)))
    yield Case((values(rng, 0, 3), MASK[0], values(rng, 2)))
    yield Case((values(rng), np.array(True), values(rng, 2)))
    yield Case((values(rng, 2, 3, dtype=np.int64), MASK, values(rng, 4, dtype=np.int64)))


def _scatter_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield from _inplace_cases(rng)
    yield Case((values(rng, 3), MASK, values(rng, 3)))


def _unscattered(grad_output: Array, mask: Array, sizes: tuple[int, ...]) -> Array:
    picked = grad_output[np.broadcast_to(mask, grad_output.shape)]
    return np.pad(picked, (0, int(np.prod(sizes)) - picked.size)).reshape(sizes)


def _backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((values(rng, 2, 3), MASK, (3,)))
    yield Case((values(rng, 2, 3), MASK, (5, 2)))
    yield Case((values(rng, 3, 2).T, MASK, (2, 2)))


_SCATTER_REFUSALS = (
    Refusal((np.ones((2, 3)), MASK * 1.0, np.ones(6)), RuntimeError, "masked_scatter_ only supports boolean masks"),
    Refusal(
        (np.ones((2, 3)), MASK, np.ones(6, np.float32)),
        RuntimeError,
        "masked_scatter: expected self and source to have same dtypes but gotDouble and Float",
    ),
)


SAMPLES: list[Sample] = [
    Sample(
        "nonzero_static",
        _nonzero,
        _nonzero_cases,
        (Refusal((MASK,), RuntimeError, "nonzero_static: 'size' must be an non-negative integer", {"size": -1}),),
    ),
    Sample(
        "gw::masked_select",
        lambda self, mask, size: np.broadcast_to(self, np.broadcast_shapes(self.shape, mask.shape))[
            np.broadcast_to(mask, np.broadcast_shapes(self.shape, mask.shape))
        ],
        _masked_select_cases,
        torch=lambda self, mask, size: self.masked_select(mask),
    ),
    Sample("masked_scatter", _scatter, _scatter_cases, _SCATTER_REFUSALS),
    Sample("masked_scatter_", _scatter, _inplace_cases, _SCATTER_REFUSALS),
    Sample("masked_scatter_backward", _unscattered, _backward_cases),
]
