"""Samples of the reduction family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradwire_protocol.dtypes import DType, float32, float64, int64
from tests.ops.samples.record import Case, Refusal, Sample

Array = Any
Cases = Callable[[np.random.Generator], Iterator[Case]]
NAN, INF = float("nan"), float("inf")


# ---------------------------------------------------------------- inputs
def _spread(rng: np.random.Generator, *shape: int, dtype: Any = np.float64) -> Array:
    """Make numbers that are far enough from each other and from 0 for finite differences."""
    size = int(np.prod(shape))
    values = rng.permutation(np.arange(1, size + 1)) * 0.37 * rng.choice((-1, 1), size)
    return values.reshape(shape).astype(dtype)


def _whole(rng: np.random.Generator, *shape: int, dtype: Any = np.int64) -> Array:
    return rng.integers(0, 5, shape).astype(dtype)


def _arrays(rng: np.random.Generator, kinds: str) -> Iterator[Array]:
    """Make arrays of several ranks and layouts; of floats (f), integers (i) and bools (b) as `kinds` says."""
    if "f" in kinds:
        yield _spread(rng, 2, 3, 4)
        yield _spread(rng, 4, 3).T
        yield _spread(rng, 3, 6)[:, ::2]
        yield _spread(rng, 3, 4, dtype=np.float32)
        yield _spread(rng, 5)
        yield _spread(rng)
    if "i" in kinds:
        yield _whole(rng, 3, 4)
        yield _whole(rng, 2, 3, dtype=np.int32)
        yield _whole(rng, 4, dtype=np.uint8)
    if "b" in kinds:
        yield rng.random((3, 4)) < 0.5


def _dims(ndim: int) -> list[Any]:
    return [None, (), (0,), (-1,), (0, ndim - 1)] if ndim > 1 else [None, (), (0,), (-1,)]


def _full(kinds: str, *extra: Array) -> Cases:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for array in (*_arrays(rng, kinds), *extra):
            yield Case((array,))

    return cases


def _over_dims(kinds: str, *extra: Case, dims: bool = True, keep: bool = True) -> Cases:
    """Make cases of (self, dim, keepdim): `dim` is a tuple or None, or with dims=False an int."""

    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for array in _arrays(rng, kinds):
            for dim in _dims(array.ndim) if dims else sorted({0, -1, max(array.ndim - 2, 0)}):
                yield Case((array, dim, True) if keep else (array, dim))
            yield Case((array, (-1,) if dims else -1))
        yield from extra

    return cases


def _with_dtype(cases: Cases, dtype: DType) -> Cases:
    """Add the first few cases again with a `dtype` keyword."""

    def more(rng: np.random.Generator) -> Iterator[Case]:
        for number, case in enumerate(cases(rng)):
            yield case
            if number % 5 == 0:
                yield Case(case.args, {**case.kwargs, "dtype": dtype})

    return more


# ---------------------------------------------------------------- references
def _axis(self: Array, dim: Any) -> Any:
    return None if dim is None or dim == () or self.ndim == 0 else dim


def _summing(self: Array, dtype: DType | None) -> Any:
    return dtype.numpy if dtype else self.dtype if self.dtype.kind in "fc" else np.dtype("int64")


def _reduce(function: Callable[..., Any]) -> Callable[..., Any]:
    def reference(self: Array, dim: Any = None, keepdim: bool = False, dtype: DType | None = None) -> Array:
        kind = _summing(self, dtype)
        wide = self.astype(kind).astype(np.float64 if kind.kind == "f" else kind)
        return np.asarray(function(wide, axis=_axis(self, dim), keepdims=keepdim)).astype(kind)

    return reference


def _plain(function: Callable[..., Any], dtype: Any = None) -> Callable[..., Any]:
    def reference(self: Array, dim: Any = None, keepdim: bool = False) -> Array:
        return np.asarray(function(self, axis=_axis(self, dim), keepdims=keepdim)).astype(dtype or self.dtype)

    return reference


def _selected(values: Callable[..., Any], indices: Callable[..., Any]) -> Callable[..., Any]:
    def reference(self: Array, dim: int, keepdim: bool = False) -> tuple[Array, Array]:
        axis = _axis(self, dim)
        return (
            np.asarray(values(self, axis=axis, keepdims=keepdim)),
            np.asarray(indices(self, axis=axis, keepdims=keepdim)),
        )

    return reference


def _truth(function: Callable[..., Any]) -> Callable[..., Any]:
    def reference(self: Array, dim: Any = None, keepdim: bool = False) -> Array:
        kind = np.uint8 if self.dtype == np.uint8 else np.bool_
        if dim == ():
            return (self != 0).astype(kind)
        return np.asarray(function(self != 0, axis=_axis(self, dim), keepdims=keepdim)).astype(kind)

    return reference


def _variance(self: Array, dim: Any = None, correction: float | None = None, keepdim: bool = False) -> Array:
    axis = _axis(self, dim)
    deviations = np.square(np.abs(self - self.mean(axis=axis, keepdims=True)))
    free = self.size / max(self.mean(axis=axis).size, 1) - (1 if correction is None else correction)
    with np.errstate(all="ignore"):
        return np.asarray(deviations.sum(axis=axis, keepdims=keepdim) / np.float64(max(free, 0))).astype(
            deviations.dtype
        )


def _mean(self: Array, dim: Any, keepdim: bool) -> Array:
    return np.asarray(self.mean(axis=_axis(self, dim), keepdims=keepdim))


def _deviation(self: Array, dim: Any = None, correction: float | None = None, keepdim: bool = False) -> Array:
    return np.sqrt(_variance(self, dim, correction, keepdim))


def _var_mean(self: Array, dim: Any = None, correction: float | None = None, keepdim: bool = False) -> Any:
    return _variance(self, dim, correction, keepdim), _mean(self, dim, keepdim)


def _std_mean(self: Array, dim: Any = None, correction: float | None = None, keepdim: bool = False) -> Any:
    return _deviation(self, dim, correction, keepdim), _mean(self, dim, keepdim)


def _norm(self: Array, ord: float = 2, dim: Any = None, keepdim: bool = False, dtype: DType | None = None) -> Array:
    size = np.abs(self.astype(dtype.numpy) if dtype else self)
    how: dict[str, Any] = {"axis": _axis(self, dim), "keepdims": keepdim}
    if abs(ord) == INF:
        return np.asarray((size.max if ord > 0 else size.min)(**how))
    if ord == 0:
        return np.asarray((size != 0).sum(**how)).astype(size.dtype)
    return np.asarray(np.power(np.power(size, ord).sum(**how), 1 / ord)).astype(size.dtype)


def _median(self: Array) -> Array:
    if np.isnan(self).any():
        return np.asarray(np.nan, self.dtype)
    return np.sort(self, axis=None)[(self.size - 1) // 2]


def _median_dim(self: Array, dim: int, keepdim: bool = False) -> tuple[Array, Array]:
    rows, axis = (self.reshape(1), 0) if self.ndim == 0 else (self, dim)
    order = np.argsort(rows, axis=axis, kind="stable")
    indices = np.take(order, [(rows.shape[axis] - 1) // 2], axis=axis)
    missing = np.isnan(rows)
    indices = np.where(missing.any(axis=axis, keepdims=True), missing.argmax(axis=axis, keepdims=True), indices)
    values = np.take_along_axis(rows, indices, axis=axis)
    shape = self.shape if self.ndim == 0 else values.shape if keepdim else np.squeeze(values, axis).shape
    return values.reshape(shape), indices.reshape(shape)


def _scan(function: Callable[..., Any]) -> Callable[..., Any]:
    def reference(self: Array, dim: int, dtype: DType | None = None) -> Array:
        kind = _summing(self, dtype)
        return function(self.reshape(self.shape or (1,)).astype(kind), axis=dim).reshape(self.shape).astype(kind)

    return reference


def _logsumexp(self: Array, dim: Any, keepdim: bool = False) -> Array:
    x, axis = self.astype(self.dtype if self.dtype.kind == "f" else np.float32), _axis(self, dim)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(x.astype(np.float64)).sum(axis=axis, keepdims=keepdim))).astype(x.dtype)


def _count(self: Array, dim: Any = None) -> Array:
    return np.asarray((self != 0).sum(axis=_axis(self, dim)))


# ---------------------------------------------------------------- refusals
MATRIX, EMPTY, WHOLE = np.ones((3, 4)), np.ones((0, 3)), np.ones((2, 2), np.int64)
_RANGE = r"Dimension out of range \(expected to be in range of \[-2, 1\], but got 2\)"


def _outside(*rest: Any, dims: bool = False) -> Refusal:
    return Refusal((MATRIX, *rest, (2,) if dims else 2), IndexError, _RANGE)


_TWICE = Refusal((MATRIX, (0, -2)), RuntimeError, "dim 0 appears multiple times in the list of dims")
_NO_MEAN = "mean\\(\\): could not infer output dtype. {} must be either a floating point or complex dtype. Got: Long"


def _moment(name: str) -> tuple[Refusal, ...]:
    words = f"{name} only support floating point and complex dtypes"
    return Refusal((WHOLE,), RuntimeError, words), _outside(dims=True), _TWICE


_MEDIAN_TYPE = Refusal((MATRIX > 0,), NotImplementedError, "\"median_cpu\" not implemented for 'Bool'")


def _empty(name: str, *dim: Any) -> Refusal:
    if not dim:
        words = rf"{name}\(\): Expected reduction dim to be specified for input.numel\(\) == 0"
        return Refusal((EMPTY,), IndexError if name.startswith("arg") else RuntimeError, words)
    return Refusal((EMPTY, *dim), IndexError, rf"{name}\(\): Expected reduction dim 0 to have non-zero size")


# ---------------------------------------------------------------- records
_TALL = np.full((4096, 2), 0.1, np.float32)  # added one after the other, this loses the fifth digit
_MISSING = np.array([1.0, NAN, 3.0])
_TIES = np.array([[1.0, 2.0, 2.0], [3.0, 3.0, 3.0]])
_NO_TERMS = Case((np.ones((0, 3)), (0,), False))
_ZEROS = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 5.0], [1.5, 2.0, -1.0]])

_SUM_FULL = _with_dtype(_full("fib", np.ones((0, 3)), _spread(np.random.default_rng(0), 9, dtype=np.float16)), float64)
_SUM_DIM = _with_dtype(_over_dims("fib", _NO_TERMS, Case((_TALL, (0,))), Case((_TALL.T, (1,)))), float64)


def _extreme(name: str, values: Any, indices: Any) -> list[Sample]:
    nan = (Case((_MISSING, 0, False), differentiable=False), Case((_TIES, 1, False), differentiable=False))
    missing = Case((_MISSING, (), False), differentiable=False)
    ties = Case((_TIES, (1,), False), differentiable=False)
    position = _plain(indices, np.int64)
    return [
        Sample(name, _plain(values), _full("fib"), (_empty(name),)),
        Sample(
            f"{name}.dim",
            _selected(values, indices),
            _over_dims("fib", *nan, dims=False),
            (_empty(name, 0), _outside()),
        ),
        Sample(
            f"a{name}",
            _plain(values),
            lambda rng: (case for case in _over_dims("fib", missing, ties)(rng) if case.args[1] is not None),
            (_empty(f"a{name}"), _empty(f"a{name}", (0,)), _outside(dims=True), _TWICE),
        ),
        Sample(
            f"arg{name}",
            position,
            _over_dims("fi", Case((_MISSING, 0)), Case((_TIES, 1)), Case((_TIES, None)), dims=False),
            (
                _empty(f"arg{name}"),
                _empty(f"arg{name}", 0),
                _outside(),
                Refusal((MATRIX > 0,), RuntimeError, rf"arg{name}\(\): does not support bool input"),
            ),
        ),
    ]


def _moment_cases(rng: np.random.Generator) -> Iterator[Case]:
    for array in _arrays(rng, "f"):
        if array.ndim == 0:
            yield Case((array,), {"correction": 0}, differentiable=False)  # its std is 0, where it has a kink
            continue
        for dim in _dims(array.ndim):
            # PyTorch's gradient counts no elements for an empty tuple, and divides by zero.
            yield Case((array, dim), {"keepdim": True}, torch_gradient=dim != ())
        yield Case((array,))
        yield Case((array, (0,)), {"correction": 0.5})
    yield Case((np.ones((1, 3)), (0,)), differentiable=False)  # NaN
    yield Case((np.array([1.0, 2.0]),), {"correction": 3}, differentiable=False)  # inf
    yield Case((np.array([1.0, 2.0, 4.0, 0.5], np.float16),))


def _norm_cases(rng: np.random.Generator) -> Iterator[Case]:
    for order in (2, 1, 0, INF, -INF, 3, 1.5, 0.5, -1.0, 2.0):
        array = _spread(rng, 2, 3, 4)
        yield Case((array, order))
        yield Case((array, order, (0, 2), True))
        yield Case((array[0].T, order, (-1,)))
        yield Case((_spread(rng), order))
    yield Case((_spread(rng, 3, 4, dtype=np.float32), 2), {"dtype": float64})
    yield Case((np.zeros(3), 2), differentiable=False)
    yield Case((np.zeros((0, 3)), 2, (0,)))
    yield Case((np.array([3.0, -4.0, 4.0]), INF), differentiable=False)


def _scan_cases(rng: np.random.Generator) -> Iterator[Case]:
    for array in _arrays(rng, "fib"):
        for dim in {0, -1}:
            yield Case((array, dim))
    yield Case((_spread(rng, 7), 0), {"dtype": float32}, differentiable=False)  # finite differences drown in float32
    yield Case((_ZEROS, 1))
    yield Case((_ZEROS, 0))
    yield Case((np.ones((0, 3)), 0))


def _scan_into(function: Callable[..., Any]) -> Callable[..., Any]:
    def reference(self: Array, dim: int) -> Array:
        return _scan(function)(self, dim).astype(self.dtype)

    return reference


def _scan_into_cases(rng: np.random.Generator) -> Iterator[Case]:
    for array in _arrays(rng, "fi"):
        yield Case((array, 0))
    yield Case((_ZEROS, 1))


def _prod_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield from _over_dims("fib", Case((_ZEROS, 0)), Case((_ZEROS, 1, True)), dims=False)(rng)
    yield Case((np.ones((0, 3)), 0))
    yield Case((_whole(rng, 3, 2), 0), {"dtype": float64})
    yield Case((_spread(rng, 3, 2, dtype=np.float32), 0), {"dtype": float64})


def _logsumexp_cases(rng: np.random.Generator) -> Iterator[Case]:
    for case in _over_dims("fib", Case((np.full((2, 3), -INF), (1,)), differentiable=False), Case((EMPTY, (0,))))(rng):
        if case.args[1]:
            yield case
    yield Case((np.array([3.0, -INF]), (0,)), differentiable=False)


def _renorm(self: Array, p: float, dim: int, maxnorm: float) -> Array:
    axes = tuple(axis for axis in range(self.ndim) if axis != dim % self.ndim)
    size = np.abs(self)
    norm = size.max(axes, keepdims=True) if p == INF else (size**p).sum(axes, keepdims=True) ** (1 / p)
    return (self * np.where(norm > maxnorm, maxnorm / (norm + 1e-7), 1)).astype(self.dtype)


def _renorm_cases(rng: np.random.Generator) -> Iterator[Case]:
    for p in (1, 2, 2.5, INF):
        yield Case((_spread(rng, 3, 4), p, 0, 2.7))
        yield Case((_spread(rng, 4, 3, 2).T, p, -1, 1))
    yield Case((_spread(rng, 3, 4, dtype=np.float32), 2, 1, 0.5))
    yield Case((np.zeros((2, 2)), 2, 1, 0.5), differentiable=False)


_RENORM_REFUSALS = (
    Refusal((MATRIX, 2, 2, 1), IndexError, _RANGE),
    Refusal((np.ones(3), 2, 0, 1), RuntimeError, "renorm: input needs at least 2 dimensions, got 1 dimensions"),
    Refusal((MATRIX, 1j, 0, 1), RuntimeError, "renorm: p must be real-valued"),
)


def _truth_samples(name: str, function: Any) -> list[Sample]:
    reference, odd = _truth(function), (np.ones((0, 3)), _MISSING, np.zeros(3))
    return [
        Sample(name, reference, _full("fib", *odd)),
        Sample(f"{name}.dim", reference, _over_dims("fib", Case((EMPTY, 0)), dims=False), (_outside(),)),
        Sample(f"{name}.dims", reference, _over_dims("fib", Case((EMPTY, (0,)))), (_outside(dims=True), _TWICE)),
    ]


SAMPLES: list[Sample] = [
    Sample("sum", _reduce(np.sum), _SUM_FULL, atol=1e-5),
    Sample("sum.dim_IntList", _reduce(np.sum), _SUM_DIM, (_outside(dims=True), _TWICE)),
    Sample(
        "mean",
        _reduce(np.mean),
        _with_dtype(_full("f"), float64),
        (
            Refusal((WHOLE,), RuntimeError, _NO_MEAN.format("Input dtype")),
            Refusal((MATRIX,), RuntimeError, _NO_MEAN.format("Optional dtype"), {"dtype": int64}),
        ),
    ),
    Sample(
        "mean.dim",
        _reduce(np.mean),
        _with_dtype(_over_dims("f", Case((_TALL, (0,)))), float64),
        (_outside(dims=True), _TWICE, Refusal((WHOLE, (0,)), RuntimeError, _NO_MEAN.format("Input dtype"))),
    ),
    Sample(
        "nansum",
        _reduce(np.nansum),
        _over_dims("fib", Case((_MISSING, None), differentiable=False)),
        (_outside(dims=True), _TWICE),
    ),
    Sample("prod", _reduce(np.prod), _with_dtype(_full("fib", _ZEROS[0], _ZEROS, np.ones((0, 2))), float64)),
    Sample("prod.dim_int", _reduce(np.prod), _prod_cases, (_outside(),)),
    *_extreme("max", np.max, np.argmax),
    *_extreme("min", np.min, np.argmin),
    Sample(
        "aminmax",
        lambda self, dim=None, keepdim=False: (_plain(np.min)(self, dim, keepdim), _plain(np.max)(self, dim, keepdim)),
        lambda rng: (
            Case(case.args[:1], {"dim": case.args[1], "keepdim": len(case.args) > 2})
            for case in _over_dims("fib", Case((_MISSING, None), differentiable=False), dims=False)(rng)
        ),
        (
            Refusal((EMPTY,), RuntimeError, "cannot compute aminmax over an empty dimension"),
            Refusal((EMPTY,), IndexError, "aminmax: Expected reduction dim 0 to have non-zero size", {"dim": 0}),
        ),
    ),
    Sample("median", _median, _full("f", _MISSING, np.array([3, 1, 2, 5])), (_MEDIAN_TYPE,)),
    Sample(
        "median.dim",
        _median_dim,
        _over_dims("f", Case((_MISSING, 0), differentiable=False), dims=False),
        (_outside(), _empty("median", 0)),
    ),
    Sample("var.correction", _variance, _moment_cases, _moment("std and var"), rtol=1e-4),
    Sample("std.correction", _deviation, _moment_cases, _moment("std and var"), rtol=1e-3),
    Sample("var_mean.correction", _var_mean, _moment_cases, _moment("var_mean"), rtol=1e-4),
    Sample("std_mean.correction", _std_mean, _moment_cases, _moment("std_mean"), rtol=1e-3),
    Sample(
        "linalg_vector_norm",
        _norm,
        _norm_cases,
        (
            _outside(2, dims=True),
            Refusal((MATRIX, 2, (0, 0)), RuntimeError, "appears multiple times"),
            Refusal((WHOLE,), RuntimeError, "Expected a floating point or complex tensor as input. Got Long"),
            Refusal(
                (MATRIX,), RuntimeError, "dtype should be floating point or complex, but got Long", {"dtype": int64}
            ),
            Refusal(
                (MATRIX,),
                RuntimeError,
                r"the dtype of the input \(Double\) should be convertible without narrowing",
                {"dtype": float32},
            ),
        ),
    ),
    Sample("renorm", _renorm, _renorm_cases, _RENORM_REFUSALS),
    Sample("renorm_", _renorm, _renorm_cases, _RENORM_REFUSALS),
    *_truth_samples("all", np.all),
    *_truth_samples("any", np.any),
    Sample("count_nonzero", _count, _over_dims("fib", dims=False, keep=False), (_outside(),)),
    Sample(
        "count_nonzero.dim_IntList",
        _count,
        lambda rng: (case for case in _over_dims("fib", keep=False)(rng) if case.args[1] is not None),
        (_outside(dims=True), _TWICE),
    ),
    Sample("cumsum", _scan(np.cumsum), _scan_cases, (_outside(),)),
    Sample("cumprod", _scan(np.cumprod), _scan_cases, (_outside(),)),
    Sample("cumsum_", _scan_into(np.cumsum), _scan_into_cases, (_outside(),)),
    Sample("cumprod_", _scan_into(np.cumprod), _scan_into_cases, (_outside(),)),
    Sample("logsumexp", _logsumexp, _logsumexp_cases, (_outside(dims=True), _TWICE)),
]
