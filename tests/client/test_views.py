"""What a view knows of its base: views that may not be written to, and views that are out of date.

Every test also runs with PyTorch.
"""

from __future__ import annotations

from typing import Any

import pytest

import gradwire as gw
from gradwire.session import Session
from tests.client.graphs import names, refusal
from tests.client.test_autograd import TWICE, leaf

SEVERAL = (
    " This view is the output of a function that returns multiple views. Such functions do not allow the output views to be "
    "modified inplace. You should replace the inplace operation by an out-of-place one."
)
CLARIFY = (
    " Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the "
    "view and the inplace either both inside the {0} block (if you don't want the inplace to be tracked) or both outside "
    "(if you want the inplace to be tracked)."
)


# ---------------------------------------------------------------- views that may not be written to
@pytest.mark.parametrize("split", ["unbind", "split", "chunk"])
def test_one_of_several_views_is_not_written_to(t: Any, split: str) -> None:
    x = leaf(t, 1.0, 2.0)
    y = x * 1
    name = {"unbind": "Unbind", "split": "Split", "chunk": "Split"}[split]
    first, second = getattr(y, split)(*() if split == "unbind" else (1,) if split == "split" else (2,))
    assert (
        refusal(lambda: second.mul_(2))
        == f"RuntimeError: Output 1 of {name} is a view and is being modified inplace.{SEVERAL}"
    )
    assert refusal(lambda: first.view(-1).mul_(2)).startswith("RuntimeError: Output 0 of View is a view and is being")
    y.mul_(2)
    text = f"Output 0 of {name} is a view and its base or another view of its base has been modified inplace."
    assert refusal(lambda: first.grad_fn) == f"RuntimeError: {text}{SEVERAL}"
    assert refusal(lambda: first * 2).startswith(f"RuntimeError: {text}")
    assert first.requires_grad
    assert "grad_fn=<Invalid>" in repr(first)


def test_several_views_of_a_constant(t: Any) -> None:
    w = t.tensor(2.0, requires_grad=True)
    memory = t.ones(2)
    first, _ = memory.unbind()
    first.mul_(3)
    assert memory.tolist() == [3.0, 1.0]
    assert refusal(lambda: first.mul_(w)) == (
        "RuntimeError: A view was created in no_grad mode and is being modified inplace with grad mode enabled."
        + SEVERAL
    )
    with t.no_grad():
        first.mul_(w)
    assert memory.tolist() == [6.0, 1.0]


def test_a_view_made_under_no_grad_is_not_written_to_outside(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = x * 1
    with t.no_grad():
        v = y[:1]
    start = "RuntimeError: A view was created in no_grad mode and"
    assert (v.requires_grad, v.is_leaf, v._base is y) == (True, True, True)
    assert (
        refusal(lambda: v.mul_(2))
        == f"{start} is being modified inplace with grad mode enabled.{CLARIFY.format('no_grad')}"
    )
    w = v[0]
    assert "created in no_grad mode and is being modified inplace" in refusal(lambda: w.mul_(2))
    y.mul_(2)
    assert refusal(lambda: v.grad_fn) == (
        f"{start} its base or another view of its base has been modified inplace with grad mode enabled."
        + CLARIFY.format("no_grad")
    )
    memory = t.ones(2)
    with t.inference_mode():
        v = memory[:1]
    assert refusal(lambda: v.mul_(x)) == (
        "RuntimeError: A view was created in inference mode and is being modified inplace in normal mode."
        + CLARIFY.format("inference_mode")
    )


# ---------------------------------------------------------------- views that are out of date
def test_a_view_follows_a_base_that_requires_grad_only_later(t: Any) -> None:
    base = t.ones(2, 3)
    view, untouched = base[1:], base[1:]
    view.zero_()
    base.requires_grad_()
    assert (view.requires_grad, view.is_leaf, names(view)) == (True, False, ["AsStridedBackward0", "AccumulateGrad"])
    view.exp().sum().backward()
    (untouched * 2).sum().backward()
    assert base.grad.tolist() == [[0.0] * 3, [3.0] * 3]


def test_a_view_of_a_parameter_outlives_its_updates(t: Any) -> None:
    w = t.tensor([1.0, 2.0], requires_grad=True)
    view = w[:1]
    for _ in range(3):
        w.grad = None
        (view * 3).sum().backward()
        assert w.grad.tolist() == [3.0, 0.0]
        with t.no_grad():
            w -= w.grad
    assert view.tolist() == [-8.0]


def test_a_view_made_under_no_grad_leads_no_gradient(t: Any) -> None:
    w = t.tensor([1.0, 2.0], requires_grad=True)
    with t.no_grad():
        view = w[:1]
    y = view + w
    assert (view.requires_grad, view.grad_fn, (view * 2).requires_grad) == (True, None, True)
    (view * 2).sum().backward()
    assert w.grad is None
    y.sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]
    assert t.autograd.grad((view * w).sum(), view, allow_unused=True) == (None,)
    view.requires_grad_()
    ((view * 3).sum() + y.sum()).backward(inputs=[view])
    assert view.grad.tolist() == [3.0]  # y was recorded before


def test_the_gradient_of_a_write_to_a_view_runs_once(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = x + 1
    y[0].zero_()
    z = y.sum()
    z.backward(retain_graph=True)
    z.backward()
    assert refusal(z.backward) == TWICE
    assert x.grad.tolist() == [0.0, 2.0]


def test_a_kept_view_is_named_as_it_is_now(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = x * 1
    z = (y[:1] * y.sum(0, keepdim=True)).sum()
    y.add_(1)
    assert ", which is output 0 of AsStrided, is at version 1; expected version 0" in refusal(z.backward)
    s = x.view(2, 1).sum(0)
    z = (s * s).sum()
    s.detach().zero_()
    assert ", which is output 0 of Sum1, is at version 1; expected version 0" in refusal(z.backward)


def test_views_are_told_apart_without_waiting(session: Session) -> None:
    x = gw.ones(4, requires_grad=True) * 1
    view, detached, data = x[1:], x.detach(), x.data
    assert [v._is_view() for v in (x, view, detached, data)] == [False, True, False, False]
    assert view._base is x
    x.add_(1)
    assert [v._version for v in (x, view, detached, data)] == [1, 1, 1, 0]
    assert names(view)[0] == "AsStridedBackward0"
    assert session.statistics().waits == 0
