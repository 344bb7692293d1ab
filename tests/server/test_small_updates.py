"""Compiled updates of many small parameters: numpy's bits, and numpy's calls for what they do not take."""

from __future__ import annotations

import numpy as np
import pytest

import gradwire_server.engine  # noqa: F401  (registers the kernels)
from gradwire_protocol.ops import OPS
from gradwire_server.native import machine, updates
from gradwire_server.rules import kernel_for

pytestmark = pytest.mark.skipif(not machine.is_available(), reason="needs llvmlite, of gradwire[jit]")

_SHAPES = ((64, 64), (64,), (), (3, 0), (10, 7), (1,))


def _lists(count, dtype, shapes=_SHAPES, seed=0):
    draw = np.random.default_rng(seed)
    made = [[np.asarray(draw.standard_normal(shape), dtype) for shape in shapes] for _ in range(count)]
    for array in made[-1]:  # Adam's running squares
        np.abs(array, out=array)
    made[1][0].flat[:4] = np.nan, np.inf, -np.inf, -0.0
    return made


def _updated(monkeypatch, name, lists, *arguments, seen):
    monkeypatch.setattr(updates, "_seen", seen)
    found = kernel_for(OPS[name], "cpu")
    assert found is not None
    with np.errstate(all="ignore"):
        found.function(np, *lists, *arguments)
    return lists


def _is_compiled(monkeypatch, lists, name="momentum", numbers=(0.9, 0.1, 0.0)):
    monkeypatch.setattr(updates, "_seen", 10_000)
    return updates.update_small(np, name, lists, numbers)


def _same_bits(first, second):
    return all(
        a.tobytes() == b.tobytes()
        for one, two in zip(first, second, strict=True)
        for a, b in zip(one, two, strict=True)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("shapes", [_SHAPES[:2], (_SHAPES[0], _SHAPES[2], *_SHAPES[4:]), _SHAPES])
def test_momentum_has_numpys_bits(monkeypatch, dtype, decay, shapes):
    arguments = (decay, 0.9, 0.1, 0.0, False, False, False)
    by_numpy, compiled = (
        _updated(monkeypatch, "_fused_sgd_", _lists(3, dtype, shapes), *arguments, seen=seen) for seen in (0, 10_000)
    )
    assert _same_bits(by_numpy, compiled)
    assert not _same_bits(by_numpy, _lists(3, dtype, shapes))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["_fused_adam_", "_fused_adamw_"])
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_adam_has_numpys_bits(monkeypatch, dtype, name, decay):
    shapes = _SHAPES[:2] + _SHAPES[4:]

    def lists():
        return [*_lists(4, dtype, shapes), (), [np.zeros((), "float32") for _ in shapes]]

    arguments = (7, 0.01, 0.9, 0.999, decay, 1e-8, False, False)
    by_numpy, compiled = (_updated(monkeypatch, name, lists(), *arguments, seen=seen) for seen in (0, 10_000))
    assert _same_bits(by_numpy, compiled)
    assert all(step == 7 for step in compiled[5])


def test_what_numpys_calls_take_before_compiling_pays():
    small = _lists(3, "float32", _SHAPES[:2])
    assert updates._WORTHWHILE > 0
    before = updates._seen
    if before < updates._WORTHWHILE:
        assert not updates.update_small(np, "momentum", small, (0.9, 0.1, 0.0))


def test_small_contiguous_floats_are_taken(monkeypatch):
    assert _is_compiled(monkeypatch, _lists(3, "float32", _SHAPES[:2]))


@pytest.mark.parametrize("what", ["large", "half", "mixed", "strided", "read-only", "empty", "none"])
def test_what_a_compiled_loop_does_not_take_is_left_alone(monkeypatch, what):
    lists = _lists(3, "float16" if what == "half" else "float32", _SHAPES[:2])
    if what == "large":
        lists = [[np.zeros(40_000, "float32")] for _ in range(3)]
    elif what == "mixed":
        lists[1][1] = lists[1][1].astype("float64")
    elif what == "strided":
        lists[1][0] = lists[1][0].T
    elif what == "read-only":
        lists[0][1].flags.writeable = False
    elif what == "empty":
        lists = _lists(3, "float32", ((3, 0), (4,), (2,)))
    elif what == "none":
        lists = [[], [], []]
    before = [[array.copy() for array in arrays] for arrays in lists]
    assert not _is_compiled(monkeypatch, lists)
    assert _same_bits(before, lists)
