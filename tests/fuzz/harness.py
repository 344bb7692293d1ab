"""What one fuzz input does, and what must hold: it is applied to a real session, beside a canary on the same backend.

A `Finding` is raised for an exception that leaves the session, a failure that is none of the declared errors, a batch that takes
too long, memory without bound, an answer that a resend changes, and for a canary that notices anything.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np

from gradwire_protocol import codec, errors, limits
from gradwire_protocol.dtypes import float32
from gradwire_protocol.meta import Meta
from gradwire_protocol.v1 import call_pb2
from gradwire_server.backend import open_backend
from gradwire_server.quota_settings import Quotas
from gradwire_server.quotas import Tenant
from gradwire_server.session import Session
from gradwire_server.uploads import Uploads
from tests.fuzz import cases

__all__ = ["Finding", "Harness"]

# A kernel that breaks its contract, or an error that no call may raise, reaches a client as one of these.
_BUGS = frozenset(("KernelError", "MemoryError"))
_PYTHON = frozenset((
    "RuntimeError", "IndexError", "TypeError", "ValueError", "NotImplementedError", "OverflowError", "ZeroDivisionError",
))  # fmt: skip
_DECLARED = _PYTHON | frozenset(name for name in errors.__all__ if name[0].isupper()) - _BUGS

# These reach other machines, at addresses that a mutation makes up; a test of their own is tests/devices.
_OUTWARD = frozenset(("gw::form", "gw::reachable"))
_MOST_STEPS = 64  # of a loop: more are as legal, and as slow, as they say

_QUOTAS = Quotas(session_bytes=4 << 20, session_handles=20_000)
_CANARY = np.arange(12, dtype=np.float32).reshape(3, 4)


def _peak_kibibytes() -> int:
    """Return the most memory that this process ever had in RAM. `ru_maxrss` begins with that of the process which started it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1])


class Finding(AssertionError):
    """Something that a client must not be able to do."""


class Harness:
    """Runs inputs, each in a session of its own, on one backend."""

    def __init__(self, seconds: float = 10.0, grown_bytes: int = 512 << 20) -> None:
        """Let a batch take so long at most, and the process grow by so much for one input."""
        self._seconds, self._grown_kibibytes = seconds, grown_bytes >> 10
        self.backend = open_backend("cpu")
        self.tenant = Tenant(Quotas())  # the canary's own: a quota is not what keeps it safe
        self.canary = Session(self.backend, tenant=self.tenant)
        meta = Meta.of(_CANARY.shape, float32)
        self.canary.store.define(1, self.canary.engine.new(_CANARY.copy(), meta))
        self.canary.store.next_handle = 2
        self.inputs = self.batches = self.applied = self.calls = self.failed = 0
        limits.PEER_SECONDS = 0.0  # nobody offers what a call asks for

    def run(self, data: bytes) -> bool:
        """Run an input, and return whether it was one; raise Finding for what must not be."""
        batches = cases.decode(data)
        if not batches or any(_leaves(batch) for batch in batches):
            return False
        self.inputs += 1
        before = _peak_kibibytes()
        session = Session(self.backend, tenant=Tenant(_QUOTAS))
        session.uploads = Uploads(stall_seconds=0)
        try:
            for batch in batches:
                self._apply(session, batch)
        finally:
            session.meter.close()
        self._look_after(session)
        grown = _peak_kibibytes() - before
        if grown > self._grown_kibibytes:
            raise Finding(f"an input of {len(data)} bytes must not take {grown} KiB")
        return True

    def _apply(self, session: Session, batch: call_pb2.Batch) -> None:
        began = time.perf_counter()
        try:
            with self.backend.active():
                ack = session.apply(batch)
                again = session.apply(batch)
        except Exception as error:
            raise Finding(f"a batch must be answered; it raised {type(error).__name__}: {error}") from error
        if time.perf_counter() - began > self._seconds:
            raise Finding(f"a batch must not take {time.perf_counter() - began:.1f} s")
        if not ack.HasField("refused") and again is not ack and batch.acknowledged < batch.number:
            raise Finding("a resend must be answered with the recorded answer")
        self.batches += 1
        self._count(batch, ack)
        for failure in [ack.refused] if ack.HasField("refused") else ack.failures:
            if failure.error not in _DECLARED:
                raise Finding(
                    f"a call must fail by a declared error; {failure.op} by {failure.error}: {failure.message}"
                )

    def _count(self, batch: call_pb2.Batch, ack: call_pb2.Ack) -> None:
        if not ack.HasField("refused"):
            self.applied += 1
            self.calls += len(batch.calls)
            self.failed += len(ack.failures)

    def _look_after(self, session: Session) -> None:
        """Look at the canary, and whether the session itself can go on."""
        self._use(self.canary, 1, _CANARY)
        if session.store.next_handle < 1 << 60 and session.applied < 1 << 60:
            first = session.store.next_handle
            session.store.define(first, session.engine.new(_CANARY.copy(), Meta.of(_CANARY.shape, float32)))
            session.store.next_handle += 1
            session.meter.tenant.quotas = Quotas()
            self._use(session, first, _CANARY)

    def _use(self, session: Session, handle: int, values: np.ndarray) -> None:  # type: ignore[type-arg]
        """Double a tensor in a new batch, and compare."""
        meta = codec.encode_meta(Meta.of(values.shape, float32))
        batch = call_pb2.Batch(
            number=session.applied + 1, first_handle=session.store.next_handle, acknowledged=session.applied,
            reset_signatures=True, calls=[0, 1], inputs=[handle, handle, session.store.next_handle],
            released=[session.store.next_handle, 1],
            signatures=[
                call_pb2.Signature(op="mul.Tensor", metas=[meta, meta], default_dtype=float32.code),
                call_pb2.Signature(op="gw::fetch", metas=[meta], default_dtype=float32.code),
            ],
        )  # fmt: skip
        with self.backend.active():
            ack = session.apply(batch)
        if not ack.values or ack.values[0].data != (values * values).tobytes():
            raise Finding(f"another session, and this one afterwards, must work as before; got {ack!s:.500}")


def _leaves(batch: call_pb2.Batch) -> bool:
    """Return whether a batch reaches beyond this process, or is as slow as it may be."""
    for signature in batch.signatures:
        if signature.op in _OUTWARD or (signature.op == "gw::receive" and any(s.text for s in signature.statics)):
            return True
        if signature.op == "gw::loop" and any(static.integer > _MOST_STEPS for static in signature.statics[1:2]):
            return True
    return False
