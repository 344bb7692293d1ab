"""`special`: numbers among the arguments, aliases, refusals; and functions whose first argument may be a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

X = np.array([0.25, 0.5, 1.5, 3.0])


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("expit", "sigmoid"), ("gammaln", "lgamma"), ("psi", "digamma"), ("digamma", "digamma"), ("erf", "erf"), ("erfc", "erfc"),
        ("exp2", "exp2"), ("expm1", "expm1"), ("log1p", "log1p"), ("sinc", "sinc"), ("i0", "i0"), ("round", "round"),
    ],
)  # fmt: skip
def test_an_alias_is_the_method(t: Any, alias: str, name: str) -> None:
    x = t.tensor(X)
    close(getattr(t.special, alias)(x), getattr(x, name)().numpy())


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda s, x: s.xlogy(2.0, x), 2 * np.log(X)),
        (lambda s, x: s.xlogy(x, 2.0), X * np.log(2)),
        (lambda s, x: s.xlog1py(2, x), 2 * np.log1p(X)),
        (lambda s, x: s.xlog1py(x, 2), X * np.log(3)),
        (lambda s, x: s.zeta(2, x) - s.zeta(2, x + 1), X**-2),
        (lambda s, x: s.chebyshev_polynomial_t(x, 3), 4 * X**3 - 3 * X),
        (lambda s, x: s.legendre_polynomial_p(x, n=2), (3 * X**2 - 1) / 2),
        (lambda s, x: s.hermite_polynomial_h(0.5, x), [1.0, 1.0, 1.0, -5.0]),
        (lambda s, x: s.laguerre_polynomial_l(x, 1), 1 - X),
        (lambda s, x: s.shifted_chebyshev_polynomial_t(x, -1), np.zeros(4)),
        (lambda s, x: s.ndtr(x).add(s.ndtr(-x)), np.ones(4)),
        (lambda s, x: s.ndtri(s.ndtr(x)), X),
        (lambda s, x: s.log_ndtr(x).exp() - s.ndtr(x) + 1, np.ones(4)),
        (lambda s, x: s.gammainc(x, x) + s.gammaincc(x, x), np.ones(4)),
        (lambda s, x: s.logit(s.expit(x)), X),
        (lambda s, x: s.polygamma(1, x) - s.polygamma(1, x + 1), X**-2),
        (lambda s, x: s.multigammaln(x + 1, 1) - s.gammaln(x + 1) + 1, np.ones(4)),
        (lambda s, x: s.round(x, decimals=1), np.round(X, 1)),
        (lambda s, x: s.softmax(x, 0).log() - s.log_softmax(x, dim=0) + 1, np.ones(4)),
        (lambda s, x: s.logsumexp(x, 0), np.log(np.exp(X).sum())),
    ],
)
def test_values(t: Any, call: Callable[[Any, Any], Any], expected: Any) -> None:
    close(call(t.special, t.tensor(X)), expected)


def test_a_number_promotes_as_a_number(t: Any) -> None:
    assert t.special.xlog1py(t.tensor([1, 2]), 2.5).dtype is t.float32
    assert t.special.chebyshev_polynomial_t(t.tensor(X, dtype=t.float32), 2).dtype is t.float32
    with pytest.raises(TypeError):
        t.special.chebyshev_polynomial_t(0.5, 2)


@pytest.mark.parametrize("name", ["gammainc", "gammaincc", "zeta"])
def test_an_order_has_no_gradient(t: Any, name: str) -> None:
    order, x = t.tensor(X + 1, requires_grad=True), t.tensor(X, requires_grad=True)
    getattr(t.special, name)(order.detach(), x).sum().backward()
    assert x.grad is not None
    with pytest.raises(NotImplementedError, match="the derivative for '.*' is not implemented"):
        getattr(t.special, name)(order, x).sum().backward()
        order.grad.numpy()


def test_no_half_precision_where_pytorch_has_none(t: Any) -> None:
    half = t.tensor([1.0], dtype=t.float16)
    assert t.special.i1(half).dtype is t.float16
    with pytest.raises(NotImplementedError, match="\"erfcx_cpu\" not implemented for 'Half'"):
        t.special.erfcx(half)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda t, x: t.pow(2, x), 2**X),
        (lambda t, x: t.float_power(2, x.float()), 2**X),
        (lambda t, x: t.remainder(5.25, x), 5.25 % X),
        (lambda t, x: t.xlogy(3, x), 3 * np.log(X)),
        (lambda t, x: t.polygamma(0, x), np.array([-4.2274535, -1.9635100, 0.03648998, 0.9227843])),
        (lambda t, x: t.bitwise_and(6, (x * 4).int()), 6 & (X * 4).astype(int)),
        (lambda t, x: t.bitwise_left_shift(1, (x * 4).int()), 1 << (X * 4).astype(int)),
        (lambda t, x: x.__rdiv__(3), 3 / X),
        (lambda t, x: x.__rpow__(x), X**X),
    ],
)
def test_a_number_first(t: Any, call: Callable[[Any, Any], Any], expected: Any) -> None:
    close(call(t, t.tensor(X)), expected)


def test_frexp_names_its_results(t: Any) -> None:
    parts = t.frexp(t.tensor(X))
    close(parts.mantissa, np.frexp(X)[0])
    assert parts.exponent.dtype is t.int32
    assert parts.exponent.tolist() == [-1, 0, 1, 2]


def test_float_power_in_place_wants_double(t: Any) -> None:
    with pytest.raises(
        RuntimeError, match="the base given to float_power_ has dtype Float but the operation's result requires"
    ):
        t.tensor(X, dtype=t.float32).float_power_(2)
    close(t.tensor(X).float_power_(2), X**2)
