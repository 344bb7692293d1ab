"""What the samples of the pointwise family cannot show: composites, operators with a number on the left, float16."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradwire_protocol.dtypes import bool_, float16, float32, from_numpy, int64
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from tests.ops.support import call, engine_on, host

X = np.array([[1.5, -2.5, 0.5], [3.0, -1.0, 7.25]])
WHOLE = np.array([7, -7, 3])
HALVES = np.linspace(-3, 3, 97).astype(np.float16)


def put(values: Any) -> Any:
    array = np.asarray(values)
    engine = engine_on("cpu")
    return engine.new(engine.backend.from_host(array.copy()), Meta.of(array.shape, from_numpy(array.dtype)))


@pytest.mark.parametrize(
    ("function", "values", "wanted"),
    [
        (lambda x: 2 / x, X, 2 / X),
        (lambda x: 2 // x, X, 2 // X),
        (lambda x: 7 // x, WHOLE, 7 // WHOLE),
        (lambda x: 2.5 % x, X, 2.5 % X),
        (lambda x: 2**x, X, 2**X),
        (lambda x: 5 - x, X, 5 - X),
        (lambda x: 3 << x, np.array([0, 1, 4]), 3 << np.array([0, 1, 4])),
        (lambda x: 300 >> x, np.array([0, 1, 4]), 300 >> np.array([0, 1, 4])),
        (lambda x: x.square(), X, X**2),
        (lambda x: x.round(decimals=1), X, np.round(X, 1)),
        (lambda x: x.relu6(), X, np.clip(X, 0, 6)),
        (lambda x: x.where(x > 0, 0), X, np.where(X > 0, X, 0)),
        (lambda x: x.where(x > 0, -x), X, np.abs(X)),
        (lambda x: x.clip(max=1.0), X, np.minimum(X, 1)),
        (lambda x: x.div(2, rounding_mode="trunc"), WHOLE, np.trunc(WHOLE / 2)),
        (lambda x: x.true_divide(2), WHOLE, WHOLE / 2),
    ],
)
def test_composites(function: Callable[[Any], Any], values: Any, wanted: Any) -> None:
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(host(function(put(values))), wanted, rtol=1e-6)


def test_a_number_on_the_left_promotes_as_a_number() -> None:
    with np.errstate(all="ignore"):
        assert (2.5 // put(HALVES)).dtype is float16
    assert (2 // put(WHOLE)).dtype is int64
    assert (2.5 // put(WHOLE)).dtype is float32


def test_a_cast_to_its_own_dtype_is_the_tensor_itself() -> None:
    x = put(X)
    assert x.double() is x
    assert x.float().dtype is float32
    assert x.bool().type_as(x).dtype is x.dtype
    assert x.bool().dtype is bool_


def test_a_real_tensor_is_its_own_conjugate() -> None:
    x = put(X)
    assert x.conj() is x
    assert x.positive() is x
    with pytest.raises(RuntimeError, match="operator, on a bool tensor is not supported"):
        x.bool().positive()


def test_bounds_are_of_one_kind() -> None:
    x = put(X)
    with pytest.raises(TypeError, match="two tensors or two numbers"):
        x.clamp(x, 1.0)


@pytest.mark.parametrize("name", ["sigmoid", "silu", "gelu", "softplus", "elu", "erf", "log_sigmoid", "rsqrt"])
def test_float16_is_computed_in_float32_and_rounded_once(name: str) -> None:
    wide = call(engine_on("cpu"), OPS[name], [put(HALVES.astype(np.float32))], {})
    found = call(engine_on("cpu"), OPS[name], [put(HALVES)], {})
    assert found.dtype is float16
    np.testing.assert_array_equal(host(found), host(wide).astype(np.float16))


def test_no_warning_escapes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        complex_numbers = put(np.array([1 + 2j]))
        assert host(complex_numbers.float()).tolist() == [1.0]
        assert host(put(np.zeros(1)).copy_(complex_numbers)).tolist() == [1.0]
