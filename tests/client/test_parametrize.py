"""Parametrizations, and the older hooks that normalize weights, against PyTorch (see test_module.py)."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradwire

Array = np.ndarray[Any, Any]
parity = pytest.mark.parity


def draws(*sizes: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(sizes)


def close(found: Any, expected: Any, rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=rtol, atol=1e-12)


def symmetric(t: Any, invertible: bool = False) -> Any:
    class Symmetric(t.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            return x.triu() + x.triu(1).T

    class Invertible(Symmetric):
        def right_inverse(self, a: Any) -> Any:
            return a.triu()

    return (Invertible if invertible else Symmetric)()


def parts(t: Any) -> Any:
    class Product(t.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, a: Any, b: Any) -> Any:
            return a * b

        def right_inverse(self, x: Any) -> Any:
            return x.abs().sqrt(), x.sgn() * x.abs().sqrt()

    return Product()


def linear(t: Any, *sizes: int, **options: Any) -> Any:
    layer = t.nn.Linear(*(sizes or (3, 3)), dtype=t.float64, **options)
    with t.no_grad():
        layer.weight.copy_(t.tensor(draws(*layer.weight.shape)))
    return layer


def test_a_parametrized_weight(t: Any) -> None:
    parametrize, layer, w = t.nn.utils.parametrize, linear(t), draws(3, 3)
    original = layer.weight
    assert parametrize.register_parametrization(layer, "weight", symmetric(t)) is layer
    assert parametrize.is_parametrized(layer)
    assert parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias")
    assert type(layer).__name__ == "ParametrizedLinear"
    assert parametrize.type_before_parametrizations(layer) is t.nn.Linear
    assert layer.parametrizations.weight.original is original
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    close(layer.weight, np.triu(w) + np.triu(w, 1).T)
    layer(t.tensor(draws(2, 3))).sum().backward()
    assert (np.tril(original.grad.numpy(), -1) == 0).all()
    assert repr(layer).splitlines()[1:4] == [
        "  in_features=3, out_features=3, bias=True", "  (parametrizations): ModuleDict(",
        "    (weight): ParametrizationList(",
    ]  # fmt: skip
    with pytest.raises(RuntimeError, match="does not implement right_inverse"):
        layer.weight = t.zeros(3, 3)


@pytest.mark.parametrize("leave", [True, False])
def test_removal(t: Any, leave: bool) -> None:
    parametrize, layer, w = t.nn.utils.parametrize, linear(t), draws(3, 3)
    original = layer.weight
    parametrize.register_parametrization(layer, "weight", symmetric(t))
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=leave)
    assert layer.weight is original
    assert type(layer) is t.nn.Linear
    assert not hasattr(layer, "parametrizations")
    assert original.requires_grad
    close(original, np.triu(w) + np.triu(w, 1).T if leave else w)


def test_an_assignment_goes_through_the_inverse(t: Any) -> None:
    layer, w = linear(t), draws(3, 3, seed=2)
    t.nn.utils.parametrize.register_parametrization(layer, "weight", symmetric(t, invertible=True))
    close(layer.parametrizations.weight.original, np.triu(draws(3, 3)))
    layer.weight = t.tensor(w)
    close(layer.weight, np.triu(w) + np.triu(w, 1).T)


def test_several_originals_and_a_chain(t: Any) -> None:
    parametrize, layer, w = t.nn.utils.parametrize, linear(t), draws(3, 3)
    parametrize.register_parametrization(layer, "weight", parts(t))
    parametrize.register_parametrization(layer, "weight", symmetric(t))
    assert [name for name, _ in layer.named_parameters()] == [
        "bias", "parametrizations.weight.original0", "parametrizations.weight.original1",
    ]  # fmt: skip
    close(layer.weight, np.triu(w) + np.triu(w, 1).T)
    with pytest.raises(ValueError, match="Cannot leave unparametrized"):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    parametrize.remove_parametrizations(layer, "weight")
    assert isinstance(layer.weight, t.nn.Parameter)
    assert layer.weight.is_leaf


def test_a_buffer_and_a_copy(t: Any) -> None:
    layer = linear(t)
    layer.register_buffer("b", t.ones(2, 2))
    t.nn.utils.parametrize.register_parametrization(layer, "b", symmetric(t))
    assert [name for name, _ in layer.named_buffers()] == ["parametrizations.b.original"]
    twin = copy.deepcopy(layer)
    assert type(twin) is type(layer)
    layer.parametrizations.b.original.zero_()
    close(twin.b, np.ones((2, 2)))
    twin.load_state_dict(layer.state_dict())
    close(twin.b, np.zeros((2, 2)))
    with pytest.raises(RuntimeError, match="only supported through state_dict"):
        twin.__getstate__()


def test_the_cache(t: Any) -> None:
    layer, parametrize = linear(t), t.nn.utils.parametrize
    parametrize.register_parametrization(layer, "weight", symmetric(t))
    assert layer.weight is not layer.weight
    with parametrize.cached():
        with parametrize.cached():
            held = layer.weight
        assert layer.weight is held
    assert layer.weight is not held


def test_a_transfer(t: Any) -> None:
    parametrize, layer, other = t.nn.utils.parametrize, linear(t), linear(t)
    parametrize.register_parametrization(layer, "weight", symmetric(t))
    parametrize.transfer_parametrizations_and_params(layer, other)
    assert other.parametrizations.weight.original is layer.parametrizations.weight.original


def wrong(t: Any, change: Callable[[Any], Any], inverse: Callable[[Any], Any] | None = None) -> Any:
    class Wrong(t.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            return change(x)

    if inverse is not None:
        Wrong.right_inverse = lambda self, x: inverse(x)
    return Wrong()


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "dtype": (lambda t: wrong(t, lambda x: x.float()), "may not change the dtype of the tensor, unless `unsafe`"),
    "shape": (lambda t: wrong(t, lambda x: x[:1]), "may not change the shape of the tensor, unless `unsafe`"),
    "type": (lambda t: wrong(t, lambda x: 3), "A parametrization must return a tensor. Got int."),
    "inverse": (lambda t: wrong(t, lambda x: x, lambda x: 3), "'right_inverse' must return a Tensor or a Sequence"),
    "inverse's dtype": (lambda t: wrong(t, lambda x: x, lambda x: x.half()), "it may not change the dtype."),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals(t: Any, what: str) -> None:
    make, text = REFUSED[what]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        t.nn.utils.parametrize.register_parametrization(linear(t), "weight", make(t))
    assert text in str(caught.value)


def test_refusals_of_names(t: Any) -> None:
    parametrize = t.nn.utils.parametrize
    with pytest.raises(
        ValueError, match="does not have a parameter, a buffer, or a parametrized element with name 'x'"
    ):
        parametrize.register_parametrization(linear(t), "x", symmetric(t))
    with pytest.raises(ValueError, match="does not have a parametrization on weight"):
        parametrize.remove_parametrizations(linear(t), "weight")


# ---------------------------------------------------------------- weight norm and spectral norm
@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("old", [False, True])
def test_weight_norm(t: Any, dim: int | None, old: bool) -> None:
    layer, w = linear(t, 3, 4), draws(4, 3)
    g, v = ("weight_g", "weight_v") if old else (f"parametrizations.weight.original{i}" for i in (0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        utils = t.nn.utils
        (utils.weight_norm if old else utils.parametrizations.weight_norm)(layer, "weight", dim)
    assert list(layer.state_dict()) == ["bias", g, v]
    norms = np.sqrt((w * w).sum(axis=None if dim is None else 1 - dim, keepdims=dim is not None))
    close(layer.get_parameter(g), norms)
    with t.no_grad():
        layer.get_parameter(g).mul_(2)
    out = layer(t.tensor(draws(2, 3)))
    close(out, draws(2, 3) @ (2 * w).T + layer.bias.detach().numpy())
    out.sum().backward()
    slope = (draws(2, 3).sum(0) * w / norms).sum(axis=None if dim is None else 1 - dim, keepdims=dim is not None)
    close(layer.get_parameter(g).grad, slope)
    (utils.remove_weight_norm if old else utils.parametrize.remove_parametrizations)(layer, "weight")
    assert sorted(name for name, _ in layer.named_parameters()) == ["bias", "weight"]
    close(layer.weight, 2 * w)


def test_weight_norm_loads_states_of_the_older_one(t: Any) -> None:
    layer, older = linear(t), linear(t)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        t.nn.utils.weight_norm(older)
    t.nn.utils.parametrizations.weight_norm(layer)
    state = {name: value * 2 for name, value in older.state_dict().items()}
    layer.load_state_dict(state)
    close(layer.weight, draws(3, 3) * 2)


@pytest.mark.parametrize("old", [False, True])
def test_spectral_norm(t: Any, old: bool) -> None:
    t.manual_seed(0)
    layer, w = linear(t, 4, 3), draws(3, 4)
    (t.nn.utils.spectral_norm if old else t.nn.utils.parametrizations.spectral_norm)(layer, n_power_iterations=30)
    names = ["weight_orig", "weight_u", "weight_v"] if old else [
        "parametrizations.weight.original", "parametrizations.weight.0._u", "parametrizations.weight.0._v",
    ]  # fmt: skip
    assert list(layer.state_dict()) == ["bias", *names]
    # Two forwards before one backward: the vectors move on in between.
    (layer(t.tensor(draws(2, 4))).sum() - layer(t.tensor(draws(2, 4, seed=1))).sum()).backward()
    sigma, u = np.linalg.svd(w)[1][0], None
    close(layer.weight, w / sigma, 1e-5)
    u, _, v = np.linalg.svd(w)
    by_weight = np.ones((3, 1)) * (draws(2, 4).sum(0) - draws(2, 4, seed=1).sum(0))
    expected = by_weight / sigma - np.outer(u[:, 0], v[0]) * (by_weight * w).sum() / sigma**2
    close(layer.get_parameter(names[0]).grad, expected, 1e-5)
    before = layer.get_buffer(names[1]).clone()
    layer.eval()(t.ones(1, 4, dtype=t.float64))
    close(layer.get_buffer(names[1]), before.numpy())
    if old:
        t.nn.utils.remove_spectral_norm(layer)
    else:
        t.nn.utils.parametrize.remove_parametrizations(layer, "weight")
    close(layer.weight, w / sigma, 1e-5)
    assert isinstance(layer.weight, t.nn.Parameter)


@parity
@pytest.mark.usefixtures("session")
def test_spectral_norm_of_a_transposed_convolution() -> None:
    torch = pytest.importorskip("torch")
    found = []
    for t in (gradwire, torch):
        layer = t.nn.utils.parametrizations.spectral_norm(t.nn.ConvTranspose1d(2, 3, 2, dtype=t.float64))
        found.append({name: tuple(value.shape) for name, value in layer.state_dict().items()})
    assert found[0] == found[1]


def test_refusals_of_norms(t: Any) -> None:
    with pytest.raises(ValueError, match="Expected n_power_iterations to be positive"):
        t.nn.utils.parametrizations.spectral_norm(linear(t), n_power_iterations=0)
    with pytest.raises(IndexError, match=r"Dimension out of range \(expected to be in range of \[-2, 1\] but got 2\)"):
        t.nn.utils.parametrizations.spectral_norm(linear(t), dim=2)
    with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
        t.nn.utils.remove_weight_norm(linear(t))
    with pytest.raises(ValueError, match="spectral_norm of 'weight' not found"):
        t.nn.utils.remove_spectral_norm(linear(t))
    layer = t.nn.utils.spectral_norm(linear(t))
    with pytest.raises(RuntimeError, match="Cannot register two spectral_norm hooks on the same parameter weight"):
        t.nn.utils.spectral_norm(layer)


# ---------------------------------------------------------------- orthogonal
@pytest.mark.parametrize("trivial", [True, False])
@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (2, 4), (2, 4, 2)])
@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
def test_orthogonal(t: Any, kind: str, shape: tuple[int, ...], trivial: bool) -> None:
    layer = t.nn.Module()
    layer.weight = t.nn.Parameter(t.tensor(draws(*shape)))
    t.nn.utils.parametrizations.orthogonal(layer, orthogonal_map=kind, use_trivialization=trivial)
    base = ["parametrizations.weight.0.base"] if trivial else []
    assert list(layer.state_dict()) == ["parametrizations.weight.original", *base]
    assert repr(layer.parametrizations.weight[0]) == "_Orthogonal()"
    for step in range(2):
        tall = layer.weight.detach().numpy()
        tall = np.swapaxes(tall, -1, -2) if shape[-2] < shape[-1] else tall
        product = np.swapaxes(tall, -1, -2) @ tall
        np.testing.assert_allclose(product, np.broadcast_to(np.eye(min(shape[-2:])), product.shape), atol=1e-12)
        (layer.weight * t.tensor(draws(*shape, seed=step))).sum().backward()
        with t.no_grad():
            layer.parametrizations.weight.original -= 0.1 * layer.parametrizations.weight.original.grad


@parity
@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (2, 4)])
@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_has_pytorch_s_values_and_gradients(session: Any, kind: str, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    layers = [linear(t, shape[1], shape[0]) for t in (torch, gradwire)]
    for t, layer in zip((torch, gradwire), layers, strict=True):
        t.nn.utils.parametrizations.orthogonal(layer, orthogonal_map=kind)
    state = layers[0].state_dict()
    layers[1].load_state_dict({key: gradwire.tensor(value.numpy()) for key, value in state.items()})
    found = []
    for t, layer in zip((torch, gradwire), layers, strict=True):
        for seed in range(2):
            (layer.weight * t.tensor(draws(*shape, seed=seed))).sum().backward()
            with t.no_grad():
                layer.parametrizations.weight.original -= 0.1 * layer.parametrizations.weight.original.grad
        found.append((layer.weight, layer.parametrizations.weight.original.grad))
    for wanted, ours in zip(*found, strict=True):
        close(ours, wanted.detach().numpy())


def test_orthogonal_keeps_what_is_orthogonal(t: Any) -> None:
    q = np.linalg.qr(draws(4, 4))[0]
    for kind in ("matrix_exp", "cayley", "householder"):
        layer = linear(t, 4, 4)
        with t.no_grad():
            layer.weight.copy_(t.tensor(q))
        t.nn.utils.parametrizations.orthogonal(layer, orthogonal_map=kind)
        close(layer.weight, q)
        layer.weight = t.tensor(-q)
        close(layer.weight, -q)
    layer = linear(t, 4, 4)
    t.nn.utils.parametrizations.orthogonal(layer, orthogonal_map="householder", use_trivialization=False)
    layer.weight = t.tensor(q)
    close(layer.weight, q)


def test_refusals_of_orthogonal(t: Any) -> None:
    orthogonal = t.nn.utils.parametrizations.orthogonal
    with pytest.raises(ValueError, match="has no parameter or buffer with name 'other'"):
        orthogonal(linear(t), "other")
    with pytest.raises(ValueError, match="Expected a matrix or batch of matrices. Got a tensor of 1 dimensions"):
        orthogonal(linear(t), "bias")
    with pytest.raises(ValueError, match='has to be one of "matrix_exp", "cayley", "householder". Got: qr'):
        orthogonal(linear(t), orthogonal_map="qr")
    layer = orthogonal(linear(t), orthogonal_map="cayley", use_trivialization=False)
    with pytest.raises(
        NotImplementedError, match="It is not possible to assign to the matrix exponential or the Cayley"
    ):
        layer.weight = t.eye(3, dtype=t.float64)
    with pytest.raises(ValueError, match="Expected a matrix or batch of matrices of shape"):
        orthogonal(linear(t)).weight = t.zeros(2, 2)
