"""`autograd.grad`, and `.grad` of leaves and of other tensors. Every test also runs with PyTorch (see conftest)."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest

from tests.client.graphs import refusal
from tests.client.test_autograd import leaf


# ---------------------------------------------------------------- autograd.grad
def test_grad_returns_and_fills_nothing(t: Any) -> None:
    x, y = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    found = t.autograd.grad((x * y).sum(), (x, y))
    assert [g.tolist() for g in found] == [[3.0, 4.0], [1.0, 2.0]]
    assert x.grad is None
    assert [g.tolist() for g in t.autograd.grad(x.sum(), [x, x])] == [[1.0, 1.0], [1.0, 1.0]]
    middle = x * y
    (g,) = t.autograd.grad((middle * middle).sum(), middle)
    assert g.tolist() == [6.0, 16.0]
    assert t.autograd.grad(x, x, t.tensor([5.0, 6.0]))[0].tolist() == [5.0, 6.0]


def test_grad_outputs_weigh_the_outputs(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    outputs = (x * 2, (x * x).sum())
    (g,) = t.autograd.grad(outputs, x, grad_outputs=(t.tensor([1.0, 10.0]), None))
    assert g.tolist() == [4.0, 24.0]


def test_unused_inputs(t: Any) -> None:
    x, other = leaf(t, 1.0), leaf(t, 1.0, 2.0)
    refused = (
        "RuntimeError: The differentiated Tensor at index 1 appears to not have been used in the graph. Set "
        "allow_unused=True if this is the desired behavior."
    )
    assert refusal(lambda: t.autograd.grad(x.sum(), (x, other))) == refused
    g, unused = t.autograd.grad(x.sum(), (x, other), allow_unused=True)
    assert (g.tolist(), unused) == ([1.0], None)
    g, unused = t.autograd.grad(x.sum(), (x, other), materialize_grads=True)
    assert (g.tolist(), unused.tolist()) == ([1.0], [0.0, 0.0])
    assert t.autograd.grad(x.sum(), other, allow_unused=True) == (None,)


def test_what_grad_refuses(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    grad = t.autograd.grad
    assert refusal(lambda: grad(x.sum(), t.ones(2))) == (
        "RuntimeError: One of the differentiated Tensors does not require grad"
    )
    assert refusal(lambda: grad(x.sum(), [])) == "RuntimeError: `inputs` argument to `grad()` cannot be empty."
    assert refusal(lambda: grad(x * 2, x)) == "RuntimeError: grad can be implicitly created only for scalar outputs"
    assert refusal(lambda: grad(x.sum(), x, allow_unused=False, materialize_grads=True)) == (
        "ValueError: Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
        "allow_unused=False."
    )


# ---------------------------------------------------------------- retain_grad and .grad
def test_retained_gradients(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = -x
    assert not y.retains_grad
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad
    (y * y).sum().backward()
    (y * 1).sum().backward()
    assert y.grad.tolist() == [-1.0, -3.0]
    assert x.grad.tolist() == [1.0, 3.0]
    x.retain_grad()
    assert not x.retains_grad
    assert refusal(t.ones(1).retain_grad) == "RuntimeError: can't retain_grad on Tensor that has requires_grad=False"
    z = x * 1
    z.retain_grad()
    z.backward(t.tensor([7.0, 8.0]))
    assert z.grad.tolist() == [7.0, 8.0]


def test_autograd_grad_fills_retained_gradients(t: Any) -> None:
    x = leaf(t, 1.0)
    y = x * 2
    y.retain_grad()
    t.autograd.grad((y * 3).sum(), x)
    assert y.grad.tolist() == [3.0]
    t.autograd.grad((y * 3).sum(), y)
    assert y.grad.tolist() == [6.0]


def test_a_write_moves_the_retained_gradient_to_the_new_value(t: Any) -> None:
    x = leaf(t, 1.0)
    y = x * 1
    y.retain_grad()
    y.mul_(3)
    (y * 5).sum().backward()
    assert (y.grad.tolist(), x.grad.tolist()) == ([5.0], [15.0])


def test_the_gradient_of_a_non_leaf_warns(t: Any) -> None:
    y = leaf(t, 1.0) * 2
    with pytest.warns(UserWarning, match="The .grad attribute of a Tensor that is not a leaf Tensor is being accessed"):
        assert y.grad is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y.retain_grad()
        assert y.grad is None
        assert t.ones(1).grad is None


def test_what_grad_may_be_set_to(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    g = t.tensor([5.0, 6.0])
    x.grad = g
    assert x.grad is g
    (x * 1).sum().backward()
    assert g.tolist() == [6.0, 7.0]
    assert refusal(lambda: setattr(x, "grad", 3)) == (
        "TypeError: assigned grad expected to be a Tensor or None but got grad of type int"
    )
    assert refusal(lambda: setattr(x, "grad", x)) == "RuntimeError: can't assign Variable as its own grad"
    assert refusal(lambda: setattr(x, "grad", t.ones(3))) == (
        "RuntimeError: attempting to assign a gradient of size '[3]' to a tensor of size '[2]'. Please ensure that the "
        "gradient and the tensor are the same size"
    )
    assert refusal(lambda: setattr(x, "grad", t.ones(2, dtype=t.float64))).startswith(
        "RuntimeError: attempting to assign a gradient with dtype '"
    )
    del x.grad
    assert x.grad is None
    x.grad = t.ones(1).expand(2)
    assert refusal((x * 1).sum().backward) == (
        "RuntimeError: unsupported operation: more than one element of the written-to tensor refers to a single memory "
        "location. Please clone() the tensor before performing the operation."
    )


def test_deepcopy(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    (x * 3).sum().backward()
    twin = copy.deepcopy(x)
    assert (twin.requires_grad, twin.is_leaf, twin.grad.tolist()) == (True, True, [3.0, 3.0])
    twin.grad.zero_()
    twin.detach().zero_()
    assert (x.tolist(), x.grad.tolist()) == ([1.0, 2.0], [3.0, 3.0])
    first, second = copy.deepcopy([x, x])
    assert first is second
    assert refusal(lambda: copy.deepcopy(x * 2)).startswith(
        "RuntimeError: Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol"
    )
