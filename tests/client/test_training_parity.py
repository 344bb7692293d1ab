"""The same training in gradwire and in PyTorch, from the same weights: the losses agree step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradwire as gw

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


def _model(t: Any) -> Any:
    return t.nn.Sequential(
        t.nn.Linear(8, 16),
        t.nn.GELU(),
        t.nn.Linear(16, 16),
        t.nn.Tanh(),
        t.nn.Linear(16, 8),
        t.nn.ReLU(),
        t.nn.Linear(8, 4),
    )


def _losses(t: Any, model: Any, optimizer: Any, inputs: Any, labels: Any, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = t.nn.functional.cross_entropy(model(inputs), labels, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"lr": 0.1}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}),
        ("Adam", {"lr": 0.01, "weight_decay": 1e-2}),
        ("AdamW", {"lr": 0.01, "amsgrad": True}),
    ],
)
def test_losses_agree_step_by_step(name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    theirs, ours = _model(torch), _model(gw)
    ours.load_state_dict({key: gw.from_numpy(value.numpy()) for key, value in theirs.state_dict().items()})
    rng = np.random.default_rng(0)
    inputs, labels = rng.standard_normal((64, 8)).astype(np.float32), rng.integers(0, 4, 64)
    expected = _losses(
        torch,
        theirs,
        getattr(torch.optim, name)(theirs.parameters(), **options),
        torch.from_numpy(inputs),
        torch.from_numpy(labels),
        60,
    )
    found = _losses(
        gw,
        ours,
        getattr(gw.optim, name)(ours.parameters(), **options),
        gw.from_numpy(inputs),
        gw.from_numpy(labels),
        60,
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert expected[-1] < expected[0]
