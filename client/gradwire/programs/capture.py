"""From a recording to a program: what of it is input, what varies, what it leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gradwire import callsite
from gradwire.generators import Generator, signed
from gradwire.programs.places import Place, Survey
from gradwire.programs.recording import Draw, Recording, Scheduled, Update, drawn_position
from gradwire.tensor import Tensor
from gradwire.tree import TreeSpec, tree_flatten
from gradwire_protocol.planning import reach
from gradwire_protocol.program import ABSENT, Program, ProgramCall, Varying
from gradwire_protocol.program_codec import digest_of, encode_program
from gradwire_protocol.tape import Edge, Node, gradient_edge

__all__ = ["Capture", "Filled", "Result", "Source", "Unfit", "capture", "name_of"]


class Unfit(Exception):
    """A recording that cannot be a program; the message says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where an input comes from: argument leaf `argument`, or what lies at `place` (its gradient if `of_grad`), or `held`."""

    argument: int = -1
    place: Place | None = None
    of_grad: bool = False
    held: Tensor | None = None


def _key_of(source: Source | None) -> Any:
    """Return what two captures of the same function agree on."""
    if source is None:
        return None
    return source.argument, None if source.place is None else source.place.name, source.of_grad, id(source.held)


def name_of(source: Source) -> str:
    """Return where an input comes from, in words."""
    if source.argument >= 0:
        name = f"argument {source.argument}"
    else:
        name = source.place.name if source.place is not None else "a tensor that the function holds"
    return f"the gradient of {name}" if source.of_grad else name


@dataclass(frozen=True, slots=True)
class Result:
    """A leaf of what the function returned: a program's output, a tensor from outside, or a Python value.

    `view` is (meta, offset) of a tensor that views the output or the tensor from outside.
    """

    output: int = -1
    outside: Source | None = None
    value: Any = None
    view: Any = None


@dataclass(frozen=True, slots=True)
class Filled:
    """A tensor whose `grad` the function set: to an output, a tensor from outside, or None.

    `was_empty`: there was none before, so where there is one, the function might have added to it.
    """

    source: Source
    output: int = -1
    outside: Source | None = None
    was_empty: bool = False


@dataclass(slots=True)
class Capture:
    """A program with all that a replay needs on the client."""

    program: Program
    encoded: bytes
    digest: str
    sources: list[Source]
    events: list[Draw | Update | Scheduled]
    generators: list[tuple[Generator, int]]  # that it draws from, and by how many blocks it moves each on
    results: list[Result]
    spec: TreeSpec
    filled: list[Filled]
    writes: list[tuple[int, int]]  # (input, by how much its version grows)
    differentiable: tuple[int, ...]  # outputs that lead to inputs
    spent: tuple[int, ...]  # outputs whose graph a backward inside has freed
    needs: int  # which inputs they lead to
    kept: tuple[int, ...]  # inputs that backward reads
    versions: tuple[int, ...] = ()  # how often the function wrote to each output
    numbers: tuple[Any, ...] = ()  # those that vary, as they were when it was recorded
    lines: list[str] = field(default_factory=list)  # of each call

    @property
    def names(self) -> list[str]:
        """Return where each input comes from, in words."""
        return [name_of(source) for source in self.sources]

    def key(self) -> Any:
        """Return what must be equal in two captures for the function to be a program."""
        sources = tuple(_key_of(source) for source in self.sources)
        filled = tuple((_key_of(item.source), item.output, _key_of(item.outside)) for item in self.filled)
        results = tuple((item.output, _key_of(item.outside), item.view, type(item.value)) for item in self.results)
        events = tuple((type(event), getattr(event, "behind", 0)) for event in self.events)
        return (
            self.digest,
            sources,
            filled,
            results,
            self.spec,
            tuple(self.writes),
            self.versions,
            self.differentiable,
            self.spent,
            events,
        )


class _Builder:
    """Numbers the values of a recording and finds what it leaves behind."""

    def __init__(self, recording: Recording, leaves: Sequence[Any], found: Survey, grads: dict[int, Any]) -> None:
        self.recording = recording
        self._found = found
        self._grads = grads
        self._arguments = {
            id(leaf): index for index, leaf in reversed(list(enumerate(leaves))) if isinstance(leaf, Tensor)
        }
        self.inputs = [external.tensor for external in recording.external.values()]
        self.values = {tensor.handle: index for index, tensor in enumerate(self.inputs)}
        for handle in recording.made:
            self.values[handle] = len(self.values)
        self._memories = {id(tensor.storage.memory) for tensor in self.inputs}
        self.outputs: list[int] = []
        self.made: list[Tensor] = []  # the tensors of the outputs

    def source(self, tensor: Tensor) -> Source:
        """Return where a replay finds what `tensor` was."""
        if id(tensor) in self._arguments:
            return Source(argument=self._arguments[id(tensor)])
        place = self._found.tensors.get(id(tensor))
        if place is not None:
            return Source(place=place[0])
        owner = self._grads.get(id(tensor))
        if owner is not None:
            base = self.source(owner)
            return Source(base.argument, base.place, True, base.held)
        return Source(held=tensor)

    def place(self, tensor: Tensor) -> tuple[int, Source | None]:
        """Return the output or the tensor from outside that a tensor is."""
        if tensor.handle not in self.recording.made:
            return -1, self.source(tensor)
        if tensor.leaf_requires_grad:
            raise Unfit("it makes a leaf that requires grad")
        if id(tensor.storage.memory) in self._memories:
            raise Unfit("it returns an alias of a tensor from outside, which a program would copy")
        value = self.values[tensor.handle]
        if value not in self.outputs:
            self.outputs.append(value)
            self.made.append(tensor)
        return self.outputs.index(value), None

    def result(self, leaf: Any) -> Result:
        """Describe a leaf of what the function returned."""
        if not isinstance(leaf, Tensor):
            return Result(value=leaf)
        if leaf.base is None or leaf.handle not in self.recording.made:
            return Result(*self.place(leaf))
        viewed: Any = leaf.base
        return Result(*self.place(viewed), view=(leaf.meta, leaf.offset - viewed.offset))


def _program(recording: Recording, builder: _Builder) -> tuple[Program, tuple[Any, ...]]:
    """Return the calls, with numbers from events left open, and what those numbers were."""
    varying: dict[tuple[int, int], int] = {}  # (call, position among its scalars) -> index
    kinds: list[type] = []
    given: list[Any] = []
    for event in recording.events:
        if isinstance(event, Scheduled):
            continue
        calls = [event.call] if isinstance(event, Draw) else event.calls
        for call in calls:
            if call < 0:
                continue
            signature = recording.calls[call].signature
            first = drawn_position(signature) if isinstance(event, Draw) else 0
            positions = range(first, first + 2) if isinstance(event, Draw) else range(len(signature.kinds))
            for position in positions:
                varying[call, position] = len(kinds)
                kinds.append(signature.kinds[position])
                given.append(recording.calls[call].scalars[position])
    made = []
    for index, item in enumerate(recording.calls):
        numbers = tuple([
            Varying(varying[index, position]) if (index, position) in varying else value
            for position, value in enumerate(item.scalars)
        ])  # fmt: skip
        inputs = tuple([builder.values[handle] if handle else ABSENT for handle in item.handles])
        made.append(ProgramCall(item.signature, inputs, numbers, item.data))
    metas = tuple(tensor.meta for tensor in builder.inputs)
    return Program(metas, tuple(kinds), tuple(made), tuple(builder.outputs)), tuple(given)


def _writes(recording: Recording, builder: _Builder) -> list[tuple[int, int]]:
    """Return by how much versions grow, without what an optimizer's events count themselves."""
    counted: dict[int, int] = {}
    for event in recording.events:
        for call in event.calls if isinstance(event, Update) else ():
            item = recording.calls[call]
            for index in item.signature.written:
                external = recording.external.get(item.handles[index])
                if external is not None:
                    key = id(external.tensor.storage)
                    counted[key] = counted.get(key, 0) + 1
    writes, seen = [], set()
    for index, external in enumerate(recording.external.values()):
        storage = external.tensor.storage
        if id(storage) not in seen:
            seen.add(id(storage))
            grown = storage.version - external.version - counted.get(id(storage), 0)
            if grown:
                writes.append((index, grown))
    return writes


def _check_memory(recording: Recording) -> None:
    """Refuse a write to memory that two inputs show: the program knows them as two."""
    shown: dict[int, int] = {}
    written = set()
    for external in recording.external.values():
        memory = id(external.tensor.storage.memory)
        shown[memory] = shown.get(memory, 0) + 1
        if external.tensor.storage.version != external.version:
            written.add(memory)
    if any(shown[memory] > 1 for memory in written):
        raise Unfit("it writes to memory that two of the tensors it reads share")


@dataclass(frozen=True, slots=True)
class _Graph:
    """How the outputs hang together with the inputs."""

    differentiable: tuple[int, ...]
    spent: tuple[int, ...]
    needs: int
    kept: tuple[int, ...]
    handles: set[int]  # of values that the graph keeps


def _graph(builder: _Builder, recording: Recording) -> _Graph:
    """Look at what the function recorded behind its outputs."""
    edges = {index: edge for index, tensor in enumerate(builder.made) if (edge := gradient_edge(tensor)) is not None}
    inner = {index: _inner([edge], recording) for index, edge in edges.items()}
    spent = tuple(index for index, nodes in inner.items() if any(node.freed for node in nodes))
    differentiable = tuple(index for index in edges if index not in spent)
    nodes = _inner([edges[index] for index in differentiable], recording)
    reached = {_key(edge) for node in nodes for edge in node.edges if edge is not None}
    needs = 0
    for index, tensor in enumerate(builder.inputs):
        edge = gradient_edge(tensor)
        if edge is not None and _key(edge) in reached:
            needs |= 1 << index
    values = [kept.value for node in nodes for kept in node.kept_values() if kept.value is not None]
    # A view keeps what it views.
    held = {value.handle for value in values} | {value.base.handle for value in values if value.base is not None}
    kept = tuple(index for index, tensor in enumerate(builder.inputs) if tensor.handle in held)
    return _Graph(differentiable, spent, needs, kept, held)


def _inner(edges: Sequence[Edge], recording: Recording) -> list[Node]:
    """Return the nodes behind edges that were recorded inside of the function."""
    return [node for node in reach(edges)[0] if node.order > recording.order]


def _key(edge: Edge) -> tuple[int, int]:
    return id(edge.target), edge.output_nr


def capture(
    recording: Recording, leaves: Sequence[Any], found: Survey, grads: dict[int, Any], result: Any
) -> tuple[Capture, set[int]]:
    """Return a program of a recording, and the handles of results that may live on; raise Unfit if it cannot be one.

    `grads` maps the id of each gradient that was there at the start to its tensor.
    """
    if recording.unfit:
        raise Unfit(recording.unfit)
    if any(signed(generator.position[0]) != seed for generator, seed, _ in recording.generators.values()):
        raise Unfit("a generator is seeded inside of it")
    if any(external.has_other_graph() for external in recording.external.values()):
        raise Unfit("it gives a tensor from outside another place in the graph, by an in-place operation")
    _check_memory(recording)
    builder = _Builder(recording, leaves, found, grads)
    returned, spec = tree_flatten(result)
    results = [builder.result(leaf) for leaf in returned]
    filled = _filled(builder, leaves, found, grads)
    graph = _graph(builder, recording)
    program, numbers = _program(recording, builder)
    message = encode_program(program)
    lines = [callsite.describe(item.site) for item in recording.calls]
    encoded = message.SerializeToString(deterministic=True)
    made = Capture(
        generators=[(one, one.position[1] - start) for one, _, start in recording.generators.values()],
        program=program, encoded=encoded, digest=digest_of(message), events=recording.events, results=results, spec=spec,
        sources=[builder.source(tensor) for tensor in builder.inputs], filled=filled, writes=_writes(recording, builder),
        differentiable=graph.differentiable, spent=graph.spent, needs=graph.needs, kept=graph.kept, lines=lines,
        numbers=numbers, versions=tuple(tensor.storage.version for tensor in builder.made),
    )  # fmt: skip
    living = {tensor.handle for tensor in (*builder.made, *returned) if isinstance(tensor, Tensor)} | graph.handles
    return made, living


def _filled(builder: _Builder, leaves: Sequence[Any], found: Survey, grads: dict[int, Any]) -> list[Filled]:
    """Return the tensors from outside whose `grad` is another now."""
    before = {id(owner): grad for grad, owner in grads.items()}
    seen: dict[int, Tensor] = {id(tensor): tensor for _, tensor in found.tensors.values()}
    seen.update((id(leaf), leaf) for leaf in leaves if isinstance(leaf, Tensor))
    seen.update((id(tensor), tensor) for tensor in builder.inputs)
    filled = []
    for tensor in seen.values():
        grad = tensor._grad
        if id(grad) == before.get(id(tensor), id(None)):
            continue
        placed = (-1, None) if grad is None else builder.place(grad)
        filled.append(Filled(builder.source(tensor), *placed, was_empty=id(tensor) not in before))
    return filled
