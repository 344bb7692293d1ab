"""A program as a session holds it: traced, planned and prepared at its first run, and run by one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.program import Program
from gradwire_protocol.signature import Signature
from gradwire_protocol.tape import Edge, Kept, gradient_edge
from gradwire_server.backward import OwnBackwardNode
from gradwire_server.engine import Array, Engine
from gradwire_server.programs.executable import Executable, run_step
from gradwire_server.programs.passes import drop_dead, fold_constants, share_common
from gradwire_server.programs.plan import make_plan
from gradwire_server.programs.tracing import trace
from gradwire_server.programs.values import Trace

__all__ = ["LoadedProgram", "ProgramNode"]


def prepare(made: Trace, engine: Engine) -> Executable:
    """Drop what a trace can do without, plan its memory, and prepare it."""
    share_common(made)
    fold_constants(made, lambda step: run_step(engine, step))
    drop_dead(made)
    return Executable(make_plan(made, engine.backend), engine)


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

    def __init__(self, program: Program, needs: int, engine: Engine) -> None:
        """Trace and prepare; raise what tracing raises."""
        self.engine = engine
        self._traced = trace(program, engine.backend, needs)
        self._outputs = len(self._traced.forward.outputs) - self._traced.saved
        self._saved_inputs = [
            self._traced.forward.inputs.index(value)
            for value in dict.fromkeys(map(self._traced.forward.root, self._traced.forward.outputs[self._outputs :]))
            if value in self._traced.forward.inputs
        ]
        self._forward = prepare(self._traced.forward, engine)
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

    def gradients(self, saved: Sequence[Any], grads: Sequence[Array | None], node: ProgramNode) -> list[Array | None]:
        """Run the backward trace."""
        traced, engine = self._traced, self.engine
        assert traced.backward is not None
        if self._backward is None:
            self._backward = prepare(traced.backward, engine)
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
