"""`utils.checkpoint`. Every test also runs with PyTorch."""

from __future__ import annotations

from typing import Any

import pytest


def _model(t: Any) -> Any:
    t.manual_seed(0)
    return t.nn.Sequential(t.nn.Linear(4, 8), t.nn.Tanh(), t.nn.Dropout(0.5), t.nn.Linear(8, 3), t.nn.Tanh())


def _checkpoint(t: Any) -> Any:
    if t.__name__ == "torch":
        from torch.utils.checkpoint import checkpoint
    else:
        from gradwire.utils.checkpoint import checkpoint
    return checkpoint


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradients_are_those_without_it(t: Any, use_reentrant: bool) -> None:
    model = _model(t)
    x = t.linspace(-1, 1, 8).reshape(2, 4).requires_grad_()
    results = []
    for through in (model, lambda value: _checkpoint(t)(model, value, use_reentrant=use_reentrant)):
        t.manual_seed(3)
        model.zero_grad()
        x.grad = None
        out = through(x * 1)
        (out * out).sum().backward()
        results.append([out, x.grad, *(parameter.grad for parameter in model.parameters())])
    for plain, found in zip(*results, strict=True):
        assert (plain - found).abs().max().item() < 1e-6


def test_what_a_function_closes_over_gets_gradients(t: Any) -> None:
    w = t.tensor([2.0], requires_grad=True)
    x = t.tensor([3.0], requires_grad=True)
    calls: list[int] = []

    def f(value: Any, *, power: int) -> Any:
        calls.append(1)
        return {"out": (value * w) ** power}

    out = _checkpoint(t)(f, x * 1, power=2, use_reentrant=False)["out"]
    (first,) = t.autograd.grad(out, w, create_graph=True)
    assert first.tolist() == [2 * 2.0 * 9]
    (second,) = t.autograd.grad(first, w)
    assert second.tolist() == [18.0]
    assert len(calls) > 1


def test_a_second_backward_is_refused(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    out = _checkpoint(t)(lambda v: (v * 2).tanh(), x, use_reentrant=False).sum()
    out.backward()
    with pytest.raises(RuntimeError, match=r"backward through the graph a second time|torch.utils.checkpoint"):
        out.backward()


def test_nested(t: Any) -> None:
    x = t.tensor([0.3], requires_grad=True)
    inner = lambda v: _checkpoint(t)(lambda u: u.sin() * u, v, use_reentrant=False)  # noqa: E731
    out = _checkpoint(t)(lambda v: inner(v * 2) + v, x, use_reentrant=False)
    out.backward()
    assert abs(x.grad.item() - (2 * (0.6 * 0.8253356 + 0.5646425) + 1)) < 1e-5
