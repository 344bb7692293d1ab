"""Writing in place: what autograd follows, through views too, and what it refuses. Every test also runs with PyTorch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from tests.client.graphs import graph, names, refusal
from tests.client.test_autograd import leaf

LEAF = "RuntimeError: a leaf Variable that requires grad is being used in an in-place operation."
VIEW_OF_LEAF = "RuntimeError: a view of a leaf Variable that requires grad is being used in an in-place operation."
PARTIAL = (
    "RuntimeError: unsupported operation: some elements of the input tensor and the written-to tensor refer to a single "
    "memory location. Please clone() the tensor before performing the operation."
)


def modified(what: str, sizes: list[int], version: int, expected: int) -> str:
    return (
        f"RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[torch.FloatTensor {sizes}]{what} is at version {version}; expected version {expected} instead. Hint: enable "
        "anomaly detection to find the operation that failed to compute its gradient, with "
        "torch.autograd.set_detect_anomaly(True, check_nan=False)."
    )


# ---------------------------------------------------------------- leaves
WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "add_": lambda t, x: x.add_(1),
    "mul_": lambda t, x: x.mul_(x),
    "zero_": lambda t, x: x.zero_(),
    "fill_": lambda t, x: x.fill_(3),
    "copy_": lambda t, x: x.copy_(t.ones(4)),
    "exp_": lambda t, x: x.exp_(),
    "clamp_": lambda t, x: x.clamp_(0, 1),
    "item": lambda t, x: x.__setitem__(slice(1, 3), 1.0),
    "+=": lambda t, x: x.__iadd__(t.ones(4)),
    "uniform_": lambda t, x: x.uniform_(),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_leaf_is_not_written_to(t: Any, name: str) -> None:
    x = leaf(t, 1.0, 2.0, 3.0, 4.0)
    assert refusal(lambda: WRITES[name](t, x)) == (VIEW_OF_LEAF if name == "item" else LEAF)
    assert refusal(lambda: WRITES[name](t, x.view(4))) == VIEW_OF_LEAF
    assert (x.tolist(), x._version) == ([1.0, 2.0, 3.0, 4.0], 0)
    with t.no_grad():
        WRITES[name](t, x)
    assert x._version >= 1
    assert x.is_leaf
    frozen = t.ones(4)
    WRITES[name](t, frozen)
    assert frozen.grad_fn is None


def test_a_view_that_is_a_leaf_is_not_written_to(t: Any) -> None:
    memory = t.zeros(3)
    x = memory[:2].requires_grad_()
    assert (x.is_leaf, memory.requires_grad) == (True, False)
    assert refusal(lambda: x.add_(1)) == VIEW_OF_LEAF
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    memory.add_(1)
    (x * x).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


# ---------------------------------------------------------------- writes that are followed
def test_a_write_takes_the_place_of_the_value(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = x * 1
    assert y.mul_(3) is y
    y += x
    y.sub_(1).div_(2)
    assert names(y) == [
        "DivBackward0",
        "SubBackward0",
        "AddBackward0",
        "MulBackward0",
        "MulBackward0",
        "AccumulateGrad",
    ]
    assert y._version == 4
    y.sum().backward()
    assert (x.grad.tolist(), y.tolist()) == ([2.0, 2.0], [1.5, 3.5])


@pytest.mark.parametrize(
    ("write", "gradient"),
    [
        (lambda y, x: y.exp_(), [2.7183, 7.3891]),
        (lambda y, x: y.pow_(3), [3.0, 12.0]),
        (lambda y, x: y.sin_(), [0.5403, -0.4161]),
        (lambda y, x: y.mul_(x), [2.0, 4.0]),
        (lambda y, x: y.div_(x), [0.0, 0.0]),
        (lambda y, x: y.zero_(), [0.0, 0.0]),
        (lambda y, x: y.copy_(x * 5), [5.0, 5.0]),
        (lambda y, x: y.sigmoid_(), [0.1966, 0.1050]),
    ],
)
def test_gradients_of_writes(t: Any, write: Callable[[Any, Any], Any], gradient: list[float]) -> None:
    x = leaf(t, 1.0, 2.0)
    y = x * 1
    write(y, x)
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx(gradient, abs=1e-4)


def test_a_write_may_make_a_tensor_require_grad(t: Any) -> None:
    x, memory = leaf(t, 2.0), t.ones(3)
    memory.mul_(x)
    assert (memory.requires_grad, memory.is_leaf, names(memory)) == (True, False, ["MulBackward0"])
    memory.sum().backward()
    assert x.grad.tolist() == [3.0]


def test_dtype_and_shape_of_a_write(t: Any) -> None:
    x = leaf(t, 1.0, 2.0) * 1
    assert refusal(lambda: t.ones(2, dtype=t.int64).add_(x)) == (
        "RuntimeError: result type Float can't be cast to the desired output type Long"
    )
    assert refusal(lambda: x.add_(t.ones(2, 2))) == (
        "RuntimeError: output with shape [2] doesn't match the broadcast shape [2, 2]"
    )
    assert x._version == 0


# ---------------------------------------------------------------- kept values that were written to
def test_a_kept_value_was_written_to(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = x * 2
    z = (y * y).sum()
    y.add_(1)
    assert refusal(z.backward) == modified(", which is output 0 of Add,", [2], 1, 0)
    y = x.exp()
    z = y.sum()
    y[0] = 5.0
    assert refusal(z.backward) == modified(", which is output 0 of Exp,", [2], 1, 0)
    y = x * 1
    assert refusal(y.mul_(y).sum().backward) == modified(", which is output 0 of Mul,", [2], 1, 0)
    assert x.grad is None


def test_an_update_before_backward_is_noticed(t: Any) -> None:
    w = t.ones(2, 3, requires_grad=True)
    loss = (w * w).sum()
    with t.no_grad():
        w -= 0.1
    assert refusal(loss.backward) == modified("", [2, 3], 1, 0)
    loss = (w * w).sum()
    loss.backward()
    with t.no_grad():
        w -= 0.1 * w.grad
    assert w._version == 2
    assert w.requires_grad


def test_a_write_to_a_view_is_noticed_too(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = x * 1
    z = y.exp().sum() + (y * y).sum()
    y.detach()[0].zero_()
    assert y._version == 1
    assert refusal(z.backward).startswith("RuntimeError: one of the variables needed for gradient computation")
    y = x * 1
    z = (y.view(2, 1) * 3).sum()  # keeps no value of y
    y.zero_()
    z.backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_an_index_that_was_kept_is_noticed_too(t: Any) -> None:
    x, index = leaf(t, 1.0, 2.0), t.tensor([0, 1])
    y = x.index_select(0, index).sum()
    index.add_(1)
    text = modified("", [2], 1, 0).replace("Float", "Long")
    assert refusal(y.backward) == text


# ---------------------------------------------------------------- writes to views
def test_a_write_to_a_view_is_a_write_to_its_base(t: Any) -> None:
    x = leaf(t, 1.0, 2.0, 3.0)
    y = x * 1
    v = y[:2]
    v.mul_(10)
    accumulate = ("AccumulateGrad", [])
    base = ("CopySlices", [(("MulBackward0", [(accumulate, 0), (None, 0)]), 0), (None, 0)])
    assert graph(y.grad_fn) == base
    assert graph(v.grad_fn) == ("AsStridedBackward0", [(base, 0)])
    assert v.grad_fn.next_functions[0][0] is y.grad_fn
    (v * v).sum().backward(retain_graph=True)
    assert x.grad.tolist() == [200.0, 400.0, 0.0]
    x.grad = None
    y.sum().backward()
    assert (x.grad.tolist(), y.tolist()) == ([10.0, 10.0, 1.0], [10.0, 20.0, 3.0])


def test_the_base_is_written_to_after_the_view_was_taken(t: Any) -> None:
    x = leaf(t, 1.0, 2.0, 3.0)
    y = x * 1
    v = y[1:]
    assert names(v)[0] == "SliceBackward0"
    y.mul_(3)
    assert names(v) == ["AsStridedBackward0", "MulBackward0", "MulBackward0", "AccumulateGrad"]
    v.sum().backward()
    assert (x.grad.tolist(), v.tolist()) == ([0.0, 3.0, 3.0], [6.0, 9.0])
    with t.no_grad():
        y.add_(1)
    assert names(v)[0] == "AsStridedBackward0"


def test_views_see_what_other_views_were_given(t: Any) -> None:
    x, w = leaf(t, 1.0, 2.0, 3.0), leaf(t, 5.0)
    y = x * 1
    left, right = y[:2], y[1:]
    left.mul_(w)
    (right * t.tensor([1.0, 10.0])).sum().backward()
    assert (x.grad.tolist(), w.grad.tolist()) == ([0.0, 5.0, 10.0], [2.0])
    left.mul_(2)
    right.exp_()
    assert graph(y.grad_fn)[1][0][0][1][0][0][0] == "CopySlices"
    assert y._version == 3


def test_views_of_views(t: Any) -> None:
    x = t.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x * 1
    v = y.t()[0].unsqueeze(1)
    assert v._base is y
    v.mul_(t.tensor([[10.0], [100.0]]))
    assert y.tolist() == [[10.0, 2.0], [300.0, 4.0]]
    y.t()[1].fill_(7.0)
    assert names(y)[:2] == ["CopySlices", "CopySlices"]
    (y * y).sum().backward()
    assert x.grad.tolist() == [[200.0, 0.0], [60000.0, 0.0]]


def test_a_write_to_a_part_of_a_constant(t: Any) -> None:
    w = leaf(t, 2.0)
    memory = t.ones(3)
    memory[0] = w[0] * 3
    assert (memory.requires_grad, memory.is_leaf) == (True, False)
    assert memory.grad_fn.next_functions[0] == (None, 0)
    memory[1:].mul_(w)
    memory.sum().backward()
    assert (memory.tolist(), w.grad.tolist()) == ([6.0, 2.0, 2.0], [5.0])


@pytest.mark.parametrize("sizes", [(2, 3), (3, 2)])
def test_a_base_that_is_not_contiguous(t: Any, sizes: tuple[int, int]) -> None:
    w = leaf(t, 1.0, 2.0)
    base = t.arange(6.0).view(*sizes).t().detach()
    assert not base.is_contiguous()
    base[:2, 0].mul_(w)
    flat = base.t().reshape(6)
    assert flat._base is base
    flat[1:3].exp_()
    (base * t.arange(6.0).view(base.shape)).sum().backward()
    expected = {(2, 3): [0.0, 14.7781], (3, 2): [0.0, 22.1672]}[sizes]
    assert w.grad.tolist() == pytest.approx(expected, abs=1e-3)


def test_item_assignment_in_a_loop(t: Any) -> None:
    x = leaf(t, 0.5, 0.5)
    out = t.zeros(4)
    state = x
    for index in range(4):
        state = state * x
        out[index] = state.sum()
    out.sum().backward()
    assert x.grad.tolist() == pytest.approx([2.5625, 2.5625])


def test_writes_under_create_graph(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    y = x * x
    y[0].pow_(2)
    y.mul_(x)  # (x0^5, x1^3)
    (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
    g.sum().backward()
    assert g.tolist() == [5.0, 12.0]
    assert x.grad.tolist() == [20.0, 12.0]


# ---------------------------------------------------------------- memory that overlaps
@pytest.mark.parametrize(
    "write",
    [
        lambda x: x[1:].add_(x[:-1]),
        lambda x: x[:-1].mul_(x[1:]),
        lambda x: x[1:].copy_(x[:-1]),
        lambda x: x.__setitem__(slice(1, None), x[:-1]),
        lambda x: x[:4].view(2, 2).add_(x[1:5].view(2, 2).t()),
        lambda x: x[:4].view(2, 2).add_(x[:4].view(2, 2).t()),
        lambda x: x.view(2, 3).add_(x[:3]),
    ],
)
def test_memory_is_not_read_while_a_part_of_it_is_written(t: Any, write: Callable[[Any], Any]) -> None:
    x = t.arange(6.0)
    assert refusal(lambda: write(x)) == PARTIAL
    assert refusal(lambda: write(x.data)) == PARTIAL
    assert refusal(lambda: x.data[1:].mul_(x[:-1])) == PARTIAL
    assert (x.tolist(), x._version) == ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 0)


def test_memory_may_be_read_where_it_is_written_or_elsewhere(t: Any) -> None:
    x = t.arange(6.0)
    x.add_(x)
    x.add_(x.detach())
    x[:3].add_(x[3:])
    x[::2].add_(x[1::2])
    assert x.tolist() == [32.0, 20.0, 40.0, 12.0, 36.0, 20.0]
    assert refusal(lambda: x[0].expand(3).add_(1)) == (
        "RuntimeError: unsupported operation: more than one element of the written-to tensor refers to a single memory "
        "location. Please clone() the tensor before performing the operation."
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x.expand(2, 6)[0].add_(1)
    assert x[0].item() == 33.0
