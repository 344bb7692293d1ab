"""Compiled loops against numpy's calls: the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradwire_server.ops  # noqa: F401  (fills KERNELS)
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
