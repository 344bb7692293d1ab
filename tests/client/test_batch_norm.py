"""Normalizations: running statistics, evaluation, checkpoints; what op_db does not reach."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, Any]


def draws(*sizes: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(sizes)


def close(found: Any, expected: Any, rtol: float = 1e-10) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=rtol, atol=1e-12)


def moments(x: Array, ddof: int = 0) -> tuple[Array, Array]:
    axes = (0, *range(2, x.ndim))
    return x.mean(axes), x.var(axes, ddof=ddof)


def spread(v: Array, x: Array) -> Array:
    return v.reshape(-1, *(1,) * (x.ndim - 2))


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 2, 2), (2, 3, 1, 2, 2)])
def test_training_moves_the_running_statistics(t: Any, shape: tuple[int, ...]) -> None:
    kind = {2: "1d", 3: "1d", 4: "2d", 5: "3d"}[len(shape)]
    layer = getattr(t.nn, f"BatchNorm{kind}")(3, momentum=0.3, dtype=t.float64)
    mean, var = np.zeros(3), np.ones(3)
    for seed in range(2):
        x = draws(*shape, seed=seed)
        out = layer(t.tensor(x))
        batch = moments(x)
        close(out, (x - spread(batch[0], x)) / np.sqrt(spread(batch[1], x) + 1e-5))
        mean, var = 0.7 * mean + 0.3 * batch[0], 0.7 * var + 0.3 * moments(x, 1)[1]
    close(layer.running_mean, mean)
    close(layer.running_var, var)
    assert layer.num_batches_tracked.item() == 2
    x = draws(*shape, seed=5)
    close(layer.eval()(t.tensor(x)), (x - spread(mean, x)) / np.sqrt(spread(var, x) + 1e-5))
    assert layer.num_batches_tracked.item() == 2


def test_without_momentum_all_batches_count_alike(t: Any) -> None:
    layer = t.nn.BatchNorm1d(3, momentum=None, dtype=t.float64)
    batches = [draws(4, 3, seed=seed) for seed in range(3)]
    for batch in batches:
        layer(t.tensor(batch))
    close(layer.running_mean, np.mean([moments(batch)[0] for batch in batches], 0))


def test_without_running_statistics_evaluation_uses_the_batch(t: Any) -> None:
    layer = t.nn.BatchNorm1d(3, track_running_stats=False, affine=False, dtype=t.float64)
    x = draws(4, 3)
    close(layer.eval()(t.tensor(x)), (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5))
    assert list(layer.state_dict()) == []
    assert layer.running_mean is None


def test_gradients_reach_input_and_parameters_but_not_the_statistics(t: Any) -> None:
    layer = t.nn.BatchNorm1d(2, dtype=t.float64)
    x = t.tensor(draws(5, 2), requires_grad=True)
    out = layer(x)
    assert out.grad_fn.name() == "NativeBatchNormBackward0"
    (out * t.tensor(draws(5, 2, seed=1))).sum().backward()
    assert not layer.running_mean.requires_grad
    assert layer.running_mean.grad_fn is None
    close(x.grad.sum(0), np.zeros(2))
    close(layer.bias.grad, draws(5, 2, seed=1).sum(0))


def test_evaluation_is_differentiable_twice(t: Any) -> None:
    x = t.tensor(draws(3, 2), requires_grad=True)
    weight = t.tensor([2.0, 3.0], dtype=t.float64, requires_grad=True)
    mean, var = t.zeros(2, dtype=t.float64), t.full((2,), 0.25, dtype=t.float64)
    out = t.nn.functional.batch_norm(x, mean, var, weight, eps=0.0)
    (g,) = t.autograd.grad((out * out).sum(), x, create_graph=True)
    close(g, 2 * draws(3, 2) * np.array([16.0, 36.0]))
    close(t.autograd.grad(g.sum(), weight)[0], (2 * draws(3, 2) * np.array([16.0, 24.0])).sum(0))


def test_the_state_of_a_layer(t: Any) -> None:
    layer = t.nn.BatchNorm2d(3)
    state = layer.state_dict()
    assert list(state) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert state._metadata[""]["version"] == 2
    assert state["num_batches_tracked"].dtype == t.int64
    del state["num_batches_tracked"]
    with pytest.raises(RuntimeError, match="Missing key"):
        layer.load_state_dict(state)
    state._metadata[""]["version"] = 1
    layer.load_state_dict(state)
    assert repr(layer) == ("BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)")
    assert t.nn.BatchNorm2d(3, bias=False).bias is None


def test_refusals(t: Any) -> None:
    functional = t.nn.functional
    with pytest.raises(ValueError, match="expected 4D input .got 3D input"):
        t.nn.BatchNorm2d(3)(t.zeros(1, 3, 2))
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        t.nn.BatchNorm1d(3)(t.zeros(1, 3))
    with pytest.raises(ValueError, match="eps must be positive"):
        functional.batch_norm(t.zeros(2, 3), None, None, training=True, eps=0.0)
    with pytest.raises(ValueError, match="must either both be None"):
        functional.batch_norm(t.zeros(2, 3), t.zeros(3), None, training=True)
    with pytest.raises(RuntimeError, match="running_mean should contain 3 elements not 2"):
        functional.batch_norm(t.zeros(2, 3), t.zeros(2), t.ones(2))
    with pytest.raises(RuntimeError, match="must be defined in evaluation mode"):
        functional.batch_norm(t.zeros(2, 3), None, None)
    with pytest.raises(ValueError, match="must be divisible by num_groups"):
        t.nn.GroupNorm(2, 3)
    with pytest.raises(ValueError, match="to match num_features"):
        t.nn.InstanceNorm1d(3, affine=True)(t.zeros(1, 2, 4))


# ---------------------------------------------------------------- the others
def test_instance_norm_tracks_the_mean_over_samples(t: Any) -> None:
    layer = t.nn.InstanceNorm1d(2, track_running_stats=True, affine=True, dtype=t.float64)
    x = draws(3, 2, 4)
    out = layer(t.tensor(x))
    close(out, (x - x.mean(2, keepdims=True)) / np.sqrt(x.var(2, keepdims=True) + 1e-5))
    close(layer.running_mean, 0.1 * x.mean(2).mean(0))
    close(layer.running_var, 0.9 + 0.1 * x.var(2, ddof=1).mean(0))
    mean, var = (v.detach().numpy()[:, None] for v in (layer.running_mean, layer.running_var))
    close(layer.eval()(t.tensor(x)), (x - mean) / np.sqrt(var + 1e-5))


def test_instance_norm_of_one_sample(t: Any) -> None:
    layer = t.nn.InstanceNorm2d(2)
    x = t.tensor(draws(2, 3, 3))
    close(layer(x), layer(x.unsqueeze(0))[0].numpy())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        layer(t.zeros(1, 4, 2, 2))
    assert "does not match num_features" in str(seen[0].message)


@pytest.mark.parametrize(("normalized", "with_weight"), [((4,), True), ((3, 4), False)])
def test_rms_norm(t: Any, normalized: tuple[int, ...], with_weight: bool) -> None:
    x, w = draws(2, 3, 4), draws(*normalized, seed=1) if with_weight else np.ones(normalized)
    layer = t.nn.RMSNorm(normalized, elementwise_affine=with_weight, dtype=t.float64)
    if with_weight:
        layer.load_state_dict({"weight": t.tensor(w)})
    axes = tuple(range(-len(normalized), 0))
    close(layer(t.tensor(x)), x * w / np.sqrt((x * x).mean(axes, keepdims=True) + 2.0**-52))


@pytest.mark.parametrize("name", ["LayerNorm", "GroupNorm", "RMSNorm", "LocalResponseNorm", "InstanceNorm3d"])
def test_printing(t: Any, name: str) -> None:
    arguments = {"LayerNorm": ((2, 3),), "GroupNorm": (2, 4), "RMSNorm": (4,), "LocalResponseNorm": (2,)}
    expected = {
        "LayerNorm": "LayerNorm((2, 3), eps=1e-05, elementwise_affine=True, bias=True)",
        "GroupNorm": "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)",
        "RMSNorm": "RMSNorm((4,), eps=None, elementwise_affine=True)",
        "LocalResponseNorm": "LocalResponseNorm(2, alpha=0.0001, beta=0.75, k=1.0)",
        "InstanceNorm3d": "InstanceNorm3d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, "
        "track_running_stats=False)",
    }
    assert repr(getattr(t.nn, name)(*arguments.get(name, (3,)))) == expected[name]


@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 5, 2, 2)])
def test_local_response_norm(t: Any, shape: tuple[int, ...]) -> None:
    x = draws(*shape)
    square = np.pad(x * x, [(0, 0), (1, 1), *[(0, 0)] * (x.ndim - 2)])
    windows = sum(square[:, shift : shift + 5] for shift in range(3)) / 3
    found = t.nn.functional.local_response_norm(t.tensor(x), 3, alpha=0.1, k=2.0)
    close(found, x / (2.0 + 0.1 * windows) ** 0.75)
