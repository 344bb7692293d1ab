"""What a user sees of the graph: `grad_fn`, `next_functions`, `_saved_*`. Every test also runs with PyTorch."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

import gradwire as gw
from gradwire.session import Session
from tests.client.graphs import graph, names, refusal
from tests.client.test_autograd import TWICE, leaf


# ---------------------------------------------------------------- the tutorial's examples
def test_pow_saves_its_input(t: Any) -> None:
    a = t.randn(8, requires_grad=True)
    b = a.pow(2)
    assert a.equal(b.grad_fn._saved_self)
    assert a is b.grad_fn._saved_self
    assert b.grad_fn._saved_exponent == 2


def test_exp_saves_its_result(t: Any) -> None:
    a = t.randn(8, requires_grad=True)
    b = a.exp()
    saved = b.grad_fn._saved_result
    assert b.equal(saved)
    assert b is not saved
    assert saved.grad_fn is b.grad_fn
    assert saved.requires_grad
    assert not saved.is_leaf
    assert saved.dtype == b.dtype
    saved.sum().backward()
    assert a.grad.equal(b.detach())


# ---------------------------------------------------------------- saved values
def test_saved_inputs_are_the_very_tensors(t: Any) -> None:
    x, y = leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)
    z = x * y
    assert z.grad_fn._saved_self is x
    assert z.grad_fn._saved_other is y
    w = z * z
    assert w.grad_fn._saved_self is z
    frozen = t.ones(2)
    assert (x * frozen).grad_fn._saved_other is frozen
    assert (x * frozen).grad_fn._saved_self is None if t is not gw else True  # what is not needed is not saved


def test_saved_values_after_backward_and_after_a_write(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = x.pow(2)
    z = x.exp()
    (y.sum() + z.sum()).backward()
    assert refusal(lambda: y.grad_fn._saved_self) == TWICE
    assert refusal(lambda: z.grad_fn._saved_result) == TWICE
    assert y.grad_fn._saved_exponent == 2
    w = x.exp()
    w.add_(1)
    node = w.grad_fn.next_functions[0][0]
    assert refusal(lambda: node._saved_result) == (
        "RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation: "
        "[torch.FloatTensor [2]], which is output 0 of Exp, is at version 1; expected version 0 instead. Hint: enable "
        "anomaly detection to find the operation that failed to compute its gradient, with "
        "torch.autograd.set_detect_anomaly(True, check_nan=False)."
    )
    assert refusal(lambda: node._saved_nothing) == (
        "AttributeError: 'ExpBackward0' object has no attribute '_saved_nothing'"
    )


# ---------------------------------------------------------------- nodes
NAMES: dict[str, tuple[Callable[[Any, Any], Any], list[str]]] = {
    "leaf": (lambda t, x: x, []),
    "add": (lambda t, x: x + x, ["AddBackward0", "AccumulateGrad"]),
    "add number": (lambda t, x: x + 1, ["AddBackward0", "AccumulateGrad"]),
    "sub": (lambda t, x: x - 1, ["SubBackward0", "AccumulateGrad"]),
    "rsub": (lambda t, x: 1 - x, ["RsubBackward1", "AccumulateGrad"]),
    "mul": (lambda t, x: x * 2, ["MulBackward0", "AccumulateGrad"]),
    "div": (lambda t, x: x / 2, ["DivBackward0", "AccumulateGrad"]),
    "reciprocal": (lambda t, x: 2 / x, ["MulBackward0", "ReciprocalBackward0", "AccumulateGrad"]),
    "pow": (lambda t, x: x**2, ["PowBackward0", "AccumulateGrad"]),
    "pow of tensors": (lambda t, x: x**x, ["PowBackward1", "AccumulateGrad"]),
    "neg": (lambda t, x: -x, ["NegBackward0", "AccumulateGrad"]),
    "sum": (lambda t, x: x.sum(), ["SumBackward0", "AccumulateGrad"]),
    "sum over a dim": (lambda t, x: x.sum(0), ["SumBackward1", "AccumulateGrad"]),
    "mean": (lambda t, x: x.mean(), ["MeanBackward0", "AccumulateGrad"]),
    "max": (lambda t, x: x.max(), ["MaxBackward1", "AccumulateGrad"]),
    "exp of log": (lambda t, x: x.log().exp(), ["ExpBackward0", "LogBackward0", "AccumulateGrad"]),
    "tanh": (lambda t, x: x.tanh(), ["TanhBackward0", "AccumulateGrad"]),
    "relu": (lambda t, x: x.relu(), ["ReluBackward0", "AccumulateGrad"]),
    "view": (lambda t, x: x.view(4, 1), ["ViewBackward0", "AccumulateGrad"]),
    "transpose": (lambda t, x: x.view(2, 2).t(), ["TBackward0", "ViewBackward0", "AccumulateGrad"]),
    "select": (lambda t, x: x[0], ["SelectBackward0", "AccumulateGrad"]),
    "slice": (lambda t, x: x[1:], ["SliceBackward0", "AccumulateGrad"]),
    "unsqueeze": (lambda t, x: x[None], ["UnsqueezeBackward0", "AccumulateGrad"]),
    "clone": (lambda t, x: x.clone(), ["CloneBackward0", "AccumulateGrad"]),
    "index_select": (lambda t, x: x.index_select(0, t.tensor([0])), ["IndexSelectBackward0", "AccumulateGrad"]),
    "gather": (lambda t, x: x.gather(0, t.tensor([0])), ["GatherBackward0", "AccumulateGrad"]),
    "matmul": (lambda t, x: x.view(2, 2) @ x.view(2, 2), ["MmBackward0", "ViewBackward0", "AccumulateGrad"]),
    "dot": (lambda t, x: x @ x, ["DotBackward0", "AccumulateGrad"]),
    "cat": (lambda t, x: t.cat([x, x]), ["CatBackward0", "AccumulateGrad"]),
    "softmax": (lambda t, x: x.softmax(0), ["SoftmaxBackward0", "AccumulateGrad"]),
    "unbind": (lambda t, x: x.unbind()[1], ["UnbindBackward0", "AccumulateGrad"]),
}


@pytest.mark.parametrize("act", NAMES)
def test_names_along_the_graph(t: Any, act: str) -> None:
    made, expected = NAMES[act]
    assert names(made(t, leaf(t, 1.0, 2.0, 3.0, 4.0))) == expected


def test_inputs_of_a_node(t: Any) -> None:
    x, frozen = leaf(t, 1.0, 2.0), t.ones(2)
    accumulate = ("AccumulateGrad", [])
    assert graph((x * frozen).grad_fn) == ("MulBackward0", [(accumulate, 0), (None, 0)])
    assert graph((frozen * x).grad_fn) == ("MulBackward0", [(None, 0), (accumulate, 0)])
    assert graph((x * 2).grad_fn) == ("MulBackward0", [(accumulate, 0), (None, 0)])
    assert graph((x + 2).grad_fn) == ("AddBackward0", [(accumulate, 0), (None, 0)])
    assert graph(x.pow(2).grad_fn) == ("PowBackward0", [(accumulate, 0)])
    assert graph(x.index_select(0, t.tensor([0])).grad_fn) == ("IndexSelectBackward0", [(accumulate, 0)])
    _, second = x.unbind()
    unbound = ("UnbindBackward0", [(accumulate, 0)])
    assert graph((second * 1).grad_fn) == ("MulBackward0", [(unbound, 1), (None, 0)])


def test_a_node_is_one_object(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = x * x
    assert y.grad_fn is y.grad_fn
    (left, _), (right, _) = y.grad_fn.next_functions
    assert left is right
    assert left.variable is x
    assert (y + 1).grad_fn.next_functions[0][0] is y.grad_fn
    assert y.grad_fn.name() == "MulBackward0"
    assert left.name() == "torch::autograd::AccumulateGrad"
    assert repr(y.grad_fn).startswith("<MulBackward0 object at 0x")
    assert left.next_functions == ()


def test_a_node_outlives_its_tensor(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    node = (x.exp() * 3).grad_fn
    gc.collect()
    exp = node.next_functions[0][0]
    assert [round(value, 3) for value in exp._saved_result.tolist()] == [2.718, 7.389]


# ---------------------------------------------------------------- detach, data, Variable
def test_detach_shares_memory_and_version(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = x * 1
    d = y.detach()
    assert (d.requires_grad, d.grad_fn, d.is_leaf, d._is_view()) == (False, None, True, False)
    d.mul_(5)
    assert y.tolist() == [5.0, 10.0]
    assert y._version == d._version == 1
    z = y * y
    d.zero_()
    assert refusal(z.sum().backward).startswith("RuntimeError: one of the variables needed for gradient computation")


def test_detach_in_place(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = x * 2
    earlier = y * 3
    assert y.detach_() is y
    assert (y.requires_grad, y.grad_fn, y.is_leaf) == (False, None, True)
    y.requires_grad_()
    (y * y).sum().backward()
    assert (x.grad, y.grad.tolist()) == (None, [4.0, 8.0])
    earlier.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]
    assert y.grad.tolist() == [4.0, 8.0]
    assert x.detach_() is x
    assert not x.requires_grad
    assert refusal((t.ones(2, requires_grad=True) * 1)[0].detach_).startswith(
        "RuntimeError: Can't detach views in-place."
    )


def test_data_shares_memory_and_no_version(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = (x * x).sum()
    x.data.mul_(10)
    assert (x.tolist(), x._version, x.data.requires_grad) == ([10.0, 20.0], 0, False)
    y.backward()  # unnoticed, and so with the new values
    assert x.grad.tolist() == [20.0, 40.0]
    x.data = t.tensor([7.0, 8.0, 9.0])
    assert (x.tolist(), x.requires_grad, x.is_leaf) == ([7.0, 8.0, 9.0], True, True)
    assert refusal(lambda: setattr(x, "data", 3)) == "TypeError: Variable data has to be a tensor, but got int"
    assert refusal(lambda: setattr(x, "data", t.ones(3, dtype=t.int64))) == (
        "RuntimeError: data set to a tensor that requires gradients must be floating point or complex dtype"
    )


def test_variable_is_a_thin_alias(t: Any) -> None:
    variable = t.autograd.Variable
    x = t.ones(2)
    v = variable(x, requires_grad=True)
    assert (v.requires_grad, v.is_leaf, x.requires_grad) == (True, True, False)
    (v * 3).sum().backward()
    assert v.grad.tolist() == [3.0, 3.0]
    x.zero_()
    assert v.tolist() == [0.0, 0.0]
    assert isinstance(x, variable)
    assert not isinstance(3, variable)
    assert not variable(v).requires_grad
    assert variable().numel() == 0
    assert refusal(lambda: variable(3)) == "TypeError: Variable data has to be a tensor, but got int"


def test_parameter(t: Any) -> None:
    p = t.nn.Parameter(t.ones(2))
    assert (p.requires_grad, p.is_leaf, isinstance(p, t.Tensor)) == (True, True, True)
    assert type(p * 2) is t.Tensor
    (p * 2).sum().backward()
    assert p.grad.tolist() == [2.0, 2.0]
    assert (p * 2).grad_fn.next_functions[0][0].variable is p
    assert not t.nn.Parameter(t.ones(2), requires_grad=False).requires_grad


def test_reading_the_graph_waits_for_nothing(session: Session) -> None:
    x = gw.ones(2, requires_grad=True)
    y = (x.exp() * x).sum()
    assert graph(y.grad_fn)[0] == "SumBackward0"
    node = y.grad_fn.next_functions[0][0]
    assert (node._saved_other is x, node._saved_self.grad_fn._saved_result.shape) == (True, (2,))
    assert session.statistics().waits == 0
