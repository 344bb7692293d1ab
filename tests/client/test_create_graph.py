"""Gradients of gradients: `create_graph`. Every test also runs with PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import gradwire as gw
from gradwire.session import Session
from gradwire_protocol import limits
from gradwire_protocol.errors import LimitExceeded
from tests.client.graphs import graph, names, refusal
from tests.client.test_autograd import TWICE, leaf

pytestmark = pytest.mark.filterwarnings(
    "ignore:Using backward.. with create_graph=True will create a reference cycle"  # PyTorch's; Python collects ours
)


def derivatives(t: Any, function: Callable[[Any], Any], at: tuple[float, ...], order: int) -> list[list[float]]:
    """Return the first `order` derivatives of an elementwise function."""
    x = t.tensor(at, dtype=t.float64, requires_grad=True)
    y, found = function(x), []
    for _ in range(order):
        (y,) = t.autograd.grad(y.sum(), x, create_graph=True)
        found.append(y.tolist())
    return found


# ---------------------------------------------------------------- higher orders
def test_powers(t: Any) -> None:
    found = derivatives(t, lambda x: x**4, (1.0, 2.0), 4)
    assert found == [[4.0, 32.0], [12.0, 48.0], [24.0, 48.0], [24.0, 24.0]]


@pytest.mark.parametrize(
    ("function", "third"),
    [
        (lambda x: x.exp(), [1.6487, 4.4817]),
        (lambda x: x.log(), [16.0, 0.5926]),
        (lambda x: x.sin(), [-0.8776, -0.0707]),
        (lambda x: x.tanh(), [-0.5652, 0.5269]),
        (lambda x: x.sigmoid(), [-0.09636, 0.01568]),
        (lambda x: x * x * x, [6.0, 6.0]),
        (lambda x: 1 / x, [-96.0, -1.1852]),
        (lambda x: x.sqrt(), [2.1213, 0.1361]),
        (lambda x: (x.view(2, 1) @ x.view(1, 2)).exp(), [64.03, 456.59]),
    ],
)
def test_third_derivatives(t: Any, function: Callable[[Any], Any], third: list[float]) -> None:
    found = derivatives(t, function, (0.5, 1.5), 3)[2]
    assert found == pytest.approx(third, rel=1e-3)


def test_backward_with_create_graph_accumulates_differentiably(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    (x**3).sum().backward(create_graph=True)
    assert (x.grad.tolist(), x.grad.requires_grad) == ([3.0, 12.0], True)
    (x**2).sum().backward(create_graph=True)
    assert x.grad.tolist() == [5.0, 16.0]
    (second,) = t.autograd.grad(x.grad.sum(), x)
    assert second.tolist() == [8.0, 14.0]


def test_a_gradient_penalty(t: Any) -> None:
    w = t.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    x = t.tensor([[1.0, -1.0]], requires_grad=True)
    (g,) = t.autograd.grad((x @ w).pow(2).sum(), x, create_graph=True)
    penalty = (g * g).sum()
    penalty.backward()
    assert g.tolist() == [[-12.0, -28.0]]
    assert w.grad.tolist() == [[-288.0, -448.0], [608.0, 768.0]]
    assert x.grad.tolist() == [[-1472.0, -3328.0]]


def test_gradients_of_gradients_for_several_inputs(t: Any) -> None:
    x, y = leaf(t, 2.0), leaf(t, 3.0)
    z = (x * x * y).sum()
    gx, gy = t.autograd.grad(z, (x, y), create_graph=True)  # 2xy, x^2
    assert (gx.tolist(), gy.tolist()) == ([12.0], [4.0])
    xx, xy = t.autograd.grad(gx, (x, y), t.ones(1), retain_graph=True)
    assert (xx.tolist(), xy.tolist()) == ([6.0], [4.0])
    yx, yy = t.autograd.grad(gy, (x, y), t.ones(1), allow_unused=True)
    assert (yx.tolist(), yy) == ([4.0], None)


def test_a_hessian_by_rows(t: Any) -> None:
    x = leaf(t, 1.0, 2.0, 3.0)
    (g,) = t.autograd.grad((x.prod() + (x**2).sum()), x, create_graph=True)
    rows = [t.autograd.grad(g[index], x, retain_graph=True)[0].tolist() for index in range(3)]
    assert rows == [[2.0, 3.0, 2.0], [3.0, 2.0, 1.0], [2.0, 1.0, 2.0]]


def test_products_with_the_jacobian_by_differentiating_twice(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    v = t.zeros(2, requires_grad=True)  # no call has used it
    (g,) = t.autograd.grad(x**3, x, v, create_graph=True)
    (product,) = t.autograd.grad(g, v, t.tensor([1.0, 10.0]))
    assert product.tolist() == [3.0, 120.0]
    u = t.ones(2, requires_grad=True) * 1
    (g,) = t.autograd.grad(x**3, x, u, create_graph=True)
    assert t.autograd.grad(g.sum(), u)[0].tolist() == [3.0, 12.0]


def test_a_seed_that_is_the_gradient_itself(t: Any) -> None:
    x, v = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    (g,) = t.autograd.grad(x.clone(), x, v, create_graph=True)
    assert (g.tolist(), g.requires_grad) == ([3.0, 4.0], True)
    assert t.autograd.grad(g, v, t.tensor([5.0, 6.0]))[0].tolist() == [5.0, 6.0]


def test_gradients_made_by_views_are_whole_tensors(t: Any) -> None:
    x, y = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    gx, gy = t.autograd.grad((x + y).sum(), (x, y), create_graph=True)
    assert not gx.requires_grad
    assert [(g * 2).tolist() for g in (gx, gy)] == [[2.0, 2.0], [2.0, 2.0]]
    z = t.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    w = t.tensor([[5.0, 6.0], [7.0, 8.0]], requires_grad=True)
    (g,) = t.autograd.grad((z.t() * w).sum(), z, create_graph=True)
    assert g.contiguous().view(4).tolist() == [5.0, 7.0, 6.0, 8.0]
    assert t.autograd.grad((g * g).sum(), w)[0].tolist() == [[10.0, 12.0], [14.0, 16.0]]


def test_a_constant_gradient_has_no_graph(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    (g,) = t.autograd.grad((x * 3).sum(), x, create_graph=True)
    assert (g.tolist(), g.requires_grad, g.grad_fn) == ([3.0, 3.0], False, None)


# ---------------------------------------------------------------- the graph that the worker makes
def test_the_new_graph_is_seen(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    (g,) = t.autograd.grad(x.exp().sum(), x, create_graph=True)
    assert g.is_leaf is False
    assert names(g)[0] == "MulBackward0"
    other = graph(g.grad_fn)[1][1][0]
    assert other == ("ExpBackward0", [(("AccumulateGrad", []), 0)])
    node = g.grad_fn.next_functions[1][0]
    assert node.next_functions[0][0].variable is x


def test_graphs_are_kept_or_freed(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = (x**3).sum()
    (g,) = t.autograd.grad(y, x, create_graph=True)  # retains unless told otherwise
    z = (g * g).sum()
    z.backward()
    assert x.grad.tolist() == [36.0, 288.0]
    assert refusal(z.backward) == TWICE
    y.backward()
    assert x.grad.tolist() == [39.0, 300.0]
    y = x.exp().sum()
    (g,) = t.autograd.grad(y, x, create_graph=True, retain_graph=False)
    assert refusal(y.backward) == TWICE
    assert refusal(g.sum().backward) == TWICE


def test_a_write_before_the_second_backward_is_noticed(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = x * 1
    (g,) = t.autograd.grad((y**3).sum(), x, create_graph=True)
    y.add_(1)
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        g.sum().backward()
        x.grad.tolist()


def test_results_may_be_used_in_any_way(t: Any) -> None:
    x = leaf(t, 1.0, 2.0, 3.0)
    (g,) = t.autograd.grad((x**2).sum(), x, create_graph=True)
    first, *_ = g.unbind()
    (first * g[1:].sum()).backward()
    assert x.grad.tolist() == [20.0, 4.0, 4.0]
    (g,) = t.autograd.grad((x**2).sum(), x, create_graph=True)
    h = g * 1
    h[0].mul_(5)
    h.sum().backward()
    assert x.grad.tolist() == [30.0, 6.0, 6.0]


def test_views_that_were_looked_at_before_a_second_backward(t: Any) -> None:
    """The client makes a written view's new node when it is looked at, the worker when it is used."""
    x, w = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    y = x * w
    v = y[:1]
    y.mul_(2)
    assert names(v)[0] == "AsStridedBackward0"
    u = (w * w).exp()
    z = (v * v * u[:1]).sum() + (y * u).sum()
    gx, gw_ = t.autograd.grad(z, (x, w), create_graph=True)
    for g, leaf_ in ((gx, x), (gw_, w)):
        t.autograd.grad(g.sum(), leaf_, retain_graph=True)
    (mixed,) = t.autograd.grad(gx[1], w, retain_graph=True)
    e = 2.718281828**16
    assert mixed.tolist() == pytest.approx([0.0, 2 * e + 2 * 4 * 8 * e], rel=1e-3)


def test_a_graph_too_large_to_describe_is_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    x = gw.ones(2, requires_grad=True)
    y = (x**3).exp().sum()
    monkeypatch.setattr(limits, "MAX_MESSAGE_BYTES", 64)
    with pytest.raises(LimitExceeded, match="described by 32 bytes; this one needs"):
        gw.autograd.grad(y, x, create_graph=True)
    y.backward()
    assert x.grad.shape == (2,)


def test_only_create_graph_waits(session: Session) -> None:
    x = gw.ones(2, requires_grad=True)
    y = (x**3).sum()
    gw.autograd.grad(y, x, retain_graph=True)
    assert session.statistics().waits == 0
    (g,) = gw.autograd.grad(y, x, create_graph=True)
    assert session.statistics().waits == 1
    g.sum().backward()
    assert session.statistics().waits == 1
    assert x.grad.tolist() == [6.0, 6.0]
