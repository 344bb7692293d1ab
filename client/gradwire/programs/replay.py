"""A capture that is run: inputs and numbers in, one call, and the client's state as the function would have left it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradwire.generators import signed
from gradwire.programs.capture import Capture, Filled, Result, Source, name_of
from gradwire.programs.recording import Draw, Scheduled
from gradwire.tensor import Tensor
from gradwire.tree import tree_unflatten
from gradwire_protocol.inplace import requires_grad
from gradwire_protocol.program import program_signature
from gradwire_protocol.signature import Signature
from gradwire_protocol.tape import Edge, Kept, Node, gradient_edge

if TYPE_CHECKING:
    from gradwire.session import Session

__all__ = ["CompiledNode", "Mismatch", "Replay"]


class Mismatch(Exception):
    """What the capture took for granted is not so any more; the message says what."""


class CompiledNode(Node):
    """A run of a program in the graph. Its backward is one call too."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """Return PyTorch's name."""
        return "CompiledFunctionBackward"

    @property
    def keeps(self) -> bool:
        """Return True: the worker keeps what backward needs."""
        return True

    def release(self) -> None:
        """Forget what was kept."""
        self.kept, self.freed = {}, True


class Replay:
    """A capture in one session."""

    def __init__(self, made: Capture, session: Session) -> None:
        """Prepare to run; nothing is sent."""
        self.capture = made
        self.session = session
        self._empty = [item.source for item in made.filled if item.was_empty]
        self.last: list[Any] = []  # the numbers of the last run
        self._signature = program_signature(made.program, made.digest, made.needs)
        self._metas = made.program.inputs
        self._wanted = [bool(made.needs >> index & 1) for index in range(len(self._metas))]

    def run(self, leaves: Sequence[Any]) -> Any:
        """Run on argument leaves; raise Mismatch, before anything happened, if the inputs are not as recorded."""
        made, session = self.capture, self.session
        tensors = self.inputs(leaves)
        numbers = self.last = self.numbers()
        first = session.append(self._interned(), tensors, numbers)
        for index, grown in made.writes:
            tensors[index].storage.version += grown
        outputs = [Tensor._make(session, first + index, meta) for index, meta in enumerate(self._signature.outputs)]
        for output, version in zip(outputs, made.versions, strict=True):
            output.storage.version = version
        if made.differentiable:
            self._record(tensors, outputs)
        for index in made.spent:
            node = CompiledNode(self._signature, ())
            node.release()
            outputs[index].node, outputs[index].output_nr = node, index
        for item in made.filled:
            tensor_at(item.source, leaves)._grad = _value(item, outputs, leaves)
        return tree_unflatten([_returned(item, outputs, leaves) for item in made.results], made.spec)

    def inputs(self, leaves: Sequence[Any]) -> list[Tensor]:
        """Return what the program reads now; raise Mismatch if it is not as recorded."""
        tensors = []
        session = self.session
        for source, meta in zip(self.capture.sources, self._metas, strict=True):
            tensor = tensor_at(source, leaves)
            if tensor is None or tensor.meta is not meta or tensor.session is not session:
                raise Mismatch(f"{name_of(source)} was {meta} and is {getattr(tensor, 'meta', None)}")
            tensors.append(tensor)
        for tensor, wanted in zip(tensors, self._wanted, strict=True):
            if wanted and not requires_grad(tensor):
                raise Mismatch("a tensor that required grad does not any more")
        for source in self._empty:
            owner = tensor_at(source, leaves)
            if owner is None or owner._grad is not None:
                raise Mismatch(f"{name_of(source)} had no gradient and has one")
        return tensors

    def numbers(self) -> list[Any]:
        """Ask the client's state for the numbers of this run, in the order of the recording."""
        numbers: list[Any] = []
        calls = self.capture.program.calls
        starts = [(generator, *generator.position) for generator, _ in self.capture.generators]
        known = {id(generator): (seed, offset) for generator, seed, offset in starts}
        for event in self.capture.events:
            if isinstance(event, Draw):
                seed, offset = known[id(event.generator)]
                if event.call >= 0:
                    numbers += (signed(seed), offset + event.behind)
            elif isinstance(event, Scheduled):
                event.again()
            else:
                for call, (op, statics, scalars) in zip(event.calls, event.again(), strict=True):
                    signature = calls[call].signature
                    if signature.op is not op or signature.statics != statics:
                        raise RuntimeError(
                            f"an optimizer inside of a compiled function must keep its options; {op.schema.name} had "
                            f"{signature.statics} and has {statics}; change learning rates and the like only, or compile anew"
                        )
                    numbers += scalars
        for (generator, seed, offset), (_, blocks) in zip(starts, self.capture.generators, strict=True):
            generator.position = seed, offset + blocks
        return numbers

    def _interned(self) -> Signature:
        return self.session.intern_program(self._signature, self.capture.encoded, self.capture.lines)

    def _record(self, tensors: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Hang the differentiable outputs on one node."""
        edges: list[Edge | None] = [
            gradient_edge(tensor) if wanted else None for tensor, wanted in zip(tensors, self._wanted, strict=True)
        ]
        node = CompiledNode(self._signature, tuple(edges))
        kept = [tensors[index] for index in self.capture.kept]
        node.kept = {"inputs": tuple(Kept(tensor, tensor.storage, tensor.storage.version, -1) for tensor in kept)}
        for index in self.capture.differentiable:
            outputs[index].node, outputs[index].output_nr = node, index


def tensor_at(source: Source, leaves: Sequence[Any]) -> Any:
    """Return what lies at a source now."""
    if source.argument >= 0:
        found = leaves[source.argument]
    elif source.place is not None:
        try:
            found = source.place.get(source.place.key)
        except (LookupError, AttributeError, ValueError):
            return None
    else:
        found = source.held
    return found._grad if source.of_grad and found is not None else found


def _value(item: Filled | Result, outputs: Sequence[Tensor], leaves: Sequence[Any]) -> Any:
    if item.output >= 0:
        return outputs[item.output]
    return None if item.outside is None else tensor_at(item.outside, leaves)


def _returned(item: Result, outputs: Sequence[Tensor], leaves: Sequence[Any]) -> Any:
    found = _value(item, outputs, leaves)
    if found is None:
        return item.value
    if item.view is None:
        return found
    meta, offset = item.view
    return found.as_strided(meta.shape, meta.strides, offset)
