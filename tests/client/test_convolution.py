"""Convolution layers: parameters, words, and the calls that PyTorch's operator samples do not reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, Any]


def draws(*sizes: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(sizes)


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def correlate(x: Array, w: Array) -> Array:
    """Compute (N, C, H, W) by (O, C, KH, KW) with stride 1 and no padding."""
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    return np.asarray(np.einsum("nchwij,ocij->nohw", windows, w))


def test_parameters_and_words(t: Any) -> None:
    t.manual_seed(0)
    layer = t.nn.Conv2d(4, 6, 3, 2, 1, groups=2, bias=False, padding_mode="reflect")
    assert {name: tuple(p.shape) for name, p in layer.state_dict().items()} == {"weight": (6, 2, 3, 3)}
    assert repr(layer) == (
        "Conv2d(4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), groups=2, bias=False, padding_mode=reflect)"
    )
    back = t.nn.ConvTranspose2d(4, 6, (3, 2), 2, output_padding=1, dilation=(1, 2))
    assert list(back.state_dict()) == ["weight", "bias"]
    assert tuple(back.weight.shape) == (4, 6, 3, 2)
    assert repr(back) == (
        "ConvTranspose2d(4, 6, kernel_size=(3, 2), stride=(2, 2), dilation=(1, 2), output_padding=(1, 1))"
    )
    assert repr(t.nn.Conv1d(1, 2, 3, padding="same")) == "Conv1d(1, 2, kernel_size=(3,), stride=(1,), padding=same)"
    assert repr(t.nn.Fold((4, 5), 2)) == "Fold(output_size=(4, 5), kernel_size=2, dilation=1, padding=0, stride=1)"
    assert repr(t.nn.Unfold(2, stride=2)) == "Unfold(kernel_size=2, dilation=1, padding=0, stride=2)"


@pytest.mark.parametrize(("kind", "fan_in"), [("Conv2d", 75), ("ConvTranspose2d", 100)])
def test_starting_values_are_uniform_by_fan_in_the_weight_first(t: Any, kind: str, fan_in: int) -> None:
    t.manual_seed(3)
    layer, bound = getattr(t.nn, kind)(3, 4, 5), fan_in**-0.5
    t.manual_seed(3)
    for parameter in (layer.weight, layer.bias):
        drawn = t.nn.init.uniform_(t.empty(*parameter.shape), -bound, bound)
        np.testing.assert_allclose(parameter.detach().numpy(), drawn.numpy(), rtol=1e-6)


@pytest.mark.parametrize(("mode", "numpy_mode"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
def test_padding_modes(t: Any, mode: str, numpy_mode: Any) -> None:
    layer = t.nn.Conv2d(2, 3, (3, 2), padding="same", padding_mode=mode, dtype=t.float64)
    x = draws(2, 2, 4, 5)
    expected = correlate(np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 1)), numpy_mode), layer.weight.detach().numpy())
    close(layer(t.tensor(x)), expected + layer.bias.detach().numpy()[:, None, None])


def test_valid_padding_and_no_batch(t: Any) -> None:
    layer, x = t.nn.Conv2d(2, 3, 3, padding="valid", bias=False, dtype=t.float64), draws(2, 5, 4)
    close(layer(t.tensor(x)), correlate(x[None], layer.weight.detach().numpy())[0])


def test_output_size_of_a_transpose(t: Any) -> None:
    layer = t.nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    x = t.ones(1, 2, 4, 4)
    assert tuple(layer(x).shape) == (1, 3, 7, 7)
    assert tuple(layer(x, output_size=[8, 7]).shape) == (1, 3, 8, 7)
    assert tuple(layer(x[0], output_size=(3, 7, 8)).shape) == (3, 7, 8)
    with pytest.raises(ValueError, match=r"valid sizes range from \[7, 7\] to \[8, 8\]"):
        layer(x, output_size=[9, 7])
    with pytest.raises(ValueError, match=r"ConvTranspose2D: for 4D input, output_size must have 2 or 4 elements"):
        layer(x, output_size=[9])


def test_gradients_of_a_layer_are_those_of_its_products(t: Any) -> None:
    x, w = t.tensor(draws(2, 3, 6, 5), requires_grad=True), t.tensor(draws(4, 3, 3, 3, seed=1), requires_grad=True)
    g = draws(2, 4, 4, 3, seed=2)
    t.nn.functional.conv2d(x, w).backward(t.tensor(g))
    padded = np.pad(g, ((0, 0), (0, 0), (2, 2), (2, 2)))
    close(x.grad, correlate(padded, w.detach().numpy()[:, :, ::-1, ::-1].swapaxes(0, 1)))
    close(w.grad, correlate(x.detach().numpy().swapaxes(0, 1), g.swapaxes(0, 1)).swapaxes(0, 1))


def test_conv_tbc(t: Any) -> None:
    x, w, b = draws(6, 2, 3), draws(3, 3, 4, seed=1), draws(4, seed=2)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((1, 1), (0, 0), (0, 0))), 3, 0)
    close(t.conv_tbc(t.tensor(x), t.tensor(w), t.tensor(b), 1), np.einsum("tnck,kco->tno", windows, w) + b)


def test_fold_undoes_unfold_where_windows_do_not_overlap(t: Any) -> None:
    x = draws(2, 3, 4, 6)
    columns = t.nn.Unfold((2, 3), stride=(2, 3))(t.tensor(x))
    assert tuple(columns.shape) == (2, 18, 4)
    close(t.nn.Fold((4, 6), (2, 3), stride=(2, 3))(columns), x)


@pytest.mark.parametrize(
    ("error", "act", "text"),
    [
        (ValueError, lambda t: t.nn.Conv2d(3, 4, 1, groups=0), "groups must be a positive integer"),
        (ValueError, lambda t: t.nn.Conv2d(3, 4, 1, groups=2), "in_channels must be divisible by groups"),
        (ValueError, lambda t: t.nn.Conv2d(4, 3, 1, groups=2), "out_channels must be divisible by groups"),
        (ValueError, lambda t: t.nn.Conv2d(4, 3, 1, padding="all"), "Invalid padding string 'all'"),
        (ValueError, lambda t: t.nn.Conv2d(4, 3, 1, 2, "same"), "padding='same' is not supported for strided"),
        (ValueError, lambda t: t.nn.Conv2d(4, 3, 1, padding_mode="x"), "padding_mode must be one of"),
        (ValueError, lambda t: t.nn.ConvTranspose1d(4, 3, 1, padding_mode="circular"), 'Only "zeros" padding mode'),
        (
            RuntimeError,
            lambda t: t.nn.Conv1d(2, 3, 1)(t.ones(3)),
            "Expected 2D (unbatched) or 3D (batched) input to conv1d",
        ),
        (
            RuntimeError,
            lambda t: t.nn.functional.conv1d(t.ones(1, 1, 3), t.ones(1, 1, 1), padding="x"),
            "Invalid padding",
        ),
        (TypeError, lambda t: t.nn.functional.conv1d(t.ones(1, 1, 3), t.ones(1, 1, 1), None, 1.5), "conv1d"),
        (RuntimeError, lambda t: t.conv_tbc(t.ones(1, 3), t.ones(1, 1, 1), t.ones(1)), "Input must have 3 dims"),
    ],
)
def test_refusals(t: Any, error: type[Exception], act: Callable[[Any], Any], text: str) -> None:
    with pytest.raises(error) as caught:
        act(t)
    assert text in str(caught.value)
