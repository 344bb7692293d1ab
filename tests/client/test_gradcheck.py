"""`autograd.gradcheck` and `gradgradcheck`. Every test also runs with PyTorch."""

from __future__ import annotations

from typing import Any

import pytest


def _points(t: Any) -> tuple[Any, Any]:
    x = t.tensor([[0.5, -1.0], [2.0, 0.25]], dtype=t.float64, requires_grad=True)
    return x, t.tensor([1.5, -0.5], dtype=t.float64, requires_grad=True)


def _function(x: Any, y: Any) -> tuple[Any, Any]:
    return (x @ y).sin(), (x * x * y).sum()


def _wrong(t: Any, factor: float = 2.0, offset: float = 0.0) -> Any:
    class Wrong(t.autograd.Function):  # type: ignore[name-defined, misc]
        @staticmethod
        def forward(ctx: Any, value: Any) -> Any:
            return value * 3

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return gradient * factor + offset

    return Wrong.apply


def test_right_gradients(t: Any) -> None:
    x, y = _points(t)
    assert t.autograd.gradcheck(_function, (x, y))
    assert t.autograd.gradcheck(lambda v: v.exp(), y)
    assert t.autograd.gradgradcheck(_function, (x, y))
    assert t.autograd.gradgradcheck(_function, (x.detach(), y), gen_non_contig_grad_outputs=True)
    assert t.autograd.gradcheck(lambda v: v.sin(), (x.detach().t().requires_grad_(),), check_grad_dtypes=True)
    assert t.autograd.gradcheck(lambda v, w: v * w, (y, 2.0))
    assert y.tolist() == [1.5, -0.5]


def test_complex(t: Any) -> None:
    z = t.tensor([0.5 + 1j, -1.0 + 0.25j], dtype=t.complex128, requires_grad=True)
    assert t.autograd.gradcheck(lambda v: v * v, (z,))
    assert t.autograd.gradcheck(lambda v: v.abs(), (z,))


def test_wrong_gradients(t: Any) -> None:
    _, y = _points(t)
    wrong = t.autograd.gradcheck.__globals__["GradcheckError"]
    with pytest.raises(wrong, match="Jacobian mismatch for output 0 with respect to input 0,\nnumerical:"):
        t.autograd.gradcheck(_wrong(t), (y,))
    assert not t.autograd.gradcheck(_wrong(t), (y,), raise_exception=False)
    assert t.autograd.gradcheck(_wrong(t, 3.0), (y,))
    assert not t.autograd.gradcheck(_wrong(t, 3.0, 1.0), (y,), raise_exception=False)
    with pytest.raises(wrong, match="backward not multiplied by grad_output"):
        t.autograd.gradcheck(_wrong(t, 3.0, 1e-6), (y,))


def test_noise(t: Any) -> None:
    _, y = _points(t)
    calls: list[float] = []

    def forward(ctx: Any, value: Any) -> Any:
        return value * 3

    def backward(ctx: Any, gradient: Any) -> Any:
        calls.append(1e-7)
        return gradient * (3 + sum(calls))

    names = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    noisy = type("Noisy", (t.autograd.Function,), names).apply  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="Backward is not reentrant"):
        t.autograd.gradcheck(noisy, (y,))
    assert t.autograd.gradcheck(noisy, (y,), nondet_tol=1e-4)


def test_refusals(t: Any) -> None:
    _, y = _points(t)
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        t.autograd.gradcheck(lambda v: v, (y.detach(),))
    with pytest.raises(RuntimeError, match="has a dimension with stride 0"):
        t.autograd.gradcheck(lambda v: v, (y.detach()[:1].expand(3).requires_grad_(),))
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double"):
        t.autograd.gradcheck(lambda v: v * 2, (y.detach().float().requires_grad_(),), eps=1e-2)
    with pytest.raises(AssertionError, match="at least one of check_forward_ad"):
        t.autograd.gradcheck(lambda v: v, (y,), check_backward_ad=False)


def test_undefined_gradients(t: Any) -> None:
    _, y = _points(t)

    assert t.autograd.gradcheck(lambda v: v.unbind(0), (y,))

    def forward(ctx: Any, value: Any) -> Any:
        ctx.set_materialize_grads(False)
        return value * 3

    def backward(ctx: Any, gradient: Any) -> Any:
        return y.detach() if gradient is None else gradient * 3

    names = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    careless = type("Careless", (t.autograd.Function,), names).apply  # type: ignore[attr-defined]
    with (
        pytest.raises(RuntimeError, match="Expected all input grads to be undefined or zero"),
        pytest.warns(UserWarning, match="New undefined gradient support"),
    ):
        t.autograd.gradcheck(careless, (y,))
    assert t.autograd.gradcheck(careless, (y,), check_undefined_grad=False)


def test_checks_that_need_more_are_refused(session: Any) -> None:
    import gradwire

    _, y = _points(gradwire)
    with pytest.raises(NotImplementedError, match="got check_forward_ad=True"):
        gradwire.autograd.gradcheck(lambda v: v, (y,), check_forward_ad=True)
