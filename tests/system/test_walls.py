"""Walls between sessions of one worker: handles, memory, and the words of errors."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gradwire as gw
from gradwire import session as sessions
from gradwire.session import Session
from gradwire_protocol import codec
from gradwire_protocol.errors import GradwireError, KernelError
from gradwire_protocol.told import told
from gradwire_protocol.v1 import worker_pb2
from tests.support import open_loopback
from tests.system.test_worker import Worker, connect

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("own_session")]

nn, F = gw.nn, gw.nn.functional

# 16 bytes that no arithmetic here makes by chance.
SECRET = np.frombuffer(b"\xd5GradwireSecret\xab", np.int64)
# One for each way in which memory is kept: small blocks, those of the C library's heap, mapped ones.
SIZES = (2, 64, 1_000, 20_000, 300_000, 5_000_000)
# What an attacker could use, and a caller cannot: paths, places in memory, traces, machines.
INSIDES = re.compile(r"/(?:usr|home|root|tmp|work|opt|proc|lib|etc)/|\.py\b|\.so\b|Traceback|0x[0-9a-f]{6,}|localhost")


@pytest.fixture(params=[[], ["--public-server"]], ids=["own queues", "grpcio's server"])
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    running = Worker(*request.param)
    yield running
    running.process.kill()
    running.close()


# -- memory ------------------------------------------------------------------------------------------------------------


def keep_secrets(session: Session) -> None:
    """Fill memory of all sizes with the secret, by uploads, kernels and a program, and leave it freed."""
    sessions.use(session)
    doubled = gw.compile(lambda x: (x ^ 0).clone())
    for size in SIZES:
        held = gw.from_numpy(np.resize(SECRET, size))
        assert (doubled(held.clone()) == held).all().item()
        del held
    session.wait()
    session.close()


def found_by(session: Session) -> list[np.ndarray[Any, Any]]:
    """Return what a session sees of memory that it never wrote, eager and compiled."""
    sessions.use(session)
    made = []
    for size in SIZES:
        like = gw.empty(size, dtype=gw.int64)
        compiled = gw.compile(lambda x: (gw.empty_like(x), x.new_empty(x.shape), gw.empty(x.shape, dtype=gw.int64) + 0))
        for tensor in (
            like,
            gw.empty_like(like),
            like.new_empty(size),
            gw.empty(size, dtype=gw.float64),
            *compiled(like),
        ):
            made.append(tensor.numpy())
    return made


def test_no_byte_of_an_ended_session_appears_in_the_next(worker: Worker) -> None:
    keep_secrets(connect(worker))
    session = connect(worker)
    for array in found_by(session):
        assert not array.any(), f"{array.size} new elements are not zero"
    session.close()


def trained(pattern: int, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Train by compiled steps and a loop of them in memory that holds a pattern, and return all that came of it."""

    def filled(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*args: Any, **kwargs: Any) -> Any:
            array = make(*args, **kwargs)
            array.reshape(-1).view(np.uint8)[...] = pattern if array.dtype != bool else pattern & 1
            return array

        return made

    with monkeypatch.context() as patched:
        for maker in ("empty", "empty_like"):
            patched.setattr(np, maker, filled(getattr(np, maker)))
        sessions.use(open_loopback()[0])
        gw.manual_seed(0)
        net = nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.GELU(), nn.Dropout(0.3), nn.Linear(16, 4))
        optimizer = gw.optim.AdamW(net.parameters())

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            return loss

        inputs, labels = gw.randn(5, 6, 8), gw.randint(0, 4, (5, 6))
        compiled = gw.compile(step)
        losses = [compiled(x, y) for x, y in zip(inputs, labels, strict=True)]
        left = [*net.state_dict().values(), *(p.grad for p in net.parameters())]
        return [tensor.detach().numpy().tobytes() for tensor in (*losses, *left)]


def test_programs_compute_the_same_whatever_their_memory_held(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trained(0x3E, monkeypatch) == trained(0x41, monkeypatch)


# -- handles -----------------------------------------------------------------------------------------------------------


def words_of(session: Session, handle: int) -> str:
    """Return what a session hears of a handle, with the handle's number left out."""
    sessions.use(session)
    guess = gw.zeros(4)
    own, guess.handle = guess.handle, handle
    try:
        with pytest.raises(gw.errors.HandleNotFound) as found:
            guess.tolist()
    finally:
        guess.handle = own
    return str(found.value).replace(f"handle {handle},", "handle N,")


def test_a_foreign_handle_reads_like_one_that_never_was(worker: Worker) -> None:
    mine, other = connect(worker), connect(worker)
    sessions.use(mine)
    held = [gw.full((4,), 42.0) for _ in range(50)]
    mine.wait()
    foreign = {words_of(other, tensor.handle + 20) for tensor in held[20:]}
    unknown = {words_of(other, 10**9 + n) for n in range(3)}
    assert foreign == unknown and len(unknown) == 1
    mine.close()
    other.close()


# -- words -------------------------------------------------------------------------------------------------------------


def failures(session: Session) -> Iterator[str]:
    """Yield what the worker says of failures of all kinds, as it comes off the wire."""
    sessions.use(session)
    frames: list[bytes] = []
    receive = session._link.receive

    def recorded() -> bytes:
        frames.append(receive())
        return frames[-1]

    session._link.receive = recorded  # type: ignore[method-assign]
    a = gw.ones(2, 3)
    for call in (
        lambda: gw.linalg.inv(gw.zeros(3, 3)).tolist(),
        lambda: gw.linalg.cholesky(-gw.eye(3)).tolist(),
        lambda: a.index_select(0, gw.tensor([99])).tolist(),
        lambda: gw.ones(1 << 45).tolist(),
        lambda: F.embedding(gw.tensor([99]), a).tolist(),
        lambda: gw.multinomial(-a, 1).tolist(),
        lambda: gw.compile(lambda x: gw.linalg.inv(x) * 2)(gw.zeros(3, 3)).tolist(),
        lambda: words_of(session, 10**9),
    ):
        with suppress(Exception):
            call()
    for frame in map(worker_pb2.WorkerFrame.FromString, frames):
        for failure in (*frame.ack.failures, *(value.failure for value in frame.ack.values), frame.ack.refused):
            if failure.message:
                yield f"{failure.message} {failure.op}"


def test_errors_of_real_calls_tell_nothing_of_the_worker(worker: Worker) -> None:
    session = connect(worker)
    words = list(failures(session))
    assert len(set(words)) >= 7
    for text in words:
        assert not INSIDES.search(text), text
    session.close()


PATHS = st.sampled_from(
    ["/usr/lib/libcuda.so.1", "/home/a/secrets/key.pem", "/proc/1/fd/3", "/root/x.py", "/tmp/w/w.sock"]
)
FAILURES = st.one_of(
    st.builds(FileNotFoundError, st.integers(1, 30), st.text(max_size=20), PATHS),
    st.builds(lambda path, text: RuntimeError(f"{text} {path}"), PATHS, st.text(max_size=20)),
    st.builds(lambda path: ValueError(f"cannot load '{path}': no such file"), PATHS),
    st.builds(lambda number: TypeError(f"<object at {hex(number)}>"), st.integers(1 << 40, 1 << 48)),
    st.builds(lambda text: KeyError(f"tenant-b {text}"), st.text(max_size=20)),
    st.builds(lambda text: AttributeError(f"tenant-b {text}"), st.text(max_size=20)),
    st.builds(lambda text: AssertionError(f"tenant-b {text}"), st.text(max_size=20)),
    st.just(RuntimeError('Traceback (most recent call last):\n  File "x", line 1, in run')),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(error=FAILURES)
def test_what_fails_inside_is_told_by_a_number_and_logged(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    failure = codec.encode_failure(error, 3, 1, "op")
    assert failure.error == "KernelError"
    assert not INSIDES.search(failure.message) and "tenant-b" not in failure.message
    number = re.search(r"under error ([0-9a-f]{8})\.", failure.message)
    assert number is not None and number[1] in caplog.text
    assert caplog.records[-1].exc_info is not None and caplog.records[-1].exc_info[1] is error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        ValueError("a rate is in MB/s, and/or 3/4 of it; see https://pytorch.org/docs/stable/notes.html"),
        IndexError("index 99 is out of bounds for dimension 0 with size 2"),
        GradwireError("our own words, which name what the caller gave: /data/x.safetensors"),
        MemoryError("Unable to allocate 4.00 TiB for an array with shape (1099511627776,)"),
    ],
)
def test_what_is_the_callers_business_is_told_in_its_own_words(error: Exception) -> None:
    assert told(error) is error


def test_a_kernel_that_breaks_is_heard_by_its_caller_without_its_insides(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise FileNotFoundError(2, "No such file", "/usr/lib/libblas.so")

    session, _ = open_loopback()
    sessions.use(session)
    monkeypatch.setattr(np, "eye", broken)
    with pytest.raises(KernelError, match="under error") as found:
        gw.eye(3).tolist()
    assert "libblas" not in str(found.value) and "libblas" in caplog.text


def test_a_worker_logs_what_it_did_not_tell() -> None:
    script = """
import logging
from gradwire_protocol.told import told
from gradwire_protocol.v1 import worker_pb2
logging.basicConfig()
try:
    open("/nowhere/at/all")
except OSError as error:
    print(told(error))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "/nowhere" not in done.stdout and "/nowhere/at/all" in done.stderr and "Traceback" in done.stderr
