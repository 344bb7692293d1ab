"""Elementwise functions of the namespace that no op's own samples reach: in-place ones, `fill`, `isclose`, `rrelu`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

X = np.array([0.25, -0.5, 1.5])


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("abs_", ()),
        ("exp_", ()),
        ("clamp_", (0.0, 1.0)),
        ("nan_to_num_", ()),
        ("threshold_", (0.1, 2.0)),
        ("selu_", ()),
    ],
)
def test_an_inplace_function_is_the_method(t: Any, name: str, args: tuple[Any, ...]) -> None:
    x, y = t.tensor(X), t.tensor(X)
    assert getattr(t, name)(x, *args) is x
    np.testing.assert_allclose(x.numpy(), getattr(t, name[:-1])(y, *args).numpy())


def test_fill_makes_a_new_tensor(t: Any) -> None:
    x, value = t.tensor(X, requires_grad=True), t.tensor(2.0, dtype=t.float64, requires_grad=True)
    filled = t.fill(x, value)
    np.testing.assert_array_equal(filled.detach().numpy(), [2.0, 2.0, 2.0])
    filled.sum().backward()
    assert value.grad.item() == 3
    np.testing.assert_array_equal(x.detach().numpy(), X)


def test_isclose(t: Any) -> None:
    nan, inf = float("nan"), float("inf")
    a, b = t.tensor([1.0, 1.0, nan, inf, inf, 0.0]), t.tensor([1.0 + 1e-6, 1.1, nan, inf, -inf, 1e-9])
    assert t.isclose(a, b).tolist() == [True, False, False, True, False, True]
    assert t.isclose(a, b, equal_nan=True).tolist() == [True, False, True, True, False, True]
    assert t.isclose(a, b, rtol=0, atol=0).tolist() == [False, False, False, True, False, False]
    with pytest.raises(RuntimeError, match="Float did not match Double"):
        t.isclose(a, b.double())
    with pytest.raises(RuntimeError, match="rtol must be greater than or equal to zero, but got -1"):
        t.isclose(a, b, rtol=-1)


def test_rrelu_of_the_namespace(t: Any) -> None:
    x = t.tensor(X)
    np.testing.assert_allclose(t.rrelu(x, 0.5, 0.5, True).numpy(), [0.25, -0.25, 1.5])
    assert t.rrelu_(x, 0.5, 0.5) is x
    np.testing.assert_allclose(x.numpy(), [0.25, -0.25, 1.5])


def test_ldexp_does_not_overflow_on_the_way(t: Any) -> None:
    found = t.ldexp(t.tensor([1e-30, 1.0, float("inf")]), t.tensor([200, 200, -200]))
    np.testing.assert_allclose(found.numpy(), [1.606938e30, np.inf, np.inf], rtol=1e-6)


def test_signed_zeros_stay(t: Any) -> None:
    zero, one = t.tensor([-0.0]), t.tensor([1.0])
    for result in (zero % one, t.erfinv(zero), t.tensor([0.0]) // -one, zero.copysign(-1)):
        assert t.signbit(result).item()
