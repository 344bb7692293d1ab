"""Activation layers: their print, attributes and values, and what is random or learned in them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

X = np.random.default_rng(0).uniform(-4, 4, (3, 4))

# Arguments, and the text that PyTorch prints; the parity runs prove it.
LAYERS = [
    ("ReLU", (), {}, "ReLU()"),
    ("ReLU", (True,), {}, "ReLU(inplace=True)"),
    ("ReLU6", (), {"inplace": True}, "ReLU6(inplace=True)"),
    ("Hardtanh", (-2.0, 0.5), {}, "Hardtanh(min_val=-2.0, max_val=0.5)"),
    ("Threshold", (0.1, 20), {"inplace": True}, "Threshold(threshold=0.1, value=20, inplace=True)"),
    ("LeakyReLU", (0.2,), {}, "LeakyReLU(negative_slope=0.2)"),
    ("ELU", (0.5,), {}, "ELU(alpha=0.5)"),
    ("CELU", (0.5, True), {}, "CELU(alpha=0.5, inplace=True)"),
    ("SELU", (), {}, "SELU()"),
    ("SiLU", (), {}, "SiLU()"),
    ("Mish", (), {"inplace": True}, "Mish(inplace=True)"),
    ("Hardswish", (True,), {}, "Hardswish()"),
    ("Hardsigmoid", (), {}, "Hardsigmoid()"),
    ("GELU", ("tanh",), {}, "GELU(approximate='tanh')"),
    ("GLU", (), {}, "GLU(dim=-1)"),
    ("Hardshrink", (), {}, "Hardshrink(0.5)"),
    ("Softshrink", (0.3,), {}, "Softshrink(0.3)"),
    ("Softplus", (2.0,), {}, "Softplus(beta=2.0, threshold=20.0)"),
    ("Softsign", (), {}, "Softsign()"),
    ("Tanhshrink", (), {}, "Tanhshrink()"),
    ("LogSigmoid", (), {}, "LogSigmoid()"),
    ("Softmin", (-1,), {}, "Softmin(dim=-1)"),
    ("RReLU", (), {}, "RReLU(lower=0.125, upper=0.3333333333333333)"),
    ("PReLU", (4,), {"init": 0.1}, "PReLU(num_parameters=4)"),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "text"), LAYERS)
def test_the_print_of_a_layer(t: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], text: str) -> None:
    assert repr(getattr(t.nn, name)(*args, **kwargs)) == text


@pytest.mark.parity
@pytest.mark.parametrize(("name", "args", "kwargs", "text"), LAYERS)
def test_the_values_of_a_layer(
    session: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], text: str
) -> None:
    torch, gw = pytest.importorskip("torch"), __import__("gradwire")
    theirs = getattr(torch.nn, name)(*args, **kwargs).double().eval()(torch.tensor(X))
    ours = getattr(gw.nn, name)(*args, **kwargs).double().eval()(gw.tensor(X))
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_softmax2d_wants_channels(t: Any) -> None:
    found = t.nn.Softmax2d()(t.tensor(X.reshape(3, 2, 2)))
    np.testing.assert_allclose(found.numpy().sum(0), np.ones((2, 2)))
    with pytest.raises(ValueError, match="Softmax2d: expected input to be 3D or 4D, got 2D instead"):
        t.nn.Softmax2d()(t.tensor(X))


def test_old_names_of_hardtanh_warn(t: Any) -> None:
    with pytest.warns(FutureWarning, match="`min_value` is deprecated and renamed to `min_val`"):
        assert t.nn.Hardtanh(min_value=-3.0).min_val == -3.0
    with pytest.raises(AssertionError, match=r"max_val \(-1.0\) must be greater than min_val \(1.0\)"):
        t.nn.Hardtanh(1.0, -1.0)


def test_softmin_chooses_a_dim_with_a_warning(t: Any) -> None:
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmin has been deprecated"):
        found = t.nn.Softmin()(t.tensor(X))
    np.testing.assert_allclose(found.numpy().sum(1), np.ones(3))


def test_prelu_learns_a_slope_per_channel(t: Any) -> None:
    layer = t.nn.PReLU(4).double()
    assert list(layer.state_dict()) == ["weight"]
    layer(t.tensor(X)).sum().backward()
    np.testing.assert_allclose(layer.weight.grad.numpy(), np.minimum(X, 0).sum(0))
    with pytest.raises(RuntimeError, match="Found parameter numbers = 3 and channel size = 4"):
        t.nn.PReLU(3).double()(t.tensor(X))


def test_rrelu_draws_its_slopes_in_training(t: Any) -> None:
    x = t.tensor(X, requires_grad=True)
    out = t.nn.RReLU(0.2, 0.4)(x)
    out.sum().backward()
    slopes = x.grad.numpy()
    np.testing.assert_allclose(out.detach().numpy(), X * slopes)
    assert (slopes[X > 0] == 1).all()
    below = slopes[X <= 0]
    assert ((below >= 0.2) & (below <= 0.4)).all()
    assert np.unique(below).size > 1
    np.testing.assert_allclose(t.nn.functional.rrelu(t.tensor(X), 0.2, 0.4).numpy(), np.where(X > 0, X, 0.3 * X))
    with pytest.raises(RuntimeError, match="Lower bound should be less than or equal to the upper bound"):
        t.nn.functional.rrelu(x, 0.4, 0.2)


def test_rrelu_in_place_writes_over_its_input(t: Any) -> None:
    x = t.tensor(X)
    assert t.nn.functional.rrelu_(x, 0.5, 0.5, True) is x
    np.testing.assert_allclose(x.numpy(), np.where(X > 0, X, X / 2))


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax_is_a_distribution(t: Any, hard: bool) -> None:
    t.manual_seed(3)
    logits = t.tensor(np.tile(np.log([0.2, 0.3, 0.5]), (4000, 1)), requires_grad=True)
    found = t.nn.functional.gumbel_softmax(logits, tau=0.5, hard=hard)
    np.testing.assert_allclose(found.detach().numpy().sum(-1), np.ones(4000))
    winners = np.bincount(found.detach().numpy().argmax(-1), minlength=3) / 4000
    np.testing.assert_allclose(winners, [0.2, 0.3, 0.5], atol=0.03)
    if hard:
        assert set(np.unique(found.detach().numpy().round(12))) == {0.0, 1.0}
    found[:, 0].sum().backward()
    assert np.abs(logits.grad.numpy()).sum() > 0


def test_gumbel_softmax_warns_of_eps(t: Any) -> None:
    with pytest.warns(UserWarning, match="`eps` parameter is deprecated and has no effect"):
        t.nn.functional.gumbel_softmax(t.tensor(X), eps=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        t.nn.functional.gumbel_softmax(t.tensor(X), dim=0)
