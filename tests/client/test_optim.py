"""Optimizers: updates against formulas in numpy, steps, state, hooks, and PyTorch's own.

The formulas run on both, so that PyTorch proves them (see test_module.py).
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire.optim import fused
from gradwire.session import Session

Array = np.ndarray[Any, Any]


def parameter(t: Any, *sizes: int, seed: int = 0) -> Any:
    return t.nn.Parameter(t.tensor(np.random.default_rng(seed).standard_normal(sizes)))


def gradients(count: int, *sizes: int) -> list[Array]:
    return list(np.random.default_rng(7).standard_normal((count, *sizes)))


def train(t: Any, optimizer: Any, p: Any, grads: list[Array]) -> Array:
    for grad in grads:
        p.grad = t.tensor(grad)
        optimizer.step()
    return np.array(p.detach().numpy())


# ---------------------------------------------------------------- formulas
def sgd(p: Array, grads: list[Array], lr: float, **o: Any) -> Array:
    m, buffer = o.get("momentum", 0), None
    for grad in grads:
        g = (-grad if o.get("maximize") else grad) + o.get("weight_decay", 0) * p
        if m:
            buffer = g if buffer is None else m * buffer + (1 - o.get("dampening", 0)) * g
            g = g + m * buffer if o.get("nesterov") else buffer
        p = p - lr * g
    return p


def adam(p: Array, grads: list[Array], lr: float, decoupled: bool, **o: Any) -> Array:
    beta1, beta2 = o.get("betas", (0.9, 0.999))
    decay = o.get("weight_decay", 0.01 if decoupled else 0)
    m, v, top = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for step, grad in enumerate(grads, 1):
        g = -grad if o.get("maximize") else grad
        if decoupled:
            p = p - lr * decay * p
        else:
            g = g + decay * p
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        top = np.maximum(top, v)
        root = np.sqrt((top if o.get("amsgrad") else v) / (1 - beta2**step)) + o.get("eps", 1e-8)
        p = p - lr * m / (1 - beta1**step) / root
    return p


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.1},
        {"maximize": True, "weight_decay": 0.1},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True, "maximize": True},
    ],
)
def test_sgd(t: Any, options: dict[str, Any]) -> None:
    p, grads = parameter(t, 3, 2), gradients(4, 3, 2)
    expected = sgd(p.detach().numpy().copy(), grads, 0.1, **options)
    found = train(t, t.optim.SGD([p], lr=0.1, **options), p, grads)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.1, "maximize": True},
        {"amsgrad": True, "betas": (0.5, 0.6), "eps": 0.01},
    ],
)
def test_adam(t: Any, name: str, options: dict[str, Any]) -> None:
    p, grads = parameter(t, 3, 2), gradients(4, 3, 2)
    expected = adam(p.detach().numpy().copy(), grads, 0.1, name == "AdamW", **options)
    found = train(t, getattr(t.optim, name)([p], lr=0.1, **options), p, grads)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_adam_decoupled_is_adamw(t: Any) -> None:
    grads, found = gradients(3, 2), []
    for make in (
        lambda p: t.optim.AdamW([p], lr=0.1),
        lambda p: t.optim.Adam([p], lr=0.1, weight_decay=0.01, decoupled_weight_decay=True),
    ):
        p = parameter(t, 2)
        found.append(train(t, make(p), p, grads))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_the_default_learning_rate(t: Any, name: str) -> None:
    assert getattr(t.optim, name)([parameter(t, 1)]).param_groups[0]["lr"] == 1e-3


# ---------------------------------------------------------------- steps
def test_the_learning_rate_may_change(t: Any) -> None:
    p = parameter(t, 2)
    start = p.detach().numpy().copy()
    optimizer = t.optim.SGD([p], lr=1.0)
    optimizer.param_groups[0]["lr"] = 0.5
    found = train(t, optimizer, p, [np.ones(2)])
    np.testing.assert_allclose(found, start - 0.5)


def test_a_parameter_without_gradient_is_left_alone(t: Any) -> None:
    p, q = parameter(t, 2), parameter(t, 2, seed=1)
    before = q.tolist()
    optimizer = t.optim.Adam([p, q], lr=0.1)
    train(t, optimizer, p, gradients(2, 2))
    assert q.tolist() == before
    assert q not in optimizer.state


def test_a_parameter_may_join_late(t: Any) -> None:
    for name, options in (("SGD", {"momentum": 0.9, "dampening": 0.5}), ("Adam", {})):
        p, q = parameter(t, 2), parameter(t, 2, seed=1)
        alone = parameter(t, 2, seed=1)
        optimizer = getattr(t.optim, name)([p, q], lr=0.1, **options)
        train(t, optimizer, p, gradients(2, 2))
        for grad in gradients(2, 2):
            q.grad = t.tensor(grad)
            train(t, optimizer, p, [grad])
        other = getattr(t.optim, name)([alone], lr=0.1, **options)
        expected = train(t, other, alone, gradients(2, 2))
        np.testing.assert_allclose(q.detach().numpy(), expected, rtol=1e-12)


def test_one_call_updates_one_group(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    update = fused.fused_update
    monkeypatch.setattr(fused, "fused_update", lambda op, *a, **k: (calls.append(op), update(op, *a, **k)))
    for name in ("SGD", "AdamW", "ASGD"):
        groups = [{"params": [parameter(gw, 2), parameter(gw, 3)]}, {"params": parameter(gw, 4)}]
        optimizer = getattr(gw.optim, name)(groups)
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = gw.ones_like(p)
        optimizer.step()
        optimizer.step()
    assert calls == [op for op in ("_fused_sgd_", "_fused_adamw_", "_fused_asgd_") for _ in range(4)]


def test_a_step_waits_only_for_numbers_from_elsewhere(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[Any] = []
    item = gw.Tensor.item
    monkeypatch.setattr(gw.Tensor, "item", lambda self: (waits.append(self), item(self))[1])
    p = parameter(gw, 2)
    optimizer = gw.optim.NAdam([p], lr=0.1)
    train(gw, optimizer, p, gradients(3, 2))
    assert not waits
    optimizer.state[p]["step"].zero_()
    train(gw, optimizer, p, gradients(3, 2))
    assert [id(tensor) for tensor in waits] == [id(optimizer.state[p]["step"])]
    assert optimizer.state[p]["step"].tolist() == 3.0
    waits.clear()
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(gw, optimizer, p, gradients(3, 2))
    assert len(waits) == 2  # the copies of step and mu_product
    assert optimizer.state[p]["step"].tolist() == 6.0


def test_a_closure_runs_with_recording_on(t: Any) -> None:
    p = parameter(t, 2)
    optimizer = t.optim.SGD([p], lr=0.1)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with t.no_grad():
        first = optimizer.step(closure).item()
        assert optimizer.step(closure).item() < first
    assert optimizer.step() is None


def test_zero_grad(t: Any) -> None:
    p = parameter(t, 2)
    optimizer = t.optim.SGD([p], lr=0.1)
    p.grad = t.autograd.grad((p * p).sum(), p, create_graph=True)[0]
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]
    assert not p.grad.requires_grad
    optimizer.zero_grad()
    assert p.grad is None


def test_an_update_is_seen_by_the_graph(t: Any) -> None:
    p = parameter(t, 2)
    optimizer = t.optim.SGD([p], lr=0.1)
    loss = (p * p).sum()
    p.grad = t.ones_like(p)
    optimizer.step()
    assert p.is_leaf
    assert p.requires_grad
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_hooks_run_around_a_step(t: Any) -> None:
    seen: list[Any] = []
    optimizer = t.optim.SGD([parameter(t, 1)], lr=0.1)
    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append((args, kwargs)))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("after"))
    optimizer.step(closure := lambda: 3)
    assert seen == [((optimizer, closure), {}), "after"]
    before.remove()
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 4), kwargs))
    assert optimizer.step(closure) == 4
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match=r"must return None or a tuple of \(new_args, new_kw"):
        optimizer.step()


def test_hooks_run_once_around_a_step_that_calls_the_one_above(session: Session) -> None:
    # In PyTorch they run once more for each class whose step was made before: an accident.

    class Twice(gw.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            super().step()
            return super().step(closure)

    seen: list[str] = []
    optimizer = Twice([parameter(gw, 1)], lr=0.1)
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(type(o).__name__))
    optimizer.step()
    assert seen == ["Twice"]


# ---------------------------------------------------------------- saving and loading
def pair(t: Any, name: str, **options: Any) -> tuple[Any, Any]:
    p = parameter(t, 2)
    return p, getattr(t.optim, name)([p], lr=0.1, **options)


@pytest.mark.parametrize(
    ("name", "options", "kept"),
    [
        ("SGD", {}, []),
        ("SGD", {"momentum": 0.9}, ["momentum_buffer"]),
        ("AdamW", {}, ["step", "exp_avg", "exp_avg_sq"]),
        ("Adam", {"amsgrad": True}, ["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"]),
    ],
)
def test_a_run_goes_on_from_its_state(t: Any, name: str, options: dict[str, Any], kept: list[str]) -> None:
    p, optimizer = pair(t, name, **options)
    train(t, optimizer, p, gradients(2, 2))
    state = copy.deepcopy(optimizer.state_dict())
    assert list(state) == ["state", "param_groups"]
    assert list(state["state"].get(0, {})) == kept
    assert state["param_groups"][0]["params"] == [0]
    q, resumed = pair(t, name, **options)
    q.data = p.detach().clone()
    resumed.load_state_dict(state)
    expected = train(t, optimizer, p, gradients(2, 2))
    np.testing.assert_array_equal(train(t, resumed, q, gradients(2, 2)), expected)


def test_loading_takes_options_and_casts_tensors(t: Any) -> None:
    p, optimizer = pair(t, "Adam")
    train(t, optimizer, p, gradients(1, 2))
    state = optimizer.state_dict()
    state["param_groups"][0].update(lr=0.7, note="kept")
    q = t.nn.Parameter(t.zeros(2))
    other = t.optim.Adam([q])
    other.load_state_dict(state)
    assert other.param_groups[0]["lr"] == 0.7
    assert other.param_groups[0]["note"] == "kept"
    assert other.param_groups[0]["params"][0] is q
    assert other.state[q]["exp_avg"].dtype is t.float32


def test_loading_refuses_another_layout(t: Any) -> None:
    _, optimizer = pair(t, "SGD")
    state = optimizer.state_dict()
    with pytest.raises(ValueError, match="a different number of parameter groups"):
        optimizer.load_state_dict({**state, "param_groups": []})
    group = {**state["param_groups"][0], "params": [0, 1]}
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        optimizer.load_state_dict({**state, "param_groups": [group]})


def test_a_deep_copy_of_an_optimizer_goes_its_own_way(t: Any) -> None:
    p, optimizer = pair(t, "SGD", momentum=0.9)
    train(t, optimizer, p, gradients(1, 2))
    other = copy.deepcopy(optimizer)
    q = other.param_groups[0]["params"][0]
    assert q is not p
    assert list(other.state) == [q]
    other.step()
