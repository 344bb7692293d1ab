"""Random functions give the same bits as they are and compiled: pointwise, products, reductions, views, in-place writes."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire_server.programs import fusion, plan
from tests.support import open_loopback

UNARY = [
    lambda x: x.sin(), lambda x: x.relu(), lambda x: x.sigmoid() * 2, lambda x: x.abs() + 0.5, lambda x: -x,
    lambda x: x.clamp(-0.7, 0.9), lambda x: gw.where(x > 0, x, x * 0.1), lambda x: x.tanh().exp(), lambda x: x.square(),
]  # fmt: skip
BINARY = [
    lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x - 0.3 * y, lambda x, y: gw.maximum(x, y),
    lambda x, y: x / (y.abs() + 1), lambda x, y: x @ y.t() @ x, lambda x, y: gw.addmm(x, x, y[:, : y.shape[0]]) if
    y.shape[0] == y.shape[1] else x + y,
]  # fmt: skip
REDUCE = [
    lambda x: x - x.mean(), lambda x: x.softmax(1), lambda x: x / (x.abs().sum(0) + 1), lambda x: x + x.amax(1, keepdim=True),
    lambda x: x.cumsum(0) * 0.1, lambda x: x - x.std(1, keepdim=True), lambda x: gw.nn.functional.layer_norm(x, x.shape[1:]),
]  # fmt: skip
# Views, as pairs of what shows part of a tensor of a few rows and columns.
VIEW = [
    lambda x: x[0], lambda x: x[:, 1:3], lambda x: x.t(), lambda x: x.view(-1), lambda x: x[::2], lambda x: x.t()[1],
    lambda x: x.unsqueeze(1), lambda x: x.diagonal(), lambda x: x.chunk(2, 0)[0], lambda x: x.view(-1)[3:9],
]  # fmt: skip
WRITE = [
    lambda x: x.mul_(0.5), lambda x: x.add_(1), lambda x: x.tanh_(), lambda x: x.fill_(0.25), lambda x: x.clamp_(-1, 1),
    lambda x: x.copy_(x.flip(0)), lambda x: x.add_(x.sum()), lambda x: x.masked_fill_(x > 0.5, 0.5),
]  # fmt: skip

Step = Callable[[list[Any]], None]


def random_steps(chosen: random.Random, count: int) -> list[Step]:
    """Return what a function does to a growing list of tensors of one shape."""

    def step() -> Step:
        kind = chosen.choices(
            ["unary", "binary", "reduce", "view write", "write", "view", "constant"], [3, 3, 2, 2, 2, 2, 1]
        )[0]
        one, two, three = (chosen.choice(rest) for rest in (UNARY, BINARY, REDUCE))
        view, write = chosen.choice(VIEW), chosen.choice(WRITE)
        first, second = chosen.random(), chosen.random()
        numbers = [round(chosen.uniform(-1, 1), 2) for _ in range(4)]

        def run(values: list[Any]) -> None:
            x, y = values[int(first * len(values))], values[int(second * len(values))]
            if kind == "unary":
                values.append(one(x))
            elif kind == "binary":
                values.append(two(x, y))
            elif kind == "reduce":
                values.append(three(x))
            elif kind == "view":
                values.append(x + view(x).sum())
            elif kind == "constant":
                made = gw.tensor(numbers)
                if first < 0.5:
                    made.add_(y.detach().mean())
                values.append(x * made[:1])
            else:
                target = x * 1 if x.is_leaf or first < 0.5 else x
                write(view(target) if kind == "view write" else target)
                values.append(target)

        return run

    return [step() for _ in range(count)]


def function_of(chosen: random.Random, weights: list[Any]) -> Callable[..., Any]:
    """Return a function of two arguments: some steps, then maybe a backward into the weights and a write to an argument."""
    steps = random_steps(chosen, chosen.randint(3, 14))
    backward, writes, aliases = chosen.random() < 0.5, chosen.random() < 0.4, chosen.random() < 0.3
    picked = [chosen.random() for _ in range(3)]

    def run(x: Any, y: Any) -> Any:
        values = [*weights, x * 1, y]
        for step in steps:
            step(values)
        last = values[-1]
        loss = sum(((value * 0.1).tanh().sum() for value in values[-3:]), gw.zeros(()))
        results = [values[len(weights) + 1 + int(part * (len(values) - len(weights) - 1))] for part in picked]
        results = [result * 2 if result is y else result for result in results]
        if backward and loss.requires_grad:
            for weight in weights:
                weight.grad = None
            loss.backward()
            results = [result.detach() * 1 for result in results]
            loss = loss.detach()
        if writes:
            with gw.no_grad():
                y.add_(last.detach().mean())
        return loss, results, (results[0].t() if aliases else None)

    return run


def outcome(seed: int, compiled: bool) -> Any:
    """Run a random function on five pairs of arguments; return all that it gave and left, and the last error."""
    chosen = random.Random(seed)
    gw.manual_seed(seed)
    shape = chosen.choice([(4, 4), (4, 6), (3, 4)])
    weights = [gw.randn(*shape, requires_grad=chosen.random() < 0.7) for _ in range(2)]
    function = function_of(chosen, weights)
    run = gw.compile(function) if compiled else function
    seen: list[Any] = []
    for _ in range(5):
        x, y = gw.randn(*shape), gw.randn(*shape)
        try:
            loss, results, alias = run(x, y)
            # All outputs lead on: to one that no gradient comes for, a run takes zeros, and may so give zeros of another sign.
            given = [item for item in (loss, *results) if item.requires_grad]
            if given:
                sum(item.sum() for item in given).backward()
            got = [loss.detach(), *(r.detach() for r in results), *([] if alias is None else [alias.detach()]), y]
            # A run has one gradient for each weight: zeros for one that no gradient arrives at, where others have None.
            got += [gw.zeros(*shape) if weight.grad is None else weight.grad for weight in weights]
            seen.append([(item.numpy().tobytes(), item.shape, item._version) for item in got])
        except (RuntimeError, IndexError) as error:
            if "compiled" in str(error):
                raise
            return [*seen, type(error)]
        for weight in weights:
            weight.grad = None
    return [*seen, getattr(run, "replays", 0)]


@pytest.mark.parametrize("backend", ["cpu", "strict"])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("block", range(4))
def test_random_functions_keep_their_bits(
    backend: str, fused: bool, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `fused`, even these small arrays are cut into blocks of a row or two."""
    if fused:
        monkeypatch.setattr(plan, "LEAST", 1)
        monkeypatch.setattr(fusion, "_BLOCK", 8)
    previous = sessions._current
    replays = 0
    try:
        for seed in range(block * 10, block * 10 + 10):
            sessions.use(open_loopback(backend)[0])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what cannot be a program says so
                expected, found = outcome(seed, False), outcome(seed, True)
            assert found[:-1] == expected[:-1], f"seed {seed}"
            replays += found[-1] if isinstance(found[-1], int) else 0
    finally:
        sessions._current = previous
    assert replays >= 9


def looped(seed: int, by_loop: bool) -> Any:
    """Make six steps of a random function over rows, one by one or in a loop; return all results and what they left."""
    chosen = random.Random(seed)
    gw.manual_seed(seed)
    shape = chosen.choice([(4, 4), (4, 6), (3, 4)])
    weights = [gw.randn(*shape, requires_grad=chosen.random() < 0.7) for _ in range(2)]
    function = function_of(chosen, weights)
    xs, ys = gw.randn(6, *shape), gw.randn(6, *shape)
    run = gw.compile(function)
    try:
        if by_loop:
            loss, results, alias = gw.loop(run, xs, ys)
        else:
            made = [[item.detach().clone() for item in flat(function(x, y))] for x, y in zip(xs, ys, strict=True)]
            loss, *results = [gw.stack(list(column)) for column in zip(*made, strict=True)]
            results, alias = (results[:3], results[3]) if len(results) > 3 else (results, None)
        left = [ys, *(weight.grad for weight in weights if weight.grad is not None)]
        return [item.tolist() for item in (*flat((loss, results, alias)), *left)], run.replays
    except (RuntimeError, IndexError) as error:
        return type(error), 0


def flat(result: Any) -> list[Any]:
    """Return the tensors of a random function's result."""
    loss, results, alias = result
    return [loss, *results, *([] if alias is None else [alias])]


@pytest.mark.parametrize("backend", ["cpu", "strict"])
def test_loops_over_random_functions_keep_their_bits(backend: str) -> None:
    previous = sessions._current
    replays = 0
    try:
        for seed in range(2000, 2030):
            sessions.use(open_loopback(backend)[0])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                (expected, _), (found, count) = looped(seed, False), looped(seed, True)
            assert str(found) == str(expected), f"seed {seed}"  # as text, in which NaN equals itself
            replays += count
    finally:
        sessions._current = previous
    assert replays >= 40
