"""Clipping, parameters as a vector, fusion, dropout of channels, against PyTorch (see test_module.py)."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, Any]


def draws(*sizes: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(sizes)


def close(found: Any, expected: Any, rtol: float = 1e-6) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=rtol, atol=1e-12)


def parameters(t: Any) -> list[Any]:
    """Return three with gradients, of two dtypes, and one without."""
    made = [t.nn.Parameter(t.zeros(shape, dtype=t.float64)) for shape in ((3, 2), (), (4,))]
    made[2] = t.nn.Parameter(t.zeros(4))
    for seed, parameter in enumerate(made):
        parameter.grad = t.tensor(3 * draws(*parameter.shape, seed=seed)).to(parameter.dtype)
    return [*made, t.nn.Parameter(t.zeros(2))]


# ---------------------------------------------------------------- clipping
@pytest.mark.parametrize("foreach", [None, True, False])
@pytest.mark.parametrize("norm_type", [2, 1.0, math.inf, "inf", 0.5])
def test_clip_grad_norm(t: Any, norm_type: Any, foreach: bool | None) -> None:
    held = parameters(t)
    gradients = [parameter.grad.numpy().copy() for parameter in held[:3]]
    flat = np.abs(np.concatenate([gradient.reshape(-1) for gradient in gradients]))
    order = float(norm_type)
    norm = flat.max() if order == math.inf else (flat**order).sum() ** (1 / order)
    found = t.nn.utils.clip_grad_norm_(iter(held), 1.5, norm_type, foreach=foreach)
    close(found, norm)
    for parameter, gradient in zip(held, gradients, strict=False):
        close(parameter.grad, gradient * min(1.5 / (norm + 1e-6), 1))
        assert parameter.grad.dtype is parameter.dtype
    before = held[0].grad.numpy().copy()
    close(t.nn.utils.clip_grad_norm_(held[0], 1e6), np.linalg.norm(before))
    close(held[0].grad, before, 0)


def test_clip_grad_value(t: Any) -> None:
    for foreach in (None, False):
        held = parameters(t)
        gradients = [parameter.grad.numpy().copy() for parameter in held[:3]]
        t.nn.utils.clip_grad_value_(held, 0.5, foreach=foreach)
        for parameter, gradient in zip(held, gradients, strict=False):
            close(parameter.grad, gradient.clip(-0.5, 0.5))


def test_norms_that_are_not_finite(t: Any) -> None:
    parameter = t.nn.Parameter(t.zeros(2))
    parameter.grad = t.tensor([1.0, math.inf])
    with pytest.raises(RuntimeError, match="The total norm of order 2.0 for gradients from `parameters` is non-finite"):
        t.nn.utils.clip_grad_norm_([parameter], 1.0, error_if_nonfinite=True)
    assert parameter.grad.tolist() == [1.0, math.inf]
    assert t.nn.utils.clip_grad_norm_([parameter], 1.0).item() == math.inf
    assert parameter.grad[0].item() == 0


def test_no_gradients(t: Any) -> None:
    assert t.nn.utils.clip_grad_norm_([t.nn.Parameter(t.zeros(2))], 1.0).item() == 0
    assert t.nn.utils.get_total_norm([]).item() == 0
    with pytest.warns(UserWarning, match="`parameters` is an empty generator, no gradient clipping will occur"):
        t.nn.utils.clip_grad_norm_((p for p in []), 1.0)
    with pytest.warns(FutureWarning, match=r"`torch.nn.utils.clip_grad_norm` is now deprecated"):
        t.nn.utils.clip_grad_norm([t.nn.Parameter(t.zeros(2))], 1.0)


# ---------------------------------------------------------------- vectors
def test_parameters_as_a_vector(t: Any) -> None:
    held = [t.nn.Parameter(t.tensor(draws(*shape))) for shape in ((3, 2), (), (4,))]
    vector = t.nn.utils.parameters_to_vector(held)
    close(vector, np.concatenate([parameter.detach().numpy().reshape(-1) for parameter in held]))
    (vector * vector).sum().backward()
    close(held[0].grad, 2 * held[0].detach().numpy())
    new = t.tensor(draws(11, seed=5))
    t.nn.utils.vector_to_parameters(new, held)
    close(t.nn.utils.parameters_to_vector(held), new.numpy())
    assert held[0].requires_grad
    assert held[0].is_leaf
    with pytest.raises(TypeError, match="expected torch.Tensor, but got: list"):
        t.nn.utils.vector_to_parameters([1.0], held)


# ---------------------------------------------------------------- fusion
@pytest.mark.parametrize("kind", ["Linear", "Conv2d", "ConvTranspose2d"])
@pytest.mark.parametrize("bias", [True, False])
def test_fusion(t: Any, kind: str, bias: bool) -> None:
    is_linear, is_transposed = kind == "Linear", kind == "ConvTranspose2d"
    layer = getattr(t.nn, kind)(2, 3, *(() if is_linear else (2,)), bias=bias, dtype=t.float64)
    norm = (t.nn.BatchNorm1d if is_linear else t.nn.BatchNorm2d)(3, dtype=t.float64)
    x = t.tensor(draws(4, 2, *(() if is_linear else (3, 3))))
    for _ in range(3):
        norm(layer(x))
    with t.no_grad():
        norm.weight.mul_(1.5)
        norm.bias.add_(0.5)
    with pytest.raises(AssertionError, match="Fusion only for eval!"):
        t.nn.utils.fuse_conv_bn_eval(layer, norm)
    model = t.nn.Sequential(layer, norm).eval()
    fuse = t.nn.utils.fuse_linear_bn_eval if is_linear else t.nn.utils.fuse_conv_bn_eval
    fused = fuse(layer, norm, *([True] if is_transposed else []))
    close(fused(x), model(x).detach().numpy(), 1e-9)
    assert type(fused) is type(layer)
    assert isinstance(fused.bias, t.nn.Parameter)


def test_a_stateless_call(t: Any) -> None:
    layer = t.nn.Linear(2, 1, bias=False)
    with pytest.warns(FutureWarning, match="is deprecated as of PyTorch 2.0"):
        out = t.nn.utils.stateless.functional_call(layer, {"weight": t.full((1, 2), 3.0)}, (t.ones(1, 2),))
    assert out.item() == 6


# ---------------------------------------------------------------- dropout of channels
@pytest.mark.parametrize(("name", "shape"), [
    ("Dropout1d", (20, 30, 4)), ("Dropout1d", (600, 4)), ("Dropout2d", (20, 30, 2, 2)),
    ("Dropout3d", (20, 30, 2, 1, 2)), ("Dropout3d", (600, 2, 1, 2)),
])  # fmt: skip
def test_channels_are_dropped_whole(t: Any, name: str, shape: tuple[int, ...]) -> None:
    t.manual_seed(0)
    x = t.ones(*shape, requires_grad=True)
    out = getattr(t.nn, name)(0.25)(x)
    rows = out.detach().numpy().reshape(600, -1)
    assert (rows == rows[:, :1]).all()
    np.testing.assert_allclose(np.unique(rows), [0, 1 / 0.75], rtol=1e-6)
    assert 100 < (rows[:, 0] == 0).sum() < 200
    out.sum().backward()
    close(x.grad, out.detach().numpy())
    close(getattr(t.nn, name)(0.25).eval()(x), np.ones(shape))
    y = t.ones(*shape)
    assert getattr(t.nn, name)(0.25, inplace=True)(y) is y
    assert (y == 0).any().item()


@pytest.mark.parametrize("name", ["AlphaDropout", "FeatureAlphaDropout"])
def test_alpha_dropout_keeps_mean_and_variance(t: Any, name: str) -> None:
    t.manual_seed(0)
    values = getattr(t.nn, name)(0.3)(t.tensor(draws(400, 300, 2))).numpy()
    assert values.mean() == pytest.approx(0, abs=0.02)
    assert values.std() == pytest.approx(1, abs=0.02)
    lowest, counts = np.unique(values, return_counts=True)
    low = values == lowest[counts.argmax()]
    assert low.mean() == pytest.approx(0.3, abs=0.01)
    assert (low[..., 0] == low[..., 1]).all() == (name == "FeatureAlphaDropout")


def test_warnings_and_refusals_of_dropout(t: Any) -> None:
    F = t.nn.functional
    with pytest.raises(RuntimeError, match="dropout1d: Expected 2D or 3D input, but received a 4D input"):
        F.dropout1d(t.ones(1, 1, 1, 1))
    with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1, but got 1.5"):
        t.nn.Dropout2d(1.5)
    with pytest.raises(RuntimeError, match="Feature dropout requires at least 2 dimensions in the input"):
        t.feature_dropout(t.ones(3), 0.5, True)
    with pytest.warns(UserWarning, match="dropout2d: Received a 3D input to dropout2d and assuming"):
        F.dropout2d(t.ones(1, 2, 3))
    with pytest.warns(UserWarning, match="dropout3d: Received a 3-D input to dropout3d, which is deprecated"):
        F.dropout3d(t.ones(1, 2, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        F.dropout2d(t.ones(1, 2, 3, 3))


def test_native_dropout(t: Any) -> None:
    t.manual_seed(0)
    out, mask = t.native_dropout(t.ones(1000), 0.25, True)
    assert mask.dtype is t.bool
    close(out, mask.numpy() / 0.75)
    out, mask = t.native_dropout(t.ones(10), 0.25, False)
    assert mask.all().item()
    close(out, np.ones(10))
