"""`func`: transforms of functions. Every test also runs with PyTorch."""

from __future__ import annotations

import importlib
from collections import namedtuple
from typing import Any

import pytest

# What PyTorch's own forward mode warns of at its first use.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


@pytest.fixture
def f(t: Any) -> Any:
    return importlib.import_module(f"{t.__name__}.func")


def _close(found: Any, expected: Any) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max().item() < 1e-5


def test_grad(t: Any, f: Any) -> None:
    x, y = t.tensor([0.5, -1.0]), t.tensor([2.0, 3.0])
    _close(f.grad(lambda a: a.sin().sum())(x), x.cos())
    _close(f.grad(lambda a, b: (a * b).sum(), argnums=1)(x, y), x)
    first, second = f.grad(lambda a, *, b: (a["p"] * a["q"][0] * b).sum())({"p": x, "q": (y,)}, b=2).values()
    _close(first, 2 * y)
    _close(second[0], 2 * x)
    both, (value, aux) = f.grad_and_value(lambda a, b: ((a * b).sum(), a * 2), argnums=(0, -1), has_aux=True)(x, y)
    _close(both[0], y)
    _close(both[1], x)
    _close(value, (x * y).sum())
    _close(aux, x * 2)
    assert not aux.requires_grad
    assert not both[0].requires_grad
    _close(f.grad(lambda a: t.ones(()))(x), t.zeros(2))
    with t.no_grad():
        _close(f.grad(lambda a: (a**3).sum())(x), 3 * x**2)


def test_grad_nests(t: Any, f: Any) -> None:
    x = t.tensor(0.7)
    _close(f.grad(f.grad(f.grad(t.sin)))(x), -x.cos())
    # The inner gradient is 1 whatever x is: nothing of the outer level may leak into it.
    _close(f.grad(lambda a: a * f.grad(lambda b: a + b)(t.tensor(1.0)))(x), t.tensor(1.0))
    _close(f.grad(lambda a: a * f.grad(lambda b: a * b)(a))(x), 2 * x)
    _close(f.grad(lambda a: f.grad(lambda b: a * a * b * b)(a))(x), 6 * x * x)


def test_grad_inside_of_backward(t: Any, f: Any) -> None:
    x = t.tensor([0.5, -1.0], requires_grad=True)
    w = t.tensor([2.0, 3.0], requires_grad=True)
    found = f.grad(lambda a: (a**3 * w).sum())(x)
    by_x, by_w = t.autograd.grad(found.sum(), (x, w))
    _close(by_x, (6 * x * w).detach())
    _close(by_w, (3 * x**2).detach())
    assert x.grad is None
    with t.no_grad():
        assert not f.grad(lambda a: (a**3).sum())(x).requires_grad
    value, pull = f.vjp(lambda a: a * w, x.detach())
    assert value.requires_grad
    assert t.autograd.grad(pull(t.ones(2))[0].sum(), w)[0].tolist() == [1.0, 1.0]


def test_vjp_and_jvp(t: Any, f: Any) -> None:
    x, y = t.tensor([0.5, -1.0]), t.tensor([2.0, 3.0])
    out, pull = f.vjp(lambda a, b: {"s": a.sin() * b, "t": (a, b.sum())}, x, y)
    _close(out["s"], x.sin() * y)
    assert not out["s"].requires_grad
    for _ in range(2):
        by_x, by_y = pull({"s": t.ones(2), "t": (t.ones(2), t.tensor(2.0))})
        _close(by_x, x.cos() * y + 1)
        _close(by_y, x.sin() + 2)
    out, product, aux = f.jvp(lambda a, b: (a.sin() * b, a), (x, y), (t.ones(2), 2 * t.ones(2)), has_aux=True)
    _close(product, x.cos() * y + 2 * x.sin())
    _close(aux, x)
    _close(f.jvp(lambda a: (a, t.ones(3)), (x,), (y,))[1][1], t.zeros(3))
    _close(f.grad(lambda a: f.jvp(t.sin, (a,), (y,))[1].sum())(x), -x.sin() * y)
    _close(f.jvp(f.grad(lambda a: (a**3).sum()), (x,), (y,))[1], 6 * x * y)
    _close(f.jvp(lambda a: f.jvp(t.exp, (a,), (y,))[1], (x,), (y,))[1], x.exp() * y * y)


def test_jacobians(t: Any, f: Any) -> None:
    x, y = t.tensor([0.5, -1.0]), t.tensor([2.0, 3.0, 4.0])
    outer = lambda a, b: a.sin().view(2, 1) * b  # noqa: E731
    by_x = x.cos().view(2, 1, 1) * t.eye(2).view(2, 1, 2) * y.view(1, 3, 1)
    by_y = x.sin().view(2, 1, 1) * t.eye(3)
    for transform in (f.jacrev, f.jacfwd):
        _close(transform(outer)(x, y), by_x)
        found = transform(outer, argnums=(0, 1))(x, y)
        _close(found[0], by_x)
        _close(found[1], by_y)
        tree, aux = transform(lambda a: ({"k": (a * a, a.sum())}, a), has_aux=True)(x)
        _close(tree["k"][0], 2 * x * t.eye(2))
        _close(tree["k"][1], t.ones(2))
        _close(aux, x)
        _close(transform(transform(lambda a: (a**3).sum()))(x), 6 * x * t.eye(2))
    _close(f.jacrev(lambda a: a * 2, chunk_size=1)(x), 2 * t.eye(2))
    _close(f.hessian(lambda a: (a**3).sum())(x), 6 * x * t.eye(2))
    found = f.hessian(lambda a, b: (a * b[:2]).sum(), argnums=(0, 1))(x, y)
    _close(found[0][0], t.zeros(2, 2))
    _close(found[0][1], t.eye(3)[:2])


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")
def test_linearize(t: Any, f: Any) -> None:
    x, y = t.tensor([0.5, -1.0]), t.tensor([2.0, 3.0])
    out, product = f.linearize(lambda a: a.sin() * 2, x)
    _close(out, 2 * x.sin())
    _close(product(y), 2 * x.cos() * y)
    _close(product(x), 2 * x.cos() * x)
    with pytest.raises(RuntimeError, match="doesn't match the shape"):
        product(t.ones(3))


def test_vmap(t: Any, f: Any) -> None:
    x = t.arange(6.0).reshape(2, 3)
    w = t.ones(3)
    _close(t.vmap(lambda a, b: a @ b, in_dims=(0, None))(x, w), x.sum(1))
    _close(f.vmap(lambda a: a * 2, in_dims=1, out_dims=1)(x), x * 2)
    _close(f.vmap(lambda a: a * 2, in_dims=-1)(x), (x * 2).t())
    found = f.vmap(lambda a: {"s": a["u"].sum(), "k": (a["v"], a["u"])}, in_dims=({"u": 0, "v": None},), chunk_size=1)(
        {"u": x, "v": w}
    )
    _close(found["s"], x.sum(1))
    _close(found["k"][0], t.ones(2, 3))
    _close(f.vmap(f.vmap(lambda a: a + 1))(x), x + 1)
    assert f.vmap(lambda a: (a, 3), out_dims=(0, None))(x)[1] == 3
    assert f.vmap(lambda a: a.sum())(t.ones(0, 3)).shape == (0,)
    assert f.vmap(lambda a: a + 1, out_dims=1)(t.ones(0, 3)).shape == (3, 0)
    _close(f.vmap(f.grad(lambda a: (a**3).sum()))(x), 3 * x**2)
    _close(f.grad(lambda a: f.vmap(lambda b: b.sin().sum())(a).sum())(x), x.cos())
    x.requires_grad_()
    f.vmap(lambda a: a * a)(x).sum().backward()
    _close(x.grad, 2 * x.detach())


def test_randomness_of_vmap(t: Any, f: Any) -> None:
    x = t.zeros(3)
    with pytest.raises(RuntimeError, match="called random operation while in randomness error mode"):
        f.vmap(lambda a: a + t.rand(()))(x)
    same = f.vmap(lambda a: a + t.rand(()), randomness="same")(x)
    assert len(set(same.tolist())) == 1
    different = f.vmap(lambda a: a + t.rand(()), randomness="different")(x)
    assert len(set(different.tolist())) == 3


def test_functional_call(t: Any, f: Any) -> None:
    layer = t.nn.Sequential(t.nn.Linear(2, 2, bias=False), t.nn.BatchNorm1d(2))
    before = layer[0].weight
    new = {"0.weight": t.eye(2) * 3}
    x = t.tensor([[1.0, 2.0], [3.0, 5.0]])
    _close(f.functional_call(layer[0], {"weight": t.eye(2) * 3}, x), x * 3)
    assert layer[0].weight is before
    params = dict(layer.named_parameters())
    layer.eval()
    found = f.grad(lambda p: f.functional_call(layer, p, (x,)).square().sum())({**params, **new})
    assert sorted(found) == ["0.weight", "1.bias", "1.weight"]
    layer.train()
    buffers = {name: buffer.clone() for name, buffer in layer.named_buffers()}
    f.functional_call(layer, (params, buffers), x)
    assert layer[1].num_batches_tracked.item() == 0
    assert buffers["1.num_batches_tracked"].item() == 1
    with pytest.raises(RuntimeError, match=r"Missing key\(s\): '1.bias'|Missing key"):
        f.functional_call(layer, new, x, strict=True)
    with pytest.raises(ValueError, match="appeared in multiple dictionaries"):
        f.functional_call(layer, (new, new), x)


def test_tied_weights_are_replaced_together(t: Any, f: Any) -> None:
    first, second = t.nn.Linear(2, 2, bias=False), t.nn.Linear(2, 2, bias=False)
    second.weight = first.weight
    tied = t.nn.Sequential(first, second)
    x = t.tensor([[1.0, 2.0]])
    _close(f.functional_call(tied, {"0.weight": t.eye(2) * 3}, x), x * 9)
    _close(f.functional_call(tied, {"0.weight": t.zeros(2, 2)}, x, tie_weights=False), t.zeros(1, 2))
    with pytest.raises(ValueError, match="got multiple values for keys"):
        f.functional_call(tied, {"0.weight": t.eye(2), "1.weight": t.eye(2) * 2}, x)


def test_ensembles(t: Any, f: Any) -> None:
    models = [t.nn.Linear(2, 3) for _ in range(4)]
    params, buffers = f.stack_module_state(models)
    assert params["weight"].shape == (4, 3, 2)
    assert params["weight"].is_leaf
    assert params["weight"].requires_grad
    x = t.tensor([[1.0, 2.0]])
    out = f.vmap(lambda p, b: f.functional_call(models[0], (p, b), (x,)))(params, buffers)
    for number, model in enumerate(models):
        _close(out[number], model(x))
    out.sum().backward()
    assert params["bias"].grad.shape == (4, 3)


REFUSALS = [
    (lambda t, f: f.grad(lambda a: a)(t.ones(2)), RuntimeError, "return a scalar Tensor, got tensor with 1 dims"),
    (lambda t, f: f.grad(lambda a: 1)(t.ones(2)), RuntimeError, "return a Tensor, got <class 'int'>"),
    (lambda t, f: f.grad(t.sum)(3.0), ValueError, "Thing passed to transform API must be Tensor, got <class 'float'>"),
    (lambda t, f: f.grad(t.sum, argnums=1)(t.ones(2)), RuntimeError, "Got argnum=1, but only 1 positional inputs"),
    (lambda t, f: f.grad(t.sum, argnums=(0, 0))(t.ones(2)), RuntimeError, "argnums elements must be unique"),
    (lambda t, f: f.grad(t.sum, has_aux=True)(t.ones(2)), RuntimeError, r"should be a tuple: \(output, aux\)"),
    (lambda t, f: f.grad(t.sum)(t.ones(2).long()), RuntimeError, "only Tensors of floating point"),
    (lambda t, f: f.vjp(lambda a: None, t.ones(2)), RuntimeError, "function that has non-empty output"),
    (lambda t, f: f.vjp(lambda a: a, t.ones(2))[1]((t.ones(2),)), RuntimeError, "pytree structure of cotangents"),
    (lambda t, f: f.jvp(t.sin, t.ones(2), t.ones(2)), RuntimeError, "Expected primals to be a tuple"),
    (lambda t, f: f.jvp(t.sin, (t.ones(2),), t.ones(2)), RuntimeError, "have the same python structure"),
    (lambda t, f: f.jvp(t.sin, (t.ones(2),), (t.ones(3),)), RuntimeError, "a different size than that of the original"),
    (lambda t, f: f.jvp(lambda a: t.ones(1), (t.ones(2),), (t.ones(2),), strict=True), RuntimeError, "independent of the"),
    (lambda t, f: f.jacrev(t.sin, chunk_size=0), ValueError, "`chunk_size` should be greater than 0"),
    (lambda t, f: f.vmap(t.sin, in_dims=[0])(t.ones(2)), ValueError, "expected `in_dims` to be int or a"),
    (lambda t, f: f.vmap(t.sin)(), ValueError, "got no inputs"),
    (lambda t, f: f.vmap(t.sin, in_dims=(0, 0))(t.ones(2)), ValueError, "in_dims is not compatible with the structure"),
    (lambda t, f: f.vmap(t.sin, in_dims=1)(t.ones(2)), ValueError, "satisfy -1 <= in_dim < 1"),
    (lambda t, f: f.vmap(t.mul)(t.ones(2), 2.0), ValueError, "cannot vmap over non-Tensor arguments"),
    (lambda t, f: f.vmap(t.mul)(t.ones(2), t.ones(3)), ValueError, r"same size in the mapped dimension, got sizes \[2, 3\]"),
    (lambda t, f: f.vmap(t.sin, in_dims=(None,))(t.ones(2)), ValueError, "Expected at least one Tensor to vmap over"),
    (lambda t, f: f.vmap(lambda a: (a, 1))(t.ones(2)), ValueError, "must only return Tensors, got type <class 'int'>"),
    (lambda t, f: f.vmap(lambda a: a, out_dims=(0, 1))(t.ones(2)), ValueError, "out_dims is not compatible"),
    (lambda t, f: f.vmap(lambda a: a, out_dims=1.5)(t.ones(2)), ValueError, "`out_dims` must be an int, None or a python"),
    (lambda t, f: f.vmap(lambda a: a, out_dims=None)(t.arange(2)), ValueError, "can not return a BatchedTensor when out_dim"),
    (lambda t, f: f.vmap(lambda a: a, out_dims=3)(t.ones(2)), IndexError, "Dimension out of range"),
    (lambda t, f: f.vmap(t.sin, randomness="x"), RuntimeError, "Only allowed values for randomness"),
]  # fmt: skip


@pytest.mark.parametrize(("run", "error", "words"), REFUSALS)
def test_refusals(t: Any, f: Any, run: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        run(t, f)


Point = namedtuple("Point", "x y")


def test_trees(t: Any) -> None:
    pytree = importlib.import_module(f"{t.__name__}.utils._pytree")
    tree = {"b": [1, (2, None)], "a": Point(3, {"k": 4})}
    leaves, spec = pytree.tree_flatten(tree)
    assert leaves == [1, 2, None, 3, 4]
    assert spec.num_leaves == 5
    assert pytree.tree_unflatten(leaves, spec) == tree
    assert pytree.tree_map(lambda x: x, tree) == tree
    assert pytree.tree_map(lambda x, y: (x, y), [1, 2], [(3,), 4]) == [(1, (3,)), (2, 4)]
    assert pytree.tree_map_only(int, str, (1, 2.5)) == ("1", 2.5)
    assert spec == pytree.tree_structure(tree)
    assert spec != pytree.tree_structure([1])
    assert pytree.tree_any(lambda x: x == 4, tree)
    assert not pytree.tree_all(lambda x: x == 4, tree)
    with pytest.raises(ValueError, match="has length 1 but the spec"):
        pytree.tree_unflatten([1], spec)
