"""Samples of the distance family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Array = Any
INF = float("inf")
NORMS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, INF)


def _norm(difference: Array, p: float) -> Array:
    size = np.abs(difference)
    if p == 0:
        return (size != 0).sum(-1).astype(size.dtype)
    if p == INF:
        return size.max(-1, initial=0)
    return (size**p).sum(-1) ** (1 / p)


def _slope(difference: Array, p: float) -> Array:
    """Return the derivative of the norm of rows; no difference may be 0."""
    norm, size = _norm(difference, p)[..., None], np.abs(difference)
    if p in (0, INF):
        return np.sign(difference) * (size == norm) * (p == INF)
    return np.sign(difference) * (size / norm) ** (p - 1)


def _differences(x1: Array, x2: Array) -> Array:
    return x1[..., :, None, :] - x2[..., None, :, :]


def _cdist(x1: Array, x2: Array, p: float, compute_mode: int | None) -> Array:
    return _norm(_differences(x1, x2), p).astype(x1.dtype)


def _cdist_cases(rng: np.random.Generator) -> Iterator[Case]:
    def draw(*sizes: int) -> Array:
        return rng.standard_normal(sizes)

    for p in NORMS:
        yield Case((draw(2, 3, 2), draw(2, 4, 2), p, 2))
    for mode in (None, 0, 1, 2):
        yield Case((draw(3, 2), draw(30 if mode == 0 else 4, 2), 2.0, mode))
    yield Case((draw(2, 1, 3, 2), draw(3, 4, 2), 3.0, None))
    yield Case((draw(3, 2).astype(np.float32), draw(4, 2).astype(np.float32), 2.0, None))
    yield Case((draw(0, 2), draw(4, 2), 1.0, None))
    yield Case((draw(3, 0), draw(4, 0), 1.0, None))


def _cdist_backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    for p in NORMS:
        x1, x2, g = rng.standard_normal((2, 3, 2)), rng.standard_normal((2, 4, 2)), rng.standard_normal((2, 3, 4))
        # Distances are functions of the rest: finite differences that hold them fixed would mean nothing.
        yield Case((g, x1, x2, p, _cdist(x1, x2, p, None)), differentiable=False)
    x1, x2, g = rng.standard_normal((3, 2)), rng.standard_normal((30, 2)), rng.standard_normal((3, 30))
    yield Case((g, x1, x2, 2.0, _cdist(x1, x2, 2.0, None)), differentiable=False)


def _cdist_backward(grad: Array, x1: Array, x2: Array, p: float, cdist: Array) -> Array:
    return (grad[..., None] * _slope(_differences(x1, x2), p)).sum(-2)


# ---------------------------------------------------------------- within one set
def _pdist(self: Array, p: float = 2.0) -> Array:
    return _norm(_differences(self, self)[np.triu_indices(self.shape[0], 1)], p).astype(self.dtype)


def _pdist_cases(rng: np.random.Generator) -> Iterator[Case]:
    for p in NORMS:
        yield Case((rng.standard_normal((4, 3)), p))
    yield Case((rng.standard_normal((1, 3)), 2.0))
    yield Case((rng.standard_normal((3, 2)).astype(np.float32), 2.0))


def _pdist_backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    for p in NORMS:
        x = rng.standard_normal((4, 3))
        yield Case((rng.standard_normal(6), x, p, _pdist(x, p)), differentiable=False)


def _pdist_backward(grad: Array, self: Array, p: float, pdist: Array) -> Array:
    one, other = np.triu_indices(self.shape[0], 1)
    slope, out = grad[:, None] * _slope(self[one] - self[other], p), np.zeros_like(self)
    np.add.at(out, one, slope)
    np.add.at(out, other, -slope)
    return out


_X, _Y = np.ones((3, 2)), np.ones((4, 2))
_CDIST_REFUSALS = (
    Refusal((_X[0], _Y, 2.0, None), RuntimeError, "at least 2D tensors, X1 got: 1D"),
    Refusal((_X, _Y[:, :1], 2.0, None), RuntimeError, "the same number of columns. X1: 2 X2: 1"),
    Refusal((_X.astype(int), _Y, 2.0, None), RuntimeError, "only supports floating-point dtypes, X1 got: Long"),
    Refusal((_X, _Y.astype(np.float32), 2.0, None), RuntimeError, "expected scalar type Double but found Float"),
    Refusal((_X, _Y, 2.0, 5), RuntimeError, "possible modes: 0, 1, 2, but was: 5"),
    Refusal(
        (_X.astype(np.float16), _Y.astype(np.float16), 2.0, None),
        NotImplementedError,
        "\"cdist\" not implemented for 'Half'",
    ),
)

SAMPLES: list[Sample] = [
    Sample("_cdist_forward", _cdist, _cdist_cases, _CDIST_REFUSALS),
    Sample(
        "_cdist_backward",
        _cdist_backward,
        _cdist_backward_cases,
        (Refusal((_X, _X, _Y, 2.0, _X), RuntimeError, "_cdist_backward needs grad and cdist like", in_torch=False),),
        gradients_by_values=False,
    ),
    Sample(
        "_pdist_forward",
        _pdist,
        _pdist_cases,
        (
            Refusal((_X[0], 2.0), RuntimeError, "pdist only supports 2D tensors, got: 1D", in_torch=False),
            Refusal((_X.astype(int), 2.0), RuntimeError, "pdist only supports floating-point dtypes", in_torch=False),
        ),
        second_order=False,
    ),
    Sample(
        "_pdist_backward",
        _pdist_backward,
        _pdist_backward_cases,
        (Refusal((_X[0], _X, 2.0, _X[0]), RuntimeError, "_pdist_backward needs grad and pdist like", in_torch=False),),
        gradients_by_values=False,
        second_order=False,
    ),
]
