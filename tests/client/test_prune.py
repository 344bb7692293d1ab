"""`nn.utils.prune` and `skip_init`, on both: masks, names, what a second pruning sees, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


@pytest.fixture
def prune(t: Any) -> Any:
    from importlib import import_module

    return import_module(f"{t.__name__}.nn.utils.prune")


def layer(t: Any, seed: int = 0) -> Any:
    """Return Linear(4, 3) with weights that numpy drew."""
    made = t.nn.Linear(4, 3)
    rng = np.random.default_rng(seed)
    with t.no_grad():
        for parameter in made.parameters():
            parameter.copy_(t.from_numpy(rng.standard_normal(tuple(parameter.shape)).astype(np.float32)))
    return made


def zeros(tensor: Any) -> list[Any]:
    return (tensor == 0).int().tolist()  # type: ignore[no-any-return]


def test_a_pruned_parameter_is_a_product(t: Any, prune: Any) -> None:
    net = layer(t)
    original = net.weight
    smallest = original.detach().abs().reshape(-1).topk(5, largest=False).indices.tolist()
    assert prune.l1_unstructured(net, "weight", amount=5) is net
    assert [name for name, _ in net.named_parameters()] == ["bias", "weight_orig"]
    assert [name for name, _ in net.named_buffers()] == ["weight_mask"]
    assert net.weight_orig is original
    assert sorted(smallest) == [index for index, zero in enumerate(zeros(net.weight.reshape(-1))) if zero]
    assert prune.is_pruned(net)
    net(t.ones(2, 4)).sum().backward()
    assert zeros(net.weight_orig.grad) == zeros(net.weight_mask)
    with t.no_grad():
        net.weight_orig.fill_(2.0)
    net(t.ones(2, 4))
    assert net.weight.tolist() == (net.weight_mask * 2).tolist()
    prune.remove(net, "weight")
    assert [name for name, _ in net.named_parameters()] == ["bias", "weight"]
    assert not prune.is_pruned(net)
    assert isinstance(net.weight, t.nn.Parameter)
    assert net.weight.sum().item() == 2.0 * 7


def test_methods_add_up(t: Any, prune: Any) -> None:
    net = layer(t)
    prune.l1_unstructured(net, "weight", amount=0.25)
    first = zeros(net.weight)
    assert sum(map(sum, first)) == 3
    prune.l1_unstructured(net, "weight", amount=0.34)  # of the 9 that are left
    second = zeros(net.weight)
    assert sum(map(sum, second)) == 6
    assert all(a <= b for row, other in zip(first, second, strict=True) for a, b in zip(row, other, strict=True))
    hook = prune.LnStructured.apply(net, "weight", amount=1, n=2, dim=0)
    assert isinstance(hook, prune.PruningContainer)
    assert [type(method).__name__ for method in hook] == ["L1Unstructured", "L1Unstructured", "LnStructured"]
    assert len(hook) == 3
    assert hook[2].amount == 1
    assert [sum(row) for row in zeros(net.weight)].count(4) == 1
    assert len(net._forward_pre_hooks) == 1
    assert list(net.state_dict()) == ["bias", "weight_orig", "weight_mask"]


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("n", [1, 2, float("inf"), "fro"])
def test_slices_with_the_smallest_norms(t: Any, prune: Any, dim: int, n: Any) -> None:
    net = layer(t, seed=3)
    values = np.moveaxis(np.abs(net.weight.detach().numpy()), dim, 0)
    norms = np.linalg.norm(values, ord=2 if n == "fro" else n, axis=1)
    prune.ln_structured(net, "weight", amount=2, n=n, dim=dim)
    mask = np.moveaxis(net.weight_mask.numpy(), dim, 0)
    assert set(np.flatnonzero(mask.sum(1) == 0)) == set(np.argsort(norms)[:2])


def test_chance_prunes_as_many_as_asked(t: Any, prune: Any) -> None:
    net = layer(t)
    prune.random_unstructured(net, "weight", amount=0.5)
    assert sum(map(sum, zeros(net.weight_mask))) == 6
    prune.random_structured(net, "weight", amount=2, dim=1)
    assert int((net.weight_mask.sum(0) == 0).sum()) >= 2
    prune.identity(net, "bias")
    assert net.bias_mask.tolist() == [1, 1, 1]


def test_scores_stand_for_values(t: Any, prune: Any) -> None:
    net = layer(t)
    scores = t.arange(12.0).reshape(3, 4)
    prune.l1_unstructured(net, "weight", amount=4, importance_scores=scores)
    assert zeros(net.weight_mask) == [[1] * 4, [0] * 4, [0] * 4]
    prune.custom_from_mask(net, "weight", mask=t.tensor([[1, 1, 1, 0]] * 3))
    assert zeros(net.weight_mask) == [[1] * 4, [0, 0, 0, 1], [0, 0, 0, 1]]
    assert prune.L1Unstructured(2).prune(t.tensor([3.0, -1.0, 2.0])).tolist() == [3, 0, 0]


def test_over_several_modules(t: Any, prune: Any) -> None:
    nets = [layer(t), layer(t, seed=1)]
    prune.identity(nets[1], "bias")
    places = [(nets[0], "weight"), (nets[1], "weight"), (nets[1], "bias")]
    everything = np.concatenate([np.abs(getattr(m, name).detach().numpy()).ravel() for m, name in places])
    prune.global_unstructured(places, pruning_method=prune.L1Unstructured, amount=9)
    masks = np.concatenate([getattr(m, f"{name}_mask").numpy().ravel() for m, name in places])
    assert set(np.flatnonzero(masks == 0)) == set(np.argsort(everything)[:9])


def test_a_method_of_ones_own(t: Any, prune: Any) -> None:
    class EveryOther(prune.BasePruningMethod):  # type: ignore[misc, name-defined]
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, scores: Any, default_mask: Any) -> Any:
            mask = default_mask.clone()
            mask.view(-1)[::2] = 0
            return mask

    net = layer(t)
    EveryOther.apply(net, "weight")
    EveryOther.apply(net, "weight")
    assert net.weight_mask.tolist() == [[0, 0, 0, 1]] * 3


def test_refusals(t: Any, prune: Any) -> None:
    net = layer(t)
    with pytest.raises(ValueError, match=r"amount=1.5 should either be a float in the range \[0, 1\]"):
        prune.l1_unstructured(net, "weight", amount=1.5)
    with pytest.raises(TypeError, match="Invalid type for amount: many. Must be int or float"):
        prune.random_unstructured(net, "weight", amount="many")
    with pytest.raises(ValueError, match="amount=13 should be smaller than the number of parameters to prune=12"):
        prune.l1_unstructured(net, "weight", amount=13)
    assert [name for name, _ in net.named_parameters()] == ["bias", "weight"]
    with pytest.raises(ValueError, match="Structured pruning can only be applied to multidimensional tensors"):
        prune.ln_structured(net, "bias", amount=1, n=1, dim=0)
    with pytest.raises(IndexError, match="Invalid index 2 for tensor of size"):
        prune.random_structured(net, "weight", amount=1, dim=2)
    with pytest.raises(AssertionError, match="importance_scores should have the same shape as parameter weight"):
        prune.l1_unstructured(net, "weight", amount=1, importance_scores=t.ones(2))
    with pytest.raises(ValueError, match="has to be pruned before pruning can be removed"):
        prune.remove(net, "weight")
    with pytest.raises(TypeError, match='Only "unstructured" PRUNING_TYPE supported'):
        prune.global_unstructured([(net, "weight")], prune.LnStructured, amount=1, n=1)
    container = prune.PruningContainer()
    container._tensor_name = "weight"
    with pytest.raises(TypeError, match="is not a BasePruningMethod subclass"):
        container.add_pruning_method(3)
    other = prune.Identity()
    other._tensor_name = "bias"
    with pytest.raises(ValueError, match="Can only add pruning methods acting on the parameter named 'weight'"):
        container.add_pruning_method(other)


class TestSkipInit:
    def test_no_random_number_is_drawn(self, t: Any) -> None:
        t.manual_seed(3)
        expected = t.rand(3).tolist()
        t.manual_seed(3)
        made = t.nn.utils.skip_init(t.nn.Linear, 4, out_features=2, bias=False)
        assert t.rand(3).tolist() == expected
        assert [tuple(parameter.shape) for parameter in made.parameters()] == [(2, 4)]
        assert made.weight.requires_grad
        assert isinstance(made.weight, t.nn.Parameter)

    def test_what_is_no_module_is_refused(self, t: Any) -> None:
        with pytest.raises(RuntimeError, match="Expected a Module"):
            t.nn.utils.skip_init(int, 3)
        with pytest.raises(RuntimeError, match="Module must support a 'device' arg to skip initialization"):
            t.nn.utils.skip_init(t.nn.ReLU)
