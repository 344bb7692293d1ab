"""L-BFGS: the same path as PyTorch's, evaluation by evaluation, its state, and what it refuses."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire.session import Session
from tests.client.test_optim_parity import converted


def problem(t: Any) -> tuple[list[Any], Any]:
    """Return parameters and a function that makes a closure of an optimizer."""
    rng = np.random.default_rng(0)
    draw = rng.standard_normal
    w, b, unused = (t.nn.Parameter(t.tensor(np.asarray(draw(size)))) for size in ((4, 3), (3,), (2,)))
    x, y = t.tensor(draw((20, 4))), t.tensor(draw((20, 3)))

    def closure_for(optimizer: Any, calls: list[float]) -> Any:
        def closure() -> Any:
            optimizer.zero_grad()
            loss = ((t.tanh(x @ w) + b * b * b - y) ** 2).mean()
            loss.backward()
            calls.append(loss.item())
            return loss

        return closure

    return [w, unused, b], closure_for


@pytest.mark.parity
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr": 0.3, "history_size": 3, "max_iter": 7},
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "max_iter": 5, "history_size": 2, "lr": 5},
        {"line_search_fn": "strong_wolfe", "max_eval": 3, "lr": 20},
        {"tolerance_change": 1e-3, "tolerance_grad": 1e-2},
    ],
)
def test_the_path_and_the_state(session: Session, options: dict[str, Any]) -> None:
    torch: Any = pytest.importorskip("torch")
    paths, states, ends = [], [], []
    for t in (gw, torch):
        parameters, closure_for = problem(t)
        optimizer, path = t.optim.LBFGS(parameters, **options), []
        for _ in range(2):  # rounding errors double every few evaluations, so not many
            optimizer.step(closure_for(optimizer, path))
        paths.append(path)
        states.append(optimizer.state_dict()["state"][0])
        ends.append([parameter.detach().numpy() for parameter in parameters])
    assert len(paths[0]) == len(paths[1])
    np.testing.assert_allclose(paths[0][:40], paths[1][:40], rtol=1e-8)
    assert list(states[0]) == list(states[1])
    assert [states[0][name] for name in ("func_evals", "n_iter")] == [
        states[1][name] for name in ("func_evals", "n_iter")
    ]
    for mine, theirs in zip(*ends, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


@pytest.mark.parity
@pytest.mark.parametrize("to_torch", [False, True])
def test_a_run_goes_on_from_the_others_state(session: Session, to_torch: bool) -> None:
    torch: Any = pytest.importorskip("torch")
    source, target = (gw, torch) if to_torch else (torch, gw)
    p, closure_for = problem(source)
    first = source.optim.LBFGS(p, lr=0.2, max_iter=3)
    first.step(closure_for(first, []))
    q, other_closure_for = problem(target)
    with target.no_grad():
        for parameter, kept in zip(q, p, strict=True):
            parameter.copy_(target.tensor(np.array(kept.detach().numpy())))
    second = target.optim.LBFGS(q, lr=0.2, max_iter=3)
    second.load_state_dict(converted(copy.deepcopy(first.state_dict()), target))
    paths: tuple[list[float], list[float]] = ([], [])
    first.step(closure_for(first, paths[0]))
    second.step(other_closure_for(second, paths[1]))
    np.testing.assert_allclose(*paths, rtol=1e-9)


def test_it_finds_a_minimum(t: Any) -> None:
    p = t.nn.Parameter(t.tensor([-1.5, 2.0], dtype=t.float64))
    optimizer = t.optim.LBFGS([p], line_search_fn="strong_wolfe", max_iter=60)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = 100 * (p[1] - p[0] ** 2) ** 2 + (1 - p[0]) ** 2
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 100 * (2 - 2.25) ** 2 + 2.5**2
    np.testing.assert_allclose(p.detach().numpy(), [1, 1], rtol=1e-5)


def test_a_complex_parameter_is_pairs_of_real_numbers(t: Any) -> None:
    p = t.nn.Parameter(t.tensor([1 + 2j, 3 - 1j], dtype=t.complex128), requires_grad=False)
    optimizer = t.optim.LBFGS([p], line_search_fn="strong_wolfe")

    def closure() -> Any:
        p.grad = 2 * (p - 1j) * t.tensor([1.0, 3.0])
        distance = p - 1j
        return ((distance * distance.conj()).real * t.tensor([1.0, 3.0])).sum()

    optimizer.step(closure)
    np.testing.assert_allclose(p.numpy(), [1j, 1j], atol=1e-4)


def test_refusals(t: Any) -> None:
    p, q = t.nn.Parameter(t.ones(1)), t.nn.Parameter(t.ones(1))
    with pytest.raises(ValueError, match="LBFGS doesn't support per-parameter options"):
        t.optim.LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'closure'"):
        t.optim.LBFGS([p]).step()
    optimizer = t.optim.LBFGS([p], line_search_fn="x")

    def closure() -> Any:
        optimizer.zero_grad()
        (p * p).sum().backward()
        return 1.0

    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        optimizer.step(closure)
