"""`autograd.forward_ad`. Tests that take `t` also run with PyTorch."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

# What PyTorch's own forward mode warns of at its first use.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


@pytest.fixture
def fw(t: Any) -> Any:
    return importlib.import_module(f"{t.__name__}.autograd.forward_ad")


def _close(found: Any, expected: Any) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max().item() < 1e-5


def test_tangents(t: Any, fw: Any) -> None:
    x, y = t.tensor([0.5, -1.0]), t.tensor([2.0, 3.0])
    with fw.dual_level():
        a, b = fw.make_dual(x, t.ones(2)), fw.make_dual(y, x)
        primal, tangent = fw.unpack_dual(a.sin() * b)
        _close(primal, x.sin() * y)
        _close(tangent, x.cos() * y + x.sin() * x)
        assert not primal.requires_grad
        assert not tangent.requires_grad
        _close(fw.unpack_dual((a @ y).exp()).tangent, (x @ y).exp() * y.sum())
        assert fw.unpack_dual(x * 2).tangent is None
        assert fw.unpack_dual(a.detach()).tangent is None
        _close(fw.unpack_dual(b).tangent, x)
        _close(fw.unpack_dual(b[1]).tangent, x[1])
    assert fw.unpack_dual(a).tangent is None
    assert not a.requires_grad


def test_tangents_can_be_differentiated(t: Any, fw: Any) -> None:
    x = t.tensor([0.5, -1.0], requires_grad=True)
    v = t.tensor([2.0, 3.0], requires_grad=True)
    with fw.dual_level():
        dual = fw.make_dual(x, v)
        primal, tangent = fw.unpack_dual(dual**3)
    by_x, by_v = t.autograd.grad(tangent.sum(), (x, v), retain_graph=True)
    _close(by_x, (6 * x * v).detach())
    _close(by_v, (3 * x**2).detach())
    _close(t.autograd.grad(primal.sum(), x)[0], (3 * x**2).detach())


def test_a_module(t: Any, fw: Any) -> None:
    layer = t.nn.Linear(2, 3)
    x = t.tensor([[1.0, 2.0]])
    weight, bias = layer.weight.detach(), layer.bias.detach()
    del layer.weight, layer.bias
    with fw.dual_level():
        layer.weight = fw.make_dual(weight, t.ones(3, 2))
        layer.bias = bias
        primal, tangent = fw.unpack_dual(layer(x))
    _close(primal, x @ weight.t() + bias)
    _close(tangent, t.full((1, 3), 3.0))


def test_refusals(t: Any, fw: Any) -> None:
    x = t.ones(2)
    with pytest.raises(RuntimeError, match="no level exists, make sure to enter_dual_level"):
        fw.make_dual(x, x)
    with fw.dual_level():
        with pytest.raises(RuntimeError, match="Nested forward mode AD is not supported"), fw.dual_level():
            pass
        with pytest.raises(RuntimeError, match="has a different size than that of the original Tensor"):
            fw.make_dual(x, t.ones(3))
        with pytest.raises(ValueError, match="Expected primal to be floating point or complex, but got: torch.int64"):
            fw.make_dual(x.long(), x)
        dual = fw.make_dual(x, x)
        with pytest.raises(RuntimeError, match="already has a forward gradient at the same level 0"):
            fw.make_dual(dual, x)
        with pytest.raises(RuntimeError, match="itself has a forward gradient at the same level"):
            fw.make_dual(x, dual)
        with pytest.raises(TypeError, match="must be Tensor, not int"):
            fw.unpack_dual(3)


def test_nothing_is_silently_lost_without_recording(session: Any) -> None:
    import gradwire
    from gradwire.autograd import forward_ad

    with (
        forward_ad.dual_level(),
        gradwire.no_grad(),
        pytest.raises(RuntimeError, match=r"use func\.jvp, which records by itself"),
    ):
        forward_ad.make_dual(gradwire.ones(2), gradwire.ones(2))
