"""Hooks on tensors and graph nodes. Every test also runs with PyTorch."""

from __future__ import annotations

from typing import Any

import pytest


def _numbers(values: Any) -> list[Any]:
    return [None if value is None else value.tolist() for value in values]


def test_a_hook_sees_and_replaces_the_gradient(t: Any) -> None:
    x = t.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    seen: list[Any] = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    (y * y).sum().backward()
    assert seen == [[6.0, 12.0]]
    assert x.grad.tolist() == [180.0, 360.0]


def test_a_removed_hook_does_not_run(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    y = x * 2
    handle = y.register_hook(lambda g: g * 100)
    handle.remove()
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_leaf_hooks_run_once_on_the_whole_gradient(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    log: list[Any] = []
    x.register_hook(lambda g: log.append(("hook", g.tolist())) or g * 2)
    x.register_post_accumulate_grad_hook(lambda leaf: log.append(("done", leaf.grad.tolist())))
    (x * 2 + x * 3).sum().backward()
    x.sum().backward()
    assert log == [("hook", [5.0, 5.0]), ("done", [10.0, 10.0]), ("hook", [1.0, 1.0]), ("done", [12.0, 12.0])]


def test_a_hook_changes_what_grad_returns(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    x.register_hook(lambda g: g + 1)
    (found,) = t.autograd.grad((x * 2).sum(), x)
    assert found.tolist() == [3.0, 3.0]
    assert x.grad is None


def test_node_hooks_see_inputs_and_outputs(t: Any) -> None:
    a, b = t.tensor([1.0, 2.0], requires_grad=True), t.tensor([3.0, 4.0], requires_grad=True)
    y = a * b
    log: list[Any] = []
    y.grad_fn.register_prehook(lambda outputs: (outputs[0] * 2,))
    y.grad_fn.register_hook(lambda inputs, outputs: log.append((_numbers(inputs), _numbers(outputs))))
    y.sum().backward()
    assert log == [([[6.0, 8.0], [2.0, 4.0]], [[2.0, 2.0]])]
    assert a.grad.tolist() == [6.0, 8.0]


def test_node_hooks_tell_edges_to_one_place_apart(t: Any) -> None:
    x = t.tensor([3.0], requires_grad=True)
    y = x * x
    y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0] * 10, inputs[1]))
    y.backward()
    assert x.grad.tolist() == [33.0]


def test_hooks_run_in_the_order_of_backward(t: Any) -> None:
    x = t.ones(1, requires_grad=True)
    order: list[str] = []
    a = x * 2
    b = a * 2
    c = a + b
    for name, tensor in (("a", a), ("b", b), ("c", c)):
        tensor.register_hook(lambda g, name=name: order.append(name))
    c.sum().backward()
    assert order == ["c", "b", "a"]
    assert x.grad.tolist() == [6.0]


def test_retained_gradients_are_those_after_hooks(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 3)
    y.sum().backward()
    assert y.grad.tolist() == [3.0, 3.0]
    assert x.grad.tolist() == [6.0, 6.0]


def test_second_derivatives_go_through_hooks(t: Any) -> None:
    x = t.tensor([2.0], requires_grad=True)
    y = x * x
    y.register_hook(lambda g: g * x)
    (first,) = t.autograd.grad(y * y, x, create_graph=True)
    assert first.tolist() == [2 * 4.0 * 2 * 4]
    (second,) = t.autograd.grad(first, x)
    assert second.tolist() == [64.0 + 128.0]  # by x, and by y through the hook again


def test_wrong_replacements_are_refused(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    (y := x * 2).register_hook(lambda g: g[:1])
    with pytest.raises(RuntimeError, match="has changed the size of value"):
        y.sum().backward()
    (y := x * 2).register_hook(lambda g: 3)
    with pytest.raises(TypeError, match=r"(incorrect type|expected Variable)"):
        y.sum().backward()
    with pytest.raises(RuntimeError, match="cannot register a hook on a tensor that doesn't require gradient"):
        t.ones(1).register_hook(print)
    with pytest.raises(RuntimeError, match="post accumulate grad hooks cannot be registered on non-leaf tensors"):
        y.register_post_accumulate_grad_hook(print)


def test_an_optimizer_may_step_inside_of_a_hook(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    optimizer = t.optim.SGD([x], lr=0.5)

    def step(leaf: Any) -> None:
        optimizer.step()
        optimizer.zero_grad()

    x.register_post_accumulate_grad_hook(step)
    for _ in range(2):
        (x * x).sum().backward()
    assert x.tolist() == [0.0, 0.0]
    assert x.grad is None


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_module_backward_hooks(t: Any) -> None:
    layer = t.nn.Linear(2, 1, bias=False)
    with t.no_grad():
        layer.weight.copy_(t.tensor([[2.0, 3.0]]))
    log: list[Any] = []
    layer.register_full_backward_pre_hook(lambda module, outputs: log.append(("pre", _numbers(outputs))))
    handle = layer.register_full_backward_hook(
        lambda module, inputs, outputs: log.append(("post", _numbers(inputs), _numbers(outputs))) or (inputs[0] * 10,)
    )
    x = t.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert log == [("pre", [[[1.0]]]), ("post", [[[2.0, 3.0]]], [[[1.0]]])]
    assert x.grad.tolist() == [[20.0, 30.0]]
    assert layer.weight.grad.tolist() == [[1.0, 1.0]]
    handle.remove()
    layer(t.ones(1, 2)).sum().backward()
    assert log[2:] == [("pre", [[[1.0]]])]
