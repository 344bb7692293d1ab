"""Samples of the scatter family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample
from tests.ops.samples.shape import OUT_OF_RANGE, values

Array = Any
NAN = float("nan")

# (shape of self, dim, index); places repeat, and some are never named.
_PLACES: tuple[tuple[tuple[int, ...], int, Array], ...] = (
    ((3, 4), 0, np.array([[0, 2, 2, 0], [0, 2, 2, 2], [0, 2, 1, 2]])),
    ((2, 5), -1, np.array([[1, 1, 1, 0]], np.int32)),
    ((4,), 0, np.array([2, 0, 2, 2, 2])),
    ((), 0, np.array([0])),
    ((3, 4), 0, np.zeros((0, 4), np.int64)),
)
_ROWS: tuple[tuple[tuple[int, ...], int, Array], ...] = (
    ((3, 4), 0, np.array([0, 2, 0, 0])),
    ((2, 3, 2), 1, np.array([2, 2], np.int32)),
    ((4,), -1, np.array([1, 1, 0])),
    ((), 0, np.array([0])),
    ((3, 2), 0, np.zeros((0,), np.int64)),
)
_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


# ---------------------------------------------------------------- reductions at places
def _join(found: list[Any], reduce: str, dtype: Any) -> Any:
    if reduce == "mean":
        total = np.sum(found, axis=0, dtype=dtype)
        return total / len(found) if dtype.kind == "f" else total // len(found)
    functions = {"sum": np.sum, "prod": np.prod, "amax": np.max, "amin": np.min}
    return functions[reduce](np.array(found, dtype), axis=0)


def _scatter_reduce(self: Array, dim: int, index: Array, src: Array, reduce: str, include_self: bool = True) -> Array:
    rows, index, src = (array.reshape(array.shape or (1,)) for array in (self, index, src))
    gathered: dict[tuple[int, ...], list[Any]] = {}
    for place in np.ndindex(*index.shape):
        target = list(place)
        target[dim] = int(index[place])
        gathered.setdefault(tuple(target), []).append(src[place])
    out = rows.copy()
    for target, found in gathered.items():
        out[target] = _join([rows[target], *found] if include_self else found, reduce, rows.dtype)
    return out.reshape(self.shape)


def _index_reduce(self: Array, dim: int, index: Array, source: Array, reduce: str, include_self: bool = True) -> Array:
    rows, source = (array.reshape(array.shape or (1,)) for array in (self, source))
    shape = [1] * source.ndim
    shape[dim] = -1
    spread = np.broadcast_to(index.reshape(shape), source.shape)
    return _scatter_reduce(rows, dim, spread, source, reduce, include_self).reshape(self.shape)


def _distinct(rng: np.random.Generator, *shape: int, dtype: Any = np.float64) -> Array:
    """Make values far apart from each other, so that an extreme has no kink near."""
    return (rng.permutation(int(np.prod(shape))) * 0.37 + 0.2).reshape(shape).astype(dtype)


def _reduce_cases(places: Any, given: Any, reductions: tuple[str, ...]) -> Any:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for shape, dim, index in places:
            for reduce in reductions:
                yield Case(
                    (_distinct(rng, *shape) + 0.1, dim, index, _distinct(rng, *given(shape, dim, index)), reduce)
                )
                # Where self does not take part, PyTorch's gradient of an extreme counts it all the same.
                yield Case(
                    (-_distinct(rng, *shape) - 9.05, dim, index, _distinct(rng, *given(shape, dim, index)), reduce),
                    {"include_self": False},
                    differentiable=not reduce.startswith("am"),
                    torch_gradient=index.dtype != np.int32,  # PyTorch's fills at the index, which must be int64 there
                )
        shape, dim, index = places[0]
        for dtype in (np.int64, np.float32):
            for reduce in reductions:
                whole = _distinct(rng, *given(shape, dim, index), dtype=dtype)
                yield Case((_distinct(rng, *shape, dtype=dtype), dim, index, whole, reduce))
        zeros = np.where(_distinct(rng, *given(shape, dim, index)) > 2, 0.0, 1.5)
        yield Case((_distinct(rng, *shape), dim, index, zeros, "prod"), differentiable=False)
        missing = np.where(zeros > 0, zeros, NAN)
        yield Case((_distinct(rng, *shape), dim, index, missing, "amax"), differentiable=False)

    return cases


def _selected_shape(shape: tuple[int, ...], dim: int, index: Array) -> tuple[int, ...]:
    return np.take(np.zeros(shape or (1,)), index, dim).shape if shape else ()


_scatter_cases = _reduce_cases(_PLACES, lambda shape, dim, index: index.shape, _REDUCTIONS)
_index_cases = _reduce_cases(_ROWS, _selected_shape, _REDUCTIONS[1:])
_ONE = np.zeros((1, 1), np.int64)
_SCATTER_REFUSALS = (
    Refusal(
        (np.ones((2, 3)), 0, _ONE, np.ones((1, 1)), "foo"),
        RuntimeError,
        "reduce argument must be either sum, prod, mean, amax or amin, got foo",
    ),
    Refusal((np.ones((2, 3)), 2, _ONE, np.ones((1, 1)), "sum"), IndexError, OUT_OF_RANGE),
    Refusal(
        (np.ones((2, 3), np.complex64), 0, _ONE, np.ones((1, 1), np.complex64), "amax"),
        NotImplementedError,
        "\"scatter_gather_tensor_cpu_reduce_amax\" not implemented for 'ComplexFloat'",
    ),
)
_INDEX_REFUSALS = (
    Refusal(
        (np.ones((2, 3)), 0, np.array([0]), np.ones((1, 3)), "sum"),
        RuntimeError,
        "Expected reduce to be one of prod, mean, amax or amin but got sum",
    ),
    Refusal(
        (np.ones((2, 3)), 0, np.array([0, 1]), np.ones((1, 3)), "prod"),
        RuntimeError,
        r"Number of indices \(2\) should be equal to source.size\(dim\): \(1\), for dim: 0",
    ),
    Refusal((np.ones((2, 3)), 0, _ONE, np.ones((1, 3)), "prod"), IndexError, "Index is supposed to be a vector"),
)


# ---------------------------------------------------------------- index_copy, put, take
def _index_copy(self: Array, dim: int, index: Array, source: Array) -> Array:
    out = self.copy()
    target = np.moveaxis(out.reshape(self.shape or (1,)), dim, 0)
    target[index.reshape(-1)] = np.moveaxis(source.reshape(source.shape or (1,)), dim, 0)
    return out


def _index_copy_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((values(rng, 3, 4), 0, np.array([2, 0]), values(rng, 2, 4)))
    yield Case((values(rng, 4, 3).T, -1, np.array([3]), values(rng, 3, 1)))
    yield Case((values(rng, 3), 0, np.array(1), values(rng, 1)))
    yield Case((values(rng), 0, np.array([0]), values(rng)))
    yield Case((values(rng, 3, 2), 0, np.zeros(0, np.int64), values(rng, 0, 2)))
    yield Case((values(rng, 3, 2, dtype=np.int32), 1, np.array([1]), values(rng, 3, 1, dtype=np.int32)))


def _put(self: Array, index: Array, source: Array, accumulate: bool = False) -> Array:
    out = np.array(self, order="C")
    if accumulate:
        np.add.at(out.reshape(-1), index.reshape(-1), source.reshape(-1))
    else:
        out.reshape(-1)[index.reshape(-1)] = source.reshape(-1)
    return out


def _put_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((values(rng, 3, 4), np.array([[0, -1], [5, 2]]), values(rng, 4)))
    yield Case((values(rng, 4, 3).T, np.array([1, 1, 3]), values(rng, 3), True))
    yield Case((values(rng), np.array(0), values(rng)))
    yield Case((values(rng, 2, dtype=np.int64), np.array([1, 1]), values(rng, 2, dtype=np.int64), True))
    yield Case((values(rng, 0), np.zeros(0, np.int64), values(rng, 0)))


def _take_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((values(rng, 3, 4), np.array([[0, -1], [5, 0]])))
    yield Case((values(rng, 4, 3).T, np.array([1, 3])))
    yield Case((values(rng), np.array(0)))
    yield Case((values(rng, 0), np.zeros((0, 2), np.int64)))
    yield Case((values(rng, 5, dtype=np.bool_), np.array([4, -5])))


# ---------------------------------------------------------------- into a view of a copy
def _into(view: Any) -> Any:
    def reference(self: Array, src: Array, *where: Any) -> Array:
        out = self.copy()
        view(out, *where)[...] = src
        return out

    return reference


def _diagonal(out: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    view = np.diagonal(out, offset, dim1, dim2)
    view.flags.writeable = True
    return view


def _slice(out: Array, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Array:
    return np.moveaxis(np.moveaxis(out, dim, 0)[start:end:step], 0, dim)


def _view_cases(*given: tuple[tuple[int, ...], tuple[int, ...], tuple[Any, ...]]) -> Any:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for shape, source, where in given:
            yield Case((values(rng, *shape), values(rng, *source), *where))
            yield Case((values(rng, *shape[::-1]).T, values(rng, *source), *where))
        shape, source, where = given[0]
        yield Case((values(rng, *shape, dtype=np.int64), values(rng, *source, dtype=np.int64), *where))
        yield Case((values(rng, *shape, dtype=np.float32), values(rng, *source), *where), differentiable=False)

    return cases


def _too_large(*where: Any) -> Refusal:
    return Refusal(
        (np.ones((3, 4)), np.ones((4, 4)), *where), RuntimeError, "expected src to have a size equal to the sl"
    )


def _both(name: str, overload: str, *rest: Any, **more: Any) -> Iterator[Sample]:
    """Make the sample of an op and of its in-place form."""
    yield Sample(f"{name}{overload}", *rest, **more)
    yield Sample(f"{name}_{overload}", *rest, **more)


SAMPLES: list[Sample] = [
    *_both("scatter_reduce", ".two", _scatter_reduce, _scatter_cases, _SCATTER_REFUSALS),
    *_both("index_reduce", "", _index_reduce, _index_cases, _INDEX_REFUSALS),
    *_both(
        "index_copy",
        "",
        _index_copy,
        _index_copy_cases,
        (
            Refusal((np.ones((2, 3)), 0, _ONE, np.ones((1, 3))), IndexError, "Index should have dimension 1 or 0"),
            Refusal(
                (np.ones((2, 3)), 0, np.array([0]), np.ones((1, 4))),
                RuntimeError,
                "Destination slice shape: 3 at dimension 0 and source slice shape: 4 at dimension 0.",
            ),
            Refusal(
                (np.ones((2, 3)), 0, np.array([0]), np.ones((2, 3))),
                IndexError,
                r"Number of indices \(1\) should be equal to source.size\(dim\) \(2\)",
            ),
            Refusal(
                (np.ones(2), 0, np.array([0], np.int32), np.ones(1)), RuntimeError, "Expected a long tensor for ind"
            ),
        ),
    ),
    *_both(
        "put",
        "",
        _put,
        _put_cases,
        (
            Refusal(
                (np.ones(2), np.array([0]), np.ones(2)),
                IndexError,
                "source.numel() = 2, index.numel() = 1".replace("(", r"\(").replace(")", r"\)"),
            ),
            Refusal((np.ones(0), np.array([0]), np.ones(1)), IndexError, "Tried to put elements into an empty tensor"),
        ),
    ),
    Sample(
        "take",
        lambda self, index: np.take(self, index),
        _take_cases,
        (
            Refusal(
                (np.ones(2), np.array([0.0])), RuntimeError, r"take\(\): Expected a long tensor for index, but got D"
            ),
            Refusal((np.ones(0), np.array([0])), IndexError, r"take\(\): tried to take from an empty tensor"),
        ),
    ),
    Sample(
        "select_scatter",
        _into(lambda out, dim, index: np.moveaxis(out, dim, 0)[index, ...]),
        _view_cases(((3, 4), (4,), (0, 1)), ((3, 4), (3,), (-1, -1)), ((2,), (), (0, 0))),
        (_too_large(0, 0), Refusal((np.ones((3, 4)), np.ones(3), 2, 0), IndexError, OUT_OF_RANGE)),
    ),
    Sample(
        "slice_scatter",
        _into(_slice),
        _view_cases(((3, 4), (3, 2), (1, 0, 4, 2)), ((3, 4), (1, 4), (0, -1)), ((3, 4), (0, 4), (0, 5, 9))),
        (_too_large(0, 0, 2),),
    ),
    Sample(
        "diagonal_scatter",
        _into(_diagonal),
        _view_cases(((3, 4), (3,), ()), ((3, 4), (2,), (-1,)), ((2, 3, 4), (3, 2), (1, 0, 2)), ((2, 3), (0,), (7,))),
        (_too_large(),),
    ),
]
