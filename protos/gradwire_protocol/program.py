"""Programs: recorded lists of calls that one call runs.

A program says what ran, not how: the worker derives kernels, backward passes and memory from it. Its values are numbered,
inputs first, then the outputs of each call in order, so a call names its inputs by number. Numbers that each run gives -
learning rates, step counts, offsets of generators - are `Varying`; all others are part of the program. A program is known by
the digest of its encoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gradwire_protocol import limits
from gradwire_protocol.dtypes import float32
from gradwire_protocol.errors import BatchMalformed
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import OPS
from gradwire_protocol.signature import Signature, check_sizes

__all__ = ["ABSENT", "Loop", "Program", "ProgramCall", "Varying", "loop_signature", "program_signature"]

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
    signature = _signature("gw::program", program.inputs, (digest,), program.kinds, program.output_metas())
    signature.needs, signature.written = needs, program.written_inputs()
    return signature


def _signature(
    op: str, metas: tuple[Meta, ...], statics: tuple[Any, ...], kinds: tuple[type, ...], outputs: tuple[Meta, ...]
) -> Signature:
    signature = Signature()
    signature.op, signature.metas, signature.statics, signature.kinds = OPS[op], metas, statics, kinds
    signature.lengths, signature.default, signature.needs, signature.written = (len(metas),), float32, 0, ()
    signature.outputs, signature.offsets, signature.graded = outputs, None, tuple(range(len(outputs)))
    signature.returns_list, signature.kept, signature.kept_inputs, signature.kept_results = True, (), (), ()
    signature.float_count = kinds.count(float) + 2 * kinds.count(complex)
    signature.int_count = kinds.count(int) + kinds.count(bool)
    signature.number, signature.kernel, signature.fast, signature.usual, signature.gradients = 0, None, None, False, {}
    return signature


@dataclass(frozen=True, slots=True)
class Loop:
    """How a program runs `steps` times in one call.

    `rows[i]`: 0 where input i is the same in each step, else how many rows the given tensor has along an axis of its own in
    front; step k reads row (start + k) modulo that. `carried[i]`: 0, or 1 + the output of a step that is input i of the next.
    `wanted`: the results, each 2 * output, and 1 more for those of all steps along a new axis in front, else the last step's.
    """

    steps: int
    rows: tuple[int, ...]
    carried: tuple[int, ...]
    wanted: tuple[int, ...]

    def check(self, program: Program) -> None:
        """Raise BatchMalformed if the program cannot be run so."""
        outputs = program.output_metas()
        if not 1 <= self.steps <= limits.MAX_LOOP_STEPS:
            raise BatchMalformed(f"a loop makes 1 to {limits.MAX_LOOP_STEPS} steps; got {self.steps}")
        # Each travels with the call, so a message cannot hold more of them than bytes.
        if len(program.kinds) * self.steps > limits.MAX_MESSAGE_BYTES:
            raise BatchMalformed(
                f"a loop's numbers come in one message; {self.steps} steps of a program that takes {len(program.kinds)} do not fit"
            )
        if len(self.wanted) > limits.MAX_OUTPUTS:
            raise BatchMalformed(f"a loop gives at most {limits.MAX_OUTPUTS} results; got {len(self.wanted)}")
        if not len(self.rows) == len(self.carried) == len(program.inputs):
            raise BatchMalformed(f"a loop says of each of {len(program.inputs)} inputs where it comes from")
        for meta, rows, source in zip(program.inputs, self.rows, self.carried, strict=True):
            if rows < 0 or (rows and (source or not meta.is_contiguous)):
                raise BatchMalformed(f"an input with rows is contiguous and not carried; got {meta} with {rows} rows")
            if not 0 <= source <= len(outputs) or (source and outputs[source - 1] is not meta):
                raise BatchMalformed(f"what is carried from step to step must be an output like input {meta}")
        if any(not 0 <= item < 2 * len(outputs) for item in self.wanted):
            raise BatchMalformed(f"a loop's results must be among a step's {len(outputs)} outputs")


def loop_signature(program: Program, digest: str, loop: Loop) -> Signature:
    """Return the signature of a loop over a program. Its numbers are `start` and then those of each step."""
    metas = tuple([
        Meta.of((rows, *meta.shape), meta.dtype) if rows else meta
        for meta, rows in zip(program.inputs, loop.rows, strict=True)
    ])  # fmt: skip
    outputs = program.output_metas()
    made = tuple([
        Meta.of((loop.steps, *outputs[item >> 1].shape), outputs[item >> 1].dtype) if item & 1 else outputs[item >> 1]
        for item in loop.wanted
    ])  # fmt: skip
    check_sizes((*metas, *made))
    statics = (digest, loop.steps, loop.rows, loop.carried, loop.wanted)
    return _signature("gw::loop", metas, statics, (int, *program.kinds * loop.steps), made)
