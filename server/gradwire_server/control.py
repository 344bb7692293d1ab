"""The `gw::` ops: calls that reach into the session or the graph, and so have no kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from gradwire_protocol import codec, limits
from gradwire_protocol.dtypes import DType
from gradwire_protocol.errors import BatchMalformed, KernelError, LimitExceeded
from gradwire_protocol.opaque import OpaqueNode
from gradwire_protocol.part import Part
from gradwire_protocol.planning import plan, reach
from gradwire_protocol.signature import Signature
from gradwire_protocol.tape import Edge, Kept, Node, Storage, Variable, gradient_edge
from gradwire_protocol.v1 import call_pb2
from gradwire_server.backward import gradients, part_gradients
from gradwire_server.engine import Array, Engine
from gradwire_server.rule_calls import to_input
from gradwire_server.store import PinnedNode

if TYPE_CHECKING:
    from gradwire_server.session import Run, Session

__all__ = ["CONTROLS", "OF_NODES"]

Results = Sequence[Any]
# Their first argument is a handle of a graph node.
OF_NODES = frozenset(("gw::next_function", "gw::saved", "gw::attach", "gw::drop_saved", "gw::restore_saved"))
CONTROLS: dict[str, Callable[..., Results]] = {}


def _control(function: Callable[..., Results]) -> Callable[..., Results]:
    CONTROLS["gw::" + function.__name__] = function
    return function


@_control
def constant(session: Session, run: Run, signature: Signature, size: tuple[int, ...], dtype: DType) -> Results:
    """Take the next inline tensor of the batch."""
    meta = signature.outputs[0]
    data = run.next_tensor(meta)
    return (session.engine.new(session.from_bytes(data, meta), meta),)


@_control
def upload(
    session: Session, run: Run, signature: Signature, size: tuple[int, ...], dtype: DType, upload: int
) -> Results:
    """Take an upload off the bulk plane, when all of it is there."""
    meta = signature.outputs[0]
    host = session.uploads.take(upload, meta)
    return (session.engine.new(session.engine.backend.from_host(host), meta),)


@_control
def fetch(session: Session, run: Run, signature: Signature, self: Array) -> Results:
    """Answer with the elements, or tell the client to use the bulk plane."""
    if self.meta.nbytes > limits.INLINE_BYTES:
        run.answer(large=True)
    else:
        run.answer(data=session.engine.backend.to_host(self.data).tobytes())
    return ()


@_control
def grad_fn(session: Session, run: Run, signature: Signature, self: Array) -> Results:
    """Pin the node that made a tensor."""
    edge = gradient_edge(self)
    if edge is None:
        raise RuntimeError("a tensor must require grad to have a grad_fn; this one does not")
    return (PinnedNode(_target(edge)),)


def _target(edge: Edge) -> Node | Array:
    if isinstance(edge.target, Node):
        return edge.target
    assert isinstance(edge.target, Array)
    return edge.target


@_control
def next_function(session: Session, run: Run, signature: Signature, node: PinnedNode, index: int) -> Results:
    """Pin a node that another leads to."""
    edges = node.target.edges if isinstance(node.target, Node) else ()
    edge = edges[index] if 0 <= index < len(edges) else None
    if edge is None:
        raise IndexError(f"a node's edge must lead somewhere; edge {index} of {len(edges)} does not")
    return (PinnedNode(_target(edge)),)


@_control
def saved(
    session: Session, run: Run, signature: Signature, node: PinnedNode, name: str, index: int, size: Any, dtype: Any
) -> Results:
    """Give a handle to a value that a node keeps."""
    target = node.target
    target = cast("Node | Array", getattr(target, "function", target))
    kept = target.kept.get(name) if isinstance(target, Node) else None
    if isinstance(kept, tuple) and not isinstance(kept, Kept):
        kept = kept[index] if 0 <= index < len(kept) else None
    if kept is None or kept.value is None:
        raise RuntimeError(f"a node must keep {name!r} for it to be read; it does not, or it was freed")
    value: Array = kept.value
    alias = value.alias()
    if kept.output >= 0:
        assert isinstance(target, Node)
        alias.node, alias.output_nr = target, kept.output
    return (alias,)


@_control
def data(session: Session, run: Run, signature: Signature, self: Array) -> Results:
    """Alias the memory under a version counter of its own."""
    alias = self.alias()
    alias.storage = Storage()
    return (alias,)


@_control
def set_data(session: Session, run: Run, signature: Signature, self: Array, source: Array) -> Results:
    """Let a tensor show another's memory; its version counter stays its own."""
    self.data, self.meta, self.offset = source.data, source.meta, source.offset
    return ()


@_control
def backward(
    session: Session,
    run: Run,
    signature: Signature,
    tensors: Sequence[Array],
    seeds: Sequence[Array | None],
    inputs: Sequence[Array],
    into: Sequence[Array | None],
    retain_graph: bool,
    create_graph: bool,
) -> Results:
    """Run a backward. Nothing is added to any `into` before every gradient is there."""
    for tensor, target in zip(inputs, into, strict=True):
        if target is not None and (target.meta.shape, target.meta.dtype) != (tensor.meta.shape, tensor.meta.dtype):
            raise BatchMalformed(f"a gradient of {tensor.meta} is added to a tensor like it; got {target.meta}")
    engine = session.engine
    roots, targets = [_edge(tensor) for tensor in tensors], [_edge(tensor) for tensor in inputs]
    marker = run.outline_marker(roots, seeds) if create_graph else None
    with engine.recorded(create_graph):
        filled = [_seed(engine, seed, tensor) for seed, tensor in zip(seeds, tensors, strict=True)]
        found = gradients(roots, filled, targets, retain_graph=retain_graph)
        whole = [g if g is not None else engine.filled(tensor.meta, 0) for g, tensor in zip(found, inputs, strict=True)]
        if marker is None:
            return _accumulate(whole, filled, into)
        made = _own_recorded(whole, filled)
    _answer_outline(run, marker, made)
    return made


def _answer_outline(run: Run, marker: OutlineMarker, made: Sequence[Array]) -> None:
    described = outline(marker, made)
    if described.ByteSize() > limits.MAX_MESSAGE_BYTES // 2:
        raise LimitExceeded(
            f"a backward with create_graph may make a graph described by {limits.MAX_MESSAGE_BYTES // 2} bytes; this one "
            f"needs {described.ByteSize()}; differentiate in parts, or without create_graph"
        )
    run.answer(outline=described)


@_control
def backward_part(
    session: Session,
    run: Run,
    signature: Signature,
    tensors: Sequence[Array],
    entries: Sequence[Array],
    part: str,
    retain_graph: bool,
    create_graph: bool,
) -> Results:
    """Run some nodes of a backward and hand out the gradients that leave them."""
    engine, roots, decoded = session.engine, [_edge(tensor) for tensor in tensors], Part.decode(part)
    marker = run.outline_marker(roots, entries) if create_graph else None
    with engine.recorded(create_graph):
        try:
            found = part_gradients(roots, decoded, entries, retain_graph=retain_graph)
        except IndexError as error:
            raise BatchMalformed(f"a part must describe the graph behind its roots: {error}") from error
        whole = [
            g if g is not None else engine.filled(item.meta, 0) for g, item in zip(found, decoded.exits, strict=True)
        ]
        if marker is None:
            return _accumulate(whole, entries, [None] * len(whole))
        made = _own_recorded(whole, entries)
    _answer_outline(run, marker, made)
    return made


@_control
def function(
    session: Session,
    run: Run,
    signature: Signature,
    outputs: Sequence[Array],
    inputs: Sequence[Array],
    name: str,
    needs: tuple[bool, ...],
    made: tuple[bool, ...],
) -> Results:
    """Let `outputs` come from a node that leads to `inputs`; a backward never runs it here."""
    edges = tuple(_learned_edge(array) if needed else None for array, needed in zip(inputs, needs, strict=True))
    node = OpaqueNode(name, edges, tuple(output.meta for output in outputs), keeps=False)
    for number, (output, is_made) in enumerate(zip(outputs, made, strict=True)):
        if is_made:
            output.node, output.output_nr, output.leaf_requires_grad, output.base = node, number, False, None
    return ()


@_control
def checkpoint(
    session: Session,
    run: Run,
    signature: Signature,
    outputs: Sequence[Array],
    name: str,
    nodes: tuple[int, ...],
    edges: tuple[int, ...],
) -> Results:
    """Let `outputs` come from one node, so that what made them is freed; a backward never runs it here."""
    known, _ = reach([_edge(output) for output in outputs])
    try:
        leading = tuple(known[node].edges[index] for node, index in zip(nodes, edges, strict=True))
    except (IndexError, ValueError) as error:
        raise BatchMalformed(f"a checkpoint must name edges of the graph behind its outputs: {error}") from error
    node = OpaqueNode(name, leading, tuple(output.meta for output in outputs), keeps=False)
    for number, output in enumerate(outputs):
        output.node, output.output_nr, output.base = node, number, None
    return ()


@_control
def attach(session: Session, run: Run, signature: Signature, node: PinnedNode, self: Array, output: int) -> Results:
    """Hang a tensor on a node."""
    if not isinstance(node.target, Node) or not 0 <= output < len(node.target.output_metas):
        raise BatchMalformed(f"a tensor is attached to one of a node's outputs; it has no output {output}")
    self.node, self.output_nr = node.target, output
    return ()


@_control
def drop_saved(session: Session, run: Run, signature: Signature, node: PinnedNode, places: str) -> Results:
    """Forget kept values, which the client packed."""
    names = _places(places)
    _keep(node, names, [None] * len(names))
    return ()


@_control
def restore_saved(
    session: Session, run: Run, signature: Signature, node: PinnedNode, values: Sequence[Array], places: str
) -> Results:
    """Keep again what the client unpacked, until the node ran."""
    _keep(node, _places(places), values)
    return ()


def _places(text: str) -> list[tuple[str, int]]:
    try:
        return [(name, int(index)) for name, _, index in (item.partition(".") for item in text.split(",") if item)]
    except ValueError as error:
        raise BatchMalformed(f"a place of a kept value is a name and a number; got {text!r}") from error


def _keep(node: PinnedNode, places: Sequence[tuple[str, int]], values: Sequence[Array | None]) -> None:
    """Put values in places of a node that kept something there, unless it was freed."""
    target = cast("Node", getattr(node.target, "function", node.target))
    for (name, index), value in zip(places, values, strict=True):
        held = target.kept.get(name) if isinstance(target, Node) else None
        items = (held,) if type(held) is Kept else tuple(held or ())
        if not 0 <= index < len(items):
            raise RuntimeError(f"a node must keep {name!r} for it to be replaced; it does not, or it was freed")
        made = Kept(value, Storage(), 0, items[index].output)
        target.kept[name] = made if type(held) is Kept else (*items[:index], made, *items[index + 1 :])


def _learned_edge(array: Array) -> Edge:
    """Return where the gradient of an input goes; the client says that it requires one, so a leaf is marked."""
    edge = gradient_edge(array)
    if edge is None:
        array.leaf_requires_grad = True
    return edge or Edge(array, 0)


def _edge(tensor: Array) -> Edge:
    """Return the edge of a root or an input; a leaf that no recorded call has used yet is its own."""
    return gradient_edge(tensor) or Edge(tensor, 0)


def _seed(engine: Engine, given: Array | None, tensor: Array) -> Array:
    return engine.filled(tensor.meta, 1) if given is None else to_input(given, tensor.meta)


def _own_recorded(found: Sequence[Array], seeds: Sequence[Array]) -> list[Array]:
    """Return arrays that share no memory, with a node that leads to what is differentiable in them.

    The client knows results as contiguous tensors, no views, each with a handle of its own.
    """
    shared = {id(seed.storage) for seed in seeds}
    made = []
    for array in found:
        is_leaf = array.node is None and array.leaf_requires_grad
        made.append(array.clone() if is_leaf or not _is_free(array, shared) else array)
        shared.add(id(array.storage))
    return made


def _accumulate(found: Sequence[Array], seeds: Sequence[Array], into: Sequence[Array | None]) -> list[Array]:
    """Add to the given targets in place; make the other gradients tensors that own their memory."""
    written = {id(target.storage) for target in into if target is not None}
    shared = {id(seed.storage) for seed in seeds}
    # What an addition would change under another gradient is copied before the first one.
    found = [array.engine.copied(array) if id(array.storage) in written else array for array in found]
    made = []
    for gradient, target in zip(found, into, strict=True):
        if target is not None:
            target.engine.accumulate(target, gradient)
            continue
        engine = gradient.engine
        is_free = _is_free(gradient, shared)
        made.append(Array(engine, gradient.data, gradient.meta) if is_free else engine.copied(gradient))
        shared.add(id(gradient.storage))
    return made


def _is_free(array: Array, shared: set[int]) -> bool:
    """Return whether an array is a whole contiguous block of memory that is not shared."""
    return id(array.storage) not in shared and array.base is None and array.meta.is_contiguous


class OutlineMarker:
    """The graph as it was before a backward with create_graph."""

    def __init__(self, edges: Sequence[Edge | None]) -> None:
        """Number the nodes and leaves that the client knows."""
        nodes, all_edges = reach(edges)
        self.old = {id(node): index for index, node in enumerate(nodes)}
        self.leaves = {id(edge.target): index for index, edge in enumerate(all_edges) if edge is not None}
        self.held = nodes, all_edges  # ids stay valid while these live


def outline(marker: OutlineMarker, results: Sequence[Array]) -> call_pb2.Outline:
    """Describe the nodes made since `marker`, in recording order, and the edge of each result."""
    edges = [gradient_edge(array) for array in results]
    new = [node for node in reversed(plan(edges)) if id(node) not in marker.old]
    numbers = {id(node): index for index, node in enumerate(new)}
    message = call_pb2.Outline()
    for node in new:
        message.nodes.add(
            name=node.name,
            keeps=node.keeps,
            edges=[_encode_edge(edge, marker, numbers) for edge in node.edges],
            outputs=[codec.encode_meta(meta) for meta in node.output_metas],
        )
    message.results.extend(_encode_edge(edge, marker, numbers) for edge in edges)
    return message


def _encode_edge(edge: Edge | None, marker: OutlineMarker, numbers: dict[int, int]) -> call_pb2.Outline.Edge:
    kinds = call_pb2.Outline.Edge
    if edge is None:
        return kinds()
    key = id(edge.target)
    for kind, table in ((kinds.NEW, numbers), (kinds.OLD, marker.old), (kinds.LEAF, marker.leaves)):
        if key in table:
            return kinds(kind=kind, index=table[key], output=edge.output_nr)
    raise KernelError(
        f"a gradient must lead to what the client knows; {edge.target!r} is not part of the graph; please report it"
    )


def check_arguments(signature: Signature, arrays: Sequence[Variable | PinnedNode | None]) -> None:
    """Refuse a node where a tensor is due, and the other way round."""
    wants_node = signature.op.name in OF_NODES
    for index, array in enumerate(arrays):
        if isinstance(array, PinnedNode) is not (wants_node and index == 0) and array is not None:
            raise BatchMalformed(
                f"{signature.op.name} needs a {'graph node' if wants_node else 'tensor'} handle; got another"
            )
