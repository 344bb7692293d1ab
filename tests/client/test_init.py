"""`nn.init`: values, spread, order of draws, refusals, against PyTorch (see test_module.py)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


def filled(t: Any, name: str, *sizes: int, **options: Any) -> np.ndarray[Any, Any]:
    t.manual_seed(3)
    tensor = t.nn.Parameter(t.full(sizes, 9.0))
    assert getattr(t.nn.init, name)(tensor, **options) is tensor
    assert tensor.is_leaf
    assert tensor.grad_fn is None
    return np.array(tensor.detach().numpy())


@pytest.mark.parametrize(
    ("nonlinearity", "param", "gain"),
    [
        ("linear", None, 1.0),
        ("conv2d", None, 1.0),
        ("sigmoid", None, 1.0),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("selu", None, 0.75),
        ("leaky_relu", None, math.sqrt(2 / (1 + 0.01**2))),
        ("leaky_relu", 1, 1.0),
    ],
)
def test_gains(t: Any, nonlinearity: str, param: float | None, gain: float) -> None:
    assert t.nn.init.calculate_gain(nonlinearity, param) == gain


def test_constants(t: Any) -> None:
    assert (filled(t, "ones_", 2, 3) == 1).all()
    assert (filled(t, "zeros_", 2, 3) == 0).all()
    assert (filled(t, "constant_", 2, 3, val=0.5) == 0.5).all()
    assert (filled(t, "eye_", 2, 3) == np.eye(2, 3)).all()


def test_plain_draws(t: Any) -> None:
    uniform = filled(t, "uniform_", 50, 80, a=-2.0, b=4.0)
    assert -2 <= uniform.min() < -1.9
    assert 3.9 < uniform.max() < 4
    normal = filled(t, "normal_", 50, 80, mean=3.0, std=2.0)
    assert normal.mean() == pytest.approx(3, abs=0.15)
    assert normal.std() == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(
    ("name", "options", "std"),
    [
        ("xavier_uniform_", {}, math.sqrt(2 / 130)),
        ("xavier_normal_", {"gain": 2.0}, 2 * math.sqrt(2 / 130)),
        ("kaiming_uniform_", {"a": math.sqrt(5)}, math.sqrt(1 / 3 / 50)),
        ("kaiming_uniform_", {"nonlinearity": "relu"}, math.sqrt(2 / 50)),
        ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "linear"}, math.sqrt(1 / 80)),
    ],
)
def test_scaled_draws(t: Any, name: str, options: dict[str, Any], std: float) -> None:
    values = filled(t, name, 80, 50, **options)
    assert values.mean() == pytest.approx(0, abs=0.1 * std)
    assert values.std() == pytest.approx(std, rel=0.05)
    if "uniform" in name:
        assert np.abs(values).max() <= math.sqrt(3) * std * 1.000001


def test_the_fan_counts_the_kernel(t: Any) -> None:
    values = filled(t, "kaiming_normal_", 40, 8, 3, 3, nonlinearity="linear")
    assert values.std() == pytest.approx(math.sqrt(1 / 72), rel=0.05)


def test_nothing_to_fill(t: Any) -> None:
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        t.nn.init.kaiming_uniform_(t.empty(0, 2))


def test_truncated_draws(t: Any) -> None:
    values = filled(t, "trunc_normal_", 80, 50, mean=1.0, std=2.0, a=0.0, b=2.0)
    assert 0 <= values.min() < 0.01
    assert 1.99 < values.max() <= 2
    assert values.mean() == pytest.approx(1, abs=0.03)
    # Of the normal distribution within half a deviation to both sides.
    assert values.std() == pytest.approx(2 * 0.2841, rel=0.03)
    with pytest.warns(UserWarning, match="mean is more than 2 std from"):
        tail = filled(t, "trunc_normal_", 80, 50, a=5.0, b=9.0)
    assert 5 <= tail.min() < tail.mean() < 5.25


@pytest.mark.parametrize("sizes", [(4, 3, 5), (6, 2, 4, 3), (4, 4, 1, 2, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_dirac(t: Any, sizes: tuple[int, ...], groups: int) -> None:
    values, expected = filled(t, "dirac_", *sizes, groups=groups), np.zeros(sizes)
    for group in range(groups):
        for channel in range(min(sizes[0] // groups, sizes[1])):
            expected[group * (sizes[0] // groups) + channel, channel, *(size // 2 for size in sizes[2:])] = 1
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("sizes", [(3, 5), (5, 3), (4, 2, 3), (3, 3)])
def test_orthogonal(t: Any, sizes: tuple[int, ...]) -> None:
    matrix = filled(t, "orthogonal_", *sizes, gain=2.0).reshape(sizes[0], -1)
    short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    np.testing.assert_allclose(short @ short.T, 4 * np.eye(len(short)), atol=1e-5)


def test_sparse(t: Any) -> None:
    values = filled(t, "sparse_", 50, 40, sparsity=0.25, std=0.1)
    assert ((values == 0).sum(0) == 13).all()
    assert values[values != 0].std() == pytest.approx(0.1, rel=0.1)
    assert len({tuple(np.flatnonzero(column == 0)) for column in values.T}) > 30


def test_deprecated_names(t: Any) -> None:
    with pytest.warns(FutureWarning, match=r"`nn.init.eye` is now deprecated in favor of `nn.init.eye_`"):
        assert (t.nn.init.eye(t.ones(2, 2)).numpy() == np.eye(2)).all()


def test_linear_draws_its_weight_then_its_bias(t: Any) -> None:
    t.manual_seed(5)
    layer = t.nn.Linear(4, 3)
    t.manual_seed(5)
    weight = t.empty(3, 4).uniform_(-0.5, 0.5)
    bias = t.empty(3).uniform_(-0.5, 0.5)
    assert np.allclose(layer.weight.detach().numpy(), weight.numpy(), rtol=1e-6)
    assert np.allclose(layer.bias.detach().numpy(), bias.numpy(), rtol=1e-6)


def test_linear_takes_a_dtype_and_no_bias(t: Any) -> None:
    layer = t.nn.Linear(2, 3, bias=False, dtype=t.float64)
    assert layer.weight.dtype is t.float64
    assert layer.bias is None
    assert list(layer.state_dict()) == ["weight"]


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda i, t: i.calculate_gain("foo"), "Unsupported nonlinearity foo"),
        (lambda i, t: i.calculate_gain("leaky_relu", "a"), "negative_slope a not a valid number"),
        (
            lambda i, t: i.calculate_gain("leaky_relu", True),
            "negative_slope True not a valid number",
        ),
        (
            lambda i, t: i.xavier_normal_(t.ones(2)),
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions",
        ),
        (
            lambda i, t: i.kaiming_normal_(t.ones(2, 2), mode="x"),
            "Mode x not supported, please use one of ['fan_in', 'fan_out']",
        ),
        (lambda i, t: i.eye_(t.ones(2)), "Only tensors with 2 dimensions are supported"),
        (lambda i, t: i.sparse_(t.ones(2), 0.1), "Only tensors with 2 dimensions are supported"),
        (lambda i, t: i.dirac_(t.ones(2, 2)), "Only tensors with 3, 4, or 5 dimensions are supported"),
        (lambda i, t: i.dirac_(t.ones(3, 2, 1), 2), "dim 0 must be divisible by groups"),
        (lambda i, t: i.orthogonal_(t.ones(2)), "Only tensors with 2 or more dimensions are supported"),
    ],
)
def test_refusals(t: Any, act: Callable[[Any, Any], Any], text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared whole
        act(t.nn.init, t)
    assert str(caught.value) == text


def test_a_generator_is_drawn_from(t: Any) -> None:
    found = [
        getattr(t.nn.init, name)(t.empty(3, 3), generator=t.Generator().manual_seed(1)).tolist()
        for name in ("uniform_", "uniform_", "normal_", "xavier_uniform_", "kaiming_normal_")
    ]
    assert found[0] == found[1]
    np.testing.assert_allclose(found[3], 2 * np.array(found[0]) - 1, atol=1e-6)
