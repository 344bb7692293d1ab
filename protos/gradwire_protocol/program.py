"""Programs: recorded lists of calls that one call runs.

A program says what ran, not how: the worker derives kernels, backward passes and memory from it. Its values are numbered,
inputs first, then the outputs of each call in order, so a call names its inputs by number. Numbers that each run gives -
learning rates, step counts, offsets of generators - are `Varying`; all others are part of the program. A program is known by
the digest of its encoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gradwire_protocol.dtypes import float32
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import OPS
from gradwire_protocol.signature import Signature

__all__ = ["ABSENT", "Program", "ProgramCall", "Varying", "program_signature"]

ABSENT = -1


@dataclass(frozen=True, slots=True)
class Varying:
    """A number that each run of a program gives."""

    index: int


@dataclass(frozen=True, slots=True)
class ProgramCall:
    """One call of a program. `inputs` are value numbers, ABSENT for an optional tensor; `data` is an inline constant's."""

    signature: Signature
    inputs: tuple[int, ...]
    numbers: tuple[Any, ...] = ()
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """Calls over numbered values. `kinds` are the types of the varying numbers; `outputs` are values, none an input."""

    inputs: tuple[Meta, ...]
    kinds: tuple[type, ...]
    calls: tuple[ProgramCall, ...]
    outputs: tuple[int, ...]

    def value_metas(self) -> list[Meta]:
        """Return the meta of every value, in the order of their numbers."""
        metas = list(self.inputs)
        for call in self.calls:
            metas.extend(call.signature.outputs)
        return metas

    def written_inputs(self) -> tuple[int, ...]:
        """Return the inputs that the calls write to, each as often as that happens."""
        owner = list(range(len(self.inputs)))  # of each value: the input whose memory it shows, or ABSENT
        written: list[int] = []
        for call in self.calls:
            signature = call.signature
            for index in signature.written:
                value = call.inputs[index]
                if value != ABSENT and owner[value] != ABSENT:
                    written.append(owner[value])
            shows = owner[call.inputs[0]] if signature.op.is_view else ABSENT
            owner.extend([shows] * len(signature.outputs))
        return tuple(written)

    def output_metas(self) -> tuple[Meta, ...]:
        """Return the metas of the outputs."""
        metas = self.value_metas()
        return tuple(metas[value] for value in self.outputs)


def program_signature(program: Program, digest: str, needs: int) -> Signature:
    """Return the signature of a run: resolved from the program, since its numbers are not in the op's schema.

    `needs` has bit i set where input i requires grad.
    """
    signature = Signature()
    signature.op, signature.metas, signature.statics = OPS["gw::program"], program.inputs, (digest,)
    signature.kinds, signature.lengths, signature.default = program.kinds, (len(program.inputs),), float32
    signature.needs, signature.outputs, signature.offsets = needs, program.output_metas(), None
    signature.kept_inputs = signature.kept_results = ()
    signature.graded = tuple(range(len(signature.outputs)))
    signature.returns_list, signature.kept, signature.written = True, (), program.written_inputs()
    signature.float_count = program.kinds.count(float) + 2 * program.kinds.count(complex)
    signature.int_count = program.kinds.count(int) + program.kinds.count(bool)
    signature.number, signature.kernel, signature.fast, signature.usual = 0, None, None, False
    return signature
