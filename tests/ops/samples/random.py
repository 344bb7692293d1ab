"""Samples of the random family. The bits come from numpy's own Philox; what is made of them is worked out here again.

The distributions themselves are tested in tests/server/test_philox.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradwire_protocol.dtypes import float32, float64, int32, int64
from gradwire_server import philox
from tests.ops.samples.record import Case, Refusal, Sample

Array = np.ndarray[Any, Any]
_SEED, _OFFSET = 1234, 5


def _words(count: int, seed: int, offset: int) -> Array:
    """Return words of numpy's Philox, which steps its counter before it draws."""
    return np.random.Philox(key=seed % 2**64, counter=(offset - 1) % 2**256).random_raw(count)


def _uniform64(shape: tuple[int, ...], seed: int, offset: int) -> Array:
    count = int(np.prod(shape))
    return ((_words(count, seed, offset) >> np.uint64(11)) * 2.0**-53).reshape(shape)


def _cases(*rest: Any, dtypes: tuple[Any, ...] = (float64,)) -> Any:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for size in ((), (5,), (2, 0), (3, 4)):
            for dtype in dtypes:
                yield Case((size, *rest, _SEED, _OFFSET), {"dtype": dtype})
        yield Case(((7,), *rest, -1, 0), {"dtype": dtypes[0]})

    return cases


def _in_place(*numbers: Any) -> Any:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for array in (np.zeros((3, 4)), np.zeros((4, 3)).T, np.zeros(()), np.zeros(0)):
            yield Case((array, *numbers, _SEED, _OFFSET), differentiable=False)
        # The gradient of what was overwritten is zero, which finite differences see too.
        yield Case((np.ones((2, 2)), *numbers, _SEED, _OFFSET))

    return cases


def _dropout_cases(rng: np.random.Generator) -> Iterator[Case]:
    for p in (0.0, 0.3, 1.0):
        yield Case((rng.standard_normal((3, 4)), p, _SEED, _OFFSET))
        yield Case((rng.standard_normal(5).astype(np.float32), p, _SEED, _OFFSET))


def _dropout(input: Array, p: float, seed: int, offset: int) -> tuple[Array, Array]:
    mask = philox.bernoulli(np, input.shape, 1 - p, seed, offset)
    kept = np.where(mask, input / (1 - p) if p < 1 else 0, 0)
    return kept.astype(input.dtype), mask


def _normal(shape: tuple[int, ...], seed: int, offset: int) -> Array:
    return philox.normal(np, shape, float64, seed, offset)  # type: ignore[no-any-return]


_NEGATIVE = Refusal(((-1,), 0, 0), RuntimeError, "negative dimension -1", {"dtype": float32}, in_torch=False)

SAMPLES: list[Sample] = [
    Sample("gw::uniform", lambda size, seed, offset, dtype: _uniform64(size, seed, offset), _cases(), (_NEGATIVE,)),
    Sample("gw::normal", lambda size, seed, offset, dtype: _normal(size, seed, offset), _cases(), (_NEGATIVE,)),
    Sample(
        "gw::integers",
        lambda size, low, high, seed, offset, dtype: (
            ((_words(int(np.prod(size)), seed, offset) % np.uint64(high - low)).astype(np.int64) + low)
            .reshape(size)
            .astype(dtype.numpy)
        ),
        _cases(-3, 9, dtypes=(int64, int32)),
    ),
    Sample(
        "gw::permutation",
        lambda n, seed, offset, dtype: philox.permutation(np, n, dtype, seed, offset),
        lambda rng: [Case((n, _SEED, _OFFSET), {"dtype": int64}) for n in (0, 1, 7, 100)],
    ),
    Sample(
        "gw::uniform_",
        lambda self, low, high, s, o: low + (high - low) * _uniform64(self.shape, s, o),
        _in_place(-1.0, 3.0),
    ),
    Sample("gw::normal_", lambda self, mean, std, s, o: mean + std * _normal(self.shape, s, o), _in_place(1.0, 2.0)),
    Sample(
        "gw::bernoulli_",
        lambda self, p, s, o: philox.bernoulli(np, self.shape, p, s, o).astype(self.dtype),
        _in_place(0.4),
    ),
    Sample(
        "gw::random_",
        lambda self, low, high, s, o: (
            (_words(self.size, s, o) % np.uint64(high - low)).reshape(self.shape).astype(self.dtype) + low
        ),
        _in_place(2, 8),
    ),
    Sample(
        "gw::bernoulli",
        lambda self, s, o: (_uniform64(self.shape, s, o) < self).astype(self.dtype),
        lambda rng: [Case((rng.random((3, 4)), _SEED, _OFFSET)), Case((np.array(1.0), _SEED, _OFFSET))],
    ),
    Sample("gw::dropout", _dropout, _dropout_cases),
]
