"""Samples of the ops on lists of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Arrays = list[np.ndarray[Any, Any]]


def _lists(rng: np.random.Generator) -> Iterator[Arrays]:
    yield [rng.standard_normal(shape) for shape in ((3, 2), (), (0,), (7,))]
    yield [rng.standard_normal((2, 3)).astype(np.float32).T, np.array([np.nan, 1.0, -3.0], np.float32)]
    yield [rng.standard_normal(4).astype(np.float16)]


def _norm_cases(rng: np.random.Generator) -> Iterator[Case]:
    for ord in (2, 1.0, 0, 3, float("inf")):
        for arrays in _lists(rng):
            yield Case(([array for array in arrays if array.size or ord != float("inf")], ord), differentiable=False)


def _norms(self: Arrays, ord: float) -> Any:
    wide = np.float64 if self[0].dtype == np.float64 else np.float32
    return tuple(np.asarray(np.linalg.norm(a.astype(wide).reshape(-1), ord), a.dtype) for a in self)


def _scaling(rng: np.random.Generator) -> Iterator[Case]:
    for arrays in _lists(rng):
        yield Case((arrays, np.float32(0.5)), differentiable=False)
        yield Case((arrays, np.float64(3.0)), differentiable=False)


def _clamping(rng: np.random.Generator) -> Iterator[Case]:
    for arrays in _lists(rng):
        yield Case((arrays, 0.25), differentiable=False)


def _mul(self: Arrays, other: Any) -> Arrays:
    return [np.asarray(array * array.dtype.type(other)) for array in self]


_INTS = [np.ones(2, np.int64)]
SAMPLES: list[Sample] = [
    Sample(
        "_foreach_norm.Scalar",
        _norms,
        _norm_cases,
        (Refusal((_INTS,), RuntimeError, "linalg.vector_norm: Expected a floating point or complex"),),
        rtol=1e-3,
    ),
    Sample(
        "_foreach_mul_.Tensor",
        _mul,
        _scaling,
        (
            Refusal((_INTS, np.float32(1.5)), RuntimeError, "result type Float can't be cast to the desired"),
            Refusal(([np.ones(2)], np.ones(2)), RuntimeError, "scalar tensor expected to be 0 dim but it has 1"),
        ),
    ),
    *(
        Sample(
            f"_foreach_{name}_.Scalar",
            lambda self, scalar, bound=bound: [bound(array, array.dtype.type(scalar)) for array in self],
            _clamping,
            (Refusal((_INTS, 1.5), RuntimeError, "result type Float can't be cast to the desired"),),
        )
        for name, bound in (("clamp_min", np.maximum), ("clamp_max", np.minimum))
    ),
]
