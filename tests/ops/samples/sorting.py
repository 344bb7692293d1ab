"""Samples of the sorting family. Where elements are equal, PyTorch leaves an index open; the cases here have no equals then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample
from tests.ops.samples.shape import OUT_OF_RANGE, values

Array = Any
NAN = float("nan")
_MISSING = np.array([2.0, NAN, -1.0, 3.0])
_COMPLEX = np.ones(3, np.complex64)


def _arrays(rng: np.random.Generator) -> Iterator[Array]:
    yield values(rng, 3, 5)
    yield values(rng, 5, 3).T
    yield values(rng, 2, 3, 4)
    yield values(rng)
    yield rng.permutation(12).reshape(3, 4)
    yield rng.permutation(12).reshape(3, 4).astype(np.float32)


# ---------------------------------------------------------------- references
def _order(self: Array, dim: int, descending: bool) -> tuple[Array, Array, int]:
    rows, axis = (self, dim % self.ndim) if self.ndim else (self.reshape(1), 0)
    keys = -rows.astype(np.float64) if descending else rows
    if descending:
        keys = np.where(np.isnan(keys), -np.inf, keys)  # NaN is the largest
    return rows, np.argsort(keys, axis, kind="stable"), axis


def _sort(self: Array, dim: int = -1, descending: bool = False, stable: Any = None) -> tuple[Array, Array]:
    rows, order, axis = _order(self, dim, descending)
    return np.take_along_axis(rows, order, axis).reshape(self.shape), order.reshape(self.shape)


def _topk(self: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Array, Array]:
    if not self.ndim:
        return self, np.array(0)
    found, order = _sort(self, dim, largest)
    return np.take(found, range(k), dim), np.take(order, range(k), dim)


def _picked(self: Array, place: Any, dim: int, keepdim: bool) -> tuple[Array, Array]:
    """Return the elements at places of the sorted rows."""
    rows, order, axis = _order(self, dim, False)
    index = np.take_along_axis(order, place(np.take_along_axis(rows, order, axis), axis), axis)
    shape = self.shape if not self.ndim else index.shape if keepdim else np.squeeze(index, axis).shape
    return np.take_along_axis(rows, index, axis).reshape(shape), index.reshape(shape)


def _kthvalue(self: Array, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Array, Array]:
    return _picked(self, lambda rows, axis: np.full_like(np.take(rows, [0], axis), k - 1, int), dim, keepdim)


def _middle(rows: Array, axis: int) -> Array:
    return np.maximum((~np.isnan(rows)).sum(axis, keepdims=True) - 1, 0) // 2


def _nanmedian_dim(self: Array, dim: int, keepdim: bool = False) -> tuple[Array, Array]:
    return _picked(self, _middle, dim, keepdim)


def _commonest(rows: Array, axis: int) -> Array:
    def place(row: Array) -> int:
        found, counts = np.unique(row, return_counts=True)
        return int(np.flatnonzero(row == found[counts.argmax()])[-1])

    return np.expand_dims(np.apply_along_axis(place, axis, rows), axis)


def _mode(self: Array, dim: int = -1, keepdim: bool = False) -> tuple[Array, Array]:
    return _picked(self, _commonest, dim, keepdim)


def _pad(array: Array, shape: tuple[int, ...], axis: int = 0) -> Array:
    return np.pad(array, [(0, size - had) for size, had in zip(shape, array.shape, strict=True)])


def _unique(self: Array, return_inverse: bool = False, return_counts: bool = False, dim: Any = None) -> Any:
    found, inverse, counts = np.unique(self, return_inverse=True, return_counts=True, axis=dim, equal_nan=False)
    shape = (self.size,) if dim is None else self.shape
    most = self.size if dim is None else self.shape[dim]
    size = found.shape[0 if dim is None else dim]
    inverse = inverse.reshape(self.shape if dim is None else -1) if return_inverse else np.zeros(0, np.int64)
    return _pad(found, shape), inverse, _pad(counts, (most,)) if return_counts else counts[:0], np.array(size)


def _runs(self: Array, return_inverse: bool = False, return_counts: bool = False, dim: Any = None) -> Any:
    rows = self.reshape(-1) if dim is None else np.moveaxis(self, dim, 0)
    new = np.array([i == 0 or (rows[i] != rows[i - 1]).any() for i in range(len(rows))], bool)
    counts = np.diff(np.append(np.flatnonzero(new), len(rows)))
    inverse = np.cumsum(new) - 1
    padded = _pad(rows[new], rows.shape)
    return (
        padded if dim is None else np.moveaxis(padded, 0, dim),
        inverse.reshape(self.shape if dim is None else -1) if return_inverse else np.zeros(0, np.int64),
        _pad(counts, (len(rows),)) if return_counts else counts[:0],
        np.array(new.sum()),
    )


# ---------------------------------------------------------------- cases
def _sort_cases(rng: np.random.Generator) -> Iterator[Case]:
    for array in _arrays(rng):
        for descending in (False, True):
            yield Case((array, 0, descending))
    yield Case((_MISSING, -1, True), differentiable=False)
    yield Case((_MISSING,), differentiable=False)
    yield Case((np.zeros((0, 3)), 0, True))


def _stable_cases(rng: np.random.Generator) -> Iterator[Case]:
    for case in _sort_cases(rng):
        yield Case(case.args[:1], {"stable": True, "dim": -1, "descending": len(case.args) > 1 and case.args[2]},
                   differentiable=case.differentiable)  # fmt: skip
    ties = rng.integers(0, 3, (2, 40))
    yield Case((ties,), {"stable": True, "dim": 1, "descending": True})
    yield Case((ties > 1,), {"stable": True, "dim": 0, "descending": False})


def _topk_cases(rng: np.random.Generator) -> Iterator[Case]:
    for array in _arrays(rng):
        yield Case((array, 1))
        yield Case((array, 2 if array.ndim else 1, 0, False))
    yield Case((_MISSING, 2), differentiable=False)
    yield Case((np.zeros((2, 3)), 0, 1))
    for largest in (True, False):
        yield Case((values(rng, 2, 40, 3), 7, 1, largest))
        yield Case((np.where(np.arange(16) == 5, NAN, values(rng, 2, 16)), 2, 1, largest), differentiable=False)


def _rank_cases(*first: Any) -> Any:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for array in _arrays(rng):
            yield Case((array, *first, 0))
            yield Case((array, *first, -1, True))
        yield Case((_MISSING, *first, 0), differentiable=False)

    return cases


def _mode_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((np.array([[1.0, 2, 2, 1], [3, 3, 4, 3]]), 1, True), differentiable=False)
    yield Case((np.array([[1.0, 2, 2, 1], [3, 3, 2, 3]]), 0), differentiable=False)
    yield Case((rng.integers(0, 3, (3, 9)),))
    yield Case((rng.random((2, 7)) > 0.5,))
    yield Case((values(rng, 2, 3),))
    yield Case((values(rng),))


def _unique_cases(rng: np.random.Generator) -> Iterator[Case]:
    for array in (rng.integers(0, 4, (3, 4)), np.array([1.0, NAN, 1.0, NAN]), rng.random(5) > 0.5, np.zeros((0, 2))):
        yield Case((array, True, True))
    yield Case((rng.integers(0, 2, (4, 3)).T * 1.5,))
    yield Case((np.array(2.0), True, True))


def _unique_dim_cases(rng: np.random.Generator) -> Iterator[Case]:
    rows = np.array([[1, 0], [1, 0], [0, 3], [1, 0]])
    yield Case((rows, 0, True, True))
    yield Case((rows.T * 0.5, -1, True, True))
    yield Case((rows > 0, 1, False, True))
    yield Case((rng.integers(0, 2, (2, 5, 2)), 1, True, False))
    yield Case((np.zeros((0, 2)), 0, True, True))


def _nanmedian_cases(rng: np.random.Generator) -> Iterator[Case]:
    for array in _arrays(rng):
        yield Case((array,))
    yield Case((_MISSING,), differentiable=False)
    yield Case((np.array([NAN, NAN]),), differentiable=False)
    yield Case((np.zeros(0),))


def _nanmedian(self: Array) -> Array:
    return _nanmedian_dim(self.reshape(-1), 0)[0] if self.size else np.array(NAN)


# ---------------------------------------------------------------- records
def _theirs(name: str) -> Any:
    """Return PyTorch's op with its results padded as ours are."""

    def call(self: Any, *rest: Any) -> Any:
        import torch

        along = (rest[0],) if name.endswith("dim") else ()
        inverse, counts = (*rest[len(along) :], False, False)[:2]
        dim = along[0] if along else None
        function = torch.unique_consecutive if name.startswith("unique_consecutive") else torch.unique
        found, where, count = function(self, return_inverse=True, return_counts=True, dim=dim)
        size = found.shape[dim if along else 0]
        padded = self.new_zeros(self.shape if along else (self.numel(),))
        padded.narrow(dim or 0, 0, size).copy_(found)
        most = count.new_zeros(self.shape[dim] if along else self.numel())
        most[:size] = count
        return padded, where if inverse else where.new_zeros(0), most if counts else most[:0], torch.tensor(size)

    return call


_OUTSIDE = Refusal((np.ones((2, 3)), 2), IndexError, OUT_OF_RANGE)
_EMPTY_ROWS = Refusal((np.ones((2, 0)), 0), RuntimeError, "There are 0 sized dimensions, and they aren't selected")


def _unordered(name: str, *rest: Any) -> Refusal:
    return Refusal((_COMPLEX, *rest), RuntimeError, f"{name} does not support complex dtypes on CPU")


def _untaken(kernel: str, *rest: Any) -> Refusal:
    return Refusal((_COMPLEX, *rest), NotImplementedError, f"\"{kernel}\" not implemented for 'ComplexFloat'")


def _unreducible(name: str, *first: Any) -> tuple[Refusal, ...]:
    words = rf"{name}\(\): Expected reduction dim 0 to have non-zero size."
    return Refusal((np.ones((0, 3)), *first, 0), IndexError, words), Refusal(
        (np.ones((2, 3)), *first, 2), IndexError, OUT_OF_RANGE
    )


SAMPLES: list[Sample] = [
    Sample("sort", _sort, _sort_cases, (_OUTSIDE, _unordered("Sort"))),
    Sample("sort.stable", _sort, _stable_cases),
    Sample("argsort", lambda *a: _sort(*a)[1], _sort_cases, (_OUTSIDE, _unordered("Sort"))),
    Sample(
        "topk",
        _topk,
        _topk_cases,
        (
            Refusal((np.ones(3), 4), RuntimeError, "selected index k out of range"),
            Refusal((np.ones(3), -1), RuntimeError, "selected index k out of range"),
            Refusal((np.ones(3) > 0, 1), RuntimeError, "topk does not support bool dtypes on CPU"),
            _unordered("topk", 1),
        ),
    ),
    Sample(
        "kthvalue",
        _kthvalue,
        _rank_cases(1),
        (
            *_unreducible("kthvalue", 1),
            Refusal((np.ones((2, 3)), 4), RuntimeError, "selected number k out of range for dimension 1"),
            _untaken("kthvalue_cpu", 1),
        ),
    ),
    Sample("mode", _mode, _mode_cases, (*_unreducible("mode"), _untaken("mode_cpu"))),
    Sample("nanmedian", _nanmedian, _nanmedian_cases, (_untaken("median_cpu"),)),
    Sample("nanmedian.dim", _nanmedian_dim, _rank_cases(), (*_unreducible("median"), _untaken("median_out", 0))),
    Sample("gw::unique", _unique, _unique_cases, (_untaken("unique"),), torch=_theirs("unique")),
    Sample("gw::unique_consecutive", _runs, _unique_cases, torch=_theirs("unique_consecutive")),
    Sample(
        "gw::unique_dim",
        lambda self, dim, *asked: _unique(self, *asked, dim=dim % self.ndim),
        _unique_dim_cases,
        (_EMPTY_ROWS, _OUTSIDE, Refusal((np.array(1.0), 0), IndexError, "tensor has no dimensions")),
        torch=_theirs("unique_dim"),
    ),
    Sample(
        "gw::unique_consecutive_dim",
        lambda self, dim, *asked: _runs(self, *asked, dim=dim % self.ndim),
        _unique_dim_cases,
        (_EMPTY_ROWS,),
        torch=_theirs("unique_consecutive_dim"),
    ),
]
