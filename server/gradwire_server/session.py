"""One client's session on a worker: batches in, acknowledgements out. No I/O; a clock only for profiles and late uploads.

Exactly once: the answer to a batch is recorded, under its number and a digest of its content, in the same step as its
changes. The same number again is answered from the record; the same number with other content is refused.
"""

from __future__ import annotations

import hashlib
import math
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from gradwire_protocol import codec
from gradwire_protocol.errors import (
    BatchConflict,
    BatchMalformed,
    HandleNotFound,
    QuotaExceeded,
    UnknownOp,
)
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.signature import Signature
from gradwire_protocol.v1 import call_pb2
from gradwire_server.backend import Backend
from gradwire_server.bounds import check_bounds, check_signatures
from gradwire_server.control import CONTROLS, OF_NODES, check_arguments
from gradwire_server.engine import Array, Engine
from gradwire_server.fast_calls import fast_call
from gradwire_server.lane import step_aside
from gradwire_server.peers import offers
from gradwire_server.peers.controls import ON_POISON, PEER_CONTROLS
from gradwire_server.programs.shared import SharedPrograms
from gradwire_server.programs.table import Programs
from gradwire_server.quota_settings import Quotas
from gradwire_server.quotas import Need, Tenant, held_bytes, need_of, total_need
from gradwire_server.running import Run
from gradwire_server.stopwatch import Clock, Stopwatch
from gradwire_server.store import PinnedNode, Poisoned, Store, missing
from gradwire_server.uploads import Uploads

__all__ = ["Run", "Session", "Statistics"]

_CONSTANT, _PROGRAM, _LOOP = OPS["gw::constant"], OPS["gw::program"], OPS["gw::loop"]

# Calls of these answer in any case, if only with their failure.
_ANSWERING = frozenset(("gw::fetch", "gw::reachable"))

_SEEN = 0  # of a signature: called once

# Sequences of calls whose columns are known: a training repeats a few. More than this is no repetition.
_KNOWN_SEQUENCES = 1024


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a session did so far."""

    batches: int
    calls: int
    handles: int
    held_bytes: int


class Session:
    """The state of one session. `apply` is the only way to change it."""

    def __init__(
        self,
        backend: Backend,
        clock: Clock = time.perf_counter_ns,
        shared: SharedPrograms | None = None,
        tenant: Tenant | None = None,
    ) -> None:
        """Open a session on a backend; `shared` is what a tenant's sessions share of programs, `tenant` what of quotas."""
        self.engine = Engine(backend)
        self.programs = Programs(self.engine, shared)
        self.store = Store()
        self.uploads = Uploads()
        self.token = secrets.token_bytes(16)
        self.applied = 0
        self._signatures: list[Signature | Exception] = []
        self._signature_bytes = self._next_signature_bytes = 0  # with the batch at hand, if it runs
        self._answers: dict[int, tuple[bytes, call_pb2.Ack, int]] = {}  # and what is large of their bytes
        self._calls = 0
        self._clock = clock
        self._column_lengths: dict[tuple[int, ...], tuple[int, int, int, int]] = {}
        self._needs: dict[tuple[int, ...], Need] = {}
        self.lock = threading.Lock()  # of the edge: held while a batch runs or a download reads
        self.meter = (tenant or Tenant(Quotas())).open_meter(self._counted_bytes, self.lock)
        quotas = self.meter.tenant.quotas
        self.engine.most_bytes = min(filter(None, (quotas.session_bytes, quotas.tenant_bytes)), default=0)

    def _counted_bytes(self) -> int:
        """Return the bytes of all that handles, graphs and programs keep, each memory once, and of uploads that wait."""
        held = held_bytes([*self.store.entries.values(), *self.programs.slots()], self.engine.backend)
        return held + offers.of_process.held_by(self.token)

    def statistics(self) -> Statistics:
        """Return what the session did and holds."""
        held_bytes = self.store.held_bytes + self.uploads.ready_bytes
        return Statistics(self.applied, self._calls, len(self.store.entries), held_bytes)

    def apply(self, batch: call_pb2.Batch) -> call_pb2.Ack:
        """Run a batch once and return its acknowledgement; a resend gets the recorded one.

        The calling thread must have entered the backend's `active` context.
        """
        watch = Stopwatch(self._clock, self.engine.backend.synchronize) if batch.profile else None
        digest = hashlib.blake2b(batch.SerializeToString(), digest_size=16).digest()
        recorded = self._answers.get(batch.number)
        if recorded is not None:
            if recorded[0] == digest:
                return recorded[1]
            return self._refuse(batch, self._conflict(batch.number))
        if batch.number != self.applied + 1:
            return self._refuse(batch, self._conflict(batch.number))
        try:
            check_bounds(batch, ((number, kept[2]) for number, kept in self._answers.items()))
            signatures = self._intern(batch)
            calls = self._check_columns(batch, signatures)
        except Exception as error:  # also a shape rule's: left to rise, it would end the session
            self.meter.note(error)
            refused = self._refuse(batch, error)
            error.__traceback__ = None  # one that is kept in place of its signature would keep this batch
            return refused
        ack = self._run(batch, calls, signatures, watch)
        self.applied = batch.number
        self._answers[batch.number] = (digest, ack, ack.ByteSize() if ack.values or ack.failures else 0)
        for number in [held for held in self._answers if held <= batch.acknowledged]:
            del self._answers[number]
        return ack

    def _conflict(self, number: int) -> BatchConflict:
        return BatchConflict(
            f"a batch must be number {self.applied + 1}, or a resend of one not yet acknowledged with the same content; "
            f"got number {number}; nothing of it was applied"
        )

    def _refuse(self, batch: call_pb2.Batch, error: Exception) -> call_pb2.Ack:
        return call_pb2.Ack(number=batch.number, refused=codec.encode_failure(error, batch.number))

    def _intern(self, batch: call_pb2.Batch) -> list[Signature | Exception]:
        """Return the session's signatures with the batch's new ones; they are kept only if the batch runs."""
        if batch.reset_signatures:
            self._column_lengths.clear()
            self._needs.clear()
        interned = [] if batch.reset_signatures else self._signatures
        known = len(interned)
        if batch.signatures and batch.first_signature != known:
            raise BatchMalformed(f"new signatures must start at {known}; the batch starts at {batch.first_signature}")
        self._next_signature_bytes = 0 if batch.reset_signatures else self._signature_bytes
        if not batch.signatures:
            return interned
        self._next_signature_bytes += sum([message.ByteSize() for message in batch.signatures])
        check_signatures(known + len(batch.signatures), self._next_signature_bytes)
        self.programs.add(batch.programs)
        added: list[Signature | Exception] = []
        for message in batch.signatures:
            try:
                if message.op in ("gw::program", "gw::loop"):
                    added.append(self.programs.signature(message))
                else:
                    added.append(codec.decode_signature(message))
            except BatchMalformed:
                raise
            except Exception as error:
                # A shape rule's refusal: the client's own rule should have raised it. The calls that use it fail.
                added.append(error.with_traceback(None))
        return [*interned, *added]

    def _check_columns(self, batch: call_pb2.Batch, signatures: list[Signature | Exception]) -> tuple[int, ...]:
        """Refuse a batch whose columns are not exactly as long as its calls need; return its calls."""
        calls = tuple(batch.calls)
        wanted = self._column_lengths.get(calls)
        if wanted is None:
            wanted = self._wanted_columns(batch, signatures)
        given = (len(batch.inputs), len(batch.floats), len(batch.ints), len(batch.tensors))
        if wanted != given:
            raise BatchMalformed(
                f"the calls of a batch need columns (inputs, floats, ints, tensors) of lengths {wanted}; got {given}; "
                "nothing of it was applied"
            )
        if len(batch.released) % 2:
            raise BatchMalformed("released handles come as pairs of (first, count); got an odd number")
        if batch.first_handle < self.store.next_handle:
            raise BatchMalformed(
                f"new handles must start at {self.store.next_handle} or above, since none is reused; got {batch.first_handle}"
            )
        # Last, when nothing more can refuse the batch: its new signatures are kept only if it runs.
        if not wanted[3] and len(self._column_lengths) < _KNOWN_SEQUENCES:
            self._column_lengths[calls] = wanted
        return calls

    def _wanted_columns(
        self, batch: call_pb2.Batch, signatures: list[Signature | Exception]
    ) -> tuple[int, int, int, int]:
        """Return how many (inputs, floats, ints, inline tensors) the calls of a batch take."""
        inputs = floats = ints = tensors = 0
        for number in batch.calls:
            if number >= len(signatures):
                raise UnknownOp(f"a call must name one of the session's {len(signatures)} signatures; got {number}")
            signature = signatures[number]
            if isinstance(signature, Exception):
                raise signature
            inputs += len(signature.metas)
            floats += signature.float_count
            ints += signature.int_count
            if signature.op is _CONSTANT:
                self._check_constant(batch, tensors, signature)
                tensors += 1
        return inputs, floats, ints, tensors

    def _check_constant(self, batch: call_pb2.Batch, index: int, signature: Signature) -> None:
        meta = signature.outputs[0]
        given = len(batch.tensors[index].data) if index < len(batch.tensors) else 0
        if given != meta.nbytes:
            raise BatchMalformed(f"an inline {meta} needs {meta.nbytes} bytes; got {given}")

    def _run(
        self, batch: call_pb2.Batch, calls: tuple[int, ...], signatures: list[Any], watch: Stopwatch | None
    ) -> call_pb2.Ack:
        self._signatures, self._signature_bytes = signatures, self._next_signature_bytes
        run = Run(batch)
        need = self._need(calls, signatures)
        run_calls = self._all if self.meter.takes(need, len(self.store.entries)) else self._singly
        if watch is None:
            run_calls(run, calls, signatures)
        else:
            one = watch.timing(run_calls)
            for index, number in enumerate(calls):
                one(run, (number,), signatures, index)
        self.store.release(batch.released)
        self.store.next_handle = max(self.store.next_handle, run.handle)
        self._calls += len(calls)
        self.meter.after(need)
        if watch is not None:
            watch.report(run.ack.timing)
        return run.ack

    def _need(self, calls: tuple[int, ...], signatures: list[Any]) -> Need:
        need = self._needs.get(calls)
        if need is None:
            need = total_need(signatures, calls)
            if len(self._needs) < _KNOWN_SEQUENCES:
                self._needs[calls] = need
        return need

    def _singly(self, run: Run, calls: Sequence[int], signatures: list[Any], first: int = 0) -> None:
        """Run calls of a batch that might pass a quota: each is refused or taken before it runs."""
        for call, number in enumerate(calls, first):
            need = need_of(signatures[number])
            refusal = self.meter.refusal(need, len(self.store.entries), lambda: self._release_early(run))
            if refusal is None:
                self._all(run, (number,), signatures, call)
                self.meter.after(need)
            else:
                run.call = call
                self._one(run, signatures[number], refusal)

    def _release_early(self, run: Run) -> None:
        """Drop what the batch releases at its end and no call of it needs any more."""
        self.store.release_early(run.released, set(run.inputs[run.position :]), run.handle)

    def _all(self, run: Run, calls: Sequence[int], signatures: list[Any], first: int = 0) -> None:
        """Run calls of a batch, from its call `first` on: prepared ones here, all others by `_one`."""
        entries, handles = self.store.entries, run.inputs
        handle, position = run.handle, run.position
        for call, number in enumerate(calls, first):
            signature = signatures[number]
            fast = signature.fast
            if fast:
                try:
                    made = fast(entries, handles, position)
                except Exception:
                    made = None  # the long way meets the same error, and reports it
                if made is not None:
                    entries[handle] = made
                    handle += 1
                    position += len(signature.metas)
                    continue
            elif fast is False:
                # Prepared at the second call: most signatures of a script are used once.
                signature.fast = _SEEN
            elif fast is _SEEN:
                signature.fast = fast_call(self.engine, signature)
            run.call, run.handle, run.position = call, handle, position
            self._one(run, signature)
            handle, position = run.handle, run.position
        run.handle, run.position = handle, position

    def _one(self, run: Run, signature: Signature, refusal: Exception | None = None) -> None:
        """Run one call, or poison its outputs with the first cause, or else with `refusal`."""
        count = len(signature.metas)
        handles = run.inputs[run.position : run.position + count]
        run.position += count
        scalars = signature.op.usual if signature.usual else run.numbers(signature.kinds) if signature.kinds else ()
        first = run.handle
        run.handle += len(signature.outputs)
        results: Sequence[Any]
        if signature.op.is_awaited:
            step_aside()
        try:
            arrays = self._arrays(signature, handles)
            if isinstance(arrays, Poisoned):
                self._poison(run, signature, first, arrays, scalars, reported=True)
                return
            if refusal is not None:
                self._forgo(signature, scalars)
                raise refusal
            if signature.op is _PROGRAM:
                results = self.programs.run(signature, cast("list[Array]", arrays), scalars)
            elif signature.op is _LOOP:
                results = self.programs.run_loop(signature, cast("list[Array]", arrays), scalars)
            elif signature.op.is_control:
                results = self._control(run, signature, arrays, scalars)
            else:
                results = self.engine.run(signature, arrays, scalars)
        except Exception as error:
            if isinstance(error, MemoryError):
                error = QuotaExceeded(f"a call needs memory that its device has; {error}; free tensors (del) and go on")
                error.quota = "memory"
            self.meter.note(error)
            failure = codec.encode_failure(error, run.number, run.call, repr(signature))
            self._poison(run, signature, first, Poisoned(failure), scalars, reported=False)
            return
        for handle, entry in enumerate(results, first):
            self.store.entries[handle] = entry

    def _forgo(self, signature: Signature, scalars: tuple[Any, ...]) -> None:
        """Let go of what was on its way to a call that is refused."""
        if signature.op.name == "gw::upload":
            self.uploads.drop(scalars[-1])

    def _control(self, run: Run, signature: Signature, arrays: Any, scalars: tuple[Any, ...]) -> Any:
        check_arguments(signature, arrays)
        arguments = signature.op.arrange(arrays, signature.statics, scalars, signature.lengths)
        handler = signature.kernel
        if handler is None:
            handler = signature.kernel = CONTROLS.get(signature.op.name) or PEER_CONTROLS[signature.op.name]
        return handler(self, run, signature, *arguments)

    def _arrays(self, signature: Signature, handles: Sequence[int]) -> list[Array | None] | Poisoned:
        """Return the arrays of a call's handles, or the poison among them; raise for one that does not fit."""
        entries = self.store.entries
        arrays: list[Any] = []
        for handle, meta in zip(handles, signature.metas, strict=True):
            if meta is None:
                arrays.append(None)
                continue
            entry = entries.get(handle)
            if type(entry) is Poisoned:
                return entry
            # A node's meta is one that a tensor may have too.
            is_node = type(entry) is PinnedNode and signature.op.name not in OF_NODES
            if entry is None or is_node or (entry.meta is not meta):  # type: ignore[union-attr]
                raise self._unfit(handle, entry, meta)
            arrays.append(entry)
        return arrays

    def _unfit(self, handle: int, entry: Any, meta: Meta) -> Exception:
        if entry is None or isinstance(entry, PinnedNode):
            return HandleNotFound(missing(handle))
        return BatchMalformed(f"the call's signature expects {meta!r} for handle {handle}; it holds {entry.meta!r}")

    def _poison(
        self, run: Run, signature: Signature, first: int, poison: Poisoned, scalars: tuple[Any, ...], *, reported: bool
    ) -> None:
        for handle in range(first, first + self.meter.poisonable(len(self.store.entries), len(signature.outputs))):
            self.store.entries[handle] = poison
        if signature.op.name in ON_POISON:
            ON_POISON[signature.op.name](self, signature, scalars, poison.failure)
        if signature.op.name in _ANSWERING or (signature.op.name == "gw::backward" and signature.statics[1]):
            run.answer(failure=poison.failure)
        if not reported:
            run.ack.failures.append(poison.failure)
        elif signature.op.writes:
            # A write that did not happen is a failure of its own, even though its cause is known.
            run.ack.failures.append(poison.failure)

    def from_bytes(self, data: bytes, meta: Meta) -> Any:
        """Return a backend array of little-endian bytes; the length was checked with the batch."""
        assert math.prod(meta.shape) * meta.dtype.itemsize == len(data)
        host = np.frombuffer(data, dtype=meta.dtype.numpy.newbyteorder("<")).reshape(meta.shape)
        return self.engine.backend.from_host(host.astype(meta.dtype.numpy))
