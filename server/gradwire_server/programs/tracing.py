"""From a program's calls to kernel calls: the engine runs on values without elements and notes what it would have run.

Gradient rules look at metas only, so a `backward` among the calls unfolds into its kernels here, once, and a run of the
program needs no graph. A program with outputs that lead to its inputs gets a second trace, from gradients of those outputs
to gradients of the inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradwire_protocol.errors import BatchMalformed
from gradwire_protocol.meta import Meta
from gradwire_protocol.planning import reach
from gradwire_protocol.program import ABSENT, Program, ProgramCall
from gradwire_protocol.tape import Edge, gradient_edge
from gradwire_server.backend import Backend
from gradwire_server.backward import gradients
from gradwire_server.control import CONTROLS, OutlineMarker, check_arguments
from gradwire_server.engine import Array
from gradwire_server.programs.tracing_engine import TracingEngine
from gradwire_server.programs.values import Trace, Value

__all__ = ["Traced", "trace"]


@dataclass(slots=True)
class Traced:
    """A program as kernel calls. What `backward` reads of `forward` are the saved ones of its outputs.

    `backward` takes the saved values, then a gradient for each of `differentiable` (indices of outputs); it gives one for
    each of `leaves` (indices of inputs), or None where no gradient arrives.
    """

    forward: Trace
    backward: Trace | None = None
    differentiable: tuple[int, ...] = ()
    leaves: tuple[int, ...] = ()
    arriving: tuple[bool, ...] = ()


@dataclass(slots=True)
class _Run:
    """What control calls ask of the batch that they are in."""

    call: ProgramCall | None = None
    answered: list[Any] = field(default_factory=list)

    def next_tensor(self, meta: Meta) -> bytes:
        assert self.call is not None
        return self.call.data or b""

    def answer(self, **fields: Any) -> None:
        """Take what nobody waits for: the graph of a backward with create_graph."""

    def outline_marker(self, roots: Sequence[Edge], seeds: Sequence[Array | None]) -> OutlineMarker:
        return OutlineMarker([*roots, *(gradient_edge(seed) for seed in seeds if seed is not None)])


class _Tracer:
    """Stands for the session while a program's calls are traced."""

    def __init__(self, program: Program, backend: Backend) -> None:
        default = program.calls[0].signature.default if program.calls else None
        self.engine = TracingEngine(backend, *([default] if default else []))
        self.inputs = [Array(self.engine, self.engine.value(meta), meta) for meta in program.inputs]
        self.entries: list[Any] = list(self.inputs)
        self._run = _Run()

    def from_bytes(self, data: bytes, meta: Meta) -> Value:
        """Return an inline constant."""
        host = np.frombuffer(data, dtype=meta.dtype.numpy.newbyteorder("<")).reshape(meta.shape)
        return self.engine.value(meta, constant=self.engine.backend.from_host(host.astype(meta.dtype.numpy)))

    def run(self, call: ProgramCall) -> None:
        """Trace one call."""
        arrays = [None if value == ABSENT else self.entries[value] for value in call.inputs]
        signature = call.signature
        self.engine.default = signature.default
        if signature.op.is_control:
            check_arguments(signature, arrays)
            self._run.call = call
            arguments = signature.op.arrange(arrays, signature.statics, call.numbers, signature.lengths)
            results = CONTROLS[signature.op.name](self, self._run, signature, *arguments)
        else:
            results = self.engine.run(signature, arrays, call.numbers)
        self.entries.extend(results)

    def check_inputs(self) -> None:
        """Refuse a program after which an input would show other memory or hang on a graph."""
        for number, array in enumerate(self.inputs):
            if array.node is not None or array.data.number != number:
                raise BatchMalformed(
                    f"a program may not give its inputs a graph or other memory; it does to input {number}"
                )


def trace(program: Program, backend: Backend, needs: int) -> Traced:
    """Unfold a program; `needs` has bit i set where input i requires grad outside."""
    tracer = _Tracer(program, backend)
    for tracer.engine.origin, call in enumerate(program.calls):
        tracer.run(call)
    tracer.check_inputs()
    outputs = [tracer.entries[value] for value in program.outputs]
    if not all(isinstance(array, Array) for array in outputs):
        raise BatchMalformed("a program's outputs must be tensors; one is a graph node")
    results = [array.data for array in _own(outputs)]
    steps = list(tracer.engine.steps)
    forward = Trace([array.data for array in tracer.inputs], results, program.kinds, steps)
    _spare_constants(forward, tracer.engine)
    traced = Traced(forward)
    traced.differentiable = tuple(index for index, array in enumerate(outputs) if _leads_on(array))
    if needs and traced.differentiable:
        _trace_backward(traced, tracer, [outputs[index] for index in traced.differentiable], needs)
    return traced


def _spare_constants(forward: Trace, engine: TracingEngine) -> None:
    """Let each run begin with a copy of the constants that it writes to."""
    written = {forward.root(value) for step in forward.steps for value in step.written}
    for value in sorted((value for value in written if value.constant is not None), key=lambda value: value.number):
        engine.copied(Array(engine, engine.value(value.meta, constant=value.constant), value.meta))
        step = engine.steps.pop()
        step.outputs, value.constant = (value,), None
        forward.steps.insert(0, step)


def _leads_on(array: Array) -> bool:
    """Return whether a gradient can go on from an output: it has a graph, which no backward inside has freed."""
    edge = gradient_edge(array)
    return edge is not None and not any(node.freed for node in reach([edge])[0])


def _trace_backward(traced: Traced, tracer: _Tracer, outputs: Sequence[Array], needs: int) -> None:
    """Fill in the trace from gradients of `outputs` to gradients of the inputs that require one."""
    engine = tracer.engine
    engine.steps = []
    seeds = [Array(engine, engine.value(array.meta), Meta.of(array.meta.shape, array.meta.dtype)) for array in outputs]
    leaves = [index for index in range(len(tracer.inputs)) if needs >> index & 1]
    targets = [Edge(tracer.inputs[index], 0) for index in leaves]
    roots = [edge for array in outputs if (edge := gradient_edge(array)) is not None]
    found = gradients(roots, seeds, targets, retain_graph=False)
    made = _own([array for array in found if array is not None])
    known = {array.data for array in seeds}
    saved: dict[Value, None] = {}
    for step in engine.steps:
        saved.update((value, None) for value in step.inputs if value is not None and value not in known)
        known.update(step.outputs)
    kept = [value for value in saved if value.constant is None]
    traced.backward = Trace([*kept, *(array.data for array in seeds)], [array.data for array in made], (), engine.steps)
    traced.forward.outputs += kept
    traced.forward.saved = len(kept)
    traced.leaves, traced.arriving = tuple(leaves), tuple(array is not None for array in found)


def _own(arrays: Sequence[Array]) -> list[Array]:
    """Return results that share memory with nothing: not with one another, an input, a constant or a larger array."""
    made = []
    fresh: set[Value] = set()
    if arrays:
        engine = arrays[0].engine
        assert isinstance(engine, TracingEngine)
        fresh.update(value for step in engine.steps for value in step.outputs if value.viewed is None)
    for array in arrays:
        made.append(array if array.data in fresh else array.engine.copied(array))
        fresh.discard(array.data)
    return made
