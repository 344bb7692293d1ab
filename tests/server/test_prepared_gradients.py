"""Gradients that are prepared at the second backward of their kind: the same bits as the rule's own, and no shared memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire_server import prepared_gradients
from gradwire_server.engine import Engine
from gradwire_server.prepared_gradients import PreparedGradient
from tests.support import open_loopback

F = gw.nn.functional


@pytest.fixture(params=["cpu", "strict"])
def runs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Open a session; note the op of each node that a prepared gradient ran."""
    ran: list[str] = []
    run = PreparedGradient.run

    def noting(self: PreparedGradient, node: Any, g: Any, is_sole: bool) -> Any:
        made = run(self, node, g, is_sole)
        if made is not None:
            ran.append(node.signature.op.name)
        return made

    monkeypatch.setattr(PreparedGradient, "run", noting)
    previous = sessions._current
    sessions.use(open_loopback(request.param)[0])
    yield ran
    sessions._current = previous


def leaf(*shape: int, seed: int = 0) -> Any:
    """Return random numbers that require grad."""
    return gw.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32), requires_grad=True)


def gradients_of(function: Callable[..., Any], *leaves: Any) -> list[bytes]:
    """Return the bits of the leaves' gradients."""
    for each in leaves:
        each.grad = None
    function(*leaves).backward()
    return [b"" if each.grad is None else each.grad.numpy().tobytes() for each in leaves]


CASES: dict[str, Callable[..., Any]] = {
    "chain": lambda x, y: ((x + y) * y - x / y).sum(),
    "broadcast": lambda x, y: (x * y[0] + y[:, :1]).exp().sum(),
    "layer": lambda x, y: F.relu(F.linear(x, y, y[:, 0])).square().mean(),
    "views": lambda x, y: (x.t().reshape(2, -1).transpose(0, 1).select(1, 1) * y.flatten()[:8]).sum(),
    "numbers": lambda x, y: ((x * 0.5 + 3) ** 2 - y * 0.0 + y * -0.0).sum(),
    "several": lambda x, y: sum(part.mul(number).sum() for number, part in enumerate((x @ y.t()).split(2), 1)),
    "norm": lambda x, y: (F.layer_norm(x, (4,)) * F.softmax(y, 1)).sum(),
    "loss": lambda x, y: F.cross_entropy(x @ y.t(), gw.tensor([1, 0, 3, 2])),
    "twice": lambda x, y: (x.sin() * x.sin() + gw.cat([x, y])[2:6]).prod(),
    "write": lambda x, y: (x * 2).mul_(y).clamp_(-1, 1).sum(),
}


@pytest.mark.parametrize("name", CASES)
def test_prepared_gradients_give_the_bits_of_the_rules(
    name: str, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = leaf(4, 4, seed=1), leaf(4, 4, seed=2)
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "prepares_gradients", False)
        expected = gradients_of(CASES[name], x, y)
    assert not runs
    for _ in range(4):
        assert gradients_of(CASES[name], x, y) == expected
    assert runs


def test_leaves_that_one_gradient_comes_to_get_memory_of_their_own(runs: list[str]) -> None:
    x, y = leaf(4), leaf(4)
    for _ in range(3):
        gradients_of(lambda x, y: ((x + y) * 2).sum(), x, y)
    x.grad.add_(1)
    assert runs[-1] == "add.Tensor"
    assert y.grad.tolist() == [2, 2, 2, 2]


def test_a_sum_added_to_in_place_shows_nowhere_else(runs: list[str]) -> None:
    x, y = leaf(4), leaf(4)
    for _ in range(3):
        # x gets three gradients, and each of them also goes to y.
        gradients_of(lambda x, y: (x + y + (x + y) * 2 + (x + y) * 3).sum(), x, y)
    assert x.grad.tolist() == y.grad.tolist() == [6, 6, 6, 6]
    seed = gw.ones(4)
    for _ in range(3):
        x.grad = y.grad = None
        (x + y + x + y + x).backward(seed)
    assert (x.grad.tolist(), y.grad.tolist(), seed.tolist()) == ([3] * 4, [2] * 4, [1] * 4)


def test_a_gradient_added_to_what_is_there_is_prepared_too(runs: list[str]) -> None:
    x = leaf(4)
    for _ in range(4):
        (x * x).sum().backward()
    assert np.allclose(x.grad.numpy(), 8 * x.detach().numpy())
    assert "mul.Tensor" in runs


def test_a_second_derivative_runs_the_rules(runs: list[str]) -> None:
    x = leaf(4)
    for _ in range(3):
        (slope,) = gw.autograd.grad((x * x * x).sum(), x, create_graph=True)
        (curve,) = gw.autograd.grad(slope.sum(), x)
        assert np.allclose(curve.numpy(), 6 * x.detach().numpy(), rtol=1e-6)


def test_what_a_backward_refuses_it_refuses_prepared_too(runs: list[str]) -> None:
    x = leaf(4)
    for _ in range(3):
        gradients_of(lambda x: (x * x).sum(), x)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.backward()


def test_numbers_beyond_a_few_are_left_to_the_rule(runs: list[str]) -> None:
    x = leaf(4)
    for number in range(1, 3 * prepared_gradients._MOST_PREPARED):
        for _ in range(2):
            x.grad = None
            (x * float(number)).sum().backward()
            assert x.grad.tolist() == [number] * 4
    assert runs.count("mul.Scalar") <= prepared_gradients._MOST_PREPARED


def test_views_of_a_gradient_that_goes_elsewhere_too_are_copied(runs: list[str]) -> None:
    x, y = leaf(3, 3), leaf(3, 3)
    for _ in range(4):
        gradients_of(lambda x, y: ((x.t() + y.t()) * 2 + (x + y) * 3).sum(), x, y)
    x.grad.add_(1)
    assert y.grad.tolist() == [[5] * 3] * 3
    for _ in range(4):
        # The same gradient comes to x as it is, and to y by way of two views.
        gradients_of(lambda x, y: ((x + y.t().t()) * 2).sum(), x, y)
    x.grad.mul_(0)
    assert y.grad.tolist() == [[2] * 3] * 3


def test_a_captured_gradient_keeps_its_memory_when_it_goes_on(runs: list[str]) -> None:
    x = leaf(3, 3)
    for _ in range(4):
        middle = x * 2
        found = gw.autograd.grad((middle.t() * 3).sum(), [middle, x])
        assert found[0].tolist() == [[3] * 3] * 3
        found[1].zero_()
        assert found[0].tolist() == [[3] * 3] * 3
        whole = x.t()
        found = gw.autograd.grad((whole * 3).sum(), [whole, x])
        found[1].zero_()
        assert found[0].tolist() == [[3] * 3] * 3


def test_a_weight_s_gradient_is_not_copied(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = leaf(5, 3), leaf(4, 3)
    copied: list[int] = []
    copy = Engine.copied
    monkeypatch.setattr(Engine, "copied", lambda self, array: copied.append(array.meta.numel) or copy(self, array))
    for _ in range(4):
        copied.clear()
        gradients_of(lambda x, weight: F.linear(x, weight).square().sum(), x, weight)
    assert not copied
