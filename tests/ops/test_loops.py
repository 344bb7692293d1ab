"""Compiled loops against numpy's calls: the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradwire_server.ops  # noqa: F401  (fills KERNELS)
from gradwire_protocol.dtypes import from_numpy
from gradwire_protocol.meta import Meta
from gradwire_server import loops
from gradwire_server.rules import KERNELS

pytestmark = pytest.mark.skipif(not loops.numba_version(), reason="numba is not installed: pip install 'gradwire[jit]'")


def both(monkeypatch: pytest.MonkeyPatch, op: str, *arguments: Any) -> tuple[Any, Any]:
    """Return a kernel's result with and without the loops."""
    function = KERNELS[op].function
    with_loops = function(np, *arguments)
    monkeypatch.setattr("gradwire_server.ops.activation.host_loops", lambda xp: None)
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
    loops.numba_version.cache_clear()
    monkeypatch.setenv("GRADWIRE_JIT", "0")
    assert loops.host_loops(np) is None
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
    ]
    for op, states, options in cases:
        looped = run(op, states, options)
        with monkeypatch.context() as patch:
            patch.setattr("gradwire_server.ops.update_blocks.host_loops", lambda xp: None)
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
    monkeypatch.setattr("gradwire_server.ops.normalization.host_loops", lambda xp: None)
    rounding = 1e-5 if dtype is np.float32 else 1e-12
    for one, other in zip(looped, run(), strict=True):
        np.testing.assert_allclose(one, other, rtol=rounding, atol=10 * rounding)
