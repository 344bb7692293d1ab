"""`Recording`: what a function did to the worker, and what of it came from the client's own state.

A session that records runs as ever; it only notes each call. Numbers that change from run to run are not in the calls but in
the client: generators (`Draw`), optimizers (`Update`), schedules (`Scheduled`). They are noted too, in order, so that a
replay can ask each for its next numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradwire import callsite
from gradwire_protocol.schema import Kind
from gradwire_protocol.signature import Signature
from gradwire_protocol.tape import next_order
from gradwire_protocol.v1 import tensor_pb2

if TYPE_CHECKING:
    from gradwire.generators import Generator
    from gradwire.session import Session
    from gradwire.tensor import Tensor

__all__ = ["Draw", "External", "RecordedCall", "Recording", "Scheduled", "Update", "active", "recorded"]


@dataclass(slots=True)
class RecordedCall:
    """One call. `tensors` are what it read; its outputs have handles from `first`."""

    signature: Signature
    handles: tuple[int, ...]
    scalars: tuple[Any, ...]
    data: bytes | None
    first: int
    site: callsite.Site


@dataclass(slots=True)
class Draw:
    """A generator was asked for numbers, so many blocks behind where it stood at the start; `call` got them.

    By that, a part that is computed again with the same numbers (a checkpoint) is told from one that goes on.
    """

    generator: Generator
    drawn: tuple[int, int]
    behind: int
    call: int = -1


@dataclass(slots=True)
class Update:
    """An optimizer updated a batch of parameters by `calls`.

    `again()` counts a step, and gives (op, statics, scalars) of the calls that make it.
    """

    calls: list[int]
    again: Callable[[], list[Any]]


@dataclass(slots=True)
class Scheduled:
    """A schedule stepped; `again()` lets it step."""

    again: Callable[[], Any]


@dataclass(slots=True)
class External:
    """A tensor from outside, with its place in the graph and its version when it was first read."""

    tensor: Tensor
    graph: tuple[Any, ...]
    version: int

    def has_other_graph(self) -> bool:
        """Return whether the function gave it another place in the graph."""
        return any(a is not b for a, b in zip(self.graph, _graph_of(self.tensor), strict=True))


def _graph_of(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.node, tensor.base, tensor.leaf_requires_grad


class Recording:
    """The calls of one session while a function runs, and the events of the client beside them."""

    def __init__(self, session: Session) -> None:
        """Start with nothing."""
        self.session = session
        self.calls: list[RecordedCall] = []
        self.events: list[Draw | Update | Scheduled] = []
        self.external: dict[int, External] = {}  # what the calls read and did not make, by handle
        self.generators: dict[int, tuple[Generator, int, int]] = {}  # each with its seed and offset at the first draw
        self.made: dict[int, callsite.Site] = {}  # handles of results, and who asked for them
        self.released: set[int] = set()
        self.order = next_order()
        self.unfit = ""  # why this cannot be a program
        self._thread = threading.get_ident()
        self._silent = 0

    def note(
        self, signature: Signature, tensors: Sequence[Tensor | None], scalars: Sequence[Any],
        data: tensor_pb2.InlineTensor | None, first: int,
    ) -> None:  # fmt: skip
        """Take note of a call that the session has appended."""
        if threading.get_ident() != self._thread:
            self.unfit = self.unfit or "another thread used the worker meanwhile"
            return
        for tensor in tensors:
            if tensor is not None and tensor.handle not in self.made and tensor.handle not in self.external:
                self.external[tensor.handle] = External(tensor, _graph_of(tensor), tensor.storage.version)
        site = callsite.current(5)
        handles = tuple([0 if tensor is None else tensor.handle for tensor in tensors])
        inline = None if data is None else data.data
        if signature.op.name in _UNFIT:
            self.unfit = self.unfit or f"{_UNFIT[signature.op.name]} at {callsite.describe(site)}"
        self._match_draw(signature, scalars)
        self.calls.append(RecordedCall(signature, handles, tuple(scalars), inline, first, site))
        self.made.update((handle, site) for handle in range(first, first + len(signature.outputs)))

    def _match_draw(self, signature: Signature, scalars: Sequence[Any]) -> None:
        position = drawn_position(signature)
        if position < 0:
            return
        pair = tuple(scalars[position : position + 2])
        for event in reversed(self.events):
            if isinstance(event, Draw) and event.call < 0 and event.drawn == pair:
                event.call = len(self.calls)
                return
        self.unfit = self.unfit or f"random numbers of {signature.op.name} came from no generator"

    def draw(self, generator: Generator, drawn: tuple[int, int], offset: int) -> None:
        """Take note of numbers drawn from `offset` on."""
        _, seed, start = self.generators.setdefault(id(generator), (generator, drawn[0], offset))
        if seed != drawn[0]:
            self.unfit = self.unfit or "a generator is seeded inside of it"
        self.events.append(Draw(generator, drawn, offset - start))

    def event(self, event: Update | Scheduled) -> None:
        """Take note of what the client's state gave."""
        if not self._silent:
            self.events.append(event)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Note no events: they are part of one that was noted."""
        self._silent += 1
        try:
            yield
        finally:
            self._silent -= 1

    def refuse_wait(self) -> None:
        """Raise RuntimeError: a value that Python sees can change what it does, which a program would not notice."""
        raise RuntimeError(
            "a compiled function may not look at values: .item(), .numpy(), print, bool() of a tensor, and results whose "
            f"size depends on values wait for the worker; it does at {callsite.describe(callsite.current(2))}; return the "
            "tensor and look at it outside"
        )


# What a program cannot hold, and how to say it.
_UNFIT = {
    "gw::upload": "a large array is sent to the worker inside of it",
    "gw::set_data": "the .data of a tensor is replaced",
    "gw::drop_saved": "hooks of saved tensors are on inside of it",
    "gw::program": "another compiled function runs inside of it",
    "gw::loop": "a loop over a compiled function runs inside of it",
    "gw::offer": "a tensor goes to another worker inside of it",
    "gw::receive": "a tensor comes from another worker inside of it",
    "gw::collective": "the workers of a group exchange tensors inside of it",
    "gw::mean_start": "the workers of a group exchange gradients inside of it",
}


def drawn_position(signature: Signature) -> int:
    """Return where among a call's scalars the (seed, offset) of its random numbers are; -1 where it draws none."""
    names = [argument.name for argument in signature.op.arguments if argument.kind is Kind.SCALAR]
    return names.index("seed") if "seed" in names and "offset" in names else -1


_current: Recording | None = None


def active() -> Recording | None:
    """Return the recording that runs in this thread, if any."""
    found = _current
    return found if found is not None and found._thread == threading.get_ident() else None


@contextmanager
def recorded(session: Session) -> Iterator[Recording]:
    """Record what a session is asked to do until the end of the block."""
    global _current
    session.flush()  # or a thread might, just after the end, and what was released until then would not be known
    recording = Recording(session)
    session.recorder = _current = recording
    try:
        yield recording
    finally:
        session.recorder = _current = None
        recording.released.update(session.released)
