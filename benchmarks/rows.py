"""One function per row of the benchmark: it runs its contestants side by side and returns lines for RESULTS.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import gradwire as gw
from benchmarks import model_rows
from benchmarks.floor import Floor
from benchmarks.inprocess import in_process_session
from benchmarks.measure import Timing, interleave
from gradwire import nn
from gradwire.session import Session, use
from gradwire.transport import GrpcConnection

__all__ = ["ROWS"]

Line = tuple[str, str, str, str]


def _line(what: str, timing: Timing, scale: float, unit: str, against: str) -> Line:
    low, high = timing.spread
    return what, f"{timing.median * scale:.3g} {unit}", f"{low * scale:.3g} to {high * scale:.3g}", against


def _ratio(mine: Timing, other: Timing) -> str:
    return f"{mine.median / other.median:.2f}x"


def _torch() -> Any:
    """Return PyTorch on one thread."""
    import torch

    torch.set_num_threads(1)
    return torch


class _Recorder:
    """Stands before a stream and keeps a copy of what is sent."""

    def __init__(self, stream: Any) -> None:
        self._stream, self.sent = stream, []

    def send(self, message: bytes) -> None:
        self.sent.append(message)
        self._stream.send(message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def eager(address: str) -> list[Line]:
    """Time 1,000 tiny adds and one wait, per op, unrecorded and recorded."""
    torch = _torch()
    session = use(Session(GrpcConnection(address, connect_seconds=10, public_stream=False)))
    one, theirs_one = gw.ones(16), torch.ones(16)
    leaf, theirs_leaf = gw.ones(16, requires_grad=True), torch.ones(16, requires_grad=True)

    def adds(start: Any, step: Any) -> None:
        x = start
        for _ in range(1000):
            x = x + step

    def remote(start: Any) -> Callable[[], None]:
        def run() -> None:
            adds(start, one)
            session.wait()

        return run

    recorder = _Recorder(session._stream)
    session._stream = recorder
    remote(one)()
    recorder.sent.clear()
    remote(one)()
    messages = list(recorder.sent)
    session._stream = recorder._stream
    floor = Floor()
    times = interleave(
        {
            "gradwire": remote(one),
            "gradwire recorded": remote(leaf),
            "torch": lambda: adds(theirs_one, theirs_one),
            "torch recorded": lambda: adds(theirs_leaf, theirs_one),
            "echo": lambda: floor.echo_all(messages),
        },
        rounds=30,
    )
    floor.close()
    session.close()
    return [
        _line("gradwire, per op", times["gradwire"], 1e3, "us", f"{_ratio(times['gradwire'], times['torch'])} of torch"),
        _line("gradwire, recorded", times["gradwire recorded"], 1e3, "us",
              f"{_ratio(times['gradwire recorded'], times['torch recorded'])} of torch recorded"),
        _line("torch, local", times["torch"], 1e3, "us", ""),
        _line("torch, local, recorded", times["torch recorded"], 1e3, "us", ""),
        _line(f"echo of the same {len(messages)} messages, {sum(map(len, messages))} B", times["echo"], 1e3, "us",
              f"gradwire is {_ratio(times['gradwire'], times['echo'])}"),
    ]  # fmt: skip


def item(address: str) -> list[Line]:
    """Time one op and its `.item()` against a bare ping-pong on the same kind of socket."""
    session = use(Session(GrpcConnection(address, connect_seconds=10, public_stream=False)))
    x = gw.ones(())
    floor = Floor()
    times = interleave(
        {
            "gradwire": lambda: (x + x).item(),
            "public": lambda: floor.echo_public(b"x" * 60),
            "same style": lambda: floor.echo(b"x" * 60),
        },
        rounds=1000,
        warmup=100,
    )
    floor.close()
    session.close()
    return [
        _line("gradwire, op + .item()", times["gradwire"], 1e6, "us",
              f"{_ratio(times['gradwire'], times['public'])} of the public ping-pong, "
              f"{_ratio(times['gradwire'], times['same style'])} of that in our own style"),
        _line("bare ping-pong, 60 B, grpcio's public API", times["public"], 1e6, "us", ""),
        _line("bare ping-pong, 60 B, our own style (segregated call)", times["same style"], 1e6, "us", ""),
    ]  # fmt: skip


def bulk(address: str) -> list[Line]:
    """Time uploads and downloads of 1 KiB to 256 MiB against a raw gRPC stream of the same bytes."""
    session = use(Session(GrpcConnection(address, connect_seconds=10, public_stream=False)))
    floor = Floor()
    lines = []
    for exponent in (10, 13, 16, 20, 24, 26, 28):
        data = np.ones(2**exponent // 4, np.float32)
        there = gw.from_numpy(data)

        def upload(data: Any = data) -> None:
            gw.from_numpy(data)
            session.wait()

        times = interleave(
            {
                "up": upload,
                "raw up": lambda data=data: floor.upload(data),
                "down": lambda there=there: there.numpy(),
                "raw down": lambda data=data: floor.download(data.nbytes),
            },
            rounds=5 if exponent >= 26 else 20,
            warmup=1,
        )
        size = f"{2**exponent // 1024} KiB" if exponent < 20 else f"{2**exponent // 2**20} MiB"
        for way in ("up", "down"):
            rate = data.nbytes / times[way].median / 1e9
            lines.append(_line(f"{way}load {size}", times[way], 1e3, "ms",
                               f"{rate:.2f} GB/s; {_ratio(times[way], times['raw ' + way])} of the raw stream's time"))  # fmt: skip
        del there
    floor.close()
    session.close()
    return lines


def _mlp_step(namespace: Any, modules: Any, wait: Callable[[Any], object]) -> Callable[[], None]:
    """Return a training step of the 784-512-512-10 MLP; written once for gradwire and for PyTorch."""
    namespace.manual_seed(0)
    model = modules.Sequential(
        modules.Linear(784, 512), modules.ReLU(), modules.Linear(512, 512), modules.ReLU(), modules.Linear(512, 10)
    )
    optimizer = namespace.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    inputs, labels = namespace.randn(128, 784), namespace.randint(0, 10, (128,))
    criterion = modules.CrossEntropyLoss()

    def step() -> None:
        optimizer.zero_grad()
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()
        wait(loss)

    return step


def mlp(address: str) -> list[Line]:
    """Time one MLP step (784-512-512-10, batch 128, SGD with momentum), waiting for each."""
    torch = _torch()
    session = use(Session(GrpcConnection(address, connect_seconds=10, public_stream=False)))
    remote = _mlp_step(gw, nn, lambda loss: session.wait())
    local_session = use(in_process_session())
    local = _mlp_step(gw, nn, lambda loss: local_session.wait())
    theirs = _mlp_step(torch, torch.nn, lambda loss: None)

    def in_session(which: Session, step: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            use(which)
            step()

        return run

    times = interleave(
        {"gradwire": in_session(session, remote), "in process": in_session(local_session, local), "torch": theirs},
        rounds=60,
    )
    session.close()
    return [
        _line("gradwire, remote", times["gradwire"], 1e3, "ms", f"{_ratio(times['gradwire'], times['torch'])} of torch"),
        _line("the same kernels, in process", times["in process"], 1e3, "ms",
              f"remote is {_ratio(times['gradwire'], times['in process'])}"),
        _line("torch, local eager", times["torch"], 1e3, "ms", ""),
    ]  # fmt: skip


ROWS: dict[str, Callable[[str], list[Line]]] = {
    "eager": eager, "item": item, "bulk": bulk, "mlp": mlp, **model_rows.rows()
}  # fmt: skip
