"""`F.interpolate`, grids and shuffles: argument rules, layers, and bytes; op_db and tests/ops compare the values."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest


def image(*sizes: int) -> Any:
    return np.arange(float(np.prod(sizes))).reshape(sizes)


# ---------------------------------------------------------------- interpolation
def test_the_factor_is_the_step_unless_it_is_recomputed(t: Any) -> None:
    x = t.tensor(image(1, 1, 5))
    by_factor = t.nn.functional.interpolate(x, scale_factor=1.5, mode="linear")
    by_size = t.nn.functional.interpolate(x, scale_factor=1.5, mode="linear", recompute_scale_factor=True)
    assert by_factor.shape == by_size.shape == (1, 1, 7)
    step, other = 1 / 1.5, 5 / 7
    np.testing.assert_allclose(by_factor.numpy()[0, 0], np.clip((np.arange(7) + 0.5) * step - 0.5, 0, 4))
    np.testing.assert_allclose(by_size.numpy()[0, 0], np.clip((np.arange(7) + 0.5) * other - 0.5, 0, 4))


def test_layers(t: Any) -> None:
    x = t.tensor(image(1, 1, 2, 2))
    np.testing.assert_array_equal(
        t.nn.Upsample(scale_factor=2)(x).numpy()[0, 0], [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    )
    np.testing.assert_allclose(t.nn.UpsamplingBilinear2d(size=(2, 3))(x).numpy()[0, 0], [[0, 0.5, 1], [2, 2.5, 3]])
    assert repr(t.nn.Upsample(scale_factor=(2, 3), mode="bilinear")) == (
        "Upsample(scale_factor=(2.0, 3.0), mode='bilinear')"
    )
    assert repr(t.nn.UpsamplingNearest2d(size=4)) == "UpsamplingNearest2d(size=4, mode='nearest')"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("bilinear", [[0, 64, 191, 255], [25, 82, 196, 253], [75, 119, 205, 248], [100, 137, 210, 246]]),
        ("bicubic", [[0, 50, 195, 255], [19, 75, 201, 255], [66, 116, 209, 255], [94, 141, 215, 255]]),
    ],
)
def test_bytes_are_rounded_in_fixed_point(t: Any, mode: str, expected: Any) -> None:
    x = t.tensor([[[[0, 255], [100, 246]]]], dtype=t.uint8)
    found = t.nn.functional.interpolate(x, size=(4, 4), mode=mode)
    assert found.dtype == t.uint8
    np.testing.assert_array_equal(found.numpy()[0, 0], expected)


def test_an_infinite_element_reaches_only_its_neighbours(t: Any) -> None:
    x = np.zeros((1, 1, 6))
    x[0, 0, 0] = np.inf
    found = t.nn.functional.interpolate(t.tensor(x), size=12, mode="linear").numpy()
    assert np.isfinite(found[0, 0, 4:]).all()


@pytest.mark.parametrize(
    ("sizes", "arguments", "error", "match"),
    [
        ((1, 1, 4), {}, ValueError, "either size or scale_factor should be defined"),
        ((1, 1, 4), {"size": 2, "scale_factor": 2}, ValueError, "only one of size or scale_factor"),
        ((1, 1, 4), {"size": (2, 2)}, ValueError, "must have the same number of spatial dimensions"),
        ((1, 1, 4), {"scale_factor": (2, 2)}, ValueError, "Input and scale_factor must have the same"),
        ((1, 1, 4), {"size": 2, "align_corners": True}, ValueError, "align_corners option can only be set"),
        ((1, 1, 4), {"size": 2, "recompute_scale_factor": True}, ValueError, "not meaningful with an explicit"),
        ((1, 1, 4), {"size": 2, "antialias": True}, ValueError, "Anti-alias option is restricted"),
        ((1, 1, 4), {"size": (2.5,)}, TypeError, "expected size to be one of int"),
        ((1, 1, 4), {"size": 2, "mode": "bilinear"}, NotImplementedError, "Got 3D input, but bilinear mode needs 4D"),
        ((1, 1, 4), {"size": 2, "mode": "bicubic"}, NotImplementedError, "Only 3D, 4D and 5D input Tensors"),
        ((4, 4), {"size": (), "mode": "nearest"}, NotImplementedError, "Only 3D, 4D and 5D input Tensors"),
        ((1, 1, 4), {"size": 0}, RuntimeError, "Input and output sizes should be greater than 0"),
    ],
)
def test_refusals(t: Any, sizes: Any, arguments: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        t.nn.functional.interpolate(t.zeros(sizes), **arguments)


def test_what_interpolate_replaced_warns(t: Any) -> None:
    x = t.tensor(image(1, 1, 2, 2))
    for name in ("upsample", "upsample_nearest", "upsample_bilinear"):
        with pytest.warns(UserWarning, match=f"`nn.functional.{name}` is deprecated"):
            assert getattr(t.nn.functional, name)(x, scale_factor=2).shape == (1, 1, 4, 4)


# ---------------------------------------------------------------- grids
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_grid_of_the_identity_samples_the_image(t: Any, dims: int, align_corners: bool) -> None:
    size = (2, 1, 3, 4, 5)[: dims + 2]
    theta = t.eye(dims, dims + 1, dtype=t.float64).expand(2, dims, dims + 1).clone().requires_grad_()
    grid = t.nn.functional.affine_grid(theta, size, align_corners)
    assert grid.shape == (2, *size[2:], dims)
    x = t.tensor(image(*size))
    found = t.nn.functional.grid_sample(x, grid, align_corners=align_corners)
    np.testing.assert_allclose(found.detach().numpy(), x.numpy(), atol=1e-12)
    found.sum().backward()
    assert theta.grad.shape == theta.shape


def test_refusals_of_grids(t: Any) -> None:
    functional, x, grid = t.nn.functional, t.zeros(1, 1, 2, 2), t.zeros(1, 2, 2, 2)
    with pytest.raises(ValueError, match="expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: 'linear'"):
        functional.grid_sample(x, grid, mode="linear")
    with pytest.raises(ValueError, match="expected padding_mode to be 'zeros', 'border', or 'reflection'"):
        functional.grid_sample(x, grid, padding_mode="edge")
    with pytest.warns(UserWarning, match="Please specify align_corners=True"):
        functional.grid_sample(x, grid)
    with pytest.raises(ValueError, match="Expected a batch of 2D affine matrices of shape Nx2x3"):
        functional.affine_grid(t.zeros(1, 3, 4), (1, 1, 2, 2), False)
    with pytest.raises(NotImplementedError, match="only supports 4D and 5D sizes"):
        functional.affine_grid(t.zeros(1, 3, 4), (1, 1, 2), False)
    with pytest.raises(RuntimeError, match="bicubic interpolation only supports 4D input"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        functional.grid_sample(t.zeros(1, 1, 2, 2, 2), t.zeros(1, 2, 2, 2, 3), mode="bicubic")


# ---------------------------------------------------------------- shuffles
def test_shuffles(t: Any) -> None:
    x = t.tensor(image(1, 4, 1, 1))
    up = t.nn.PixelShuffle(2)
    np.testing.assert_array_equal(up(x).numpy(), [[[[0, 1], [2, 3]]]])
    np.testing.assert_array_equal(t.nn.PixelUnshuffle(2)(up(x)).numpy(), x.numpy())
    np.testing.assert_array_equal(t.nn.ChannelShuffle(2)(x).numpy().reshape(-1), [0, 2, 1, 3])
    assert [repr(layer) for layer in (up, t.nn.PixelUnshuffle(3), t.nn.ChannelShuffle(2))] == [
        "PixelShuffle(upscale_factor=2)", "PixelUnshuffle(downscale_factor=3)", "ChannelShuffle(groups=2)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "sizes", "number", "match"),
    [
        ("pixel_shuffle", (1, 3, 2, 2), 2, "'channel' dimension to be divisible by the square of upscale_factor"),
        ("pixel_shuffle", (3, 2), 2, "expects input to have at least 3 dimensions"),
        ("pixel_shuffle", (1, 4, 2, 2), 0, "expects a positive upscale_factor"),
        ("pixel_unshuffle", (1, 4, 3, 2), 2, "expects height to be divisible by downscale_factor"),
        ("channel_shuffle", (4, 2), 2, "expects input with > 2 dims"),
        ("channel_shuffle", (4, 3, 2), 2, "Number of channels must be divisible by groups"),
        ("channel_shuffle", (4, 3, 2), 0, "must be positive"),
    ],
)
def test_refusals_of_shuffles(t: Any, name: str, sizes: Any, number: int, match: str) -> None:
    with pytest.raises(RuntimeError, match=match):
        getattr(t.nn.functional, name)(t.zeros(sizes), number)
