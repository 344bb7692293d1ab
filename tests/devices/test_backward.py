"""One backward over two workers gives what one worker gives, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest

import gradwire as gw
from gradwire import nn
from gradwire.session import Session
from gradwire.utils.checkpoint import checkpoint


def _trained(first: str, second: str) -> list[Any]:
    gw.manual_seed(3)
    head, tail = nn.Sequential(nn.Linear(4, 8), nn.Tanh()).to(first), nn.Linear(8, 2).to(second)
    skip = nn.Linear(4, 2).to(first)
    optimizer = gw.optim.Adam([*head.parameters(), *tail.parameters(), *skip.parameters()], lr=0.1)
    losses = []
    for _ in range(4):
        x, y = gw.randn(5, 4).to(first), gw.randn(5, 2).to(second)
        optimizer.zero_grad()
        hidden = head(x)
        out = tail(hidden.to(second)) + skip(x).to(second) * hidden.mean().to(second)
        loss = nn.functional.mse_loss(out, y)
        loss.backward()
        nn.utils.clip_grad_norm_([*head.parameters(), *tail.parameters()], 1.0)
        optimizer.step()
        losses.append(loss.item())
    return [losses, *(tensor.tolist() for part in (head, tail, skip) for tensor in part.parameters())]


def test_a_training_over_two_workers_has_the_bits_of_one(fleet: list[Session]) -> None:
    assert _trained("cpu:0", "cpu:1") == _trained("cpu:0", "cpu:0") == _trained("cpu:1", "cpu:1")


def test_retain_graph_accumulates_on_each_worker(fleet: list[Session]) -> None:
    x, w = gw.arange(3.0).requires_grad_(), gw.ones(3, device="cpu:1", requires_grad=True)
    loss = ((x * x).to("cpu:1") * w).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert x.grad.tolist() == [0, 4, 8]
    assert w.grad.tolist() == [0, 2, 8]
    assert (x.grad.session, w.grad.session) == (fleet[0], fleet[1])
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        loss.backward()


def test_the_source_may_be_freed_before_backward(fleet: list[Session]) -> None:
    x = gw.ones(2, requires_grad=True)
    moved = (x * 3).exp().to("cpu:1")
    fleet[0].wait()
    moved.sum().to("cpu:0").backward()
    expected = gw.ones(2, requires_grad=True)
    (expected * 3).exp().sum().backward()
    assert x.grad.tolist() == expected.grad.tolist()


def test_hooks_and_retained_gradients(fleet: list[Session]) -> None:
    x = gw.ones(2, requires_grad=True)
    seen: list[Any] = []
    moved = (x * 2).to("cpu:1")
    moved.retain_grad()
    moved.register_hook(lambda g: seen.append(str(g.device)) or g * 10)
    (moved * moved).sum().backward()
    assert seen == ["cpu:1"]
    assert moved.grad.tolist() == [40, 40]
    assert x.grad.tolist() == [80, 80]
    assert type(moved.grad_fn).__name__ == "ToCopyBackward0"
    assert type(moved.grad_fn.next_functions[0][0]).__name__ == "MulBackward0"


def test_create_graph_goes_across(fleet: list[Session]) -> None:
    x = gw.tensor([2.0, 3.0], requires_grad=True)
    loss = ((x * x).to("cpu:1") ** 2).sum().to("cpu:0")
    (first,) = gw.autograd.grad(loss, x, create_graph=True)
    assert first.tolist() == [32, 108]
    (second,) = gw.autograd.grad(first.sum(), x, create_graph=True)
    assert second.tolist() == [48, 108]
    (third,) = gw.autograd.grad(second.sum(), x)
    assert third.tolist() == [48, 72]


def test_roots_on_two_workers_in_one_backward(fleet: list[Session]) -> None:
    x, y = gw.ones(2, requires_grad=True), gw.ones(2, device="cpu:1", requires_grad=True)
    gw.autograd.backward([(x * 2).sum(), (y * 3).sum()])
    assert (x.grad.tolist(), y.grad.tolist()) == ([2, 2], [3, 3])


def test_gradients_of_one_side_only(fleet: list[Session]) -> None:
    x, w = gw.ones(2, requires_grad=True), gw.ones(2, device="cpu:1", requires_grad=True)
    loss = ((x * 2).to("cpu:1") * w).sum()
    (gradient,) = gw.autograd.grad(loss, w, create_graph=True)
    assert gradient.tolist() == [2, 2]
    gradient.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_nothing_is_recorded_where_nothing_should(fleet: list[Session]) -> None:
    x = gw.ones(2, requires_grad=True)
    with gw.no_grad():
        assert x.to("cpu:1").grad_fn is None
    assert x.detach().to("cpu:1").grad_fn is None
    assert gw.arange(2).to("cpu:1").grad_fn is None


def test_a_checkpoint_stays_on_one_worker(fleet: list[Session]) -> None:
    x = gw.ones(2, device="cpu:1", requires_grad=True)
    checkpoint(lambda x: (x * 2).exp(), x, use_reentrant=False).to("cpu:0").sum().backward()
    expected = gw.ones(2, requires_grad=True)
    (expected * 2).exp().sum().backward()
    assert x.grad.tolist() == expected.grad.tolist()
    with pytest.raises(RuntimeError, match="a checkpoint needs to compute on one device"):
        checkpoint(lambda x: x.exp().to("cpu:0") * 2, x, use_reentrant=False)
