"""Random loops over recurrent cells give the same compiled, where their steps become one call."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from benchmarks.models import cell_classifier

import gradwire as gw
from gradwire import session as sessions
from gradwire_server.programs.recurrent_ops import NAMES
from tests.support import Loopback, open_loopback

WIDTH, HIDDEN = 3, 4


@dataclass(frozen=True, slots=True)
class Case:
    """What a random function does; steps in sets are those at which it does it."""

    kind: str
    steps: int
    batch: int
    layout: str
    state: str
    cells: str
    frozen: frozenset[str]
    read: frozenset[int]
    read_cells: frozenset[int]
    changes: dict[int, str]
    returned: frozenset[int]
    backward: bool
    needs: bool


def case_of(chosen: random.Random) -> Case:
    steps = chosen.randint(1, 6)

    def some(part: float) -> frozenset[int]:
        return frozenset(step for step in range(steps) if chosen.random() < part)

    changes = ["detach", "scale", "scale in place", "feed back", "write weight"]
    return Case(
        kind=chosen.choice(["LSTM", "LSTM", "GRU", "tanh", "relu"]),
        steps=steps,
        batch=chosen.choice([1, 1, 2, 3]),
        layout=chosen.choice(["unbind", "select", "batch first", "computed", "same"]),
        state=chosen.choice(["none", "zeros", "given"]),
        cells=chosen.choice(["one", "one", "stacked", "twice", "both ways", "layer"]),
        frozen=frozenset(name for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if chosen.random() < 0.15),
        read=some(chosen.choice([0, 0.3, 1])),
        read_cells=some(chosen.choice([0, 0, 0.2])),
        changes={step: chosen.choice(changes) for step in some(chosen.choice([0, 0, 0.2]))},
        returned=some(chosen.choice([0, 0, 0.4])),
        backward=chosen.random() < 0.6,
        needs=chosen.random() < 0.4,
    )


class Loop:
    """A case's function, with its weights."""

    def __init__(self, case: Case) -> None:
        self.case = case
        kind, settings = (case.kind, {}) if case.kind in ("LSTM", "GRU") else ("RNN", {"nonlinearity": case.kind})
        made = getattr(gw.nn, kind if case.cells == "layer" else f"{kind}Cell")
        sizes = [WIDTH] if case.cells == "layer" else [WIDTH, HIDDEN]
        self.modules: list[Any] = [made(size, HIDDEN, **settings) for size in sizes]
        for module in self.modules:
            module.double()
        for name, weight in self.modules[0].named_parameters():
            weight.requires_grad_(name.removesuffix("_l0") not in case.frozen)
        self.into = gw.nn.Linear(WIDTH, WIDTH).double()
        self.weights = [weight for module in (*self.modules, self.into) for weight in module.parameters()]

    def parts(self, x: Any) -> list[Any]:
        layout, count = self.case.layout, self.case.steps
        if layout == "unbind":
            return list(x.unbind(0))
        if layout == "batch first":
            turned = x.transpose(0, 1).contiguous()
            return [turned[:, step] for step in range(count)]
        if layout == "computed":
            return [self.into(x[step]) for step in range(count)]
        return [x[0 if layout == "same" else step] for step in range(count)]

    def step(self, x: Any, states: Any, module: int = 0) -> Any:
        """Run one step from states to states: h, and c of an LSTM. A layer takes it as a sequence of one."""
        is_lstm, is_layer = self.case.kind == "LSTM", self.case.cells == "layer"
        if is_layer:
            x, states = x[None], None if states is None else tuple(state[None] for state in states)
        found = self.modules[module](x, states if is_lstm or states is None else states[0])
        output, found = found if is_layer else (None, found)
        made = found if is_lstm else (found,)
        if is_layer:
            made = tuple(state[0] for state in made)
        return (output[0], *made[1:]) if is_layer and self.case.batch == 2 else made

    def change(self, step: int, x: Any, h: Any) -> tuple[Any, Any]:
        match self.case.changes.get(step):
            case "detach":
                return x, h.detach()
            case "scale":
                return x, h * 0.5
            case "scale in place":
                return x, h.mul_(0.5)
            case "feed back":
                return x + h[:, :WIDTH], h
            case "write weight":
                with gw.no_grad():
                    self.weights[3].mul_(1.5)
        return x, h

    def run(self, parts: list[Any], state: Any) -> tuple[Any, list[Any], list[Any]]:
        """Return the last states, all h and all c."""
        case, seen, held = self.case, list[Any](), list[Any]()
        top = None
        for number, part in enumerate(parts):
            x = part
            if state is not None:
                x, h = self.change(number, part, state[0])
                state = (h, *state[1:])
            state = self.step(x, state)
            if case.cells == "stacked":
                top = self.step(state[0], top, 1)
            seen.append((top or state)[0])
            held.append((top or state)[-1])
        return (state if top is None else top), seen, held

    def __call__(self, x: Any, h: Any, c: Any) -> Any:
        case = self.case
        parts = self.parts(x)
        count = 2 if case.kind == "LSTM" else 1
        state = {"none": None, "zeros": (gw.zeros_like(h), gw.zeros_like(c))[:count], "given": (h, c)[:count]}[
            case.state
        ]
        last, seen, held = self.run(parts, state)
        loss = last[0].square().sum()
        if case.cells in ("twice", "both ways"):
            parts = parts[::-1] if case.cells == "both ways" else [part * 2 for part in parts]
            again, others, _ = self.run(parts, None)
            loss = loss + again[-1].sum() + (others[0] * last[0]).sum()
        for step in case.read:
            loss = loss + (seen[step] * (step + 1)).sum()
        if case.read == frozenset(range(case.steps)):
            loss = loss + gw.stack(seen).square().sum()
        for step in case.read_cells:
            loss = loss + held[step].tanh().sum()
        results = [state for step in sorted(case.returned) for state in (seen[step], held[step])]
        if case.backward:
            for weight in self.weights:
                weight.grad = None
            loss.backward()
            results = [result.detach() * 1 for result in results]
            loss = loss.detach()
        return loss, results


def outcome(case: Case, seed: int, compiled: bool) -> Any:
    """Run a case four times; return all numbers that it gives and leaves, or the error."""
    gw.manual_seed(seed)
    loop = Loop(case)
    run: Callable[..., Any] = gw.compile(loop.__call__) if compiled else loop
    seen: list[Any] = []
    for _ in range(4):
        x = gw.randn(case.steps, case.batch, WIDTH, dtype=gw.float64)
        states = [gw.randn(case.batch, HIDDEN, dtype=gw.float64) for _ in range(2)]
        given = [item.requires_grad_(case.needs and not case.backward) for item in (x, *states)]
        try:
            loss, results = run(*given)
            leading = [item for item in (loss, *results) if item.requires_grad]
            if leading:
                sum(item.sum() for item in leading).backward()
        except RuntimeError as error:
            if "compiled" in str(error):
                raise
            return [*seen, type(error)]
        got = [loss, *results, *(item.grad for item in given), *(weight.grad for weight in loop.weights)]
        got += loop.weights
        seen.append([None if item is None else item.detach().numpy() for item in got])
        for weight in loop.weights:
            weight.grad = None
    return seen


def joined(loopback: Loopback) -> int:
    """Return how many recurrent calls of a worker's programs have more than one step."""
    steps = [
        step for loaded in loopback.worker.programs._loaded.values()
        for plan in (loaded._prepared.forward, loaded._prepared._backward) if plan is not None
        for step in plan.trace.steps if step.signature.op.name in NAMES
    ]  # fmt: skip
    return sum(_steps(step) > 1 for step in steps)


def _steps(step: Any) -> int:
    name = step.signature.op.name
    return int(step.inputs[0 if "backward" not in name else 3 if "lstm" in name else 2].shape[0])


def assert_same(found: Any, expected: Any, what: str) -> None:
    assert len(found) == len(expected), what
    for ours, theirs in zip(found, expected, strict=True):
        if not isinstance(theirs, list):
            assert ours is theirs, what
            continue
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            # A run gives zeros for a gradient that does not arrive.
            other = np.zeros_like(one) if other is None and one is not None else other
            one = np.zeros_like(other) if one is None and other is not None else one
            if one is not None:
                np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12, err_msg=f"{what}, value {number}")


@pytest.mark.parametrize("backend", ["cpu", "strict"])
@pytest.mark.parametrize("block", range(3))
def test_random_loops(backend: str, block: int) -> None:
    previous, count = sessions._current, 0
    try:
        for seed in range(block * 12, block * 12 + 12):
            case = case_of(random.Random(seed))
            session, loopback = open_loopback(backend)
            sessions.use(session)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what cannot be a program says so
                expected, found = outcome(case, seed, False), outcome(case, seed, True)
            assert_same(found, expected, f"seed {seed}: {case}")
            count += joined(loopback)
    finally:
        sessions._current = previous
    assert count >= 10


def losses(run: Callable[[Any, Any], Any], images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.array([run(gw.tensor(images), gw.tensor(labels)).item() for _ in range(20)])


def test_training_goes_the_same_way() -> None:
    """The benchmark's model, whose loop over a cell is one call each way when it is compiled."""
    previous = sessions._current
    draw = np.random.default_rng(3)
    data = draw.standard_normal((32, 32, 128)).astype(np.float32), draw.integers(0, 10, 32)
    found = []
    try:
        for compiled in (False, True):
            session, loopback = open_loopback()
            sessions.use(session)
            gw.manual_seed(0)
            model = cell_classifier(gw, 128, 10)
            optimizer = gw.optim.Adam(model.parameters(), lr=1e-3)

            def step(x: Any, y: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
                optimizer.zero_grad()
                loss = gw.nn.functional.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                return loss.detach()

            found.append(losses(gw.compile(step) if compiled else step, *data))
        assert joined(loopback) == 2
    finally:
        sessions._current = previous
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
