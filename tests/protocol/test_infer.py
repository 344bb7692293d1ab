"""What shape rules share: broadcasting, result dtypes, axes, and PyTorch's words for what they refuse."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradwire_protocol.dtypes import (
    DTYPES,
    bool_,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int32,
    int64,
    uint8,
)
from gradwire_protocol.infer import (
    broadcast_shapes,
    compare,
    expect_floating,
    floating,
    normalize_dim,
    normalize_dims,
    pointwise,
    reduced_shape,
    result_type,
    same_dtype,
)
from gradwire_protocol.meta import Meta
from gradwire_protocol.signature import using_default

NUMBERS = (bool, int, float, complex)


def row(dtype):
    return Meta.of((2,), dtype)


def point(dtype):
    return Meta.of((), dtype)


# ---------------------------------------------------------------- broadcasting
@pytest.mark.parametrize(
    ("shapes", "result"),
    [
        ([], ()),
        ([()], ()),
        ([(), (3,)], (3,)),
        ([(2, 1), (3,)], (2, 3)),
        ([(1, 4), (3, 1), (2, 1, 1)], (2, 3, 4)),
        ([(0,), (1,)], (0,)),
        ([(2, 0), (1, 1)], (2, 0)),
    ],
)
def test_broadcast(shapes, result):
    assert broadcast_shapes(*shapes) == result


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (
            [(3,), (2,)],
            r"The size of tensor a \(3\) must match the size of tensor b \(2\) at non-singleton dimension 0",
        ),
        ([(2, 3), (4,)], r"tensor a \(3\) must match the size of tensor b \(4\) at non-singleton dimension 1"),
        ([(0,), (2,)], r"tensor a \(0\) must match the size of tensor b \(2\)"),
    ],
)
def test_what_does_not_broadcast_is_refused(shapes, words):
    with pytest.raises(RuntimeError, match=words):
        broadcast_shapes(*shapes)


@given(st.lists(st.lists(st.integers(0, 3), max_size=4).map(tuple), max_size=4))
def test_broadcast_is_numpy_s(shapes):
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(RuntimeError, match="must match the size"):
            broadcast_shapes(*shapes)
    else:
        assert broadcast_shapes(*shapes) == expected


# ---------------------------------------------------------------- result dtypes
@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [
        ((row(int32), int), int32),
        ((row(int32), float), float32),
        ((row(float16), float), float16),
        ((row(uint8), bool), uint8),
        ((row(bool_), int), int64),
        ((row(float32), point(float64)), float32),
        ((row(int32), point(int64)), int32),
        ((row(int64), point(float64)), float64),
        ((point(int32), int), int32),
        ((point(float32), row(int64)), float32),
        ((row(float32), complex), complex64),
        ((row(float64), complex), complex128),
        ((row(int64), complex), complex64),
        ((row(float32), point(complex128)), complex64),
        ((row(float64), point(complex64)), complex128),
        ((int, float), float32),
        ((row(int64), None, type(None)), int64),
    ],
)
def test_tensors_with_axes_outrank_points_which_outrank_numbers(arguments, dtype):
    assert result_type(*arguments) is dtype


def test_the_default_dtype_is_that_of_numbers_and_of_integer_functions():
    with using_default(float64):
        assert result_type(row(int64), float) is float64
        assert result_type(row(int64), complex) is complex128
        assert floating(row(bool_)).dtype is float64
    assert floating(row(bool_)).dtype is float32


@pytest.mark.parity
def test_result_types_are_pytorch_s():
    torch = pytest.importorskip("torch")
    kinds = [(make, dtype) for make in (row, point) for dtype in DTYPES]

    def theirs(argument):
        if isinstance(argument, Meta):
            return torch.zeros(argument.shape, dtype=getattr(torch, argument.dtype.name))
        return argument(1)

    # float16 with a complex of a lower rank is complex32 there, which numpy lacks.
    for a, b in itertools.product([make(dtype) for make, dtype in kinds], [*(m(d) for m, d in kinds), *NUMBERS]):
        expected = str(torch.result_type(theirs(a), theirs(b))).replace("complex32", "complex64")
        assert f"torch.{result_type(a, b).name}" == expected, (a, b)


def test_families_of_rules():
    ints, floats = Meta.of((2, 1), int64), Meta.of((3,), float32)
    assert pointwise(ints, floats, 5, "text") is Meta.of((2, 3), float32)
    assert pointwise(ints, bool) is Meta.of((2, 1), int64)
    assert floating(ints) is Meta.of((2, 1), float32)
    assert compare(ints, floats) is Meta.of((2, 3), bool_)
    # A result is contiguous, whatever the strides of the inputs are.
    assert pointwise(Meta.strided((2, 3), float32, (1, 2))) is Meta.of((2, 3), float32)


# ---------------------------------------------------------------- axes
@pytest.mark.parametrize(("dim", "ndim", "axis"), [(0, 3, 0), (-1, 3, 2), (-3, 3, 0), (0, 0, 0), (-1, 0, 0)])
def test_an_axis_counts_from_either_end(dim, ndim, axis):
    assert normalize_dim(dim, ndim) == axis


@pytest.mark.parametrize(("dim", "ndim", "low", "high"), [(3, 3, -3, 2), (-4, 3, -3, 2), (1, 0, -1, 0), (-2, 0, -1, 0)])
def test_an_axis_out_of_range_is_refused(dim, ndim, low, high):
    words = rf"^Dimension out of range \(expected to be in range of \[{low}, {high}\], but got {dim}\)$"
    with pytest.raises(IndexError, match=words):
        normalize_dim(dim, ndim)


@pytest.mark.parametrize(
    ("dim", "ndim", "axes"),
    [
        (None, 3, (0, 1, 2)),
        ((), 2, (0, 1)),
        ([], 0, ()),
        (-1, 2, (1,)),
        ((2, 0), 3, (0, 2)),
        ([-1, -2], 3, (1, 2)),
        (0, 0, ()),
        ((-1,), 0, ()),
    ],
)
def test_axes_are_sorted_and_all_of_them_where_none_is_named(dim, ndim, axes):
    assert normalize_dims(dim, ndim) == axes


def test_an_axis_named_twice_is_refused():
    with pytest.raises(RuntimeError, match=r"^dim 1 appears multiple times in the list of dims$"):
        normalize_dims((1, -1), 2)
    with pytest.raises(IndexError, match="but got 2"):
        normalize_dims((0, 2), 2)


def test_reduced_axes_are_dropped_or_kept_as_one():
    assert reduced_shape((2, 3, 4), (0, 2), False) == (3,)
    assert reduced_shape((2, 3, 4), (0, 2), True) == (1, 3, 1)
    assert reduced_shape((), (), True) == ()


# ---------------------------------------------------------------- refusals
def test_dtypes_that_a_rule_does_not_take_are_refused():
    expect_floating("mse_cpu", row(float16), row(complex64))
    with pytest.raises(RuntimeError, match=r"^\"mse_cpu\" not implemented for 'Long'$"):
        expect_floating("mse_cpu", row(float32), row(int64))
    assert same_dtype("mm", row(float32), None, row(float32)) is float32
    with pytest.raises(
        RuntimeError, match="mm: expected all tensors to have the same dtype, but got float32 and int64"
    ):
        same_dtype("mm", row(float32), None, row(int64))
