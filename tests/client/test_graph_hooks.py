"""`autograd.graph`: edges, versions, hooks of several tensors. Tests that take `t` also run with PyTorch."""

from __future__ import annotations

import importlib
from typing import Any

import pytest


@pytest.fixture
def graph(t: Any) -> Any:
    return importlib.import_module(f"{t.__name__}.autograd.graph")


def test_edges(t: Any, graph: Any) -> None:
    x = t.tensor([1.0, 2.0], requires_grad=True)
    first, second = (x * 2).unbind(0)
    edge = graph.get_gradient_edge(second)
    assert edge.node is second.grad_fn
    assert edge.output_nr == 1
    assert isinstance(edge.node, graph.Node)
    leaf = graph.get_gradient_edge(x)
    assert leaf.node.variable is x
    assert isinstance(leaf.node, graph.Node)
    found = t.autograd.grad(first * second, (edge, leaf))
    assert found[0].item() == 2.0
    assert found[1].tolist() == [8.0, 4.0]
    with pytest.raises(RuntimeError, match="not possible to get the gradient edge"):
        graph.get_gradient_edge(t.ones(1))


def test_increment_version(t: Any, graph: Any) -> None:
    x = t.tensor([1.0, -0.0], requires_grad=True)
    y = t.ones(2)
    out = (x * y).sum()
    before = y._version
    graph.increment_version(y)
    assert y._version == before + 1
    assert y.tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()
    graph.increment_version([x, y])
    assert x._version == 1
    assert x.is_leaf


def test_one_hook_of_several_tensors(t: Any, graph: Any) -> None:
    leaves = [t.tensor([float(n)], requires_grad=True) for n in range(3)]
    middle = leaves[0] * leaves[1]
    tensors = [*leaves, middle]
    calls: list[Any] = []
    handle = graph.register_multi_grad_hook(
        tensors, lambda grads: calls.append([None if g is None else g.item() for g in grads])
    )
    any_handle = graph.register_multi_grad_hook(tensors, lambda grad: calls.append(grad.item()), mode="any")
    (middle * 5).backward(retain_graph=True)
    assert calls == [5.0, [5.0, 0.0, None, 5.0]]
    calls.clear()
    (middle * 2 + leaves[2]).sum().backward(retain_graph=True)
    assert [call for call in calls if isinstance(call, list)] == [[2.0, 0.0, 1.0, 2.0]]
    calls.clear()
    any_handle.remove()
    (leaves[2] * 3).backward()
    assert calls == [[None, None, 3.0, None]]
    handle.remove()
    middle.backward()
    assert len(calls) == 1
    with pytest.raises(ValueError, match="Expects mode to be one of"):
        graph.register_multi_grad_hook(tensors, print, mode="x")
