"""`backward` and `autograd.grad`: what they fill, free, and refuse. Every test also runs with PyTorch (see conftest)."""

from __future__ import annotations

from typing import Any

import pytest

import gradwire as gw
from gradwire.session import Session
from tests.client.graphs import refusal

TWICE = (
    "RuntimeError: Trying to backward through the graph a second time (or directly access saved tensors after they have "
    "already been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
    "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access saved "
    "tensors after calling backward."
)


def leaf(t: Any, *values: float) -> Any:
    return t.tensor(values, requires_grad=True)


# ---------------------------------------------------------------- requires_grad
def test_requires_grad_spreads_and_may_be_set_later(t: Any) -> None:
    x = t.ones(3)
    assert not (x * 2).requires_grad
    x.requires_grad = True
    y = x * 2
    assert y.requires_grad
    assert not y.is_leaf
    assert x.is_leaf
    assert t.ones(3).is_leaf
    assert y.sum().requires_grad
    assert x.requires_grad_(False) is x
    assert not (x * 2).requires_grad
    assert t.ones(3).requires_grad_().requires_grad


def test_only_leaves_of_floating_dtype_may_require_grad(t: Any) -> None:
    y = leaf(t, 1.0) * 2
    flags = "RuntimeError: you can only change requires_grad flags of leaf variables."
    hint = (
        " If you want to use a computed variable in a subgraph that doesn't require differentiation use "
        "var_no_grad = var.detach()."
    )
    assert refusal(lambda: setattr(y, "requires_grad", True)) == flags
    assert refusal(lambda: setattr(y, "requires_grad", False)) == flags + hint
    assert refusal(lambda: y.requires_grad_(False)) == flags + hint
    assert y.requires_grad_() is y
    assert refusal(lambda: setattr(t.ones(1), "requires_grad", 1)) == "RuntimeError: requires_grad must be a bool"
    integers = t.tensor([1, 2])
    text = "nly Tensors of floating point and complex dtype can require gradients"
    assert refusal(lambda: setattr(integers, "requires_grad", True)).endswith(text)
    assert refusal(lambda: t.tensor([1], requires_grad=True)).endswith(text)
    assert refusal(lambda: t.ones(1, dtype=t.bool).requires_grad_()).startswith(
        "RuntimeError: only Tensors of floating"
    )


def test_frozen_inputs_record_nothing(t: Any) -> None:
    w, b = leaf(t, 2.0), leaf(t, 1.0)
    w.requires_grad_(False)
    hidden = w * w
    assert hidden.grad_fn is None
    assert hidden.is_leaf
    (hidden + b).sum().backward()
    assert w.grad is None
    z = (w.requires_grad_() * b).sum()
    w.requires_grad_(False)
    z.backward()  # frozen since
    assert (w.grad, b.grad.tolist()) == (None, [3.0])
    b.grad = t.ones(1)
    assert b.grad.tolist() == [1.0]
    assert not t.tensor([1, 2]).sum().requires_grad


def test_integer_results_carry_no_graph(t: Any) -> None:
    x = leaf(t, 3.0, 1.0)
    values, indices = x.max(0)
    assert values.requires_grad
    assert not indices.requires_grad
    assert not (x > 2).requires_grad
    assert not x.argmax().requires_grad


# ---------------------------------------------------------------- backward
def test_backward_fills_and_accumulates(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    assert x.grad is None
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    held = x.grad
    (x * 3).sum().backward()
    assert x.grad is held
    assert held.tolist() == [5.0, 7.0]
    assert not held.requires_grad
    assert held.is_leaf
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert held.tolist() == [5.0, 7.0]


def test_a_gradient_is_given_for_what_is_no_scalar(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    g = t.tensor([3.0, 4.0])
    (x * 2).backward(g)
    assert x.grad.tolist() == [6.0, 8.0]
    (x * 1).backward(gradient=g)
    x.grad.zero_()
    assert g.tolist() == [3.0, 4.0]
    (x * 1).backward(g.expand(1, 2)[0])
    assert x.grad.tolist() == [3.0, 4.0]


def test_a_gradient_is_cast_to_the_dtype_of_the_tensor(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    x.backward(t.tensor([1.0, 2.0], dtype=t.float64))
    assert x.grad.dtype == t.float32
    (x * 2).backward(t.tensor([1, 2]))
    assert x.grad.tolist() == [3.0, 6.0]


def test_leaves_do_not_share_their_gradient(t: Any) -> None:
    x, y = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    (x + y).sum().backward()
    x.grad.zero_()
    assert y.grad.tolist() == [1.0, 1.0]
    x.grad = y.grad = None
    g = t.ones(2)
    (x + y).backward(g)
    x.grad.add_(1)
    assert (y.grad.tolist(), g.tolist()) == ([1.0, 1.0], [1.0, 1.0])
    z = x * 1
    z.retain_grad()
    z.sum().backward()
    z.grad.zero_()
    assert x.grad.tolist() == [3.0, 3.0]


def test_gradients_of_a_backward_through_its_own_result(t: Any) -> None:
    x, y = leaf(t, 1.0), leaf(t, 1.0)
    x.grad = t.tensor([2.0])
    (y * 1 + x * 1).backward(x.grad)
    assert x.grad.tolist() == [4.0]


def test_backward_of_a_leaf(t: Any) -> None:
    x = t.tensor(2.0, requires_grad=True)
    x.backward()
    x.backward(t.tensor(5.0))
    assert x.grad.item() == 6.0


def test_diamonds_and_double_use(t: Any) -> None:
    x = leaf(t, 2.0, 3.0)
    a = x * x
    b = a + a
    c = a * b
    (c + x).sum().backward()  # 2 x^4 + x
    assert x.grad.tolist() == [65.0, 217.0]


def test_two_roots(t: Any) -> None:
    x = leaf(t, 2.0)
    y = x * x
    t.autograd.backward([y.sum(), (y * 2).sum()])
    assert x.grad.tolist() == [12.0]
    t.autograd.backward((x * 1, x.sum()), (t.tensor([5.0]), None))
    assert x.grad.tolist() == [18.0]


def test_a_chain_of_ten_thousand(t: Any) -> None:
    x = leaf(t, 1.0)
    y = x
    for _ in range(10_000):
        y = y + 1
    y.sum().backward()
    assert x.grad.tolist() == [1.0]
    z = x
    for _ in range(10_000):
        z = z * x
    z.sum().backward()
    assert x.grad.tolist() == [10_002.0]


def test_inputs_limits_what_is_filled(t: Any) -> None:
    x, y = leaf(t, 2.0), leaf(t, 3.0)
    z = x * y
    z.sum().backward(inputs=[x], retain_graph=True)
    assert (x.grad.tolist(), y.grad) == ([3.0], None)
    z.sum().backward(inputs=y, retain_graph=True)
    assert (x.grad.tolist(), y.grad.tolist()) == ([3.0], [2.0])
    z.sum().backward(inputs=[x, x])
    assert x.grad.tolist() == [6.0]
    other = leaf(t, 1.0)
    (x * 2).sum().backward(inputs=[other])
    assert other.grad is None
    middle = x * 2
    (middle * middle).sum().backward(inputs=[middle])
    assert middle.grad.tolist() == [8.0]
    assert refusal(lambda: x.sum().backward(inputs=[])) == (
        "RuntimeError: `inputs` argument to `backward()` cannot be empty."
    )
    assert refusal(lambda: x.sum().backward(inputs=[t.ones(1)])) == (
        "RuntimeError: can't retain_grad on Tensor that has requires_grad=False"
    )


# ---------------------------------------------------------------- what is refused
def test_what_backward_refuses(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    assert refusal(lambda: t.ones(()).backward()) == (
        "RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn"
    )
    assert refusal((x * 2).backward) == "RuntimeError: grad can be implicitly created only for scalar outputs"
    assert refusal(lambda: x.backward(t.ones(3))).replace("gradwire", "torch") == (
        "RuntimeError: Mismatch in shape: grad_output[0] has a shape of torch.Size([3]) and output[0] has a shape of "
        "torch.Size([2])."
    )
    assert (
        refusal(lambda: t.autograd.backward([x.sum(), x.sum()], [None]))
        == "RuntimeError: got 2 tensors and 1 gradients"
    )
    assert refusal(lambda: x.backward(3.0)).startswith("TypeError")
    assert x.grad is None


@pytest.mark.parametrize("kind", ["pow", "exp", "product", "number"])
def test_a_graph_that_kept_values_runs_once(t: Any, kind: str) -> None:
    x = leaf(t, 1.0, 2.0)
    y = {"pow": x.pow(2), "exp": x.exp(), "product": x * x, "number": x * 2}[kind].sum()
    y.backward(retain_graph=True)
    first = x.grad.clone()
    y.backward()
    assert x.grad.tolist() == (first * 2).tolist()
    assert refusal(y.backward) == TWICE
    assert refusal(lambda: t.autograd.grad(y, x)) == TWICE
    assert x.grad.tolist() == (first * 2).tolist()


def test_a_graph_that_kept_nothing_runs_again(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = (-(x + 1)).view(2, 1).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [-2.0, -2.0]


def test_only_what_ran_is_freed(t: Any) -> None:
    x, y = leaf(t, 2.0), leaf(t, 3.0)
    z = (x * x).sum() + (y * y).sum()
    z.backward(inputs=[x])
    assert refusal(lambda: z.backward(inputs=[x])) == TWICE
    z.backward(inputs=[y])
    assert y.grad.tolist() == [6.0]


# ---------------------------------------------------------------- one message, no wait
def sent(session: Session) -> int:
    session.flush()
    return session.statistics().calls


def test_a_training_step_never_waits(session: Session) -> None:
    w = gw.ones(3, 2, requires_grad=True)
    for _ in range(3):
        loss = (gw.ones(4, 3) @ w).tanh().sum()
        calls = sent(session)
        loss.backward()
        assert sent(session) == calls + 1
        with gw.no_grad():
            w -= 0.1 * w.grad
            w.grad.zero_()
    gw.autograd.grad(w.sum(), w)
    assert session.statistics().waits == 0
    assert w.grad.tolist() == [[0.0, 0.0]] * 3
    assert session.statistics().waits == 1


def test_refusals_send_nothing_and_wait_for_nothing(session: Session) -> None:
    x = gw.ones(3, requires_grad=True)
    y, z = x.exp().sum(), x.exp()
    w, view = z.sum(), x[0]
    y.backward()
    z.add_(1)
    calls = sent(session)
    assert refusal(y.backward) == TWICE
    assert refusal(w.backward).startswith("RuntimeError: one of the variables needed for gradient computation")
    assert refusal(z.backward) == "RuntimeError: grad can be implicitly created only for scalar outputs"
    assert refusal(lambda: x.add_(1)).startswith("RuntimeError: a leaf Variable")
    assert refusal(lambda: view.add_(1)).startswith("RuntimeError: a view of a leaf Variable")
    assert refusal(lambda: z.add_(gw.ones)).startswith("TypeError")
    assert refusal(lambda: setattr(x, "grad", w)).startswith("RuntimeError: attempting to assign")
    assert (x.grad_fn, x.is_leaf, z.requires_grad, z._version, x.grad is None) == (None, True, True, 1, False)
    assert sent(session) == calls
    assert session.statistics().waits == 0
