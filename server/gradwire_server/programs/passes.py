"""What a trace can do without: calls that nothing reads, calls made before, calls whose result is always the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradwire_protocol.program import Varying
from gradwire_server.programs.values import Step, Trace, Value

__all__ = ["drop_dead", "fold_constants", "share_common"]

# Constants are kept for the life of a program; past this many bytes, making one again is cheaper than keeping it.
_MAX_CONSTANT_BYTES = 16 * 1024 * 1024


def drop_dead(trace: Trace) -> None:
    """Drop steps that neither make nor change anything that is read later, an output, or an input."""
    wanted = {trace.root(value) for value in (*trace.outputs, *trace.inputs)}
    read = set(trace.outputs)
    live: list[Step] = []
    for step in reversed(trace.steps):
        if step.signature.op.is_view:
            is_live = any(value in read for value in step.outputs)
        else:
            is_live = any(trace.root(value) in wanted for value in (*step.outputs, *step.written))
        if is_live:
            live.append(step)
            read.update(value for value in step.inputs if value is not None)
            wanted.update(trace.root(value) for value in step.inputs if value is not None)
    trace.steps = live[::-1]


def _written_roots(trace: Trace) -> set[Value]:
    return {trace.root(value) for step in trace.steps for value in step.written}


def share_common(trace: Trace) -> None:
    """Let equal calls on equal values be one, unless something writes to what they make."""
    written = _written_roots(trace)
    versions: dict[Value, int] = {}
    replaced: dict[Value, Value] = {}
    seen: dict[Any, Step] = {}
    kept: list[Step] = []
    outputs = set(trace.outputs)
    for step in trace.steps:
        step.inputs = tuple([None if value is None else replaced.get(value, value) for value in step.inputs])
        if step.signature.op.is_view:
            for value in step.outputs:
                value.viewed = step.inputs[0]
        known = None
        if step.outputs and not step.signature.op.writes:
            key = _key(trace, step, versions)
            # Each output is a tensor of its own to whoever gets it, and so is a value that is written to.
            if not any(value in outputs or trace.root(value) in written for value in step.outputs):
                known = seen.setdefault(key, step)
        for value in step.written:
            root = trace.root(value)
            versions[root] = versions.get(root, 0) + 1
        if known is None or known is step:
            kept.append(step)
        else:
            replaced.update(zip(step.outputs, known.outputs, strict=True))
    trace.steps = kept


def _key(trace: Trace, step: Step, versions: dict[Value, int]) -> Any:
    signature = step.signature
    inputs = tuple([None if value is None else (value, versions.get(trace.root(value), 0)) for value in step.inputs])
    numbers = tuple([(type(number), repr(number)) for number in step.numbers])
    return signature.op, signature.metas, signature.statics, signature.lengths, numbers, inputs


def fold_constants(trace: Trace, run: Callable[[Step], tuple[Any, ...]]) -> None:
    """Run steps that read nothing but constants now, once, by `run`, unless something writes to what they make."""
    written = _written_roots(trace)
    outputs = {trace.root(value) for value in trace.outputs}
    kept: list[Step] = []
    for step in trace.steps:
        is_fixed = all(value is None or value.constant is not None for value in step.inputs)
        is_fixed = is_fixed and not any(isinstance(number, Varying) for number in step.numbers)
        roots = {trace.root(value) for value in step.outputs}
        small = sum(value.meta.nbytes for value in step.outputs) <= _MAX_CONSTANT_BYTES
        if is_fixed and step.outputs and small and not roots & (written | outputs) and not step.signature.op.writes:
            for value, data in zip(step.outputs, run(step), strict=True):
                value.constant = data
        else:
            kept.append(step)
    trace.steps = kept
