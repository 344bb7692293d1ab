"""The programs of one session, by digest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError

from gradwire_protocol import limits
from gradwire_protocol.codec import decode_needs, decode_static
from gradwire_protocol.errors import BatchMalformed, LimitExceeded
from gradwire_protocol.program import Loop, Program, loop_signature, program_signature
from gradwire_protocol.program_codec import digest_of
from gradwire_protocol.signature import Signature
from gradwire_protocol.v1 import call_pb2, program_pb2
from gradwire_server.engine import Array, Engine
from gradwire_server.programs.loaded import LoadedProgram
from gradwire_server.programs.shared import SharedPrograms

__all__ = ["Programs"]

# A program is traced anew where other inputs require grad: with and without, mostly.
_MOST_LOADED = 2 * limits.MAX_PROGRAMS


class Programs:
    """What the session was told to know, and what of it was run."""

    def __init__(self, engine: Engine, shared: SharedPrograms | None = None) -> None:
        """Start empty; `shared` is what the sessions of a worker share."""
        self._engine = engine
        self._shared = shared or SharedPrograms()
        self._known: dict[str, Program] = {}
        self._encoded_bytes = 0
        self._loaded: dict[tuple[str, int], LoadedProgram] = {}

    def add(self, encoded: Sequence[bytes]) -> None:
        """Learn programs; raise BatchMalformed for one that does not decode, LimitExceeded past the limit."""
        for data in encoded:
            try:
                message = program_pb2.Program.FromString(data)
            except DecodeError as error:
                raise BatchMalformed(f"a program does not decode: {error}") from None
            digest = digest_of(message)
            if digest in self._known:
                continue
            if len(self._known) >= limits.MAX_PROGRAMS:
                raise LimitExceeded(
                    f"a session may hold {limits.MAX_PROGRAMS} programs and has that many; compile fewer functions, or for "
                    "fewer shapes"
                )
            if self._encoded_bytes + len(data) > limits.MAX_PROGRAM_BYTES:
                raise LimitExceeded(
                    f"a session's programs may have {limits.MAX_PROGRAM_BYTES} bytes and have {self._encoded_bytes}; this one has "
                    f"{len(data)}; compile fewer functions, or for fewer shapes"
                )
            self._known[digest] = self._shared.program(digest, message)
            self._encoded_bytes += len(data)

    def signature(self, message: call_pb2.Signature) -> Signature:
        """Return the signature of a run or a loop; raise BatchMalformed if the session does not know the program."""
        digest = message.statics[0].text if message.statics else ""
        program = self._known.get(digest)
        if program is None:
            raise BatchMalformed(f"a run must name a program that was sent before it; {digest[:32]!r} was not")
        if message.op == "gw::loop":
            loop = _loop(message)
            loop.check(program)
            return loop_signature(program, digest, loop)
        return program_signature(program, digest, decode_needs(message.needs, len(program.inputs)))

    def run(self, signature: Signature, inputs: Sequence[Array], numbers: Sequence[Any]) -> list[Array]:
        """Run a program, which the first run prepares."""
        loaded: LoadedProgram = signature.kernel or self._load(signature)
        return loaded.run(signature, inputs, numbers)

    def run_loop(self, signature: Signature, inputs: Sequence[Array], numbers: Sequence[Any]) -> list[Array]:
        """Run a program several times."""
        loaded: LoadedProgram = signature.kernel or self._load(signature)
        return loaded.run_loop(signature, Loop(*signature.statics[1:]), inputs, numbers)

    def slots(self) -> list[Any]:
        """Return what the programs' memory is found in."""
        return [slots for loaded in self._loaded.values() for slots in loaded.slots()]

    def _load(self, signature: Signature) -> LoadedProgram:
        digest, needs = signature.statics[0], signature.needs
        loaded = self._loaded.get((digest, needs))
        if loaded is None:
            if len(self._loaded) >= _MOST_LOADED:
                raise LimitExceeded(
                    f"a session may prepare {_MOST_LOADED} programs, each for the inputs that require grad, and has that many"
                )
            prepared = self._shared.prepared(digest, self._known[digest], needs, self._engine)
            loaded = self._loaded[digest, needs] = LoadedProgram(prepared, self._engine)
        signature.kernel = loaded
        return loaded


def _loop(message: call_pb2.Signature) -> Loop:
    """Return the loop of a signature; raise BatchMalformed if it describes none."""
    statics = [decode_static(item) for item in message.statics]
    kinds = (str, int, tuple, tuple, tuple)
    if len(statics) != len(kinds) or not all(map(isinstance, statics, kinds)):
        raise BatchMalformed(f"a loop is described by a digest, steps, rows, carried, wanted; got {statics!r:.200}")
    return Loop(*statics[1:])
