"""Samples of the indexing family. What an out-of-range index raises is in tests/ops/test_index_values.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample
from tests.ops.samples.shape import OUT_OF_RANGE, values

Array = np.ndarray[Any, Any]
Cases = Callable[[np.random.Generator], Iterable[Case]]

_ROWS = np.array([2, 0, 2, -1])
_PAIR = np.array([[0, 1], [1, 0]])


# ---------------------------------------------------------------- index, index_put
def _key(indices: Sequence[Array | None]) -> tuple[Any, ...]:
    return tuple(slice(None) if index is None else index for index in indices)


_INDICES: tuple[tuple[tuple[int, ...], list[Array | None]], ...] = (
    ((3, 4), [_ROWS]),
    ((3, 4), [None, np.array([-1, 3])]),
    ((3, 4), [_PAIR, np.array([0, 3])]),
    ((3, 4, 2), [None, _PAIR]),
    ((2, 3, 4), [np.array([1, 0]), None, np.array([-4, 2])]),
    ((2, 3, 4), [None, np.array([[1], [0]]), np.array([3, 1])]),
    ((3, 4), [np.array(1)]),
    ((2, 3, 4), [None, np.array(1)]),
    ((3, 4), [np.zeros((0,), np.int64)]),
    ((0, 3), [np.zeros((0, 2), np.int64)]),
    ((3,), [np.array([0, 1], np.int32)]),
)


def _index_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape, indices in _INDICES:
        yield Case((values(rng, *shape), indices))
    yield Case((values(rng, 4, 3).T, [_ROWS]))
    for dtype in (np.float32, np.int64, np.bool_):
        yield Case((values(rng, 3, 4, dtype=dtype), [_ROWS]))


def _distinct(shape: tuple[int, ...], indices: Sequence[Array | None]) -> bool:
    places = np.arange(np.prod(shape)).reshape(shape)[_key(indices)]
    return len(np.unique(places)) == places.size


def _index_put_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape, indices in _INDICES:
        picked = np.zeros(shape)[_key(indices)].shape
        yield Case((values(rng, *shape), indices, values(rng, *picked), True))
        # A repeated place counts twice in PyTorch's gradient of a value that is written there only once.
        yield Case((values(rng, *shape), indices, values(rng), False), differentiable=_distinct(shape, indices))
    # Without `accumulate` only one of the values of a repeated place is kept, and which one is not defined.
    yield Case((values(rng, 3, 4), [None, np.array([3, 0])], values(rng, 3, 1), False))
    yield Case((values(rng, 4, 3).T, [np.array([1, 2])], values(rng, 4), False))
    yield Case((values(rng, 4, 3).T, [_ROWS], values(rng, 4, 4), True))
    for dtype in (np.float32, np.float16, np.int64, np.uint8, np.bool_):
        yield Case((values(rng, 3, dtype=dtype), [_ROWS], np.abs(values(rng, 4, dtype=dtype)), True))


def _index_put(self: Array, indices: Sequence[Array | None], given: Array, accumulate: bool = False) -> Array:
    out = self.copy()
    if not accumulate:
        out[_key(indices)] = given
    elif self.dtype == np.bool_:
        np.logical_or.at(out, _key(indices), given)
    else:
        np.add.at(out, _key(indices), given)
    return out


_INDEX_REFUSALS = (
    Refusal(
        (np.zeros((2, 3)), [np.array([0, 1]), np.array([0, 1, 2])]),
        IndexError,
        r"shape mismatch: indexing tensors could not be broadcast together with shapes \[2\], \[3\]",
    ),
    Refusal((np.zeros(2), [_PAIR, _PAIR]), IndexError, "too many indices for tensor of dimension 1"),
    Refusal((np.zeros(2), [np.array([0.0])]), IndexError, "tensors used as indices must be long, int, byte or bool"),
    Refusal((np.zeros((0, 2)), [np.array([0])]), IndexError, "index is out of bounds for dimension with size 0"),
    Refusal((np.zeros(2), [np.array([True, False])]), IndexError, "index needs int64 or int32 tensors", in_torch=False),
)
_INDEX_PUT_REFUSALS = (
    Refusal(
        (np.zeros((2, 3)), [np.array([0, 1])], np.zeros(5)),
        RuntimeError,
        r"shape mismatch: value tensor of shape \[5\] cannot be broadcast to indexing result of shape \[2, 3\]",
    ),
    Refusal(
        (np.zeros(2), [np.array([0, 1])], np.zeros(2, np.float32)),
        RuntimeError,
        "Index put requires the source and destination dtypes match, got Double for the destination and Float",
    ),
)

# ---------------------------------------------------------------- gather, scatter
# (shape of self, dim, index); no place occurs twice, so that scatter is defined.
_PLACES: tuple[tuple[tuple[int, ...], int, Array], ...] = (
    ((3, 4), 0, np.array([[0, 2, 1, 0], [1, 0, 0, 2]])),
    ((3, 4), 1, np.array([[3, 0], [1, 2], [0, 1]])),
    ((3, 4), -1, np.array([[2]], np.int32)),
    ((2, 3, 2), 1, np.array([[[2], [0]], [[1], [2]]])),
    ((3,), 0, np.array([2, 0])),
    ((3,), 0, np.array(1)),
    ((), 0, np.array(0)),
    ((), 0, np.array([0])),
    ((3, 4), 0, np.zeros((0, 4), np.int64)),
    ((0, 4), 0, np.zeros((0, 2), np.int64)),
)


def _full_key(shape: tuple[int, ...], dim: int, index: Array) -> tuple[Any, ...]:
    grid = list(np.indices(index.shape))
    if grid:
        grid[dim] = index
    return tuple(grid) or ((index,) if shape else ())


def _gather(self: Array, dim: int, index: Array) -> Array:
    if not self.ndim:
        return np.broadcast_to(self, index.shape)
    return self[_full_key(self.shape, dim, index)]


def _scatter(self: Array, dim: int, index: Array, src: Any) -> Array:
    out = self.copy()
    given = src[tuple(slice(size) for size in index.shape)] if isinstance(src, np.ndarray) else src
    target, places = (out, index) if self.ndim else (out.reshape(1), index.reshape(-1))
    target[_full_key(target.shape, dim, places)] = np.reshape(given, places.shape) if np.ndim(given) else given
    return out


def _scatter_add(self: Array, dim: int, index: Array, src: Array) -> Array:
    out = self.copy()
    target, places = (out, index) if self.ndim else (out.reshape(1), index.reshape(-1))
    given = src[tuple(slice(size) for size in index.shape)].reshape(places.shape)
    np.add.at(target, _full_key(target.shape, dim, places), given)
    return out


def _gather_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape, dim, index in _PLACES:
        yield Case((values(rng, *shape), dim, index))
    yield Case((values(rng, 4, 3).T, 0, np.zeros((5, 2), np.int64)))
    for dtype in (np.float32, np.int64, np.bool_):
        yield Case((values(rng, 3, 4, dtype=dtype), 1, _PLACES[1][2]))


def _scatter_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape, dim, index in _PLACES:
        yield Case((values(rng, *shape), dim, index, values(rng, *index.shape)))
    # float32, since PyTorch's gradient fails where src is larger than index; ours is zero there.
    yield Case((values(rng, 4, 3, dtype=np.float32).T, 0, _PLACES[0][2], values(rng, 3, 5, dtype=np.float32)))
    for dtype in (np.float32, np.int64):
        yield Case((values(rng, 3, 4, dtype=dtype), 1, _PLACES[1][2], values(rng, 3, 2, dtype=dtype)))


def _scatter_add_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield from _scatter_cases(rng)
    yield Case((values(rng, 3, 4), 0, np.array([[1, 1], [1, 2]]), values(rng, 2, 2)))
    yield Case((values(rng, 3, dtype=np.uint8), 0, np.array([1, 1]), np.array([3, 4], np.uint8)))


def _scatter_value_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape, dim, index in _PLACES:
        yield Case((values(rng, *shape), dim, index, 2.5))
    yield Case((values(rng, 3, 4, dtype=np.int64), 1, _PLACES[1][2], 2.5))
    yield Case((values(rng, 3, 4, dtype=np.float32), 1, _PLACES[1][2], 7))


def _along_refusals(name: str, *rest: Any) -> tuple[Refusal, ...]:
    one = np.zeros((1, 1), np.int64)
    other = "input" if name == "gather" else "self"
    return (
        Refusal(
            (np.zeros((2, 3)), 0, np.array([0]), *rest),
            RuntimeError,
            f"Index tensor must have the same number of dimensions as {other} tensor",
        ),
        Refusal((np.zeros((2, 3)), 0, one * 1.0, *rest), RuntimeError, r"\(\): Expected dtype int32/int64 for index"),
        Refusal((np.zeros((2, 3)), 2, one, *rest), IndexError, OUT_OF_RANGE),
        Refusal(
            (np.zeros((2, 3)), 0, np.zeros((1, 4), np.int64), *rest),
            RuntimeError,
            r"xpected index \[1, 4\] to be no larger than self \[2, 3\] apart from dimension 0",
        ),
    )


_SRC = np.zeros((1, 4))
_SRC_REFUSALS = (
    *_along_refusals("scatter", _SRC),
    Refusal(
        (np.zeros((2, 3)), 0, np.zeros((1, 1), np.int64), np.zeros((1, 1), np.float32)),
        RuntimeError,
        r"scatter\(\): Expected self.dtype to be equal to src.dtype",
    ),
    Refusal(
        (np.zeros((2, 3)), 0, np.zeros((1, 1), np.int64), np.zeros((0, 1))),
        RuntimeError,
        r"no larger size than src \[0, 1\]",
    ),
)


# ---------------------------------------------------------------- index_select, index_add, index_fill
_SELECTED: tuple[tuple[tuple[int, ...], int, Array], ...] = (
    ((3, 4), 0, np.array([2, 0, 2])),
    ((3, 4), -1, np.array([1], np.int32)),
    ((2, 3, 2), 1, np.array([0, 0, 1, 2])),
    ((3,), 0, np.array(2)),
    ((), 0, np.array([0])),
    ((3, 2), 0, np.zeros((0,), np.int64)),
)


def _selected(self: Array, dim: int, index: Array) -> Array:
    return np.take(self, index.reshape(-1), dim) if self.ndim else self.copy()


def _index_select_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape, dim, index in _SELECTED:
        yield Case((values(rng, *shape), dim, index))
    yield Case((values(rng, 4, 3).T, 0, np.array([1, 1])))
    for dtype in (np.float32, np.int64, np.bool_):
        yield Case((values(rng, 3, 4, dtype=dtype), 1, np.array([3, 0])))


def _index_add(self: Array, dim: int, index: Array, source: Array, *, alpha: Any = 1) -> Array:
    out = self.copy()
    target = np.moveaxis(out.reshape(self.shape or (1,)), dim, 0)
    np.add.at(target, index.reshape(-1), np.moveaxis((alpha * source).reshape(source.shape or (1,)), dim, 0))
    return out


def _index_add_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape, dim, index in _SELECTED:
        given = _selected(np.zeros(shape), dim, index).shape
        yield Case((values(rng, *shape), dim, index, values(rng, *given)), {"alpha": 1 if index.size == 3 else 2.5})
    yield Case((values(rng, 4, 3).T, 0, np.array([1, 1]), values(rng, 2, 4)))
    for dtype in (np.float32, np.int64, np.int8):
        yield Case((values(rng, 3, 2, dtype=dtype), 0, np.array([1, 1]), values(rng, 2, 2, dtype=dtype)), {"alpha": 2})


def _index_fill(self: Array, dim: int, index: Array, value: Any) -> Array:
    out = self.copy()
    np.moveaxis(out.reshape(self.shape or (1,)), dim, 0)[index] = value
    return out


def _index_fill_cases(number: Callable[[np.random.Generator, Any], Any]) -> Cases:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for shape, dim, index in _SELECTED:
            yield Case((values(rng, *shape), dim, index.astype(np.int64), number(rng, np.float64)))
        # float32, since PyTorch's gradient of `value` refuses the negative index that its forward takes.
        yield Case((values(rng, 4, 3, dtype=np.float32).T, 0, np.array([-1]), number(rng, np.float32)))
        yield Case((values(rng, 3, 2, dtype=np.int64), 0, np.array([1]), number(rng, np.int64)))

    return cases


_VECTOR_ONLY = np.zeros((1, 1), np.int64)
_FILL_REFUSALS = (
    Refusal((np.zeros((2, 3)), 0, _VECTOR_ONLY, 1.0), RuntimeError, "Index has to be a vector/scalar"),
    Refusal((np.zeros((2, 3)), 0, np.array([1], np.int32), 1.0), IndexError, "Expected dtype int64 for index"),
    Refusal((np.zeros((2, 3)), 3, np.array([1]), 1.0), IndexError, OUT_OF_RANGE),
)


def _both(name: str, overload: str, *rest: Any, **more: Any) -> Iterator[Sample]:
    """Make the sample of an op and of its in-place form."""
    yield Sample(f"{name}{overload}", *rest, **more)
    yield Sample(f"{name}_{overload}", *rest, **more)


SAMPLES: list[Sample] = [
    Sample("index.Tensor", lambda self, indices: self[_key(indices)], _index_cases, _INDEX_REFUSALS),
    *_both("index_put", "", _index_put, _index_put_cases, _INDEX_PUT_REFUSALS, rtol=1e-3),
    Sample("gather", _gather, _gather_cases, _along_refusals("gather")),
    *_both("scatter", ".src", _scatter, _scatter_cases, _SRC_REFUSALS),
    *_both("scatter", ".value", _scatter, _scatter_value_cases, _along_refusals("scatter", 1.0)),
    *_both("scatter_add", "", _scatter_add, _scatter_add_cases, _SRC_REFUSALS),
    Sample(
        "index_select",
        _selected,
        _index_select_cases,
        (
            Refusal(
                (np.zeros((2, 3)), 0, _VECTOR_ONLY), IndexError, r"index_select\(\): Index is supposed to be a vector"
            ),
            Refusal((np.zeros((2, 3)), 0, np.array([1.0])), RuntimeError, "Expected dtype int32 or int64 for index"),
            Refusal((np.zeros((2, 3)), 3, np.array([1])), IndexError, OUT_OF_RANGE),
            Refusal((np.zeros(()), 0, np.array([0, 0])), RuntimeError, "Index to scalar can have only 1 value, got 2"),
        ),
    ),
    *_both(
        "index_add",
        "",
        _index_add,
        _index_add_cases,
        (
            Refusal(
                (np.zeros((2, 3)), 0, np.array([0, 1]), np.zeros((1, 3))),
                RuntimeError,
                r"Number of indices \(2\) should be equal to source.size\(dim\): \(1\), for dim: 0",
            ),
            Refusal(
                (np.zeros((2, 3)), 0, np.array([0]), np.zeros((1, 4))),
                RuntimeError,
                "source tensor shape must match self tensor shape, excluding the specified dimension",
            ),
            Refusal(
                (np.zeros((2, 3)), 0, np.array([0]), np.zeros((1, 3), np.float32)),
                RuntimeError,
                r"self \(Double\) and source \(Float\) must have the same scalar type",
            ),
            Refusal(
                (np.zeros((2, 3)), 0, _VECTOR_ONLY, np.zeros((1, 3))), IndexError, "Index is supposed to be a vector"
            ),
        ),
    ),
    *_both("index_fill", ".int_Scalar", _index_fill, _index_fill_cases(lambda rng, dtype: 3), _FILL_REFUSALS),
    *_both(
        "index_fill",
        ".int_Tensor",
        _index_fill,
        _index_fill_cases(lambda rng, dtype: values(rng, dtype=dtype)),
        (
            Refusal(
                (np.zeros((2, 3)), 0, np.array([0]), np.zeros(1)),
                RuntimeError,
                "index_fill_ only supports a 0-dimensional value tensor, but got tensor with 1 dimension",
            ),
        ),
    ),
]
