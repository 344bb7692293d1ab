"""Every optimizer against PyTorch's: the weights after twenty steps, and states that each of the two loads from the other."""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire.session import Session

pytestmark = pytest.mark.parity

Array = np.ndarray[Any, Any]
STEPS = 20
SIZES = ((4, 3), (3,), (), (2, 3, 2), (0,))
# Of each optimizer: option and the values that differ from the default in a way that takes another path.
FLAGS: dict[str, dict[str, tuple[Any, ...]]] = {
    "SGD": {
        "momentum": (0, 0.9), "dampening": (0, 0.3), "weight_decay": (0, 0.1), "nesterov": (False, True),
        "maximize": (False, True),
    },
    "Adam": {
        "weight_decay": (0, 0.1), "amsgrad": (False, True), "maximize": (False, True), "betas": ((0.9, 0.999), (0.3, 0.6)),
        "decoupled_weight_decay": (False, True),
    },
    "AdamW": {"weight_decay": (0, 0.1), "amsgrad": (False, True), "maximize": (False, True)},
    "NAdam": {
        "weight_decay": (0, 0.1), "momentum_decay": (4e-3, 0.1), "decoupled_weight_decay": (False, True),
        "maximize": (False, True),
    },
    "RAdam": {
        "weight_decay": (0, 0.1), "decoupled_weight_decay": (False, True), "maximize": (False, True),
        "betas": ((0.9, 0.999), (0.8, 0.7)),
    },
    "Adamax": {"weight_decay": (0, 0.1), "maximize": (False, True), "betas": ((0.9, 0.999), (0.3, 0.6))},
    "Adagrad": {
        "lr_decay": (0, 0.1), "weight_decay": (0, 0.1), "initial_accumulator_value": (0, 0.5), "maximize": (False, True),
    },
    "Adadelta": {"rho": (0.9, 0.4), "weight_decay": (0, 0.1), "maximize": (False, True)},
    "RMSprop": {
        "alpha": (0.99, 0.4), "momentum": (0, 0.9), "centered": (False, True), "weight_decay": (0, 0.1),
        "maximize": (False, True),
    },
    "Rprop": {"etas": ((0.5, 1.2), (0.3, 1.7)), "step_sizes": ((1e-6, 50), (0.02, 0.2)), "maximize": (False, True)},
    "ASGD": {
        "lambd": (1e-4, 0.1), "alpha": (0.75, 0.5), "t0": (1e6, 5), "weight_decay": (0, 0.1), "maximize": (False, True),
    },
    "Adafactor": {
        "beta2_decay": (-0.8, -0.3), "eps": ((None, 1e-3), (1e-2, 0.5)), "d": (1.0, 2.0), "weight_decay": (0.0, 0.1),
        "maximize": (False, True),
    },
}  # fmt: skip


def combinations(name: str) -> Iterator[dict[str, Any]]:
    """Yield every combination of the flags of an optimizer that PyTorch accepts."""
    flags = FLAGS[name]
    for values in itertools.product(*flags.values()):
        options = dict(zip(flags, values, strict=True))
        if options.get("nesterov") and (not options["momentum"] or options["dampening"]):
            continue
        yield options


def start(t: Any, dtype: str) -> list[Any]:
    rng = np.random.default_rng(3)
    return [t.nn.Parameter(t.tensor(np.asarray(rng.standard_normal(size), dtype))) for size in SIZES]


def gradients(dtype: str, steps: int = STEPS) -> list[list[Array]]:
    rng = np.random.default_rng(4)
    return [[np.asarray(rng.standard_normal(size), dtype) for size in SIZES] for _ in range(steps)]


def descend(t: Any, optimizer: Any, parameters: list[Any], grads: list[list[Array]]) -> None:
    for step in grads:
        for parameter, grad in zip(parameters, step, strict=True):
            # PyTorch's Adafactor divides by the number of elements.
            skipped = type(optimizer).__name__ == "Adafactor" and grad.size == 0
            parameter.grad = None if skipped else t.tensor(grad)
        optimizer.step()


def assert_close(found: list[Any], expected: list[Any], dtype: str, what: Any) -> None:
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            mine.detach().numpy(), theirs.detach().numpy(), rtol=tolerance, atol=tolerance, err_msg=str(what)
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FLAGS)
def test_weights_after_twenty_steps(session: Session, name: str, dtype: str) -> None:
    torch: Any = pytest.importorskip("torch")
    for options in combinations(name):
        ours, theirs = start(gw, dtype), start(torch, dtype)
        descend(gw, getattr(gw.optim, name)(ours, lr=0.05, **options), ours, gradients(dtype))
        descend(torch, getattr(torch.optim, name)(theirs, lr=0.05, **options), theirs, gradients(dtype))
        assert_close(ours, theirs, dtype, options)


def converted(value: Any, t: Any) -> Any:
    """Return a state with every tensor in it made one of the other library's."""
    if isinstance(value, dict):
        return {key: converted(entry, t) for key, entry in value.items()}
    if isinstance(value, list):
        return [converted(entry, t) for entry in value]
    return t.tensor(np.array(value.numpy())) if hasattr(value, "numpy") else value


def outline(value: Any) -> Any:
    """Return a state with the shape and dtype in place of each tensor: keys in order, and what is not a tensor as it is."""
    if isinstance(value, dict):
        return [(key, outline(entry)) for key, entry in value.items()]
    if isinstance(value, list):
        return [outline(entry) for entry in value]
    return (tuple(value.shape), str(value.dtype).split(".")[1]) if hasattr(value, "numpy") else value


@pytest.mark.parametrize("to_torch", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FLAGS)
def test_states_are_pytorchs(session: Session, name: str, dtype: str, to_torch: bool) -> None:
    """A state has the same keys, shapes and dtypes in the same order, and either library goes on from the other's."""
    torch: Any = pytest.importorskip("torch")
    source, target = (gw, torch) if to_torch else (torch, gw)
    for options in (next(combinations(name)), list(combinations(name))[-1]):
        p, q, grads = start(source, dtype), start(target, dtype), gradients(dtype, 6)
        first = getattr(source.optim, name)(p, lr=0.05, **options)
        second = getattr(target.optim, name)(q, lr=0.05, **options)
        assert outline(first.state_dict()) == outline(second.state_dict())
        for optimizer, parameters, t in ((first, p, source), (second, q, target)):
            descend(t, optimizer, parameters, grads[:3])
        assert outline(first.state_dict()) == outline(second.state_dict())
        second = getattr(target.optim, name)(q, lr=0.7)
        second.load_state_dict(converted(first.state_dict(), target))
        # Loading casts numbers to the parameter's dtype, all but the step count: so on both sides.
        first.load_state_dict(copy.deepcopy(first.state_dict()))
        for optimizer, parameters, t in ((first, p, source), (second, q, target)):
            descend(t, optimizer, parameters, grads[3:])
        assert_close(p, q, dtype, options)
        assert outline(first.state_dict()) == outline(second.state_dict())


@pytest.mark.parametrize("name", [*FLAGS, "LBFGS"])
def test_signatures_and_printing(session: Session, name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    mine, theirs = (
        [(p.name, p.default, p.kind) for p in inspect.signature(getattr(t.optim, name)).parameters.values()]
        for t in (gw, torch)
    )
    assert mine == theirs
    assert repr(getattr(gw.optim, name)(start(gw, "float32"))) == repr(
        getattr(torch.optim, name)(start(torch, "float32"))
    )


@pytest.mark.parametrize("name", FLAGS)
def test_a_learning_rate_may_be_a_tensor(session: Session, name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    runs = []
    for t in (gw, torch):
        parameters, lr = start(t, "float64"), t.tensor(0.05, dtype=t.float64)
        optimizer = getattr(t.optim, name)(parameters, lr=lr)
        descend(t, optimizer, parameters, gradients("float64", 3))
        lr.fill_(0.01)
        descend(t, optimizer, parameters, gradients("float64", 3))
        runs.append(parameters)
    assert_close(*runs, "float64", name)


@pytest.mark.parametrize("name", [name for name in FLAGS if name != "Adafactor"])
def test_a_complex_parameter_is_pairs_of_real_numbers(session: Session, name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    draw = np.random.default_rng(8).standard_normal
    values = [draw((3, 4)) + 1j * draw((3, 4)) for _ in range(5)]
    runs = []
    for t in (gw, torch):
        p = t.nn.Parameter(t.tensor(values[0]).t(), requires_grad=False)
        optimizer = getattr(t.optim, name)([p], lr=0.05, weight_decay=0.1) if name != "Rprop" else t.optim.Rprop([p])
        for value in values[1:]:
            p.grad = t.tensor(value).t()
            optimizer.step()
        runs.append(p.numpy())
    np.testing.assert_allclose(*runs, rtol=1e-12)


# ---------------------------------------------------------------- Muon, which computes in bfloat16
def matrices(t: Any) -> list[Any]:
    rng = np.random.default_rng(5)
    return [t.nn.Parameter(t.tensor(rng.standard_normal(size).astype(np.float32))) for size in ((8, 5), (3, 20))]


@pytest.mark.parametrize(
    "options", [{}, {"nesterov": False, "weight_decay": 0.0}, {"adjust_lr_fn": "match_rms_adamw", "ns_steps": 3}]
)
def test_muon(session: Session, options: dict[str, Any]) -> None:
    torch: Any = pytest.importorskip("torch")
    rng = np.random.default_rng(6)
    grads = [[rng.standard_normal(size).astype(np.float32) for size in ((8, 5), (3, 20))] for _ in range(STEPS)]
    runs = []
    for t in (gw, torch):
        parameters = matrices(t)
        optimizer = t.optim.Muon(parameters, lr=0.05, **options)
        for step in grads:
            for parameter, grad in zip(parameters, step, strict=True):
                parameter.grad = t.tensor(grad)
            optimizer.step()
        runs.append((parameters, outline(optimizer.state_dict()), repr(optimizer)))
    assert runs[0][1:] == runs[1][1:]
    for mine, theirs in zip(runs[0][0], runs[1][0], strict=True):
        # An element moves by up to 0.05 a step, and bfloat16 has eight bits.
        np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), atol=0.05 * 2**-5)


def test_muon_takes_matrices_only(session: Session) -> None:
    torch: Any = pytest.importorskip("torch")
    for t in (gw, torch):
        with pytest.raises(ValueError, match="only supports 2D parameters whereas we found a parameter with size"):
            t.optim.Muon([t.nn.Parameter(t.zeros(2))])
        with pytest.raises(ValueError, match="Adjust learning rate function x is not supported"):
            t.optim.Muon(matrices(t), adjust_lr_fn="x")
        optimizer = t.optim.Muon(matrices(t), ns_steps=100)
        optimizer.param_groups[0]["params"][0].grad = t.zeros(8, 5)
        with pytest.raises(ValueError, match="Number of steps must be less than 100"):
            optimizer.step()
