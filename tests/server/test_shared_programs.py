"""What sessions of one worker share of programs: plans, never values; and loops that no program can make are refused."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire_protocol.dtypes import float32
from gradwire_protocol.errors import BatchMalformed
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.program import Loop, Program, ProgramCall, loop_signature
from gradwire_protocol.program_codec import digest_of, encode_program
from gradwire_protocol.signature import resolve
from gradwire_server.backend import open_backend
from gradwire_server.engine import Engine
from gradwire_server.programs.shared import SharedPrograms
from gradwire_server.session import Session as WorkerSession
from tests.support import Loopback


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Put the current session back."""
    previous = sessions._current
    yield
    sessions._current = previous


def opened(shared: SharedPrograms) -> sessions.Session:
    """Return a session with a worker that shares programs."""
    loopback = Loopback()
    loopback.worker = WorkerSession(loopback.worker.engine.backend, shared=shared)
    return sessions.use(sessions.Session(loopback))


def compiled() -> Any:
    """Return a function with weights of its own whose program is the same each time."""
    w = gw.arange(4.0).requires_grad_()
    run = gw.compile(lambda x: ((w * x).exp() + gw.tensor([1.0, 2.0, 3.0, 4.0])).sin())
    for _ in range(3):
        run(gw.ones(4))
    return run, w


def test_a_second_session_prepares_nothing_and_shares_no_memory() -> None:
    shared = SharedPrograms()
    held = []
    for session in (opened(shared), opened(shared)):
        sessions.use(session)
        held.append((session, *compiled()))
        session.wait()
    done = shared.statistics()
    assert (done.programs, done.prepared, done.found) == (1, 1, 1)
    results = []
    for index in range(4):
        session, run, w = held[index % 2]
        sessions.use(session)
        x = gw.full((4,), float(index))
        made = run(x)
        made.sum().backward()
        want = (w.detach() * x).exp() + gw.tensor([1.0, 2.0, 3.0, 4.0])
        results.append((made.detach(), want.sin(), w.grad, want.cos() * (w.detach() * x).exp() * x))
        w.grad = None
    for made, want, grad, want_grad in results:
        assert made.tolist() == want.tolist()
        assert grad.tolist() == want_grad.tolist()


def programs(count: int) -> list[Program]:
    """Return programs that differ in a shape, each of one product with itself."""
    made = []
    for size in range(1, count + 1):
        meta = Meta.of((size,), float32)
        signature = resolve(OPS["mul.Tensor"], (meta, meta), (), (), (), 0, float32)
        made.append(Program((meta,), (), (ProgramCall(signature, (0, 0)),), (1,)))
    return made


def test_what_was_used_longest_ago_goes_first() -> None:
    shared, engine = SharedPrograms(max_programs=2), Engine(open_backend("cpu"))
    messages = [encode_program(program) for program in programs(3)]
    digests = [digest_of(message) for message in messages]
    first, second = (shared.program(digest, message) for digest, message in zip(digests[:2], messages, strict=False))
    prepared = shared.prepared(digests[0], first, 0, engine)
    shared.program(digests[2], messages[2])
    assert shared.statistics().programs == 2
    assert shared.program(digests[0], messages[0]) is first
    assert shared.prepared(digests[0], first, 0, engine) is prepared
    assert shared.program(digests[1], messages[1]) is not second


def test_many_threads_get_one_plan_each_that_works() -> None:
    shared, backend = SharedPrograms(max_programs=2), open_backend("cpu")
    known = [(digest_of(message), message) for message in map(encode_program, programs(4))]

    def use(index: int) -> int:
        digest, message = known[index % 4]
        return len(shared.prepared(digest, shared.program(digest, message), 0, Engine(backend)).forward.steps)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(use, range(200))) == {1}
    assert shared.statistics().programs <= 2


def test_loops_that_do_not_fit_are_refused() -> None:
    program = programs(3)[2]
    good = Loop(5, (2,), (0,), (1, 0))
    good.check(program)
    signature = loop_signature(program, "d", good)
    assert [meta.shape for meta in (*signature.metas, *signature.outputs) if meta] == [(2, 3), (5, 3), (3,)]
    for loop in (
        Loop(0, (0,), (0,), ()), Loop(1 << 40, (0,), (0,), ()), Loop(1, (), (0,), ()), Loop(1, (0,), (0, 0), ()),
        Loop(1, (-1,), (0,), ()), Loop(1, (2,), (1,), ()), Loop(1, (0,), (2,), ()), Loop(1, (0,), (-1,), ()),
        Loop(1, (0,), (0,), (2,)), Loop(1, (0,), (0,), (-1,)),
    ):  # fmt: skip
        with pytest.raises(BatchMalformed):
            loop.check(program)
