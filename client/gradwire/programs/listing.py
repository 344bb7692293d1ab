"""A program to read: one line per call, with its values' metas and the user's line."""

from __future__ import annotations

from typing import Any

from gradwire.programs.capture import Capture
from gradwire_protocol.program import ABSENT, ProgramCall, Varying

__all__ = ["call_text", "listing"]


def call_text(call: ProgramCall) -> str:
    """Return a call as `addmm(%0, %1, %2, beta=1)`, with `$0` for the first number that varies."""
    signature, shown = call.signature, []
    inputs = ["None" if value == ABSENT else f"%{value}" for value in call.inputs]
    arranged = signature.op.arrange(inputs, signature.statics, call.numbers, signature.lengths)
    for argument, value in zip(signature.op.arguments, arranged, strict=True):
        text = _text(value, argument.type.startswith("Tensor"))
        if not (argument.has_default and value == argument.default):
            shown.append(text if argument.type.startswith("Tensor") else f"{argument.name}={text}")
    return f"{signature.op.name}({', '.join(shown)})"


def _text(value: Any, is_tensor: bool) -> str:
    if isinstance(value, Varying):
        return f"${value.index}"
    if is_tensor:
        return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)
    return repr(value)


def listing(made: Capture) -> str:
    """Return a program's inputs, calls and outputs, a line each."""
    program = made.program
    lines = [f"program {made.digest[:12]}: {len(program.calls)} calls, {len(program.kinds)} numbers that vary"]
    for number, (meta, name) in enumerate(zip(program.inputs, made.names, strict=True)):
        lines.append(f"  %{number}: {meta} = {name}")
    number = len(program.inputs)
    for call, line in zip(program.calls, made.lines, strict=True):
        outputs = ", ".join(f"%{number + index}: {meta}" for index, meta in enumerate(call.signature.outputs))
        number += len(call.signature.outputs)
        lines.append(f"  {outputs + ' = ' if outputs else ''}{call_text(call)}  # {line}")
    return "\n".join([*lines, f"  return {', '.join(f'%{value}' for value in program.outputs)}"])
