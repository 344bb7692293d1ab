"""Samples of the matmul family."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample
from tests.ops.samples.shape import values

Array = np.ndarray[Any, Any]
Cases = Callable[[np.random.Generator], Iterable[Case]]

_TURNED = (1, 0)


def _products(*shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> Cases:
    """Make cases of two factors: float64 for all, transposed memory, other dtypes for the first."""

    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for left, right in shapes:
            yield Case((values(rng, *left), values(rng, *right)))
        left, right = shapes[0]
        yield Case((values(rng, *left[::-1]).T, values(rng, *right[::-1]).T))
        for dtype in (np.float32, np.float16, np.int64, np.int32, np.uint8):
            yield Case((np.abs(values(rng, *left, dtype=dtype)), np.abs(values(rng, *right, dtype=dtype))))

    return cases


_NUMBERS: tuple[dict[str, Any], ...] = (
    {},
    {"beta": 0.5},
    {"alpha": -2.0},
    {"beta": 0, "alpha": 3},
    {"beta": 2, "alpha": 0},
)


def _sums(own: tuple[tuple[int, ...], ...], left: tuple[int, ...], right: tuple[int, ...]) -> Cases:
    """Make cases of beta * self + alpha * (left @ right), for several shapes of self."""

    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for shape in own:
            for numbers in _NUMBERS:
                yield Case((values(rng, *shape), values(rng, *left), values(rng, *right)), numbers)
        for dtype in (np.float32, np.int64):
            yield Case(
                tuple(values(rng, *shape, dtype=dtype) for shape in (own[0], left, right)), {"beta": 2, "alpha": 3}
            )
        nan = np.full(own[0], np.nan)
        yield Case((nan, values(rng, *left), values(rng, *right)), {"beta": 0}, differentiable=False)

    return cases


def _sum(self: Array, left: Array, right: Array, *, beta: Any = 1, alpha: Any = 1) -> Array:
    product = alpha * (left @ right)
    return (product if beta == 0 else beta * self + product).astype(self.dtype)


def _product(self: Array, other: Array) -> Array:
    if self.dtype == np.float16:
        return (self.astype(np.float32) @ other.astype(np.float32)).astype(np.float16)
    return np.asarray(self @ other, self.dtype)


def _refused(left: Any, right: Any, error: type[Exception], match: str, *own: Any) -> Refusal:
    given = [np.zeros(item) if isinstance(item, tuple) else item for item in (*own, left, right)]
    return Refusal(tuple(given), error, match)


_SINGLE = np.zeros((3, 2), np.float32)
_FLAGS = np.zeros((2, 2), np.bool_)
_MULTIPLIED = r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 4x5\)"
_BATCHES = r"Expected size for first two dimensions of batch2 tensor to be: \[2, 4\] but got: \[2, 5\]."
_EXPANDED = r"The expanded size of the tensor \(5\) must match the existing size \(7\)"
_MV_SIZES = r"size mismatch, got input \(2\), mat \(2x3\), vec \(4\)"
_DOT_SIZES = r"inconsistent tensor size, expected tensor \[3\] and src \[4\] to have the same number of elements"

_ADDMM = _sums(((2, 4), (4,), (2, 1), ()), (2, 3), (3, 4))
_BADDBMM = _sums(((2, 2, 4), (4,), (2, 1, 1)), (2, 2, 3), (2, 3, 4))
_ADDMV = _sums(((2,), (1,), ()), (2, 3), (3,))


def _whole(cases: Cases) -> Cases:
    """Keep the cases whose first argument has the shape of the result: the others cannot be written in place."""

    def kept(rng: np.random.Generator) -> Iterator[Case]:
        for case in cases(rng):
            if case.args[0].shape == (case.args[1] @ case.args[2]).shape:
                yield case

    return kept


SAMPLES: list[Sample] = [
    Sample(
        "mm",
        _product,
        _products(((2, 3), (3, 4)), ((1, 1), (1, 1)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((5, 7), (7, 1))),
        (
            _refused((2, 3), (4, 5), RuntimeError, _MULTIPLIED),
            _refused((2, 3), (3,), RuntimeError, "mat2 must be a matrix"),
            _refused((3,), (2, 3), RuntimeError, "self must be a matrix"),
            _refused(
                (2, 3), _SINGLE, RuntimeError, "expected m1 and m2 to have the same dtype, but got: double != float"
            ),
            _refused(_FLAGS, _FLAGS, NotImplementedError, "\"addmm_impl_cpu_\" not implemented for 'Bool'"),
        ),
        rtol=1e-3,
    ),
    Sample(
        "bmm",
        _product,
        _products(((2, 3, 4), (2, 4, 2)), ((1, 1, 1), (1, 1, 1)), ((0, 2, 3), (0, 3, 2)), ((2, 3, 0), (2, 0, 1))),
        (
            _refused((2, 3, 4), (2, 5, 5), RuntimeError, _BATCHES),
            _refused((2, 3), (2, 3, 4), RuntimeError, "batch1 must be a 3D tensor"),
            _refused((2, 3, 4), (2, 3), RuntimeError, "batch2 must be a 3D tensor"),
            _refused((1, 2, 3), _SINGLE[None], RuntimeError, "expected scalar type Double but found Float"),
        ),
        rtol=1e-3,
    ),
    Sample(
        "mv",
        _product,
        _products(((2, 3), (3,)), ((1, 1), (1,)), ((0, 3), (3,)), ((2, 0), (0,))),
        (
            _refused((2, 3), (4,), RuntimeError, _MV_SIZES),
            _refused((2, 3), (2, 3), RuntimeError, r"vector \+ matrix @ vector expected, got 1, 2, 2"),
        ),
        rtol=1e-3,
    ),
    *(
        Sample(
            name,
            _product,
            _products(((3,), (3,)), ((1,), (1,)), ((0,), (0,))),
            (
                _refused((3,), (4,), RuntimeError, _DOT_SIZES),
                _refused((3,), (2, 3), RuntimeError, "1D tensors expected, but got 1D and 2D tensors"),
                _refused((3,), _SINGLE[:, 0], RuntimeError, "expected both vectors to have same dtype"),
            ),
            rtol=1e-3,
        )
        for name in ("dot", "vdot")
    ),
    Sample(
        "addmm",
        _sum,
        _ADDMM,
        (
            _refused((2, 3), (4, 5), RuntimeError, _MULTIPLIED, (5,)),
            _refused((2, 3), (3, 5), RuntimeError, _EXPANDED, (7,)),
            _refused((2, 3), (3,), RuntimeError, "mat2 must be a matrix, got 1-D tensor", (5,)),
            _refused(
                (2, 3), _SINGLE, RuntimeError, "self and mat2 must have the same dtype, but got Double and Float", (2,)
            ),
        ),
    ),
    Sample(
        "baddbmm",
        _sum,
        _BADDBMM,
        (
            _refused((2, 3, 4), (2, 5, 5), RuntimeError, _BATCHES, (5,)),
            _refused((2, 3, 4), (2, 4, 5), RuntimeError, _EXPANDED, (7,)),
        ),
    ),
    Sample(
        "addmv",
        _sum,
        _ADDMV,
        (
            _refused((2, 3), (4,), RuntimeError, _MV_SIZES, (2,)),
            _refused((2, 3), (3,), RuntimeError, r"vector \+ matrix @ vector expected, got 2, 2, 1", (2, 2)),
        ),
    ),
    Sample("addmm_", _sum, _whole(_ADDMM)),
    Sample("baddbmm_", _sum, _whole(_BADDBMM)),
    Sample("addmv_", _sum, _whole(_ADDMV)),
]
