"""The inputs that mutation starts from: what real scripts send, each recorded on its way to a worker session in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradwire as gw
from gradwire import nn
from gradwire.nn import functional as F
from gradwire.workers import on
from gradwire_protocol.v1 import worker_pb2
from tests.fuzz import cases
from tests.support import open_loopback

__all__ = ["SEEDS", "recorded", "write_seeds"]

SEEDS: dict[str, Callable[[], Any]] = {}


def _seed(function: Callable[[], Any]) -> Callable[[], Any]:
    SEEDS[function.__name__] = function
    return function


def recorded(name: str) -> bytes:
    """Run a script, and return what it sent as an input."""
    session, loopback = open_loopback()
    with on(session):
        gw.manual_seed(0)
        SEEDS[name]()
        session.flush()
    frames = [worker_pb2.ClientFrame.FromString(message) for message in loopback.sent]
    return cases.encode(frame.batch for frame in frames if frame.WhichOneof("frame") == "batch")


def write_seeds(folder: Path) -> int:
    """Write all of them, and return how many they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SEEDS:
        (folder / name).write_bytes(recorded(name))
    return len(SEEDS)


# ---------------------------------------------------------------- trainings
def _trained(model: Any, x: Any, y: Any, make: Callable[..., Any], steps: int = 2, **options: Any) -> Any:
    optimizer = make(model.parameters(), **options)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    return loss.item()


@_seed
def perceptron() -> Any:
    model = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.LayerNorm(6), nn.Dropout(0.1), nn.Linear(6, 3))
    return _trained(model, gw.randn(5, 4), gw.tensor([0, 1, 2, 1, 0]), gw.optim.AdamW, lr=1e-2)


@_seed
def convolutions() -> Any:
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.ConvTranspose2d(3, 2, 2), nn.Flatten(),
        nn.LazyLinear(3),
    )  # fmt: skip
    return _trained(model, gw.randn(2, 1, 6, 6), gw.tensor([0, 2]), gw.optim.SGD, lr=0.1, momentum=0.9)


@_seed
def recurrent() -> Any:
    cell, head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)
    found, _ = cell(gw.randn(2, 5, 3))
    head(found).tanh().sum().backward()
    return cell.weight_ih_l0.grad.tolist()


@_seed
def attention() -> Any:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    embedding = nn.Embedding(10, 8)
    layer(embedding(gw.tensor([[1, 2, 3], [4, 5, 6]]))).square().mean().backward()
    return embedding.weight.grad.sum().item()


# ---------------------------------------------------------------- graphs
@_seed
def second_gradients() -> Any:
    x = gw.randn(3, requires_grad=True)
    y = (x.sin() * x.exp()).sum()
    (g,) = gw.autograd.grad(y, x, create_graph=True)
    g.square().sum().backward()
    return x.grad.tolist(), y.grad_fn.next_functions


@_seed
def hooks_and_checkpoints() -> Any:
    x = gw.randn(3, 3, requires_grad=True)
    middle = (x @ x).relu()
    middle.register_hook(lambda g: g * 2)
    found = gw.utils.checkpoint.checkpoint(lambda z: (z.exp() + 1).log(), middle, use_reentrant=False)
    found.sum().backward()
    return x.grad.tolist()


@_seed
def views_and_writes() -> Any:
    x = gw.randn(4, 3, requires_grad=True)
    y = x * 1
    y[1:3, 0] = 5.0
    y.t().mul_(2)
    z = y.unbind(0)[2].clone()
    z.add_(1)
    (y.sum() + z.sum()).backward()
    walked = y.grad_fn.next_functions
    return x.grad.tolist(), x.data.tolist(), walked


@_seed
def saved_tensors() -> Any:
    x = gw.randn(3, requires_grad=True)
    with gw.autograd.graph.saved_tensors_hooks(lambda t: t * 1, lambda t: t):
        y = x.pow(3).sum()
    kept = x.exp()
    found = kept.grad_fn._saved_result.tolist()
    y.backward()
    return x.grad.tolist(), found


# ---------------------------------------------------------------- programs
@_seed
def compiled_step() -> Any:
    model = nn.Linear(3, 2)
    optimizer = gw.optim.Adam(model.parameters(), lr=0.1)

    @gw.compile
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    x, y = gw.randn(4, 3), gw.randn(4, 2)
    for _ in range(4):
        step(x, y)
    return gw.loop(step, gw.randn(3, 4, 3), gw.randn(3, 4, 2)).tolist()


@_seed
def compiled_with_gradient() -> Any:
    weight = gw.randn(3, 3, requires_grad=True)
    function = gw.compile(lambda x: (x @ weight).softmax(-1) * gw.tensor([1.0, 2.0, 3.0]))
    x = gw.randn(2, 3, requires_grad=True)
    for _ in range(3):
        function(x).sum().backward()
    return weight.grad.tolist(), x.grad.tolist()


# ---------------------------------------------------------------- families of ops
@_seed
def numbers() -> Any:
    x = gw.randn(3, 4, dtype=gw.complex64)
    found = gw.fft.ifft(gw.fft.fft(x)).abs() + x.real.cumsum(0) + gw.arange(12).reshape(3, 4) // 5 % 3
    return found.tolist(), x.to(gw.complex128).sum().item()


@_seed
def sorting_and_picking() -> Any:
    x = gw.randn(4, 4)
    values, places = x.sort(1)
    picked = x.gather(1, places) + x.topk(2).values.sum() + gw.where(x > 0, x, x.cummax(0).values)
    return (
        picked.tolist(),
        x[x > 0].tolist(),
        x.unique().tolist(),
        x.scatter_add(0, places, x).tolist(),
        values.median().item(),
    )


@_seed
def matrices() -> Any:
    a = gw.randn(3, 3)
    spd = (a @ a.T + 3 * gw.eye(3)).requires_grad_()
    found = (
        gw.linalg.cholesky(spd).sum()
        + gw.linalg.solve(spd, a).sum()
        + gw.linalg.svdvals(spd).sum()
        + gw.linalg.det(spd)
    )
    found.backward()
    return spd.grad.tolist(), gw.linalg.eigh(spd).eigenvalues.tolist()


@_seed
def low_precision_and_random() -> Any:
    x = gw.rand(8).to(gw.bfloat16) + gw.ones(8, dtype=gw.float16)
    y = (
        gw.bernoulli(gw.rand(8))
        + gw.multinomial(gw.rand(4), 8, replacement=True)
        + gw.randperm(8)
        + gw.empty(8).exponential_()
    )
    return x.tolist(), y.tolist(), F.interpolate(gw.rand(1, 1, 3, 3), scale_factor=2, mode="bilinear").tolist()
