"""Lazy modules: shapes from the first input or from a state, against PyTorch (see test_module.py)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, Any]

# name, arguments, shape of an input
LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("Linear", (3,), {}, (2, 5)),
    ("Linear", (3,), {"bias": False}, (2, 4, 5)),
    ("Conv1d", (4, 3), {"groups": 2}, (2, 6, 7)),
    ("Conv2d", (4, 3), {"bias": False}, (6, 7, 7)),
    ("Conv3d", (2, 1), {}, (1, 3, 2, 2, 2)),
    ("ConvTranspose1d", (4, 3), {"groups": 2}, (2, 6, 7)),
    ("ConvTranspose2d", (4, (2, 3)), {"stride": 2}, (2, 6, 3, 3)),
    ("ConvTranspose3d", (2, 1), {}, (1, 3, 2, 2, 2)),
    ("BatchNorm1d", (), {}, (4, 3)),
    ("BatchNorm2d", (), {"affine": False}, (2, 3, 2, 2)),
    ("BatchNorm3d", (), {"track_running_stats": False}, (2, 3, 2, 2, 2)),
    ("InstanceNorm1d", (), {}, (2, 3, 4)),
    ("InstanceNorm2d", (), {}, (2, 3, 2, 2)),
    ("InstanceNorm3d", (), {"affine": False}, (2, 3, 2, 2, 2)),
]


@pytest.mark.parametrize(("name", "args", "options", "shape"), LAYERS)
def test_layers(t: Any, name: str, args: tuple[Any, ...], options: dict[str, Any], shape: tuple[int, ...]) -> None:
    kind = getattr(t.nn, name)
    lazy = getattr(t.nn, f"Lazy{name}")(*args, **options)
    assert type(lazy).__name__ == f"Lazy{name}"
    features = shape[-1] if name == "Linear" else shape[1] if len(shape) != 3 or name[-2] == "1" else shape[0]
    if name.endswith("Norm1d"):
        features = shape[1]
    norm = {"affine": True, "track_running_stats": True} if "Norm" in name else {}
    plain = kind(features, *args, **{**norm, **options})
    assert list(lazy.state_dict()) == list(plain.state_dict())
    x = t.ones(*shape)
    t.manual_seed(3)
    out = lazy(x)
    assert type(lazy) is kind
    assert repr(lazy) == repr(plain)
    assert not lazy._forward_pre_hooks
    shapes = {name: tuple(value.shape) for name, value in plain.state_dict().items()}
    assert {name: tuple(value.shape) for name, value in lazy.state_dict().items()} == shapes
    assert out.shape == lazy(x).shape == plain(x).shape
    t.manual_seed(3)
    plain.reset_parameters()
    for one, other in zip(lazy.parameters(), plain.parameters(), strict=True):
        assert type(one) is t.nn.Parameter
        np.testing.assert_array_equal(one.detach().numpy(), other.detach().numpy())


def test_an_uninitialized_parameter(t: Any) -> None:
    parameter = t.nn.UninitializedParameter(dtype=t.float64)
    assert repr(parameter) == "<UninitializedParameter>"
    assert parameter.requires_grad
    with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized parameter or buffer"):
        _ = parameter.shape
    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter in"):
        parameter + 1
    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter in"):
        parameter.numel()
    parameter.materialize((2, 3))
    assert type(parameter) is t.nn.Parameter
    assert tuple(parameter.shape) == (2, 3)
    assert parameter.dtype is t.float64
    assert parameter.requires_grad
    (parameter * 2).sum().backward()
    assert (parameter.grad.numpy() == 2).all()


def test_optimizers_keep_the_parameter(t: Any) -> None:
    model = t.nn.Sequential(t.nn.LazyLinear(3), t.nn.LazyLinear(1))
    weight = model[0].weight
    model(t.ones(2, 5))
    assert model[0].weight is weight
    optimizer = t.optim.SGD(model.parameters(), lr=0.1)
    before = weight.detach().clone()
    model(t.ones(2, 5)).sum().backward()
    optimizer.step()
    assert (weight.detach() != before).any().item()


def test_conversion_before_the_first_input(t: Any) -> None:
    layer = t.nn.LazyLinear(3).double()
    assert layer.weight.dtype is t.float64
    assert layer.has_uninitialized_params()
    assert layer(t.ones(2, 5, dtype=t.float64)).dtype is t.float64


def test_states(t: Any) -> None:
    plain, lazy = t.nn.Linear(5, 3), t.nn.LazyLinear(3)
    lazy.load_state_dict(lazy.state_dict())
    assert lazy.has_uninitialized_params()
    lazy.load_state_dict(plain.state_dict())
    assert not lazy.has_uninitialized_params()
    np.testing.assert_array_equal(lazy.weight.detach().numpy(), plain.weight.detach().numpy())
    lazy(t.ones(2, 5))
    assert lazy.in_features == 5
    with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized"):
        plain.load_state_dict(t.nn.LazyLinear(3).state_dict())


def test_copies_are_initialized_apart(t: Any) -> None:
    lazy = t.nn.LazyLinear(3)
    twin = copy.deepcopy(lazy)
    twin(t.ones(2, 5))
    assert not twin._forward_pre_hooks
    assert lazy.has_uninitialized_params()
    lazy(t.ones(2, 4))
    assert (twin.in_features, lazy.in_features) == (5, 4)


REFUSED: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda t: t.nn.LazyConv1d(2, 1, groups=2)(t.ones(1, 3, 4)), ValueError, "in_channels must be divisible by groups"),
    (
        lambda t: t.nn.LazyConv2d(2, 1)(t.ones(3, 4)),
        RuntimeError,
        "Expected 3D (unbatched) or 4D (batched) input to Lazy",
    ),
]


@pytest.mark.parametrize(("act", "error", "text"), REFUSED)
def test_refusals(t: Any, act: Callable[[Any], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        act(t)
    assert text in str(caught.value)
