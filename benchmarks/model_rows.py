"""The rows that train whole models: the same code and first weights here and on PyTorch, losses compared at the end.

A step is forward, loss, backward, optimizer step, zero_grad; the loss is read every tenth step. One timed round is
those ten steps. All steps of a row see one batch of random data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import gradwire as gw
from benchmarks import models
from benchmarks.inprocess import in_process_session
from benchmarks.measure import interleave
from gradwire.session import Session, use
from gradwire.transport import GrpcConnection

__all__ = ["MODELS", "Contestant", "ModelRow", "prepare", "rows"]

Line = tuple[str, str, str, str]
STEPS_A_ROUND = 10


@dataclass(frozen=True, slots=True)
class ModelRow:
    """What one row trains, how, and how many rounds of ten steps are timed."""

    about: str
    model: Callable[[Any], Any]
    batch: Callable[[np.random.Generator], tuple[Any, Any]]
    optimizer: Callable[[Any, Any], Any]
    rounds: int


class Contestant:
    """A model in training: call it for one round. `losses` has the loss of each round's last step."""

    def __init__(self, framework: Any, row: ModelRow, weights: dict[str, Any], session: Session | None) -> None:
        """Build the model in `session` (None: PyTorch) and give it the weights, which are numpy arrays."""
        self.session = session
        self.losses: list[float] = []
        self._enter()
        self._model = row.model(framework)
        self._model.load_state_dict({name: framework.tensor(value) for name, value in weights.items()})
        self._optimizer = row.optimizer(framework.optim, self._model.parameters())
        self._inputs, self._labels = (framework.from_numpy(part) for part in row.batch(np.random.default_rng(0)))
        self._cross_entropy = framework.nn.functional.cross_entropy

    def _enter(self) -> None:
        if self.session is not None:
            use(self.session)

    def step(self) -> Any:
        """Train one step and return the loss, unread."""
        loss = self._cross_entropy(self._model(self._inputs), self._labels)
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss

    def __call__(self) -> None:
        """Train ten steps and read the last loss: workers keep the order of calls, so that waits for all ten."""
        self._enter()
        for _ in range(STEPS_A_ROUND):
            loss = self.step()
        self.losses.append(loss.item())


def _images(rows: int, *shape: int) -> Callable[[np.random.Generator], tuple[Any, Any]]:
    return lambda draw: (draw.standard_normal((rows, *shape), np.float32), draw.integers(0, 10, rows))


def _characters(draw: np.random.Generator) -> tuple[Any, Any]:
    text = draw.integers(0, 65, (16, 65))
    return np.ascontiguousarray(text[:, :-1]), text[:, 1:].flatten()


def _sequences(draw: np.random.Generator) -> tuple[Any, Any]:
    return draw.standard_normal((32, 16, 128), np.float32), draw.integers(0, 10, 16)


MODELS = {
    "lenet": ModelRow(
        "LeNet on 1x28x28, batch 64, Adam", models.lenet, _images(64, 1, 28, 28),
        lambda optim, parameters: optim.Adam(parameters, lr=1e-3), rounds=20,
    ),
    "resnet": ModelRow(
        "ResNet-20 on 3x32x32, batch 32, SGD with momentum", models.resnet20, _images(32, 3, 32, 32),
        lambda optim, parameters: optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4), rounds=8,
    ),
    "gpt": ModelRow(
        "a character GPT of 4 layers, 128 wide, 4 heads, context 64, batch 16, AdamW", models.char_gpt, _characters,
        lambda optim, parameters: optim.AdamW(parameters, lr=3e-4), rounds=10,
    ),
    "lstm": ModelRow(
        "an LSTM of 128 units over 32 steps of 128, batch 16, with a linear head, Adam", models.lstm_classifier, _sequences,
        lambda optim, parameters: optim.Adam(parameters, lr=1e-3), rounds=20,
    ),
}  # fmt: skip


def prepare(row: ModelRow, sessions: dict[str, Session]) -> dict[str, Contestant]:
    """Return a contestant per session, and PyTorch on one thread under "torch", all with the same first weights."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    weights = {name: value.numpy().copy() for name, value in row.model(torch).state_dict().items()}
    contestants = {name: Contestant(gw, row, weights, session) for name, session in sessions.items()}
    return contestants | {"torch": Contestant(torch, row, weights, None)}


def _loss_line(contestants: dict[str, Contestant]) -> Line:
    """Return the last losses, and how far apart ours and PyTorch's ever were."""
    ours, theirs = contestants["gradwire"].losses, contestants["torch"].losses
    apart = max(abs(mine - other) for mine, other in zip(ours, theirs, strict=True))
    return (
        f"loss after {len(ours) * STEPS_A_ROUND} steps",
        f"{ours[-1]:.6f}",
        "",
        f"torch {theirs[-1]:.6f}; never more than {apart:.1g} apart",
    )


def _train(row: ModelRow, address: str) -> list[Line]:
    """Train a row's model everywhere and return its lines."""
    remote = Session(GrpcConnection(address, connect_seconds=10, public_stream=False))
    contestants = prepare(row, {"gradwire": remote, "in process": in_process_session()})
    times = interleave(contestants, rounds=row.rounds, warmup=1)
    use(remote).close()
    against = {
        "gradwire": f"{times['gradwire'].median / times['torch'].median:.2f}x of torch",
        "in process": f"remote is {times['gradwire'].median / times['in process'].median:.2f}x",
        "torch": "",
    }
    titles = {"gradwire": "gradwire", "in process": "the same kernels, in process", "torch": "torch, local eager"}
    scale = 1e3 / STEPS_A_ROUND
    lines = []
    for name, timing in times.items():
        low, high = timing.spread
        spread = f"{low * scale:.3g} to {high * scale:.3g}"
        lines.append((f"{titles[name]}, a step", f"{timing.median * scale:.3g} ms", spread, against[name]))
    return [*lines, _loss_line(contestants)]


def _row(row: ModelRow) -> Callable[[str], list[Line]]:
    def run(address: str) -> list[Line]:
        return _train(row, address)

    run.__doc__ = f"Train {row.about}, reading the loss every tenth step."
    return run


def rows() -> dict[str, Callable[[str], list[Line]]]:
    """Return a function per model that takes the worker's address, as the other rows do."""
    return {name: _row(row) for name, row in MODELS.items()}
