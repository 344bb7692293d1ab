"""`Recorder`: what one session sends, receives and waits for, written down as it happens; looked at later, by others.

The session calls it once per message and wait, never per call: what the calls were and who made them is in the columns that
the session keeps anyway.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradwire import callsite
from gradwire_protocol import codec
from gradwire_protocol.meta import Meta
from gradwire_protocol.v1 import call_pb2

if TYPE_CHECKING:
    from gradwire.columns import Columns
    from gradwire.session import Session

__all__ = ["Batch", "Called", "Range", "Recorder", "Transfer", "Wait"]


@dataclass(frozen=True, slots=True)
class Called:
    """What a call was: its op and the shapes of its inputs; for the run of a program, the program's digest."""

    op: str
    metas: tuple[Meta | None, ...]
    digest: str = ""


@dataclass(slots=True)
class Batch:
    """A message and its answer. Times are nanoseconds of the client's clock, those of `timing` of the worker's."""

    began_ns: int
    site: callsite.Site  # whose call sent it
    calls: list[int]  # what was called, as numbers of `Recorder.called`
    sites: list[callsite.Site]
    inline_bytes: list[int]  # of the elements that ride along, in the order of the calls that bring them
    is_probe: bool  # of the clock: no call of the user's
    sent_ns: int = 0
    sent_bytes: int = 0
    received_ns: int = 0
    received_bytes: int = 0
    timing: call_pb2.Timing | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """The client stood still from one time to another: for "a value", for "room" to send more, or until "all" ran."""

    site: callsite.Site
    began_ns: int
    ended_ns: int
    waits_for: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """A large tensor that went beside the calls."""

    site: callsite.Site
    began_ns: int
    ended_ns: int
    nbytes: int
    is_upload: bool


@dataclass(frozen=True, slots=True)
class Range:
    """A part of the user's script that has a name, and which of the profile's calls were made in it."""

    name: str
    thread: int
    depth: int
    began_ns: int
    ended_ns: int
    first_call: int
    end_call: int


@dataclass(slots=True)
class Recorder:
    """Attached to a session as its `profiler`. All but `ranges` is appended to under the session's lock."""

    session: Session
    called: dict[int, Called] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    ranges: list[Range] = field(default_factory=list)
    steps_ns: list[int] = field(default_factory=list)
    began_ns: int = 0
    ended_ns: int = 0
    first_call: int = 0
    is_probing: bool = False
    _unanswered: deque[Batch] = field(default_factory=deque)
    _received_ns: int = 0

    def learn(self, numbered: Any) -> None:
        """Note which signatures the session has interned before this recorder saw it."""
        self.called.update((s.number, Called(s.op.name, s.metas, _digest(s.op.name, s.statics))) for s in numbered)

    # -- called by the session -----------------------------------------------------------------------------------------

    def sending(self, batch: call_pb2.Batch, columns: Columns, first_signature: int) -> None:
        """Take note of a message that is about to go, and ask the worker to measure it."""
        batch.profile = True
        for number, message in enumerate(columns.signatures, first_signature + columns.first_signature):
            metas = tuple([codec.decode_meta(meta) for meta in message.metas])
            digest = message.statics[0].text if message.op in ("gw::program", "gw::loop") else ""
            self.called[number] = Called(message.op, metas, digest)
        calls = [number + first_signature for number in columns.calls]
        inline = [len(tensor.data) for tensor in columns.tensors]
        made = Batch(time.perf_counter_ns(), callsite.current(4), calls, columns.sites, inline, self.is_probing)
        self.batches.append(made)

    def sent(self, nbytes: int) -> None:
        """Take note that it went; answers that came meanwhile were waited for, to have room for it."""
        batch = self.batches[-1]
        batch.sent_ns, batch.sent_bytes = time.perf_counter_ns(), nbytes
        if self._received_ns > batch.began_ns:
            self.waits.append(Wait(batch.site, batch.began_ns, self._received_ns, "room"))
        self._unanswered.append(batch)

    def received(self, ack: call_pb2.Ack, nbytes: int) -> None:
        """Take note of an answer."""
        self._received_ns = time.perf_counter_ns()
        if not self._unanswered:
            return
        batch = self._unanswered.popleft()
        batch.received_ns, batch.received_bytes = self._received_ns, nbytes
        if ack.HasField("timing"):
            batch.timing = ack.timing
            batch.received_bytes -= ack.timing.ByteSize()

    def waited(self, began_seconds: float, ack: call_pb2.Ack | None) -> None:
        """Take note of a wait that ends now, with the last answer that has values."""
        if not self.is_probing:
            self.waits.append(
                Wait(callsite.current(3), int(began_seconds * 1e9), time.perf_counter_ns(), "a value" if ack else "all")
            )

    def transferred(self, began_seconds: float, nbytes: int, *, is_upload: bool) -> None:
        """Take note of a large tensor that has just gone or come."""
        began = int(began_seconds * 1e9)
        self.transfers.append(Transfer(callsite.current(3), began, time.perf_counter_ns(), nbytes, is_upload))

    def note_range(self, name: str, thread: int, depth: int, began_ns: int, first_call: int) -> None:
        """Take note of a named part of the script that ends now; `first_call` counts the session's calls."""
        base, now = self.first_call, time.perf_counter_ns()
        self.ranges.append(Range(name, thread, depth, began_ns, now, first_call - base, self.session.call_count - base))


def _digest(op: str, statics: Any) -> str:
    return str(statics[0]) if op in ("gw::program", "gw::loop") else ""
