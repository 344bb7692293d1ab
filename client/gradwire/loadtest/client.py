"""One client under a load test, in a process of its own: `python -m gradwire.loadtest.client ADDRESS ROLE SEED RECONNECT_SECONDS`.

It says `ready`, is told for how many seconds to run, and says each step's name and milliseconds in a line of JSON, then `done`.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

import gradwire as gw
from gradwire.credentials import Credentials
from gradwire.session import Session, use
from gradwire.transport import GrpcConnection
from gradwire_protocol.errors import GradwireError, LimitExceeded, ProtocolError, WorkerLost, WorkerUnreachable
from gradwire_protocol.v1 import worker_pb2

__all__: list[str] = []

Step = Callable[[], object]
# 64 processes that start on two cores take their time; that is not what is measured.
_CONNECT_SECONDS = 120.0
_UPLOAD_FLOATS = (1 << 20) // 4


def _train() -> Step:
    """Return a compiled training step of a small network; its loss is read."""
    gw.manual_seed(0)
    draw = np.random.default_rng(0)
    nn = gw.nn
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = gw.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    inputs, labels = gw.from_numpy(draw.standard_normal((32, 64), np.float32)), gw.from_numpy(draw.integers(0, 10, 32))

    @gw.compile
    def step() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss

    return lambda: step().item()


def _eager() -> Step:
    """Return twenty calls on sixteen numbers, and a read."""
    start = gw.ones(16)

    def step() -> None:
        x = start
        for _ in range(10):
            x = (x + start) * 0.5
        if x.sum().item() != 16.0:
            raise ArithmeticError("halved sums of ones must stay ones; another value was read")

    return step


def _upload() -> Step:
    """Return the upload of 1 MiB, of which one number is read."""
    values = np.arange(_UPLOAD_FLOATS, dtype=np.float32)
    return lambda: gw.from_numpy(values)[-1].item()


def _flood() -> Step:
    """Return a thousand calls that are sent as fast as the worker's window lets them, and never read."""
    x = gw.ones(16)

    def step() -> None:
        for _ in range(1000):
            x.add(1.0)

    return step


_KINDS: dict[str, Callable[[], Step]] = {"train": _train, "eager": _eager, "upload": _upload, "flood": _flood}
_WEIGHTS = {"train": 6, "eager": 3, "upload": 1}


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def _timed(name: str, step: Step) -> bool:
    """Run a step and report it; return whether the session can go on."""
    started = time.perf_counter()
    error, going = "", True
    try:
        step()
    except (GradwireError, RuntimeError, ArithmeticError, OSError) as caught:
        error = f"{type(caught).__name__}: {caught}"
        refused, going = isinstance(caught, LimitExceeded), not isinstance(caught, WorkerLost | WorkerUnreachable)
        _say(name=name, milliseconds=(time.perf_counter() - started) * 1e3, error=error, refused=refused)
        return going
    _say(name=name, milliseconds=(time.perf_counter() - started) * 1e3)
    return going


def _work(role: str, seed: int) -> Callable[[float], None]:
    """Prepare and warm up the steps of a role; return what runs them for so many seconds."""
    names = list(_WEIGHTS) if role == "mixed" else [role]
    steps = {name: _KINDS[name]() for name in names}
    for step in steps.values():
        for _ in range(3):
            step()
    draw = random.Random(seed)
    weights = [_WEIGHTS.get(name, 1) for name in names]

    def run(seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            name = draw.choices(names, weights)[0]
            if not _timed(name, steps[name]):
                break

    return run


def _connection(address: str) -> GrpcConnection:
    return GrpcConnection(
        address,
        connect_seconds=_CONNECT_SECONDS,
        public_stream=False,
        credentials=Credentials.given(),
        is_alone=True,
    )


def _never_read(address: str) -> Callable[[float], None]:
    """Return what sends batches past the window and reads none of their answers."""
    connection = _connection(address)
    Session(connection)

    def run(seconds: float) -> None:
        end, number = time.perf_counter() + seconds, 0
        with suppress(GradwireError):
            while time.perf_counter() < end:
                number += 1
                # A resend of the first batch: answered from what is kept, each time, and not read.
                frame = worker_pb2.ClientFrame()
                frame.batch.number = 1
                connection.stream.send(frame.SerializeToString())
                if number % 100 == 0:
                    _say(name="never-reading", milliseconds=0.0)
                    time.sleep(0.01)
        _say(name="never-reading", milliseconds=0.0)

    return run


def _malformed(address: str) -> Callable[[float], None]:
    """Return what sends batches that no client would, each in a session of its own."""

    def once(number: int) -> None:
        connection = _connection(address)
        try:
            Session(connection)
            frame = worker_pb2.ClientFrame()
            frame.batch.number, frame.batch.first_handle = 1 + number % 2, 1
            frame.batch.calls.extend([0xFFFFFFFF, number])
            frame.batch.inputs.extend([1 << 40] * 4)
            message = frame.SerializeToString() if number % 3 else b"\xff" * 64
            connection.stream.send(message)
            ack = worker_pb2.WorkerFrame.FromString(connection.stream.receive()).ack
            if not ack.HasField("refused") and not ack.failures:
                raise AssertionError("a malformed batch must be refused; the worker ran it")
        finally:
            connection.close()

    def run(seconds: float) -> None:
        end, number = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            number, started, refused = number + 1, time.perf_counter(), False
            try:
                once(number)
            except (ProtocolError, WorkerLost):
                refused = True  # the stream was ended, which is an answer too
            _say(name="malformed", milliseconds=(time.perf_counter() - started) * 1e3, refused=refused)

    return run


def _idle(address: str, sessions: int) -> Callable[[float], None]:
    """Open more sessions, each over a connection of its own, and call a little in each; return what does nothing more."""
    for _ in range(sessions):
        use(Session(_connection(address)))
        (gw.ones(16) + 1.0).sum().item()

    def run(seconds: float) -> None:
        time.sleep(seconds)
        _say(name="idle", milliseconds=0.0)

    return run


def _knocking(address: str, role: str, seed: int) -> Callable[[float], None]:
    """Return what asks a worker that is full for a session again, when the worker says, and works once it has one."""

    def run(seconds: float) -> None:
        end = time.perf_counter() + seconds
        # When they were told to come is over where all begin at one word: without this they would come as one.
        pause = random.Random(seed).uniform(0, seconds / 4)
        while (left := end - time.perf_counter()) > 0:
            time.sleep(min(pause, left))
            started = time.perf_counter()
            try:
                gw.connect(address, connect_seconds=_CONNECT_SECONDS)
            except LimitExceeded as error:
                pause = error.retry_after_seconds
                _say(name="refused", milliseconds=(time.perf_counter() - started) * 1e3, refused=True)
                continue
            _work(role, seed)(end - time.perf_counter())
            return

    return run


def _prepared(address: str, role: str, seed: int, reconnect_seconds: float) -> Callable[[float], None]:
    """Connect, get ready, and return what runs for so many seconds."""
    name, _, count = role.partition(":")
    if name == "idle":
        return _idle(address, int(count))
    work = "train" if name == "killed" else name
    try:
        gw.connect(address, connect_seconds=_CONNECT_SECONDS, reconnect_seconds=reconnect_seconds)
    except LimitExceeded:
        return _knocking(address, work, seed)
    if name == "never-reading":
        return _never_read(address)
    return _malformed(address) if name == "malformed" else _work(work, seed)


def main() -> None:
    """Serve the load test."""
    address, role, seed, reconnect_seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    run = _prepared(address, role, seed, reconnect_seconds)
    _say(ready=True)
    run(float(sys.stdin.readline()))
    with suppress(GradwireError):
        gw.disconnect()
    _say(done=True)  # last: then the process is killed


if __name__ == "__main__":
    main()
