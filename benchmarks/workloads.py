"""What rows train or run: one function each, for `torch` and for `gradwire`, and the contestants that run it.

A step is zero_grad, forward, loss, backward, optimizer step; its loss is not read. A round is `repeats` steps over one
batch of random data and then a wait until all of them are done. Weights are PyTorch's for seed 0 everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import gradwire as gw
from benchmarks import models
from benchmarks.measure import Samples, interleave
from benchmarks.record import Line
from benchmarks.worker import Worker, in_process_session, torch_on_one_thread
from gradwire.session import Session, use

__all__ = ["WORKLOADS", "Contest", "Contestant", "Workload", "contest"]

Batch = Callable[[np.random.Generator], tuple[Any, Any]]
Step = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Workload:
    """What is run: `make(framework)` returns the function of one step."""

    about: str
    make: Callable[[Any], Step]
    repeats: int
    rounds: int


class Contestant:
    """A workload in one framework, eager or compiled; call it for one round."""

    def __init__(self, workload: Workload, framework: Any, session: Session | None, *, compiled: bool) -> None:
        """Build it in `session`; None means that it is PyTorch."""
        self._session, self._repeats = session, workload.repeats
        self._enter()
        step = workload.make(framework)
        self._step = framework.compile(step) if compiled else step
        self._result: Any = None

    def _enter(self) -> None:
        if self._session is not None:
            use(self._session)

    def __call__(self) -> None:
        """Run one round."""
        self._enter()
        for _ in range(self._repeats):
            self._result = self._step()
        if self._session is not None:
            self._session.wait()

    @property
    def replays(self) -> int:
        """Return how often a compiled step ran as its program."""
        return int(getattr(self._step, "replays", 0))

    def value(self) -> float:
        """Return the last loss, or the mean of what the last step returned."""
        self._enter()
        return float(self._result.mean().item())


# -- what is trained ---------------------------------------------------------------------------------------------------


def _training(model: Callable[[Any], Any], batch: Batch, optimizer: Callable[[Any, Any], Any]) -> Callable[[Any], Step]:
    """Return what makes a training step in a framework."""

    def make(framework: Any) -> Step:
        torch = torch_on_one_thread()
        torch.manual_seed(0)
        weights = {name: value.numpy().copy() for name, value in model(torch).state_dict().items()}
        net = model(framework)
        net.load_state_dict({name: framework.tensor(value) for name, value in weights.items()})
        optim = optimizer(framework.optim, net.parameters())
        inputs, labels = (framework.from_numpy(part) for part in batch(np.random.default_rng(0)))
        cross_entropy = framework.nn.functional.cross_entropy

        def step() -> Any:
            optim.zero_grad()
            loss = cross_entropy(net(inputs), labels)
            loss.backward()
            optim.step()
            return loss

        return step

    return make


def _pointwise(framework: Any) -> Step:
    """Return 200 ops on a million floats: 25 times mul, add, neg, relu, sub, maximum, mul and add of a number or tensor."""
    draw = np.random.default_rng(0)
    start, other = (framework.from_numpy(draw.uniform(-1, 1, 10**6).astype(np.float32)) for _ in range(2))

    def run() -> Any:
        x = start
        for _ in range(25):
            x = framework.relu(-(x * other + 0.5)) - other
            x = framework.maximum(x, other) * 0.5 + other
        return x

    return run


def _images(rows: int, *shape: int) -> Batch:
    return lambda draw: (draw.standard_normal((rows, *shape), np.float32), draw.integers(0, 10, rows))


def _characters(draw: np.random.Generator) -> tuple[Any, Any]:
    text = draw.integers(0, 65, (16, 65))
    return np.ascontiguousarray(text[:, :-1]), text[:, 1:].flatten()


def _sequences(draw: np.random.Generator) -> tuple[Any, Any]:
    return draw.standard_normal((32, 32, 128), np.float32), draw.integers(0, 10, 32)


def _momentum(optim: Any, parameters: Any) -> Any:
    return optim.SGD(parameters, lr=0.01, momentum=0.9)


def _adam(optim: Any, parameters: Any) -> Any:
    return optim.Adam(parameters, lr=1e-3)


def _sgd_with_decay(optim: Any, parameters: Any) -> Any:
    return optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4)


def _adamw(optim: Any, parameters: Any) -> Any:
    return optim.AdamW(parameters, lr=3e-4)


WORKLOADS = {
    "mlp": Workload(
        "MLP 784-512-512-10, batch 128, SGD with momentum",
        _training(lambda torch: models.mlp(torch, 784, 512, 512, 10), _images(128, 784), _momentum), 10, 30,
    ),
    "small mlp": Workload(
        "MLP 64-64-10, batch 32, SGD with momentum",
        _training(lambda torch: models.mlp(torch, 64, 64, 10), _images(32, 64), _momentum), 100, 30,
    ),
    "lenet": Workload(
        "LeNet on 1x28x28, batch 64, Adam", _training(models.lenet, _images(64, 1, 28, 28), _adam), 10, 20,
    ),
    "gpt": Workload(
        "character GPT: 4 layers, 128 wide, 4 heads, context 64, batch 16, AdamW",
        _training(models.char_gpt, _characters, _adamw), 5, 10,
    ),
    "pointwise": Workload("200 pointwise ops on 10^6 floats, no gradients", _pointwise, 2, 15),
    "lstm": Workload(
        "nn.LSTM, 128 wide, 32 steps, batch 32, linear head, Adam",
        _training(models.lstm_classifier, _sequences, _adam), 10, 15,
    ),
    "lstm cells": Workload(
        "a loop over nn.LSTMCell, 128 wide, 32 steps, batch 32, linear head, Adam",
        _training(models.cell_classifier, _sequences, _adam), 10, 15,
    ),
    "resnet": Workload(
        "ResNet-20 on 3x32x32, batch 32, SGD with momentum and weight decay",
        _training(models.resnet20, _images(32, 3, 32, 32), _sgd_with_decay), 4, 8,
    ),
}  # fmt: skip


# -- contests ----------------------------------------------------------------------------------------------------------

_TITLES = {
    "compiled": "gradwire, compiled, remote",
    "compiled in process": "gradwire, compiled, worker in process",
    "eager": "gradwire, eager, remote",
    "eager in process": "gradwire, eager, worker in process",
    "torch": "PyTorch, local, eager",
}


@dataclass(frozen=True, slots=True)
class Contest:
    """A workload's times: seconds a step, by contestant; lines for the table; and whether they agree, in words."""

    seconds: dict[str, Samples]
    lines: list[Line]
    note: str

    def ratio(self, name: str, other: str) -> float:
        """Return the ratio of two contestants' medians, or NaN if one did not take part."""
        return self.seconds[name].over(self.seconds[other]) if {name, other} <= self.seconds.keys() else float("nan")


def contest(
    worker: Worker, name: str, names: tuple[str, ...], peers: dict[str, Callable[[], object]] | None = None
) -> Contest:
    """Let contestants, named as in `_TITLES`, run a workload in turns; `peers` run rounds of their own by a call."""
    workload = WORKLOADS[name]
    sessions = {
        name: worker.session() if "process" not in name else in_process_session() for name in names if name != "torch"
    }
    contestants = {
        name: Contestant(
            workload, torch_on_one_thread() if name == "torch" else gw, sessions.get(name), compiled="compiled" in name
        )
        for name in names
    }
    times = interleave({**contestants, **(peers or {})}, workload.rounds)
    seconds = {name: samples.times(1 / workload.repeats) for name, samples in times.items()}
    values = {name: contestant.value() for name, contestant in contestants.items()}
    for session in sessions.values():
        session.close()
    steps = (workload.rounds + 2) * workload.repeats
    note = f"{workload.about}: after {steps} steps " + ", ".join(
        f"{name} {value:.6f}" for name, value in values.items()
    )
    replays = {name: contestant.replays for name, contestant in contestants.items() if "compiled" in name}
    note += "".join(f"; {name} ran {count} of {steps} as its program" for name, count in replays.items()) + "."
    return Contest(seconds, _lines(name, seconds), note)


def _lines(workload: str, seconds: dict[str, Samples]) -> list[Line]:
    torch = seconds.get("torch")
    lines = []
    for name, samples in seconds.items():
        remark = f"{samples.over(torch):.2f}x of PyTorch" if torch is not None and name != "torch" else ""
        factor, unit = (1e3, "ms") if samples.median >= 1e-3 else (1e6, "us")
        lines.append(Line(f"{workload}: {_TITLES.get(name, name)}, a step", samples.times(factor), unit, remark))
    return lines
