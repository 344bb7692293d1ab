"""What the sessions of a worker share of programs: decoded, traced and planned once, for whoever sends the same one again.

Nothing of it holds a session's values: each session has its own memory (`executable.Executable`). Each tenant of a
worker has one table; it is bounded, and what was used longest ago goes first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from gradwire_protocol import limits
from gradwire_protocol.program import Program
from gradwire_protocol.program_codec import decode_program
from gradwire_protocol.v1 import program_pb2
from gradwire_server.engine import Engine
from gradwire_server.programs.loaded import Prepared

__all__ = ["SharedPrograms", "Statistics"]

# Of one program, by the inputs that require grad.
_MOST_VARIANTS = 16


@dataclass(frozen=True, slots=True)
class Statistics:
    """How many programs are known, the bytes of what was computed for them, and how often one was found or prepared."""

    programs: int
    held_bytes: int
    found: int
    prepared: int


class SharedPrograms:
    """Programs by digest, and what was prepared of each by the inputs that require grad. Safe for threads."""

    def __init__(
        self, max_programs: int = limits.MAX_SHARED_PROGRAMS, max_bytes: int = limits.MAX_SHARED_BYTES
    ) -> None:
        """Start empty."""
        self._max_programs, self._max_bytes = max_programs, max_bytes
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[Program, dict[int, Prepared]]] = OrderedDict()
        self._encoded_bytes: dict[str, int] = {}  # of the known, on the wire
        self._found = self._prepared = 0

    def statistics(self) -> Statistics:
        """Return what is held now and was done so far."""
        with self._lock:
            return Statistics(len(self._known), self._held_bytes(), self._found, self._prepared)

    def program(self, digest: str, message: program_pb2.Program) -> Program:
        """Return the program of a message with that digest; raise what decoding raises."""
        with self._lock:
            known = self._known.get(digest)
            if known is not None:
                self._known.move_to_end(digest)
                return known[0]
        made = decode_program(message)
        with self._lock:
            known = self._known.setdefault(digest, (made, {}))
            self._encoded_bytes[digest] = message.ByteSize()
            self._drop_oldest()
        return known[0]

    def prepared(self, digest: str, program: Program, needs: int, engine: Engine) -> Prepared:
        """Return a program traced and planned; raise what tracing raises. The lock is not held meanwhile."""
        with self._lock:
            found = self._known.get(digest, (program, {}))[1].get(needs)
            if found is not None:
                self._found += 1
                return found
        made = Prepared(program, needs, engine)
        with self._lock:
            self._prepared += 1
            variants = self._known.setdefault(digest, (program, {}))[1]
            variants[needs] = made
            if len(variants) > _MOST_VARIANTS:
                del variants[next(iter(variants))]
            self._known.move_to_end(digest)
            self._drop_oldest()
        return made

    def _held_bytes(self) -> int:
        return sum(item.held_bytes for _, prepared in self._known.values() for item in prepared.values())

    def _drop_oldest(self) -> None:
        while len(self._known) > self._max_programs or (len(self._known) > 1 and self._is_large()):
            digest, _ = self._known.popitem(last=False)
            self._encoded_bytes.pop(digest, None)

    def _is_large(self) -> bool:
        return self._held_bytes() > self._max_bytes or sum(self._encoded_bytes.values()) > limits.MAX_PROGRAM_BYTES
