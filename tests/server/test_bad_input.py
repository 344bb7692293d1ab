"""Every op with dtypes, ranks, axes and sizes that may make no sense, as a hostile client sends them: at most a refusal.

GRADWIRE_BAD_INPUT_EXAMPLES says how many examples of each op are tried: few by default, 200 for the full form.
"""

from __future__ import annotations

import os
import signal
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradwire_protocol import codec, dtypes, limits
from gradwire_protocol.errors import LimitExceeded
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.ops.control import NODE_META
from gradwire_protocol.registry import Op
from gradwire_protocol.schema import Kind
from gradwire_protocol.v1 import call_pb2, failure_pb2
from gradwire_server.backend import open_backend
from gradwire_server.engine import Array
from gradwire_server.quota_settings import Quotas
from gradwire_server.quotas import Tenant
from gradwire_server.session import Session
from gradwire_server.store import PinnedNode, Poisoned
from gradwire_server.uploads import Uploads

EXAMPLES = int(os.environ.get("GRADWIRE_BAD_INPUT_EXAMPLES", "4"))
QUOTA_BYTES = 1 << 20
# A kernel of a result within the quota may need some of it on the way; what overflows or is huge would take far more.
MOST_BYTES = 64 * QUOTA_BYTES

ALLOWED = {
    "RuntimeError", "IndexError", "TypeError", "ValueError", "NotImplementedError", "OverflowError", "ZeroDivisionError",
    "BatchMalformed", "UnknownOp", "HandleNotFound", "LimitExceeded", "QuotaExceeded", "LinAlgError", "GroupBroken",
    "WorkerLost",
}  # fmt: skip

SHAPES = ((), (0,), (1,), (3,), (2, 3), (3, 3), (2, 0, 3), (1, 2, 4, 4))
HELD = [
    Meta.of(shape, dtype)
    for shape in SHAPES
    for dtype in (dtypes.float32, dtypes.int64, dtypes.bool_, dtypes.complex64)
]
NODE, POISON = len(HELD) + 1, len(HELD) + 2
HANDLES = range(1, POISON + 1)
# What one call may take: all tensors are tiny, so what takes longer would take far longer with others.
SECONDS = 10.0

NUMBERS = st.sampled_from(
    (0, 1, -1, 2, -2, 3, 5, -7, 64, 1 << 20, 1 << 31, -(1 << 31), 1 << 40, 1 << 56, (1 << 62), -(1 << 62))
)
TEXTS = ("", "mean", "sum", "none", "bilinear", "nonsense", "self.0", ";;")
STATICS = {
    "bool": st.booleans(), "address": st.sampled_from(("", "127.0.0.1:1")), "str": st.sampled_from(TEXTS),
    "int": NUMBERS, "SymInt": NUMBERS, "int[]": st.lists(NUMBERS, max_size=5).map(tuple),
    "bool[]": st.lists(st.booleans(), max_size=3).map(tuple), "float": st.sampled_from((0, 1)),
    "ScalarType": st.sampled_from((dtypes.float32, dtypes.int64, dtypes.bool_, dtypes.complex64, dtypes.bfloat16)),
}  # fmt: skip


def new_session(tenant: Tenant) -> Session:
    """Return a session that holds an array of each kind, under handles from 1 on."""
    session = Session(open_backend("cpu"), tenant=tenant)
    for handle, meta in enumerate(HELD, 1):
        data = session.engine.backend.xp.ones(meta.shape, meta.dtype.numpy)
        session.store.define(handle, session.engine.new(data, meta))
    session.store.define(NODE, PinnedNode(session.store.entries[1]))  # type: ignore[arg-type]
    session.store.define(POISON, Poisoned(failure_pb2.Failure(error="RuntimeError", message="poisoned before")))
    session.store.next_handle = len(HANDLES) + 1
    session.uploads = Uploads(stall_seconds=0)
    return session


def meta_of(handle: int) -> Meta | None:
    """Return the meta that a call's signature must have for a handle; any will do for what is poisoned."""
    return None if not handle else NODE_META if handle == NODE else HELD[handle - 1] if handle <= len(HELD) else HELD[0]


def values_of(session: Session) -> dict[int, bytes]:
    """Return the elements of all arrays that a session holds."""
    entries = session.store.entries.items()
    return {handle: entry.data.tobytes() for handle, entry in entries if isinstance(entry, Array)}


class Hung(BaseException):
    """Not an Exception: a session would report those as failures of its calls."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise Hung in the block if it takes longer. Code that never comes back to Python is left to `faulthandler_timeout`."""

    def end(*arguments: object) -> None:
        raise Hung(f"a batch must end within {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@st.composite
def bad_batches(draw: Any, op: Op) -> call_pb2.Batch:
    """Draw a batch of one call of an op: its arguments are of the right number, and else anything."""
    handles, statics, kinds, lengths = [], [], "", []
    for argument in op.arguments:
        if argument.kind is Kind.SCALAR:
            kinds += draw(st.sampled_from("ifbcn"))
        elif argument.type.startswith("Tensor"):
            count = 1
            if argument.type.endswith("]"):
                count = draw(st.integers(0, 3))
                lengths.append(count)
            handles += [draw(st.integers(0 if argument.optional else 1, POISON)) for _ in range(count)]
        else:
            kind = "address" if argument.name == "address" else argument.type
            statics.append(None if draw(st.integers(0, 9)) == 0 else draw(STATICS[kind]))
    metas = [codec.encode_meta(meta_of(handle)) for handle in handles]
    if metas and draw(st.integers(0, 9)) == 0:
        metas[0] = codec.encode_meta(Meta.of((1 << 30, 1 << 20), dtypes.float32))
    signature = call_pb2.Signature(
        op=op.name, metas=metas, statics=[codec._encode_static(value) for value in statics], kinds=kinds, lengths=lengths,
        needs=draw(st.sampled_from((b"", b"\1", b"\7"))), default_dtype=codec.encode_meta(HELD[0]).dtype,
    )  # fmt: skip
    numbers = [kind for kind in kinds if kind in "ib"]
    floats = sum({"f": 1, "c": 2}.get(kind, 0) for kind in kinds)
    extra = draw(st.sampled_from((0, 0, 0, 0, 1)))
    return call_pb2.Batch(
        number=1, first_handle=len(HANDLES) + 1, signatures=[signature], calls=[0], inputs=handles,
        ints=[draw(NUMBERS) for _ in numbers], floats=[draw(st.floats()) for _ in range(floats + extra)],
    )  # fmt: skip


@pytest.mark.parametrize("name", ["unbind.int", "split.Tensor"])
def test_one_call_does_not_make_tensors_without_end(name: str) -> None:
    meta = codec.encode_meta(Meta.of((1 << 30, 2), dtypes.float32))
    statics = [1, 0] if name == "split.Tensor" else [0]
    signature = call_pb2.Signature(
        op=name,
        metas=[meta],
        statics=[codec._encode_static(value) for value in statics],
        default_dtype=dtypes.float32.code,
    )
    with pytest.raises(LimitExceeded, match="at most 65536 tensors"):
        codec.decode_signature(signature)


@pytest.mark.parametrize("name", OPS)
def test_an_op_with_bad_arguments_is_refused_before_memory_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PEER_SECONDS", 0.01)  # nobody offers what a call asks for
    canary = new_session(Tenant(Quotas(session_bytes=QUOTA_BYTES)))
    before = values_of(canary)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=EXAMPLES < 50,
    )
    @given(bad_batches(OPS[name]))
    def check(batch: call_pb2.Batch) -> None:
        session = new_session(Tenant(Quotas(session_bytes=QUOTA_BYTES)))
        tracemalloc.start()
        try:
            with session.engine.backend.active(), deadline(SECONDS):
                ack = session.apply(batch)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        errors = [ack.refused] if ack.HasField("refused") else list(ack.failures)
        assert {error.error for error in errors} <= ALLOWED, errors
        assert peak < MOST_BYTES, f"{peak} bytes"

    check()
    assert values_of(canary) == before
