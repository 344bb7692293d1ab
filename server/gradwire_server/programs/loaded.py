"""A program as a session holds it: traced, planned and prepared at its first run, and run by one call."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.program import Loop, Program
from gradwire_protocol.signature import Signature
from gradwire_protocol.tape import Edge, Kept, gradient_edge
from gradwire_server.backward import OwnBackwardNode
from gradwire_server.engine import Array, Engine
from gradwire_server.programs.executable import Executable, run_step
from gradwire_server.programs.loops import run_steps
from gradwire_server.programs.passes import drop_dead, fold_constants, share_common
from gradwire_server.programs.plan import Plan, make_plan
from gradwire_server.programs.recurrences import join_recurrences
from gradwire_server.programs.saved_views import keep_whole
from gradwire_server.programs.tracing import trace
from gradwire_server.programs.values import Trace, values_in

__all__ = ["LoadedProgram", "Prepared", "ProgramNode"]


def _planned(made: Trace, engine: Engine) -> Plan:
    """Drop what a trace can do without, and plan its memory."""
    fold_constants(made, lambda step: run_step(engine, step))
    drop_dead(made)
    return make_plan(made, engine.backend)


class Prepared:
    """What of a program is the same in every session: its traces and plans. Made for one backend; safe for threads."""

    def __init__(self, program: Program, needs: int, engine: Engine) -> None:
        """Trace and plan; raise what tracing raises."""
        self.traced = trace(program, engine.backend, needs)
        self.written = program.written_inputs()
        forward = self.traced.forward
        self.outputs = len(forward.outputs) - forward.saved
        share_common(forward)
        if join_recurrences(forward):
            keep_whole(self.traced)
        roots = dict.fromkeys(map(forward.root, forward.outputs[self.outputs :]))
        self.saved_inputs = [forward.inputs.index(value) for value in roots if value in forward.inputs]
        self.forward = _planned(forward, engine)
        self.held_bytes = _constant_bytes(self.forward)
        self._backward: Plan | None = None
        self._lock = threading.Lock()

    def backward(self, engine: Engine) -> Plan:
        """Return the plan of the backward trace, made when it is first asked for."""
        with self._lock:
            if self._backward is None:
                assert self.traced.backward is not None
                share_common(self.traced.backward)
                join_recurrences(self.traced.backward)
                self._backward = _planned(self.traced.backward, engine)
                self.held_bytes += _constant_bytes(self._backward)
            return self._backward


def _constant_bytes(plan: Plan) -> int:
    """Return the bytes of a plan's constants."""
    values = [value for value in values_in(plan.trace.steps) if value.constant is not None]
    return sum({id(value.constant): int(value.constant.nbytes) for value in values}.values())


class ProgramNode(OwnBackwardNode):
    """A run of a program in the graph around it. What backward needs is kept as plain arrays."""

    __slots__ = ("_loaded", "_saved")

    def __init__(self, signature: Signature, edges: tuple[Edge | None, ...], loaded: LoadedProgram) -> None:
        """Record a run."""
        super().__init__(signature, edges)
        self._loaded = loaded
        self._saved: Sequence[Any] | None = None

    def keep(self, saved: Sequence[Any], inputs: Sequence[Array]) -> None:
        """Keep what backward reads; of the inputs, that they must not change before it."""
        self._saved = saved
        self.kept = {"inputs": tuple(Kept(array, array.storage, array.storage.version, -1) for array in inputs)}

    @property
    def keeps(self) -> bool:
        """Return True: a backward without retain_graph frees the saved values."""
        return True

    def release(self) -> None:
        """Forget the saved values."""
        self._saved, self.kept, self.freed = None, {}, True

    def backward(self, grads: Sequence[Array | None]) -> list[Array | None]:
        """Return the gradient of each input."""
        if self._loaded.engine.recording:
            raise RuntimeError(
                "torch.compile with aot_autograd does not currently support double backward: a compiled function has no "
                "second gradient; call the function itself"
            )
        assert self._saved is not None
        return self._loaded.gradients(self._saved, grads, self)


class LoadedProgram:
    """A program in one session."""

    def __init__(self, prepared: Prepared, engine: Engine) -> None:
        """Make the memory of its own that a session runs a program in."""
        self.engine = engine
        self._prepared, self._traced = prepared, prepared.traced
        self._outputs, self._saved_inputs = prepared.outputs, prepared.saved_inputs
        self._forward = Executable(prepared.forward, engine)
        self._backward: Executable | None = None

    def run(self, signature: Signature, inputs: Sequence[Array], numbers: Sequence[Any]) -> list[Array]:
        """Run the calls, count the writes, and hang differentiable outputs on a node."""
        made = self._forward.run([array.data for array in inputs], numbers)
        for index in signature.written:
            inputs[index].storage.version += 1
        engine, traced = self.engine, self._traced
        outputs = [
            Array(engine, data, meta) for data, meta in zip(made[: self._outputs], signature.outputs, strict=True)
        ]
        if signature.needs and traced.backward is not None:
            edges = tuple(
                _learned_edge(array) if signature.needs >> index & 1 else None for index, array in enumerate(inputs)
            )
            node = ProgramNode(signature, edges, self)
            node.keep(made[self._outputs :], [inputs[index] for index in self._saved_inputs])
            for index in traced.differentiable:
                outputs[index].node, outputs[index].output_nr = node, index
        return outputs

    def slots(self) -> list[list[Any]]:
        """Return the slots of the program and of its backward, with the memory that they hold between runs."""
        return [executable.slots for executable in (self._forward, self._backward) if executable is not None]

    def run_loop(
        self, signature: Signature, loop: Loop, inputs: Sequence[Array], numbers: Sequence[Any]
    ) -> list[Array]:
        """Run as often as the loop says, and count the writes."""
        made = run_steps(self._forward, loop, [array.data for array in inputs], numbers, self.engine.backend.xp)
        for index in self._prepared.written:
            inputs[index].storage.version += 1 if loop.carried[index] else loop.steps
        return [Array(self.engine, data, meta) for data, meta in zip(made, signature.outputs, strict=True)]

    def gradients(self, saved: Sequence[Any], grads: Sequence[Array | None], node: ProgramNode) -> list[Array | None]:
        """Run the backward trace."""
        traced, engine = self._traced, self.engine
        assert traced.backward is not None
        if self._backward is None:
            self._backward = Executable(self._prepared.backward(engine), engine)
        seeds = []
        for index in traced.differentiable:
            g, meta = grads[index], node.output_metas[index]
            g = engine.filled(meta, 0) if g is None else g
            seeds.append(g.data if g.meta.is_contiguous else engine.copied(g).data)
        made = iter(self._backward.run([*saved, *seeds], ()))
        found: list[Array | None] = [None] * len(node.edges)
        for leaf, arrives in zip(traced.leaves, traced.arriving, strict=True):
            wanted = node.signature.metas[leaf]
            assert wanted is not None
            found[leaf] = Array(engine, next(made), Meta.of(wanted.shape, wanted.dtype)) if arrives else None
        return found


def _learned_edge(array: Array) -> Edge:
    """Return where the gradient of an input goes; the client says that it requires one, so a leaf is marked."""
    edge = gradient_edge(array)
    if edge is None:
        array.leaf_requires_grad = True
    return edge or Edge(array, 0)
