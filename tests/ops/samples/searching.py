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


# ---------------------------------------------------------------- by value
def _searchsorted(
    rows: Array, self: Array, out_int32: bool = False, right: bool = False, side: Any = None, sorter: Any = None
) -> Array:
    if sorter is not None:
        rows = np.take_along_axis(rows, sorter, -1)
    places = np.zeros(self.shape, np.int32 if out_int32 else np.int64)
    for place in np.ndindex(*self.shape):
        row = rows if rows.ndim == 1 else rows[place[:-1]]
        places[place] = np.searchsorted(row, self[place], "right" if right or side == "right" else "left")
    return places


def _searchsorted_cases(rng: np.random.Generator) -> Iterator[Case]:
    edges = np.array([-1.0, 0.0, 0.0, 2.0, 5.0])
    for given in (rng.integers(-2, 6, (3, 4)) * 1.0, np.array(0.0), np.array([NAN, 5.0]), np.zeros((0, 2))):
        yield Case((edges, given))
        yield Case((edges, given), {"right": True, "out_int32": True})
    yield Case((edges[::2], edges), {"side": "right"})
    rows = np.sort(rng.integers(0, 9, (2, 3, 7)), -1)
    yield Case((rows, rng.integers(-1, 10, (2, 3, 4))), {"side": "left"})
    yield Case((rows[0, :, :1], rng.integers(-1, 10, (3, 2))), {"side": "right", "right": True})
    shuffled = values(rng, 2, 6)
    yield Case((shuffled, values(rng, 2, 3)), {"sorter": np.argsort(shuffled, -1)})
    yield Case((np.zeros(0), values(rng, 3)))


def _isin_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape in ((3, 4), (), (0,)):
        yield Case((rng.integers(0, 5, shape), rng.integers(0, 5, (2, 1))))
        yield Case((rng.integers(0, 5, shape) * 0.5, rng.integers(0, 5, 20) * 0.5), {"invert": True})
    yield Case((np.array([1.0, NAN]), np.array([NAN, 1.0])))
    yield Case((np.array([1.0, NAN]), np.zeros(0)), {"invert": True})


# ---------------------------------------------------------------- counting
def _bincount(self: Array, weights: Array | None, size: int) -> Array:
    found = np.bincount(self, weights, size)
    return found.astype(weights.dtype if weights is not None and weights.dtype == np.float32 else found.dtype)


def _bincount_cases(rng: np.random.Generator) -> Iterator[Case]:
    for dtype in (np.int64, np.uint8, np.int32):
        yield Case((rng.integers(0, 5, 9).astype(dtype), None, 6))
        yield Case((rng.integers(0, 5, 9).astype(dtype), values(rng, 9), 8))
    yield Case((rng.integers(0, 5, 9), values(rng, 9, dtype=np.float32), 5))
    yield Case((rng.integers(0, 5, 9), rng.integers(0, 9, 9), 5))
    yield Case((np.zeros(0, np.int64), None, 3))


def _repeat_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((np.array([2, 0, 3]), 5))
    yield Case((np.array([0, 1], np.int32), 1))
    yield Case((np.zeros(0, np.int64), 0))


def _repeated(repeats: Any) -> Any:
    import torch

    return torch.repeat_interleave(repeats)


def _histc(self: Array, bins: int = 100, low: float = 0, high: float = 0) -> Array:
    if low == high and self.size:
        low, high = self.min(), self.max()
    if low == high:
        low, high = low - 1, high + 1
    return np.histogram(self[(self >= low) & (self <= high)], bins, (low, high))[0].astype(self.dtype)


def _histc_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((values(rng, 3, 7), 5))
    yield Case((values(rng, 7, 3).T, 4, -1, 1))
    yield Case((values(rng, 50, dtype=np.float32), 10, -2, 2.5))
    yield Case((np.array([1.0, NAN, 3.0]), 3, 0, 3))
    yield Case((np.full(4, 2.0), 3))
    yield Case((np.zeros(0), 3))


def _edges(self: Array, bins: int, low: Any = None, high: Any = None) -> Array:
    if low is None:
        low, high = (self.min(), self.max()) if self.size else (0, 1)
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    return np.linspace(low, high, bins + 1, dtype=self.dtype)


def _edges_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((values(rng, 3, 7), 5))
    yield Case((values(rng, 7, dtype=np.float32), 4, -1.0, 2.0))
    yield Case((np.full(3, 2.0), 3))
    yield Case((np.zeros(0), 3))


def _histogramdd(self: Array, bins: list[Array], *, weight: Any = None, density: bool = False) -> Array:
    weights = None if weight is None else weight.reshape(-1)
    return np.histogramdd(self.reshape(-1, self.shape[-1]), bins, weights=weights, density=density)[0].astype(
        self.dtype
    )


def _histogramdd_cases(rng: np.random.Generator) -> Iterator[Case]:
    edges = [np.array([-1.0, 0.0, 0.5, 2.0]), np.array([-2.0, 2.0])]
    yield Case((values(rng, 20, 2), edges))
    yield Case((values(rng, 4, 5, 2), edges), {"weight": np.abs(values(rng, 4, 5)), "density": True})
    yield Case((np.array([[2.0], [-1.0], [0.5], [9.0]]), edges[:1]))


_REAL = "not implemented for 'Long'"
_COUNT_WORDS = "bincount only supports 1-d non-negative integral inputs."
_BIN_WORDS = r"torch.histogram\(\): bins must be > 0, but got 0 for dimension 0"


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
    Sample(
        "searchsorted.Tensor",
        _searchsorted,
        _searchsorted_cases,
        (
            Refusal(
                (np.ones((2, 3)), np.ones((3, 3))), RuntimeError, "boundaries tensor should be 1 dimension or the fi"
            ),
            Refusal((np.ones(()), np.ones(3)), RuntimeError, "boundaries tensor should have positive dimension"),
            Refusal(
                (np.ones(3), np.ones(3)),
                RuntimeError,
                "side and right can't be set to opposites",
                {"right": True, "side": "left"},
            ),
            Refusal((np.ones(3), np.ones(3)), RuntimeError, "side can only be 'left' or 'right'", {"side": "up"}),
            Refusal(
                (np.ones(3), np.ones(3)),
                RuntimeError,
                "boundary and sorter must have the same size",
                {"sorter": np.array([0])},
            ),
        ),
    ),
    Sample(
        "isin.Tensor_Tensor",
        lambda elements, test_elements, assume_unique=False, invert=False: np.isin(
            elements, test_elements, invert=invert
        ),
        _isin_cases,
        (
            Refusal(
                (np.ones(2) > 0, np.ones(2) > 0), RuntimeError, r"Unsupported input type encountered for isin\(\): Bool"
            ),
        ),
    ),
    Sample(
        "gw::bincount",
        _bincount,
        _bincount_cases,
        (
            Refusal((np.ones((2, 2), np.int64), None, 1), RuntimeError, _COUNT_WORDS),
            Refusal((np.ones(2), None, 1), NotImplementedError, "\"bincount_cpu\" not implemented for 'Double'"),
            Refusal(
                (np.ones(2, np.int64), np.ones(3), 1), RuntimeError, "weights should be 1-d and have the same length"
            ),
        ),
        torch=lambda self, weights, size: self.bincount(weights, size),
    ),
    Sample(
        "gw::repeat_interleave",
        lambda repeats, output_size: np.repeat(np.arange(repeats.size), repeats).astype(repeats.dtype),
        _repeat_cases,
        (Refusal((np.ones((2, 2), np.int64), 4), RuntimeError, "repeat_interleave only accept 1D vector as repeat"),),
        torch=lambda repeats, output_size: _repeated(repeats),
    ),
    Sample(
        "histc",
        _histc,
        _histc_cases,
        (
            Refusal((np.ones(2), 0), RuntimeError, _BIN_WORDS),
            Refusal((np.ones(2, np.int64), 2), NotImplementedError, _REAL),
        ),
    ),
    Sample(
        "gw::bin_edges",
        _edges,
        _edges_cases,
        torch=lambda self, bins, *ends: self.reshape(-1).histogram(bins, range=ends or None).bin_edges,
    ),
    Sample(
        "_histogramdd_from_bin_tensors",
        _histogramdd,
        _histogramdd_cases,
        (
            Refusal((np.ones(3), [np.ones(2)]), RuntimeError, "input tensor should have at least 2 dimensions"),
            Refusal(
                (np.ones((3, 1)), [np.ones((2, 2))]), RuntimeError, "bins tensor should have one dimension, but got 2"
            ),
        ),
    ),
    Sample(
        "gw::require",
        lambda self, condition, message: self,
        lambda rng: [Case((values(rng, 3), np.array([True, True]), "no"))],
    ),
]
