"""Compiled loops against numpy's calls: the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradwire_server.ops  # noqa: F401  (fills KERNELS)
from gradwire_protocol.dtypes import from_numpy, int64
from gradwire_protocol.meta import Meta
from gradwire_server import loops
from gradwire_server.rules import KERNELS

pytestmark = pytest.mark.skipif(
    not loops.numba_version(), reason="no numba (pip install 'gradwire[jit]'), or GRADWIRE_JIT=0"
)


def both(monkeypatch: pytest.MonkeyPatch, op: str, *arguments: Any) -> tuple[Any, Any]:
    """Return a kernel's result with and without the loops."""
    function = KERNELS[op].function
    with_loops = function(np, *arguments)
    monkeypatch.setattr(loops, "_module", lambda: None)
    return with_loops, function(np, *arguments)


@pytest.mark.parametrize("size", [70_000, 131_072, 200_001])
def test_gelu_has_the_same_bits(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    rng = np.random.default_rng(size)
    x = (rng.standard_normal(size) * 3).astype(np.float32)
    x[:4] = [0.0, -0.0, np.inf, np.nan]
    g = rng.standard_normal(size).astype(np.float32)
    with np.errstate(all="ignore"):
        for op, arguments in (("gelu", (x, "none")), ("gelu_backward", (g, x, "none"))):
            looped, called = both(monkeypatch, op, *arguments)
            assert looped.tobytes() == called.tobytes(), op
            monkeypatch.undo()


def test_the_loops_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    large = np.zeros(70_000)
    assert loops.host_loops(np, large) is not None
    for others in ((large[:9],), (large[::-1],), (large.astype(int),), (large, large.astype("f"))):
        assert loops.host_loops(np, *others) is None
    loops.numba_version.cache_clear()
    monkeypatch.setenv("GRADWIRE_JIT", "0")
    assert loops.host_loops(np, large) is None
    loops.numba_version.cache_clear()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_updates_have_the_same_bits(monkeypatch: pytest.MonkeyPatch, dtype: Any) -> None:
    sizes = [(300, 200), (70_001,), (5,)]

    def run(op: str, states: int, options: tuple[Any, ...]) -> list[bytes]:
        made = np.random.default_rng(1)
        lists = [[np.abs(made.standard_normal(size)).astype(dtype) for size in sizes] for _ in range(2 + states)]
        extra = [[], [np.zeros((), np.float32)]] if "adam" in op else []
        with np.errstate(all="ignore"):
            KERNELS[op].function(np, *lists, *extra, *options)
        return [array.tobytes() for arrays in lists for array in arrays]

    cases = [
        ("_fused_adamw_", 2, (3, 0.01, 0.9, 0.999, 0.1, 1e-8, False, False)),
        ("_fused_adam_", 2, (3, 0.01, 0.9, 0.999, 0.0, 1e-8, False, False)),
        ("_fused_sgd_", 1, (0.0, 0.9, 0.01, 0.0, False, False, False)),
        ("_fused_sgd_", 1, (0.1, 0.9, 0.01, 0.0, False, False, False)),
    ]
    for op, states, options in cases:
        looped = run(op, states, options)
        with monkeypatch.context() as patch:
            patch.setattr(loops, "_module", lambda: None)
            assert run(op, states, options) == looped, op


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layer_norm_agrees(monkeypatch: pytest.MonkeyPatch, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal((700, 129)).astype(dtype) for _ in range(2))
    weight, bias = (rng.standard_normal(129).astype(dtype) for _ in range(2))
    metas = tuple(Meta.of(shape, from_numpy(np.dtype(dtype))) for shape in ((700, 129), (700, 1), (700, 1)))
    backward = tuple(Meta.of(shape, from_numpy(np.dtype(dtype))) for shape in ((700, 129), (129,), (129,)))

    def run() -> list[Any]:
        made = KERNELS["native_layer_norm"].function(np, x, (129,), weight, bias, 1e-5, result=metas)
        more = KERNELS["native_layer_norm_backward"].function(
            np, g, x, (129,), made[1], made[2], weight, (True,) * 3, result=backward
        )
        return [*made, *more]

    looped = run()
    monkeypatch.setattr(loops, "_module", lambda: None)
    rounding = 1e-5 if dtype is np.float32 else 1e-12
    for one, other in zip(looped, run(), strict=True):
        np.testing.assert_allclose(one, other, rtol=rounding, atol=10 * rounding)


def metas(dtype: Any, *shapes: tuple[int, ...]) -> tuple[Meta, ...]:
    return tuple(Meta.of(shape, from_numpy(np.dtype(dtype))) for shape in shapes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(7, 5, 50, 41), (70, 40, 33)])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_agrees(monkeypatch: pytest.MonkeyPatch, dtype: Any, shape: tuple[int, ...], affine: bool) -> None:
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal(shape).astype(dtype) + 3, rng.standard_normal(shape).astype(dtype)
    channels = shape[1:2]
    weight, bias = (rng.standard_normal(channels).astype(dtype) if affine else None for _ in range(2))

    def run() -> list[Any]:
        results = metas(dtype, shape, channels, channels)
        made = KERNELS["_native_batch_norm_legit.no_stats"].function(
            np, x, weight, bias, True, 0.1, 1e-5, result=results
        )
        arguments = (g, x, weight, None, None, made[1], made[2], True, 1e-5)
        backward = KERNELS["native_batch_norm_backward"].function
        more = backward(np, *arguments, (True,) * 3, result=results)
        return [*made, *more, *backward(np, *arguments, (False, True, True), result=results)]

    looped = run()
    monkeypatch.setattr(loops, "_module", lambda: None)
    rounding = 1e-3 if dtype is np.float32 else 1e-11
    for one, other in zip(looped, run(), strict=True):
        np.testing.assert_allclose(one, other, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_maxima_of_pairs_have_the_same_bits(monkeypatch: pytest.MonkeyPatch, dtype: Any, ceil_mode: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (3, 10, 51, 61)).astype(dtype)
    x[0, :3] = -np.inf
    x[1][rng.random(x[1].shape) < 0.3] = np.nan
    count = (3, 10, 26, 31) if ceil_mode else (3, 10, 25, 30)
    options = ((2, 2), (2, 2), (0, 0), (1, 1), ceil_mode)

    def run() -> list[bytes]:
        results = (*metas(dtype, count), Meta.of(count, int64))
        values, places = KERNELS["max_pool2d_with_indices"].function(np, x, *options, result=results)
        g = rng.standard_normal((80_000,)).astype(dtype)[: values.size].reshape(count)
        big = [np.concatenate([array] * 4) for array in (g, x, places)]
        backward = KERNELS["max_pool2d_with_indices_backward"].function
        made = backward(np, *big[:2], *options, big[2], result=metas(dtype, big[1].shape)[0])
        return [array.tobytes() for array in (values, places, made)]

    rng = np.random.default_rng(1)
    looped = run()
    rng = np.random.default_rng(1)
    monkeypatch.setattr(loops, "_module", lambda: None)
    assert run() == looped


def test_a_place_outside_of_the_image_is_not_written_to() -> None:
    g, x = np.ones((300, 15, 16), np.float32), np.zeros((300, 30, 32), np.float32)
    places = np.full(g.shape, 1 << 40)
    backward = KERNELS["max_pool2d_with_indices_backward"].function
    with pytest.raises(IndexError):
        backward(np, g, x, (2, 2), (2, 2), (0, 0), (1, 1), False, places, result=metas(np.float32, x.shape)[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("projection", [None, 17])
def test_lstm_has_the_same_bits(monkeypatch: pytest.MonkeyPatch, dtype: Any, projection: int | None) -> None:
    rng = np.random.default_rng(0)
    sizes, width, hidden = (16,) * 30 + (9,) * 40 + (2,) * 10, 7, 32
    rows, out = sum(sizes), projection or hidden

    def draw(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(dtype)

    x, g, hx, cx = draw(rows, width), draw(rows, out), draw(16, out), draw(16, hidden)
    biases, weights = (draw(4 * hidden), draw(4 * hidden)), (draw(4 * hidden, width), draw(4 * hidden, out))
    weight_hr = None if projection is None else draw(projection, hidden)
    narrow = () if weight_hr is None else weight_hr.shape
    forward, backward = KERNELS["gw::lstm_layer"].function, KERNELS["gw::lstm_layer_backward"].function

    def run() -> list[bytes]:
        results = metas(dtype, (rows, out), (16, out), (16, hidden), (rows, 4 * hidden), (rows, hidden))
        made = forward(np, x, hx, cx, *weights, *biases, weight_hr, sizes, False, result=results)
        shapes = (x.shape, hx.shape, cx.shape, weights[0].shape, weights[1].shape, (4 * hidden,), narrow or (0,))
        given = (g, draw_hy, draw_cy, x, hx, cx, *weights, weight_hr, made[0], made[3], made[4], sizes, False)
        more = backward(np, *given, (True,) * 7, result=metas(dtype, *shapes))
        return [array.tobytes() for array in (*made, *more)]

    draw_hy, draw_cy = draw(16, out), draw(16, hidden)
    looped = run()
    monkeypatch.setattr(loops, "_module", lambda: None)
    assert run() == looped


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gradient_of_relu_has_the_same_bits(monkeypatch: pytest.MonkeyPatch, dtype: Any) -> None:
    g, x = np.random.default_rng(0).standard_normal((2, 300, 333)).astype(dtype)
    x[0, :4], g[0, :4] = [0.0, -0.0, np.nan, np.inf], [np.inf, 1, 2, np.nan]
    looped, called = both(monkeypatch, "threshold_backward", g, x, 0)
    assert looped.tobytes() == called.tobytes()


@pytest.mark.parametrize(
    ("op", "inputs", "rest"), [("threshold_backward", 2, (0,)), ("gelu", 1, ("none",)), ("gelu_backward", 2, ("none",))]
)
def test_a_loop_never_writes_where_an_input_lies(op: str, inputs: int, rest: tuple[Any, ...]) -> None:
    drawn = np.random.default_rng(0).standard_normal((inputs, 20_000)).astype(np.float32)
    function = KERNELS[op].function
    expected = function(np, *drawn, *rest)
    for place in range(inputs):
        given = drawn.copy()
        assert function(np, *given, *rest, out=given[place]) is not None
        assert given[place].tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5, 300, 65), (1, 70_000), (40_000, 2), (9_000, 16)])
def test_softmax_agrees(monkeypatch: pytest.MonkeyPatch, dtype: Any, shape: tuple[int, ...]) -> None:
    x, g = (np.random.default_rng(seed).standard_normal(shape).astype(dtype) for seed in range(2))
    x.reshape(-1)[:3] = [np.nan, np.inf, -np.inf]
    x.reshape(-1, shape[-1])[-1, 1:] = -np.inf
    x.reshape(-1, shape[-1])[len(x) // 2] = -np.inf
    kind = from_numpy(np.dtype(dtype))

    def run() -> list[Any]:
        made = []
        for name in ("_softmax", "_log_softmax"):
            y = KERNELS[name].function(np, x, -1, False, result=Meta.of(shape, kind))
            backward = KERNELS[f"{name}_backward_data"].function
            made += [y, backward(np, g, y, -1, kind, result=Meta.of(shape, kind))]
        return made

    with np.errstate(all="ignore"):
        looped = run()
        monkeypatch.setattr(loops, "_module", lambda: None)
        called = run()
    rounding = 1e-4 if dtype is np.float32 else 1e-12
    for one, other in zip(looped, called, strict=True):
        np.testing.assert_allclose(one, other, rtol=rounding, atol=rounding)
