"""Custom autograd functions. Every test also runs with PyTorch."""

from __future__ import annotations

from typing import Any

import pytest


def exp_of(t: Any) -> Any:
    class Exp(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            result = x.exp()
            ctx.save_for_backward(result)
            return result

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (result,) = ctx.saved_tensors
            return g * result

    return Exp


def test_gradients_of_every_order(t: Any) -> None:
    x = t.tensor([0.5, -1.0], dtype=t.float64, requires_grad=True)
    found = exp_of(t).apply(x * 2)
    assert found.grad_fn.name() == "ExpBackward"
    for _ in range(3):
        (found,) = t.autograd.grad(found.sum(), x, create_graph=True)
    expected = 8 * (2 * x).exp()
    assert (found - expected).abs().max().item() < 1e-12


def test_numbers_and_constants_get_no_gradient(t: Any) -> None:
    class Scaled(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: Any, factor: float, b: Any) -> Any:
            ctx.save_for_backward(a, b)
            ctx.factor = factor
            return a * b * factor, a.sum()

        @staticmethod
        def backward(ctx: Any, g: Any, g_sum: Any) -> Any:
            _, b = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False, False)
            assert g_sum.tolist() == 0.0
            return g * b * ctx.factor, None, None

    a = t.tensor([1.0, 2.0], requires_grad=True)
    out, _ = Scaled.apply(a, 5.0, t.tensor([3.0, 4.0]))
    out.sum().backward()
    assert a.grad.tolist() == [15.0, 20.0]
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        out.sum().backward()


def test_missing_gradients_stay_none_when_asked(t: Any) -> None:
    seen: list[Any] = []

    class Two(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.set_materialize_grads(False)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx: Any, first: Any, second: Any) -> Any:
            seen.append((first, second.tolist()))
            return second * 2

    x = t.ones(1, requires_grad=True)
    Two.apply(x)[1].backward()
    assert seen == [(None, [1.0])]
    assert x.grad.tolist() == [2.0]


def test_outputs_may_be_marked(t: Any) -> None:
    class Sorted(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            mask = x * 0
            ctx.mark_non_differentiable(mask)
            return x * 2, mask

        @staticmethod
        def backward(ctx: Any, g: Any, _: Any) -> Any:
            return g * 2

    x = t.ones(2, requires_grad=True)
    y, mask = Sorted.apply(x)
    assert y.requires_grad
    assert not mask.requires_grad


def test_a_dirty_input_is_the_output(t: Any) -> None:
    class Double(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    x = t.ones(2, requires_grad=True)
    y = x * 3
    z = Double.apply(y)
    assert z is y
    assert z.grad_fn.name() == "DoubleBackward"
    z.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]
    with pytest.raises(RuntimeError, match=r"a leaf Variable that requires grad"):
        Double.apply(x)


def test_setup_context_and_an_input_returned_as_it_is(t: Any) -> None:
    class Same(t.autograd.Function):
        @staticmethod
        def forward(x: Any, y: Any) -> Any:
            return x

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(inputs[1])

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * ctx.saved_tensors[0], None

    x, y = t.ones(2, requires_grad=True), t.tensor([4.0, 5.0])
    out = Same.apply(x, y)
    assert out is not x
    out.sum().backward()
    assert x.grad.tolist() == [4.0, 5.0]


def test_what_backward_returns_is_checked(t: Any) -> None:
    def returning(value: Any) -> Any:
        class Wrong(t.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                return x * 2

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                return value(g)

        return Wrong.apply(t.ones(2, requires_grad=True)).sum()

    with pytest.raises(RuntimeError, match=r"returned an incorrect number of gradients \(expected 1, got 2\)"):
        returning(lambda g: (g, g)).backward()
    with pytest.raises(RuntimeError, match=r"returned an invalid gradient at index 0 - got \[3\] but expected shape"):
        returning(lambda g: t.ones(3)).backward()
    returning(lambda g: (g, None)).backward()


def test_a_change_of_what_was_saved_is_found(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    y = x * 1
    z = exp_of(t).apply(y)
    z.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_once_differentiable_refuses_a_second_time(t: Any) -> None:
    class Square(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @t.autograd.function.once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            return 2 * g * ctx.saved_tensors[0]

    x = t.tensor([3.0], requires_grad=True)
    y = Square.apply(x)
    (g,) = t.autograd.grad(y * y, x, create_graph=True)
    assert g.tolist() == [108.0]
    with pytest.raises(RuntimeError, match="trying to differentiate twice a function that was marked with @once_diff"):
        g.backward()


def test_nothing_is_recorded_without_need(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    with t.no_grad():
        assert exp_of(t).apply(x).grad_fn is None
    assert exp_of(t).apply(t.ones(2)).requires_grad is False
    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        exp_of(t)()
