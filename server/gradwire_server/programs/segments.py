"""Cutting a fusion into what is compiled and what stays a numpy call, and writing a compiled part as LLVM's text.

A segment is consecutive steps as one function: a loop over rows and columns that loads each operand once, goes through all
steps, and stores what others read. Values that only the segment reads never leave the registers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradwire_protocol.dtypes import DType, bool_, float32, float64
from gradwire_protocol.meta import Meta
from gradwire_protocol.program import Varying
from gradwire_server.native.instructions import ACCESS, ENDING, INSTRUCTIONS, Constant, Unwritable, Writer
from gradwire_server.native.loops_text import matrix_loop
from gradwire_server.programs.fusion import COLUMN, NUMBER, ROW, WHOLE, Fusion
from gradwire_server.programs.values import Step, Value

__all__ = ["NAME", "Segment", "cut", "is_writable", "segment_function", "segment_text"]

NAME = "segment"

_TYPES: dict[DType, str] = {float32: "float", float64: "double", bool_: "i1"}
# Steps of a segment at most: LLVM takes 0.05 s for 200, and longer ones ever more per step.
_MOST_STEPS = 400


@dataclass(slots=True, eq=False)
class Segment:
    """Consecutive steps of a fusion that are compiled together. `is_flat`: rows need not be told apart."""

    steps: list[Step]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    kinds: tuple[str, ...]  # of the inputs

    @property
    def is_flat(self) -> bool:
        """Return whether no operand is one row or one column."""
        return not {ROW, COLUMN} & set(self.kinds)


def cut(fusion: Fusion) -> list[Step | Segment]:
    """Return a fusion's steps, with runs of two or more that can be compiled as segments."""
    runs: list[list[Step]] = []
    for step in fusion.steps:
        can = is_writable(step)
        if can and runs and len(runs[-1]) < _MOST_STEPS and is_writable(runs[-1][-1]):
            runs[-1].append(step)
        else:
            runs.append([step])
    made: list[Step | Segment] = []
    for number, run in enumerate(runs):
        later = [step for rest in runs[number + 1 :] for step in rest]
        made.append(_segment(run, later, fusion) if len(run) > 1 else run[0])
    return made


def _segment(run: list[Step], later: Sequence[Step], fusion: Fusion) -> Segment:
    results = [step.outputs[0] for step in run]
    read = {value for step in later for value in step.inputs} | set(fusion.outputs)
    taken = dict.fromkeys(v for step in run for v in step.inputs if v is not None and v not in results)
    kinds = tuple(fusion.kind(value.meta) for value in taken)
    return Segment(run, tuple(taken), tuple(value for value in results if value in read), kinds)


def is_writable(step: Step) -> bool:
    """Return whether instructions are there for a pointwise step."""
    metas = [value.meta for value in (*step.inputs, *step.outputs) if value is not None]
    if any(meta.dtype not in _TYPES for meta in metas) or _compute_type(step) == "i1":
        return False
    try:
        _write(Writer(), step, {value: "%v" for value in step.inputs if value is not None})
    except Unwritable:
        return False
    return True


def _type(meta: Meta) -> str:
    return _TYPES[meta.dtype]


def _compute_type(step: Step) -> str:
    metas = [value.meta for value in (*step.inputs, *step.outputs) if value is not None]
    return next((_type(meta) for meta in metas if meta.dtype.is_floating_point), "i1")


def _write(writer: Writer, step: Step, names: dict[Value, str]) -> str:
    """Write a step, and return the name of its result."""
    signature = step.signature
    write = INSTRUCTIONS.get(signature.op.name)
    if write is None or any(isinstance(number, Varying) for number in step.numbers):
        raise Unwritable(signature.op.name)
    writer.type = _compute_type(step)
    arguments = signature.op.arrange(
        [None if value is None else names[value] for value in step.inputs], signature.statics,
        [None if number is None else Constant(number) for number in step.numbers], signature.lengths,
    )  # fmt: skip
    return write(writer, *arguments)


def segment_text(segment: Segment) -> str:
    """Return a module with the function NAME(rows, columns, addresses of inputs, addresses of outputs)."""
    return segment_function(segment, NAME) + ENDING


def segment_function(segment: Segment, name: str) -> str:
    """Return the function of a segment, for a module that ends with ENDING."""
    first = len(segment.inputs)
    parameters = ", ".join(f"ptr %p{number}" for number in range(first + len(segment.outputs)))
    writer, names = Writer(), dict[Value, str]()
    parts: dict[str, list[str]] = {}
    for kind, index in ((NUMBER, "0"), (COLUMN, "%r"), (ROW, "%c"), (WHOLE, "%i")):
        for number, (value, found) in enumerate(zip(segment.inputs, segment.kinds, strict=True)):
            if found == kind:
                names[value] = _load(writer, number, _type(value.meta), index)
        parts[kind], writer.lines = writer.lines, []
    for step in segment.steps:
        names[step.outputs[0]] = _write(writer, step, names)
    for number, value in enumerate(segment.outputs, first):
        _store(writer, number, _type(value.meta), names[value])
    inner = [*parts[ROW], *parts[WHOLE], *writer.lines]
    before, row = _lines(parts[NUMBER]), _lines(parts[COLUMN])
    return matrix_loop(name, parameters, _lines(inner), before, row)


def _lines(lines: Sequence[str]) -> str:
    return "\n  ".join(lines)


def _load(writer: Writer, number: int, kind: str, index: str) -> str:
    stored = "i8" if kind == "i1" else kind
    place = writer.new(f"getelementptr {stored}, ptr %p{number}, i64 {index}")
    found = writer.new(f"load {stored}, ptr {place}, {ACCESS}")
    return writer.new(f"icmp ne i8 {found}, 0") if kind == "i1" else found


def _store(writer: Writer, number: int, kind: str, name: str) -> None:
    stored = "i8" if kind == "i1" else kind
    found = writer.new(f"zext i1 {name} to i8") if kind == "i1" else name
    place = writer.new(f"getelementptr {stored}, ptr %p{number}, i64 %i")
    writer.lines.append(f"store {stored} {found}, ptr {place}, {ACCESS}")
