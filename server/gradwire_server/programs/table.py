"""The programs of one session, by digest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError

from gradwire_protocol import limits
from gradwire_protocol.errors import BatchMalformed, LimitExceeded
from gradwire_protocol.program import Program, program_signature
from gradwire_protocol.program_codec import decode_program, digest_of
from gradwire_protocol.signature import Signature
from gradwire_protocol.v1 import call_pb2, program_pb2
from gradwire_server.engine import Array, Engine
from gradwire_server.programs.loaded import LoadedProgram

__all__ = ["Programs"]


class Programs:
    """What the session was told to know, and what of it was run."""

    def __init__(self, engine: Engine) -> None:
        """Start empty."""
        self._engine = engine
        self._known: dict[str, Program] = {}
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
            self._known[digest] = decode_program(message)

    def signature(self, message: call_pb2.Signature) -> Signature:
        """Return the signature of a run; raise BatchMalformed if the session does not know the program."""
        digest = message.statics[0].text if message.statics else ""
        program = self._known.get(digest)
        if program is None:
            raise BatchMalformed(f"a run must name a program that was sent before it; {digest[:32]!r} was not")
        return program_signature(program, digest, int.from_bytes(message.needs, "little"))

    def run(self, signature: Signature, inputs: Sequence[Array], numbers: Sequence[Any]) -> list[Array]:
        """Run a program, which the first run prepares."""
        loaded: LoadedProgram | None = signature.kernel
        if loaded is None:
            key = (signature.statics[0], signature.needs)
            loaded = self._loaded.get(key)
            if loaded is None:
                loaded = self._loaded[key] = LoadedProgram(self._known[key[0]], signature.needs, self._engine)
            signature.kernel = loaded
        return loaded.run(signature, inputs, numbers)
