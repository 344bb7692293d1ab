"""`autograd.functional`, and `is_grads_batched` of `grad`. Every test also runs with PyTorch."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

# What PyTorch's own forward mode warns of at its first use.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


@pytest.fixture
def functional(t: Any) -> Any:
    return importlib.import_module(f"{t.__name__}.autograd.functional")


def _points(t: Any) -> tuple[Any, Any]:
    return t.tensor([[0.5, -1.0], [2.0, 0.25]]), t.tensor([1.5, -0.5])


def _flat(value: Any) -> list[Any]:
    return [item for part in value for item in _flat(part)] if isinstance(value, tuple | list) else [value]


def _close(found: Any, expected: Any) -> None:
    found, expected = _flat(found), _flat(expected)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max().item() < 1e-5


def _pair(x: Any, y: Any) -> tuple[Any, Any]:
    return (x @ y).sin(), (x * x).sum() * y[0]


def _explicit(x: Any, y: Any) -> tuple[Any, ...]:
    cos = (x @ y).cos()
    eye = x.new_zeros(2, 2)
    eye.diagonal().fill_(1)
    by_x = cos.view(2, 1, 1) * eye.view(2, 2, 1) * y
    return (by_x, cos.view(2, 1) * x), (2 * x * y[0], (x * x).sum() * eye[0])


@pytest.mark.parametrize("options", [{}, {"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}], ids=str)
def test_jacobian(t: Any, functional: Any, options: dict[str, Any]) -> None:
    x, y = _points(t)
    found = functional.jacobian(_pair, (x, y), **options)
    _close(found, _explicit(x, y))
    assert not any(part.requires_grad for part in _flat(found))
    single = functional.jacobian(lambda v: v.sin(), y, **options)
    _close(single, y.cos().view(2, 1) * t.eye(2))
    _close(functional.jacobian(lambda v: t.ones(3), y, **options), t.zeros(3, 2))


def test_jacobian_that_can_be_differentiated(t: Any, functional: Any) -> None:
    _, y = _points(t)
    y.requires_grad_()
    found = functional.jacobian(lambda v: v.exp(), y, create_graph=True)
    found.sum().backward()
    _close(y.grad, y.detach().exp())


def test_hessian(t: Any, functional: Any) -> None:
    x, y = _points(t)
    expected = (
        (6 * x.reshape(4, 1) * t.eye(4)).view(2, 2, 2, 2), t.zeros(2, 2, 2), t.zeros(2, 2, 2), t.tensor([[0.0, 1.0], [1.0, 0.0]])
    )  # fmt: skip
    for options in ({}, {"vectorize": True}, {"vectorize": True, "outer_jacobian_strategy": "forward-mode"}):
        _close(functional.hessian(lambda a, b: (a**3).sum() + b.prod(), (x, y), **options), expected)
    _close(functional.hessian(lambda a: a.prod(), y), expected[3])


def test_products(t: Any, functional: Any) -> None:
    x, y = _points(t)
    (by_x, by_y), _ = _explicit(x, y)
    v = t.tensor([1.0, -2.0])
    output, product = functional.vjp(lambda a, b: _pair(a, b)[0], (x, y), v)
    _close(output, (x @ y).sin())
    _close(product, ((v.view(2, 1, 1) * by_x).sum(0), v @ by_y))
    output, product = functional.jvp(lambda a, b: _pair(a, b)[0], (x, y), (x * 2, v))
    _close(output, (x @ y).sin())
    _close(product, (by_x * x * 2).sum((1, 2)) + by_y @ v)
    cubes = lambda a: (a**3).sum() + a.prod()  # noqa: E731
    for name in ("vhp", "hvp"):
        output, product = getattr(functional, name)(cubes, y, v)
        _close(output, cubes(y))
        _close(product, 6 * y * v + v.flip(0))
    _close(functional.vjp(lambda a: a.sum(), y)[1], t.ones(2))
    assert functional.jvp(lambda a: a * 2, t.tensor(1.0))[1].item() == 2.0


def test_products_that_can_be_differentiated(t: Any, functional: Any) -> None:
    y = t.tensor([1.5, -0.5], requires_grad=True)
    v = t.tensor([1.0, -2.0], requires_grad=True)
    for name in ("vhp", "hvp", "jvp", "vjp"):

        def function(a: Any, n: str = name) -> Any:
            return (a**3).sum() if n.startswith(("vh", "hv")) else a**3

        _, product = getattr(functional, name)(function, y, v, create_graph=True)
        by_y, by_v = t.autograd.grad(product.sum(), (y, v))
        factor = 6 if name in ("vhp", "hvp") else 6 * y.detach()
        _close(by_y, factor * v.detach())
        _close(by_v, 6 * y.detach() if name in ("vhp", "hvp") else 3 * y.detach() ** 2)


REFUSALS = [
    ("jacobian", lambda t: ((lambda a: a, 1), {}), TypeError, "given inputs has type <class 'int'>"),
    ("jacobian", lambda t: ((lambda a: (a, 1), t.ones(1)), {}), TypeError, "value at index 1 has type"),
    ("jacobian", lambda t: ((lambda a: a, t.ones(1)), {"strategy": "x"}), AssertionError, "Expected strategy"),
    ("jacobian", lambda t: ((lambda a: t.ones(1), t.ones(1)), {"strict": True}), RuntimeError, "Output 0 of the user"),
    ("jacobian", lambda t: ((lambda a, b: a, (t.ones(1), t.ones(1))), {"strict": True}), RuntimeError,
     "Output 0 of the user-provided function is independent of input 1"),
    ("jacobian", lambda t: ((lambda a: a * 2, t.ones(1)), {"strict": True, "create_graph": True}), RuntimeError,
     "is independent of input 0. This is not allowed in strict mode when create_graph=True"),
    ("jacobian", lambda t: ((lambda a: a, t.ones(1)), {"strategy": "forward-mode"}), NotImplementedError, "vectorize=True"),
    ("hessian", lambda t: ((lambda a: a, t.ones(2)), {}), RuntimeError, "given to hessian should contain a single element"),
    ("hessian", lambda t: ((lambda a: (a,), t.ones(1)), {}), RuntimeError, "should return a single Tensor"),
    ("hessian", lambda t: ((lambda a: a.sum(), t.ones(2)), {"strict": True}), RuntimeError, "jacobian of the user-provided"),
    ("vjp", lambda t: ((lambda a: a, t.ones(2)), {}), RuntimeError, "vector v can only be None if the user-provided"),
    ("jvp", lambda t: ((lambda a: a, t.ones(2)), {}), RuntimeError, "vector v can only be None if the input"),
    ("vjp", lambda t: ((lambda a: a, t.ones(2), t.ones(3)), {}), RuntimeError, r"v has invalid size: should be"),
    ("jvp", lambda t: ((lambda a, b: a, (t.ones(1), t.ones(1)), t.ones(1)), {}), RuntimeError, "invalid length: should be 2"),
    ("jvp", lambda t: ((lambda a: a, t.ones(1), (t.ones(1), t.ones(1))), {}), RuntimeError, "contain a single Tensor"),
    ("vhp", lambda t: ((lambda a: a.sum(), t.ones(1), t.ones(1)), {"strict": True}), RuntimeError, "twice differentiable"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "error", "words"), REFUSALS)
def test_refusals(t: Any, functional: Any, name: str, arguments: Any, error: Any, words: str) -> None:
    args, kwargs = arguments(t)
    with pytest.raises(error, match=words):
        getattr(functional, name)(*args, **kwargs)


def test_grad_of_a_batch(t: Any) -> None:
    x = t.tensor([1.0, 2.0], requires_grad=True)
    unused = t.ones(2, requires_grad=True)
    seeds = t.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    found, missing = t.autograd.grad(x**2, (x, unused), seeds, is_grads_batched=True, allow_unused=True)
    _close(found, seeds * 2 * x.detach())
    assert missing is None
    with pytest.raises(RuntimeError, match="If `is_grads_batched=True`, we interpret the first dimension"):
        t.autograd.grad(x**2, x, t.ones(2, 3), is_grads_batched=True)
