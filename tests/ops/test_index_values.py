"""What an index tensor with a value out of range raises: only the kernel can know, on every backend alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradwire_server.ops  # noqa: F401  (fills the tables)
from gradwire_protocol.dtypes import from_numpy
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import OPS
from gradwire_server.backend import open_backend
from gradwire_server.engine import Array, Engine

X = np.arange(6.0).reshape(2, 3)
ONE = np.ones((1, 1))

# (op, arguments, error, its words): PyTorch's.
BAD: list[tuple[str, tuple[Any, ...], type[Exception], str]] = [
    ("index.Tensor", (X, [np.array([0, 5])]), IndexError, "index 5 is out of bounds for dimension 0 with size 2"),
    ("index.Tensor", (X, [None, np.array([-4])]), IndexError, "index -4 is out of bounds for dimension 1 with size 3"),
    ("index_put", (X, [np.array([2])], np.ones(3)), IndexError, "index 2 is out of bounds for dimension 0 with size 2"),
    ("index_put_", (X, [np.array([2])], np.ones(3), True), IndexError, "index 2 is out of bounds for dimension 0"),
    ("gather", (X, 1, np.array([[3]])), RuntimeError, "index 3 is out of bounds for dimension 1 with size 3"),
    ("gather", (X, -2, np.array([[-1]])), RuntimeError, "index -1 is out of bounds for dimension 0 with size 2"),
    ("scatter.src", (X, 0, np.array([[7]]), ONE), RuntimeError, "index 7 is out of bounds for dimension 0 with size 2"),
    ("scatter_.value", (X, 0, np.array([[-1]]), 1.0), RuntimeError, "index -1 is out of bounds for dimension 0"),
    (
        "scatter_add_",
        (X, 0, np.array([[2]]), ONE),
        RuntimeError,
        "index 2 is out of bounds for dimension 0 with size 2",
    ),
    ("index_select", (X, 0, np.array([0, 2])), IndexError, "index out of range in self"),
    ("index_add", (X, 0, np.array([2]), np.ones((1, 3))), RuntimeError, "index 2 is out of bounds for dimension 0"),
    ("index_fill.int_Scalar", (X, 1, np.array([3]), 1.0), IndexError, "index 3 is out of bounds for dimension 1"),
    ("embedding", (X, np.array([[0, 2]])), IndexError, "index out of range in self"),
    ("embedding", (X, np.array(-1)), IndexError, "index out of range in self"),
    (
        "embedding_dense_backward",
        (X, np.array([0, 9]), 4, -1, False),
        RuntimeError,
        "index 9 is out of bounds for dimension 0",
    ),
    ("take", (X, np.array([0, 6])), IndexError, "tried to access index 6 on a tensor of 6 elements"),
    ("put", (X, np.array([-7]), np.ones(1)), IndexError, "tried to access index -7 on a tensor of 6 elements"),
    ("index_copy", (X, 0, np.array([-1]), np.ones((1, 3))), IndexError, "index -1 is out of bounds for dimension 0"),
    ("index_reduce", (X, 0, np.array([2]), np.ones((1, 3)), "prod"), IndexError, "index out of range in self"),
    (
        "scatter_reduce.two",
        (X, 0, np.array([[2]]), ONE, "sum"),
        RuntimeError,
        "index 2 is out of bounds for dimension 0",
    ),
    ("masked_scatter", (X, X > 2, np.ones(2)), RuntimeError, "Number of elements of source < number of ones in mask"),
    (
        "gw::bincount",
        (np.array([-1]), None, 3),
        RuntimeError,
        "bincount only supports 1-d non-negative integral inputs",
    ),
    ("gw::repeat_interleave", (np.array([-1, 2]), 1), RuntimeError, "repeats can not be negative"),
    ("gw::repeat_interleave", (np.array([1, 2]), 2), RuntimeError, "allocated size does not match required size"),
    ("gw::require", (X, X > 2, "more is needed"), RuntimeError, "more is needed"),
    ("renorm", (X, 0.0, 0, 1.0), RuntimeError, "renorm: non-positive-norm not supported"),
    ("histc", (X, 3, 0.0, float("inf")), RuntimeError, "torch.histc: range of [0, inf] is not finite"),
    ("gw::bin_edges", (X, 3, 2.0, 1.0), RuntimeError, "min should not exceed max, but got min 2 max 1"),
]
BAD_NUMBERS: list[tuple[Any, Any]] = [
    (np.uint8, 300),
    (np.int8, -129),
    (np.int64, float("nan")),
    (np.int32, float("inf")),
]


def on(engine: Engine, value: Any) -> Any:
    """Upload the arrays among an op's arguments."""
    if isinstance(value, list):
        return [on(engine, item) for item in value]
    if isinstance(value, np.ndarray):
        return Array(engine, engine.backend.from_host(value.copy()), Meta.of(value.shape, from_numpy(value.dtype)))
    return value


@pytest.fixture(params=["cpu", "strict"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(open_backend(request.param))


@pytest.mark.parametrize(("name", "arguments", "error", "words"), BAD, ids=[f"{row[0]}-{row[3]}" for row in BAD])
def test_a_value_out_of_range_is_refused(
    engine: Engine, name: str, arguments: tuple[Any, ...], error: type[Exception], words: str
) -> None:
    given = [on(engine, argument) for argument in arguments]
    with pytest.raises(error) as raised:
        OPS[name](*given)
    assert words in str(raised.value)
    # Nothing was written before the check.
    first, held = (given[0], arguments[0]) if isinstance(given[0], Array) else (given[0][0], arguments[0][0])
    assert np.array_equal(engine.backend.to_host(first.data), held)


@pytest.mark.parametrize(("dtype", "number"), BAD_NUMBERS)
def test_a_number_that_the_dtype_cannot_hold_is_refused(engine: Engine, dtype: Any, number: Any) -> None:
    x, index = on(engine, np.zeros(3, dtype)), on(engine, np.array([1]))
    with pytest.raises(RuntimeError, match=r"value cannot be converted to type .* without overflow"):
        OPS["scatter.value"](x, 0, index, number)


def test_a_negative_number_wraps_in_an_unsigned_dtype(engine: Engine) -> None:
    x = OPS["scatter.value"](on(engine, np.zeros(2, np.uint8)), 0, on(engine, np.array([1])), -1)
    assert engine.backend.to_host(x.data).tolist() == [0, 255]


def test_an_index_of_an_empty_axis_may_be_empty_only(engine: Engine) -> None:
    empty = on(engine, np.zeros((0, 3)))
    assert OPS["index_select"](empty, 0, on(engine, np.zeros(0, np.int64))).shape == (0, 3)
    with pytest.raises(IndexError, match="index out of range in self"):
        OPS["index_select"](empty, 0, on(engine, np.zeros(1, np.int64)))
