"""Pooling layers: words, the calls that PyTorch's operator samples do not reach, and what decides between equals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, Any]
INF, NAN = float("inf"), float("nan")


def draws(*sizes: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(sizes)


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def blocks(x: Array, k: int) -> Array:
    """Cut (..., H, W) into (..., H / k, W / k, k * k)."""
    *lead, h, w = x.shape
    cut = x.reshape(*lead, h // k, k, w // k, k)
    return np.moveaxis(cut, -3, -2).reshape(*lead, h // k, w // k, k * k)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda nn: nn.MaxPool2d(2, padding=1),
            "MaxPool2d(kernel_size=2, stride=2, padding=1, dilation=1, ceil_mode=False)",
        ),
        (lambda nn: nn.MaxUnpool2d(2, 3), "MaxUnpool2d(kernel_size=(2, 2), stride=(3, 3), padding=(0, 0))"),
        (lambda nn: nn.AvgPool1d(2), "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))"),
        (lambda nn: nn.AvgPool3d((1, 2, 3)), "AvgPool3d(kernel_size=(1, 2, 3), stride=(1, 2, 3), padding=0)"),
        (lambda nn: nn.LPPool2d(2, 3), "LPPool2d(norm_type=2, kernel_size=3, stride=None, ceil_mode=False)"),
        (lambda nn: nn.AdaptiveAvgPool2d((None, 2)), "AdaptiveAvgPool2d(output_size=(None, 2))"),
        (lambda nn: nn.AdaptiveMaxPool1d(3), "AdaptiveMaxPool1d(output_size=3)"),
        (lambda nn: nn.FractionalMaxPool2d(2, output_ratio=0.5), "FractionalMaxPool2d()"),
    ],
)
def test_words(t: Any, make: Callable[[Any], Any], text: str) -> None:
    assert repr(make(t.nn)) == text


def test_maxima_and_means_of_blocks(t: Any) -> None:
    x = draws(2, 3, 6, 4)
    cut = blocks(x, 2)
    close(t.nn.MaxPool2d(2)(t.tensor(x)), cut.max(-1))
    close(t.nn.AvgPool2d(2)(t.tensor(x)), cut.mean(-1))
    close(t.nn.AvgPool2d(2, divisor_override=3)(t.tensor(x)), cut.sum(-1) / 3)
    close(t.nn.AdaptiveAvgPool2d((3, 2))(t.tensor(x)), cut.mean(-1))
    close(t.nn.AdaptiveMaxPool2d((3, 2))(t.tensor(x)), cut.max(-1))
    close(t.nn.AdaptiveAvgPool2d((None, 1))(t.tensor(x)), x.mean(-1, keepdims=True))
    close(t.nn.LPPool2d(3, 2)(t.tensor(abs(x))), (abs(cut) ** 3).sum(-1) ** (1 / 3))
    close(t.nn.functional.lp_pool2d(t.tensor(x), INF, 2), abs(cut).max(-1))
    close(t.nn.functional.lp_pool1d(t.tensor(x[0, :, 0]), -INF, 2), abs(x[0, :, 0]).reshape(3, 2, 2).min(-1))
    close(t.nn.LPPool3d(2, (3, 2, 2))(t.tensor(x)), np.sqrt((cut**2).sum(-1).sum(1, keepdims=True)))


def test_the_first_of_equals_and_the_last_nan_count(t: Any) -> None:
    x = np.array([[[[1.0, 1.0, NAN, 2.0], [1.0, 0.0, NAN, 5.0]]]])
    values, places = t.nn.functional.max_pool2d(t.tensor(x), 2, return_indices=True)
    assert places.tolist() == [[[[0, 6]]]]
    np.testing.assert_array_equal(values.numpy(), [[[[1.0, NAN]]]])
    values, places = t.nn.functional.max_pool2d(t.full((1, 1, 2, 2), -INF), 2, 1, 1, return_indices=True)
    assert places.tolist() == [[[[0, 0, 1], [0, 0, 1], [2, 2, 3]]]]
    _, places = t.nn.functional.adaptive_max_pool2d(t.tensor(x), (1, 3), return_indices=True)
    assert places.tolist() == [[[[0, 6, 6]]]]


def test_gradients_of_overlapping_windows(t: Any) -> None:
    x = t.tensor(draws(1, 1, 5, 5), requires_grad=True)
    values, places = t.nn.functional.max_pool2d(x, 3, 1, return_indices=True)
    (first,) = t.autograd.grad(values.pow(2).sum(), x, create_graph=True)
    by_hand = np.zeros(25)
    np.add.at(by_hand, places.numpy().ravel(), 2 * values.detach().numpy().ravel())
    close(first, by_hand.reshape(1, 1, 5, 5))
    (second,) = t.autograd.grad(first.sum(), x)
    close(second, 2.0 * np.bincount(places.numpy().ravel(), minlength=25).reshape(1, 1, 5, 5))


def test_unpooling_undoes_pooling(t: Any) -> None:
    for axes in (1, 2, 3):
        x = t.tensor(draws(2, 3, *(5, 4, 6)[:axes]))
        pool = getattr(t.nn, f"MaxPool{axes}d")(2, return_indices=True)
        values, places = pool(x)
        back = getattr(t.nn, f"MaxUnpool{axes}d")(2)(values, places, output_size=x.size())
        again, _ = pool(back.where(back != 0, t.full_like(back, -INF)))
        close(again, values.numpy())
        assert int((back != 0).sum()) == values.numel()


def test_a_second_backward_gives_zeros_where_the_image_plays_no_part(t: Any) -> None:
    x = t.ones(1, 1, 4, 4, requires_grad=True)
    (first,) = t.autograd.grad(t.nn.functional.max_pool2d(x, 2).sum(), x, create_graph=True)
    (second,) = t.autograd.grad(first.sum(), x)
    assert not second.numpy().any()


def test_random_windows(t: Any) -> None:
    x = t.arange(100.0).reshape(1, 1, 10, 10)
    samples = t.tensor([[[0.1, 0.9]]])
    layer = t.nn.FractionalMaxPool2d(2, 4, return_indices=True, _random_samples=samples)
    values, places = layer(x)
    assert values.flatten().tolist() == [
        11, 13, 16, 19, 41, 43, 46, 49, 61, 63, 66, 69, 91, 93, 96, 99,
    ]  # fmt: skip
    assert places.tolist() == values.tolist()
    assert tuple(t.nn.FractionalMaxPool3d(2, output_ratio=(0.5, 0.5, 0.6))(t.ones(2, 6, 6, 5)).shape) == (2, 3, 3, 3)


@pytest.mark.parametrize(
    ("error", "act", "text"),
    [
        (RuntimeError, lambda F, t: F.max_pool1d(t.ones(2, 6), 0), "max_pool1d() kernel_size must be greater than zero, but got 0"),
        (RuntimeError, lambda F, t: F.max_pool1d(t.ones(2, 6), 2, padding=2),
         "max_pool1d() padding should be at most half of kernel size, but got padding=2 and kernel_size=2"),
        (RuntimeError, lambda F, t: F.max_pool1d(t.ones(2, 6), 7), "max_pool1d() Invalid computed output size: 0"),
        (RuntimeError, lambda F, t: F.max_pool1d(t.ones(6), 2), "max_pool1d: Expected 2D or 3D (batch mode) tensor with"),
        (RuntimeError, lambda F, t: F.max_pool1d(t.ones(2, 6), (2, 2)), "of size 1 but got size 2"),
        (RuntimeError, lambda F, t: F.avg_pool1d(t.ones(2, 6), (2, 2)), "'kernel_size' should contain one int (got 2)"),
        (RuntimeError, lambda F, t: F.avg_pool1d(t.ones(6), 2), "Expected 2 to 3 dimensions, but got 1-dimensional tensor"),
        (RuntimeError, lambda F, t: F.adaptive_avg_pool2d(t.ones(2, 6, 6), -1),
         "adaptive_avg_pool2d: elements of output_size must be greater than or equal to 0 but received {-1, -1}"),
        (ValueError, lambda F, t: F.adaptive_max_pool2d(t.ones(2), (2, 2)), "Input dimension should be at least 3"),
        (ValueError, lambda F, t: F.max_unpool2d(t.ones(1, 2, 2), t.zeros(1, 2, 2, dtype=t.int64), 2, output_size=(7, 7)),
         'invalid output_size "(7, 7)" (dim 0 must be between 2 and 6)'),
        (ValueError, lambda F, t: F.max_unpool2d(t.ones(1, 2, 2), t.zeros(1, 2, 2, dtype=t.int64), 2, output_size=(7,)),
         "output_size should be a sequence containing 2 or 4 elements, but it has a length of '1'"),
        (ValueError, lambda F, t: F.fractional_max_pool2d(t.ones(1, 2, 2), 2), "requires specifying either an output_size"),
        (ValueError, lambda F, t: t.nn.FractionalMaxPool3d(2), "requires specifying either an output size, or a pooling ratio"),
        (ValueError, lambda F, t: t.nn.FractionalMaxPool2d(2, 2, 0.5), "only one of output_size and output_ratio may be"),
        (ValueError, lambda F, t: t.nn.FractionalMaxPool2d(2, output_ratio=1.5), "output_ratio must be between 0 and 1 (got"),
    ],
)  # fmt: skip
def test_refusals(t: Any, error: type[Exception], act: Callable[[Any, Any], Any], text: str) -> None:
    with pytest.raises(error) as caught:
        act(t.nn.functional, t)
    assert text in str(caught.value)
