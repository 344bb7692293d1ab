"""What kernels do otherwise on a CPU, for its caches, gives what they do elsewhere, also where it takes several blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import erf as scipy_erf

from gradwire_protocol.dtypes import float32, float64
from gradwire_protocol.meta import Meta
from gradwire_server import blocks
from gradwire_server.ops import attention, batch_norm_blocks, convolution, row_columns, row_sums
from gradwire_server.ops.error_function import erf, erf_of_normal
from gradwire_server.ops.im2col import Windows
from gradwire_server.rules import KERNELS

# size, kernel, stride, padding, dilation
_GEOMETRIES: tuple[tuple[Any, ...], ...] = (
    ((9, 10), (3, 3), (1, 1), (1, 1), (1, 1)),
    ((12, 11), (5, 2), (1, 1), (2, 0), (1, 1)),
    ((14, 13), (2, 3), (1, 2), (1, 2), (2, 1)),
    ((13, 16), (3, 4), (1, 1), (4, 5), (2, 3)),
    ((9, 3), (3, 2), (1, 1), (5, 4), (1, 2)),
    ((6, 5, 6), (2, 3, 2), (1, 2, 1), (0, 1, 1), (1, 1, 2)),
)


def _windows(size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Windows:
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    count = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)
    return Windows(size, kernel, stride, padding, dilation, count)


def _three_products(windows: Windows, outputs: int) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((5, 2, *windows.size)), rng.standard_normal((outputs, 2, *windows.kernel))
    g = rng.standard_normal((5, outputs, *windows.count))
    ones = (1,) * len(windows.size)
    assert windows.stride[0] == 1
    geometry = (windows.stride, windows.padding, windows.dilation, False, tuple(0 for _ in ones), 1)

    forward = KERNELS["convolution"].function(np, x, w, None, *geometry, result=Meta.of(g.shape, float64))
    backward = KERNELS["convolution_backward"].function
    results = tuple(Meta.of(shape, float64) for shape in (x.shape, w.shape, (outputs,)))
    made = [forward]
    for mask in ((True, True, False), (True, False, False), (False, True, False)):
        found = backward(np, g, x, w, None, *geometry, mask, result=results)
        made += [array for array, wanted in zip(found, mask, strict=False) if wanted]
    return made


@pytest.mark.parametrize("outputs", [1, 3, 7])
@pytest.mark.parametrize("geometry", _GEOMETRIES)
def test_convolutions_by_rows(geometry: Any, outputs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = _windows(*geometry)
    monkeypatch.setattr(row_columns, "_FEWEST_ELEMENTS", 0)
    assert row_columns.goes_by_rows(np, np.zeros(()), windows, 1)
    for columns in (1, 1 << 11, 1 << 17):
        monkeypatch.setattr(row_columns, "_COLUMNS", columns)
        by_rows = _three_products(windows, outputs)
        with monkeypatch.context() as patched:
            patched.setattr(convolution, "goes_by_rows", lambda *_: False)
            wanted = _three_products(windows, outputs)
        for mine, other in zip(by_rows, wanted, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-10)


def test_the_error_function_is_accurate_in_float32() -> None:
    x = np.concatenate([np.linspace(-6, 6, 400_001), np.geomspace(1e-38, 1e30, 4_001)]).astype(np.float32)
    wide = x.astype(np.float64)
    with np.errstate(over="ignore"):
        for function, wanted in ((erf, scipy_erf(wide)), (erf_of_normal, scipy_erf(wide * np.sqrt(0.5)))):
            np.testing.assert_allclose(function(np, x), wanted, rtol=4e-7, atol=1e-44)
        ends = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], np.float32)
        np.testing.assert_array_equal(erf(np, ends), np.array([1, -1, np.nan, 0, 0], np.float32))
    assert np.signbit(erf(np, ends)[4])


def test_the_error_function_of_float64_is_the_librarys() -> None:
    x = np.linspace(-3, 3, 101)
    np.testing.assert_array_equal(erf(np, x), scipy_erf(x))


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("gelu", ("none",)), ("silu", ()), ("threshold_backward", (0.25,)), ("isnan", ()), ("where.self", None)],
)
def test_blocks_change_no_bit(name: str, numbers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_BLOCK", 100)
    rng, kernel = np.random.default_rng(0), KERNELS[name].function
    x, y = rng.standard_normal((2, 7, 61), np.float32)
    arguments = {"threshold_backward": (y, x), "where.self": (x > 0, x, y)}.get(name, (x,)) + (numbers or ())
    whole = kernel.__wrapped__(np, *arguments)
    made = kernel(np, *arguments)
    assert made.dtype == whole.dtype
    np.testing.assert_array_equal(made, whole)
    out = np.empty_like(whole)
    assert kernel(np, *arguments, out=out) is out
    np.testing.assert_array_equal(out, whole)
    # A strided or broadcast operand is not cut.
    if name == "silu":
        np.testing.assert_array_equal(kernel(np, x.T), whole.T)
    if name == "where.self":
        np.testing.assert_array_equal(kernel(np, x > 0, x, y[:1]), np.where(x > 0, x, y[:1]))


def _batch_norm(x: Any, g: Any, weight: Any, bias: Any, mask: tuple[bool, ...]) -> list[Any]:
    channels = Meta.of(x.shape[1:2], float64)
    metas = (Meta.of(x.shape, float64), channels, channels)
    made = KERNELS["_native_batch_norm_legit.no_stats"].function(np, x, weight, bias, True, 0.1, 1e-5, result=metas)
    backward = KERNELS["native_batch_norm_backward"].function
    return [*made, *backward(np, g, x, weight, None, None, made[1], made[2], True, 1e-5, mask, result=metas)]


@pytest.mark.parametrize("length", [(4, 9), (71, 71)])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_by_channels(length: tuple[int, int], affine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, 3, 5, *length)) + 3
    weight, bias = rng.standard_normal((2, 5)) if affine else (None, None)
    assert batch_norm_blocks.serves(np, x.reshape(3, 5, -1))
    for block in (1, 2 * x[:, 0].size, 1 << 18):
        monkeypatch.setattr(batch_norm_blocks, "_BLOCK", block)
        for mask in ((True, True, True), (False, True, False)):
            by_channels = _batch_norm(x, g, weight, bias, mask)
            with monkeypatch.context() as patched:
                patched.setattr(batch_norm_blocks, "serves", lambda *_: False)
                wanted = _batch_norm(x, g, weight, bias, mask)
            for mine, other in zip(by_channels, wanted, strict=True):
                np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("size", [0.5, 30.0])
def test_attention_with_and_without_large_scores(is_causal: bool, size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, name = np.random.default_rng(0), "_scaled_dot_product_flash_attention_for_cpu"
    query, key, value, g = rng.standard_normal((4, 2, 3, 37, 8)) * np.array([size, 1, 1, 1]).reshape(4, 1, 1, 1, 1)
    shape = Meta.of(query.shape, float64)
    scores = attention._Scores(np, query, key, is_causal, None, 0.5)
    assert scores.are_small is (size < 1)

    def run() -> list[Any]:
        out, total = KERNELS[name].function(
            np, query, key, value, is_causal, None, 0.5, result=(shape, Meta.of(query.shape[:3], float64))
        )
        backward = KERNELS[f"{name}_backward"].function
        return [out, total, *backward(np, g, query, key, value, out, total, is_causal, None, 0.5, result=(shape,) * 3)]

    for block in (1, 1 << 10, 1 << 18):
        monkeypatch.setattr(attention, "_CPU_BLOCK", block)
        mine = run()
        with monkeypatch.context() as patched:
            patched.setattr(attention, "_SMALL", 0.0)
            patched.setattr(attention, "_CPU_BLOCK", 1 << 18)
            wanted = run()
        for array, other in zip(mine, wanted, strict=True):
            np.testing.assert_allclose(array, other, rtol=1e-9, atol=1e-9)


def test_attention_passes_nan_on() -> None:
    query = np.ones((1, 1, 3, 4), np.float32)
    query[0, 0, 1, 0] = np.nan
    metas = Meta.of(query.shape, float32), Meta.of(query.shape[:3], float32)
    kernel = KERNELS["_scaled_dot_product_flash_attention_for_cpu"].function
    out, _ = kernel(np, query, np.ones_like(query), np.ones_like(query), True, None, 0.5, result=metas)
    np.testing.assert_array_equal(np.isnan(out[0, 0, :, 0]), [False, True, False])


def test_sums_of_rows_and_columns() -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 5, 7))
    for longest in (0, 6, 4096):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(row_sums, "_LONGEST", longest)
            np.testing.assert_allclose(row_sums.row_sums(np, x), x.sum(1, keepdims=True))
            np.testing.assert_allclose(row_sums.row_dots(np, x, y), (x * y).sum(1, keepdims=True))
            np.testing.assert_allclose(row_sums.column_sums(np, x), x.sum(0))


def test_pooling_finds_the_last_nan() -> None:
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    x[0, 0, 0, 0] = x[0, 0, 1, 0] = np.nan
    result = Meta.of((1, 1, 2, 2), float32), Meta.of((1, 1, 2, 2), float32)
    kernel = KERNELS["max_pool2d_with_indices"].function
    values, places = kernel(np, x, (2, 2), (), (0, 0), (1, 1), False, result=result)
    np.testing.assert_array_equal(values.reshape(-1), [np.nan, 7, 13, 15])
    np.testing.assert_array_equal(places.reshape(-1), [4, 7, 13, 15])
