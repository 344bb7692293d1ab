"""Scaling of losses: unscaled steps, skipped ones, the scale's course, several optimizers, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire.session import Session

INF = float("inf")


def start(t: Any, **options: Any) -> tuple[Any, Any, Any]:
    w = t.nn.Parameter(t.ones(2))
    return w, t.optim.SGD([w], lr=0.25), t.amp.GradScaler("cpu", **{"init_scale": 8.0, "growth_interval": 2, **options})


def test_the_course_of_the_scale(t: Any) -> None:
    w, optimizer, scaler = start(t)
    found = []
    for factor in (1.0, 1.0, INF, 1.0, 0.0 * INF, 1.0, 1.0):
        optimizer.zero_grad()
        scaler.scale((w * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        found.append((scaler.get_scale(), scaler.state_dict()["_growth_tracker"], w.tolist()[0]))
    assert found == [
        (8, 1, 0.75), (16, 0, 0.5), (8, 0, 0.5), (8, 1, 0.25), (4, 0, 0.25), (4, 1, 0.0), (8, 0, -0.25),
    ]  # fmt: skip


def test_gradients_are_unscaled_once(t: Any) -> None:
    w, optimizer, scaler = start(t)
    scaler.scale((w * 3).sum()).backward()
    assert w.grad.tolist() == [24, 24]
    scaler.unscale_(optimizer)
    assert w.grad.tolist() == [3, 3]
    with pytest.raises(RuntimeError, match=r"unscale_\(\) has already been called on this optimizer since the last"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    assert w.tolist() == [0.25, 0.25]
    with pytest.raises(RuntimeError, match=r"unscale_\(\) is being called after step\(\)"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"step\(\) has already been called since the last update\(\)"):
        scaler.step(optimizer)


def test_one_overflow_among_optimizers_shrinks_the_scale_and_skips_that_one(t: Any) -> None:
    w, optimizer, scaler = start(t)
    v = t.nn.Parameter(t.ones(1))
    other = t.optim.SGD([v], lr=0.5)
    scaler.scale(w.sum() + (v * INF).sum()).backward()
    scaler.step(optimizer)
    scaler.step(other)
    scaler.update()
    assert (w.tolist(), v.tolist(), scaler.get_scale()) == ([0.75, 0.75], [1], 4)


def test_losses_in_lists(t: Any) -> None:
    _, _, scaler = start(t)
    one, (two,) = scaler.scale([t.ones(()), (t.ones(1),)])
    assert (one.item(), two.tolist()) == (8, [8])
    assert [each.item() for each in scaler.scale(iter([t.ones(())]))] == [8]
    with pytest.raises(ValueError, match="outputs must be a Tensor or an iterable of Tensors"):
        scaler.scale(3)


def test_a_state_goes_on(t: Any) -> None:
    w, optimizer, scaler = start(t)
    scaler.scale(w.sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    state = scaler.state_dict()
    assert state == {
        "scale": 8.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2, "_growth_tracker": 1,
    }  # fmt: skip
    w, optimizer, scaler = start(t, init_scale=1.0, growth_interval=9)
    scaler.load_state_dict(state)
    scaler.scale(w.sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 16
    scaler.load_state_dict(state)
    assert scaler.get_scale() == 8
    scaler.update(3.0)
    assert scaler.get_scale() == 3
    scaler.update(t.tensor(5.0))
    assert scaler.get_scale() == 5
    with pytest.raises(RuntimeError, match="The source state dict is empty"):
        scaler.load_state_dict({})


def test_refusals(t: Any) -> None:
    w, optimizer, scaler = start(t)
    for call, name in ((scaler.unscale_, "unscale_"), (scaler.step, "step"), (lambda o: scaler.update(), "update")):
        with pytest.raises(AssertionError, match=f"Attempted {name} but _scale is None"):
            call(optimizer)
    scaler.scale(w.sum())
    with pytest.raises(AssertionError, match="No inf checks were recorded for this optimizer"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="Closure use is not currently supported if GradScaler is enabled"):
        scaler.step(optimizer, closure=abs)
    half = t.nn.Parameter(t.ones(1, dtype=t.float16))
    half.grad = t.ones(1, dtype=t.float16)
    with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
        scaler.unscale_(t.optim.SGD([half]))
    with pytest.raises(AssertionError, match="The growth factor must be > 1.0"):
        start(t, growth_factor=1.0)
    with pytest.raises(AssertionError, match="The backoff factor must be < 1.0"):
        start(t, backoff_factor=1.0)


def test_disabled_it_does_nothing(t: Any) -> None:
    w, optimizer, scaler = start(t, enabled=False)
    loss = w.sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    np.testing.assert_array_equal(w.detach().numpy(), [0.75, 0.75])
    assert (scaler.get_scale(), scaler.state_dict(), scaler.is_enabled()) == (1.0, {}, False)


def test_an_iteration_waits_once(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[Any] = []
    item = gw.Tensor.item
    monkeypatch.setattr(gw.Tensor, "item", lambda self: (waits.append(self), item(self))[1])
    w, optimizer, scaler = start(gw)
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale(w.sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    assert len(waits) == 3
