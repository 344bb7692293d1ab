"""Hooks of saved tensors: what is packed, when it comes back, and where its gradient then goes."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from typing import Any

import pytest

import gradwire
from gradwire_server.engine import Array


@pytest.fixture
def graph(t: Any) -> Any:
    return t.autograd.graph


@pytest.fixture
def log() -> list[str]:
    return []


def named(log: list[str], names: dict[str, Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return hooks that note which of the named tensors, or "result", they are called with."""

    def pack(tensor: Any) -> Any:
        name = next((name for name, known in names.items() if known is tensor), "result")
        log.append(f"pack {name}")
        return name, tensor

    def unpack(packed: Any) -> Any:
        log.append(f"unpack {packed[0]}")
        return packed[1]

    return pack, unpack


@pytest.mark.parametrize(
    ("compute", "packed"),
    [
        (lambda t, a, b: a * b, ["b", "a"]),
        (lambda t, a, b: a / b, ["b", "a"]),
        (lambda t, a, b: a**b, ["b", "a", "result"]),
        (lambda t, a, b: t.addcmul(a, a, b), ["a", "b"]),
        (lambda t, a, b: a.exp(), ["result"]),
        (lambda t, a, b: a.clone().exp_(), ["result"]),
        (lambda t, a, b: a * 2, []),
        (lambda t, a, b: (a * b).detach(), ["b", "a"]),
    ],
)
def test_each_kept_tensor_is_packed_once_and_unpacked_at_each_use(
    t: Any, graph: Any, log: list[str], compute: Any, packed: list[str]
) -> None:
    a, b = (t.tensor([1.5, 2.0], requires_grad=True) for _ in range(2))
    with graph.saved_tensors_hooks(*named(log, {"a": a, "b": b})):
        result = compute(t, a, b)
    assert log == [f"pack {name}" for name in packed]
    if result.requires_grad:
        result.sum().backward(retain_graph=True)
        result.sum().backward()
        assert log[len(packed) :] == [f"unpack {name}" for name in packed] * 2


def test_nodes_unpack_as_they_run(t: Any, graph: Any, log: list[str]) -> None:
    a, b = t.tensor([1.0, 2.0], requires_grad=True), t.tensor([0.5, 0.25], requires_grad=True)
    with graph.saved_tensors_hooks(*named(log, {"a": a, "b": b})):
        result = (a * b).exp() * a
    log.clear()
    result.sum().backward()
    assert log == ["unpack a", "unpack result", "unpack result", "unpack b", "unpack a"]
    expected = [(x * y).exp() * (1 + x * y) for x, y in zip(a.detach(), b.detach(), strict=True)]
    assert a.grad.tolist() == pytest.approx([value.item() for value in expected])


def test_what_unpack_returns_is_what_backward_reads(t: Any, graph: Any) -> None:
    x = t.tensor([1.0, 2.0], requires_grad=True)
    with graph.saved_tensors_hooks(lambda tensor: tensor.detach(), lambda tensor: tensor * 3):
        (x * x).sum().backward()
    assert x.grad.tolist() == [6, 12]


def test_a_write_to_a_view(t: Any, graph: Any) -> None:
    x = t.tensor([[0.0, 1.0], [1.0, 2.0]], requires_grad=True)
    with graph.saved_tensors_hooks(lambda tensor: tensor.detach().clone(), lambda tensor: tensor):
        y = x.clone()
        y[0].exp_()
        z = y * y
    z.sum().backward()
    e = 2.718281828
    assert x.grad.tolist() == [pytest.approx([2.0, 2 * e * e], rel=1e-6), [2.0, 4.0]]


def test_packed_tensors_are_not_watched(t: Any, graph: Any) -> None:
    x = t.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    with graph.saved_tensors_hooks(lambda tensor: tensor.detach().clone(), lambda tensor: tensor):
        z = y * y
    with t.no_grad():
        y.zero_()
    z.sum().backward()
    assert x.grad.tolist() == [2, 4]


def test_only_the_innermost_pair_is_asked_and_only_while_recording(t: Any, graph: Any, log: list[str]) -> None:
    x = t.ones(2, requires_grad=True)
    outer = graph.saved_tensors_hooks(lambda v: log.append("outer"), lambda v: v)
    inner = graph.saved_tensors_hooks(lambda v: log.append("inner"), lambda v: v)
    with outer:
        with inner:
            x.sin()
        x.sin()
        with t.no_grad():
            x.sin()
    x.sin()
    assert log == ["inner", "outer"]


def test_second_gradients_go_through_packed_tensors(t: Any, graph: Any) -> None:
    a, b = t.tensor([1.0, 2.0], requires_grad=True), t.tensor([0.5, 0.25], requires_grad=True)
    with graph.saved_tensors_hooks(lambda tensor: tensor.detach().clone(), lambda tensor: tensor):
        y = a * b * a
    ga, gb = t.autograd.grad(y.sum(), (a, b), create_graph=True)
    assert [ga.tolist(), gb.tolist()] == [[1, 1], [1, 4]]
    found = t.autograd.grad((ga * gb).sum(), (a, b))  # of 2 a^3 b
    assert [g.tolist() for g in found] == [[3, 6], [2, 16]]


class TestFunction:
    @pytest.fixture
    def product(self, t: Any) -> Any:
        class Product(t.autograd.Function):  # type: ignore[misc, name-defined]
            @staticmethod
            def forward(ctx: Any, x: Any, y: Any) -> Any:
                ctx.save_for_backward(x, x * y, y)
                return x * y

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> Any:
                x, _, y = ctx.saved_tensors
                return grads[0] * y, grads[0] * x

        return Product.apply

    def test_its_saved_tensors_are_packed(self, t: Any, graph: Any, log: list[str], product: Any) -> None:
        a, b = t.tensor([2.0], requires_grad=True), t.tensor([3.0], requires_grad=True)
        with graph.saved_tensors_hooks(*named(log, {"a": a, "b": b})):
            y = product(a, b)
        assert log == ["pack a", "pack result", "pack b"]
        y.backward()
        assert log[3:] == ["unpack a", "unpack result", "unpack b"]
        assert [a.grad.item(), b.grad.item()] == [3, 2]

    def test_second_gradients(self, t: Any, graph: Any, product: Any) -> None:
        a, b = t.tensor([2.0], requires_grad=True), t.tensor([3.0], requires_grad=True)
        with graph.saved_tensors_hooks(lambda tensor: tensor.detach().clone(), lambda tensor: tensor):
            y = product(a * a, b)
        ga, gb = t.autograd.grad(y.sum(), (a, b), create_graph=True)  # 2ab, a^2
        assert [g.tolist() for g in t.autograd.grad(ga * gb, (a, b))] == [[72.0], [16.0]]


def test_reading_a_saved_tensor_unpacks_it_into_its_place(t: Any, graph: Any) -> None:
    x = t.tensor([1.0, 2.0], requires_grad=True)
    with graph.saved_tensors_hooks(lambda tensor: tensor.detach(), lambda tensor: tensor * 3):
        y = x * x
        z = y.exp()
        w = y * y
    leaf, made, result = y.grad_fn._saved_self, w.grad_fn._saved_self, z.grad_fn._saved_result
    assert leaf.tolist() == [3, 6]
    assert leaf.is_leaf
    assert leaf.requires_grad
    assert made.grad_fn is y.grad_fn
    assert result.grad_fn is z.grad_fn
    made.sum().backward()
    assert x.grad.tolist() == [6, 12]


def test_hooks_of_one_saved_tensor(t: Any, log: list[str]) -> None:
    x = t.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    raw = y.grad_fn._raw_saved_self
    raw.register_hooks(*named(log, {}))
    assert log == ["pack result"]
    assert y.grad_fn._saved_other is x
    with pytest.raises(RuntimeError, match="Hint: only one pair of hooks is allowed at a time"):
        raw.register_hooks(*named(log, {}))
    y.sum().backward()
    assert log == ["pack result", "unpack result"]
    assert x.grad.tolist() == [2, 4]
    with pytest.raises(RuntimeError, match="on a saved tensor after it has been freed"):
        y.grad_fn._raw_saved_self.register_hooks(*named(log, {}))
    with pytest.raises(RuntimeError, match="on a saved tensor with value None is forbidden"):
        (x * 2).grad_fn._raw_saved_self.register_hooks(*named(log, {}))
    with pytest.raises(AttributeError, match="'MulBackward0' object has no attribute '_raw_saved_foo'"):
        y.grad_fn._raw_saved_foo  # noqa: B018


def test_what_hooks_may_not_do(t: Any, graph: Any) -> None:
    x = t.ones(2, requires_grad=True)
    y = x * 1
    with (
        graph.saved_tensors_hooks(lambda v: v.add_(1), lambda v: v),
        pytest.raises(RuntimeError, match="A saved tensor pack hook is modifying its input in place"),
    ):
        y * y
    with graph.saved_tensors_hooks(lambda v: 3, lambda v: v):
        z = x * x
    with pytest.raises(TypeError, match="unpack_hook expected to be a Tensor but got result of type int"):
        z.sum().backward()


def test_hooks_can_be_disabled(t: Any, graph: Any) -> None:
    pair = graph.saved_tensors_hooks(lambda x: x, lambda x: x)
    with graph.disable_saved_tensors_hooks("not now"), pytest.raises(RuntimeError, match="not now"), pair:
        pass
    with pair, pytest.raises(RuntimeError, match="not now"), graph.disable_saved_tensors_hooks("not now"):
        pass


def test_of_a_checkpoint_only_the_arguments_are_packed(t: Any, graph: Any, log: list[str]) -> None:
    from importlib import import_module

    checkpoint = import_module(f"{t.__name__}.utils.checkpoint").checkpoint
    x = t.tensor([1.0, 2.0], requires_grad=True)
    middle = x * 2
    with graph.saved_tensors_hooks(*named(log, {"x": x, "middle": middle})):
        y = checkpoint(lambda a, b: (a * b * b).exp().log(), x, middle, use_reentrant=False)
    assert log == ["pack x", "pack middle"]
    y.sum().backward()
    assert log[2:] == ["unpack x", "unpack middle"]
    assert x.grad.tolist() == pytest.approx([12, 48], rel=1e-5)


def test_save_on_cpu_keeps_the_gradients(t: Any, graph: Any) -> None:
    t.manual_seed(0)
    model = t.nn.Sequential(t.nn.Linear(3, 4), t.nn.BatchNorm1d(4), t.nn.Tanh(), t.nn.Linear(4, 2))
    x = t.arange(15.0).reshape(5, 3).cos()
    model(x).pow(2).sum().backward()
    expected = [p.grad.tolist() for p in model.parameters()]
    model.zero_grad()
    with graph.save_on_cpu():
        loss = model(x).pow(2).sum()
    loss.backward()
    assert [p.grad.tolist() for p in model.parameters()] == expected


def worker_bytes() -> int:
    """Return the bytes of all arrays that are alive on workers in this process, by handle or in a graph."""
    gc.collect()
    return sum(array.meta.nbytes for array in gc.get_objects() if type(array) is Array)


def test_the_worker_keeps_nothing_that_is_packed(session: Any) -> None:
    def kept(context: Any) -> int:
        gradwire.ones(1).item()  # with it goes the news of what was freed
        before = worker_bytes()
        x = gradwire.ones(1000, requires_grad=True)
        with context:
            y = x.exp().sin().cos().sum()
        y.item()
        found = worker_bytes()
        y.backward(retain_graph=True)
        y.item()
        assert worker_bytes() == found + x.grad.nbytes
        return found - before

    assert kept(contextlib.nullcontext()) >= 3 * 4000
    assert kept(gradwire.autograd.graph.save_on_cpu()) < 4100  # x and y


def test_an_unpacked_tensor_must_be_like_the_packed_one(session: Any) -> None:
    x = gradwire.ones(2, requires_grad=True)
    with gradwire.autograd.graph.saved_tensors_hooks(lambda v: v, lambda v: v[:1]):
        y = x.exp()
    with pytest.raises(RuntimeError, match=r"shape and dtype that were packed, float32\[2\]; got float32\[1\]"):
        y.sum().backward()


def test_a_compiled_function_asks_them_too(session: Any, log: list[str]) -> None:
    compiled = gradwire.compile(lambda x: x.exp().sum())
    x = gradwire.ones(2, requires_grad=True)
    for count in range(1, 4):
        with gradwire.autograd.graph.saved_tensors_hooks(*named(log, {})):
            y = compiled(x)
        y.backward()
        assert log == ["pack result", "unpack result"] * count


@pytest.mark.filterwarnings("ignore:.*hooks of saved tensors are on inside of it")
def test_hooks_inside_of_a_compiled_function(session: Any) -> None:
    @gradwire.compile
    def compiled(x: Any) -> Any:
        with gradwire.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor * 2):
            return (x * x).sum()

    for count in range(1, 4):
        x = gradwire.ones(2, requires_grad=True)
        compiled(x).backward()
        assert x.grad.tolist() == [4, 4], count
