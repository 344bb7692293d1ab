"""`backward` and `grad`: check against the outline, send one call, take the gradients.

All that PyTorch refuses is refused here, at the user's line. The worker runs the same plan over the same graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from gradwire_protocol import codec
from gradwire_protocol.errors import GradwireError
from gradwire_protocol.ops import OPS
from gradwire_protocol.tape import Edge, Node, Variable, gradient_edge, plan, reach
from gradwire_protocol.v1 import call_pb2

from gradwire.autograd.graph import RemoteNode

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = ["backward", "grad", "retained"]

# Non-leaf tensors that asked for their gradient. Weak: asking must not keep a tensor alive.
retained: WeakSet[Any] = WeakSet()

_BACKWARD = OPS["gw::backward"]


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, Variable) else list(value)


def _seeds(tensors: Sequence[Tensor], given: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Check the gradients given for the outputs; None stands for 1, which only a scalar may leave out."""
    seeds: list[Tensor | None] = []
    if len(given) > len(tensors):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(given)} gradients")
    for index, tensor in enumerate(tensors):
        seed = given[index] if index < len(given) else None
        if seed is None and tensor.requires_grad and tensor.meta.numel != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        if seed is not None and not isinstance(seed, Variable):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(seed).__name__}")
        if seed is not None and seed.meta.shape != tensor.meta.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{index}] has a shape of {seed.shape} and output[{index}] has a shape of "
                f"{tensor.shape}."
            )
        seeds.append(seed)
    return seeds


def _roots(tensors: Sequence[Tensor]) -> list[Edge]:
    roots = []
    for index, tensor in enumerate(tensors):
        edge = gradient_edge(tensor)
        if edge is None:
            raise RuntimeError(f"element {index} of tensors does not require grad and does not have a grad_fn")
        roots.append(edge)
    return roots


def _check(nodes: Sequence[Node]) -> None:
    for node in nodes:
        if node.kept or node.freed:
            node.check()


def _reached(roots: Sequence[Edge], nodes: Sequence[Node]) -> set[tuple[int, int]]:
    found = {(id(edge.target), edge.output_nr) for edge in roots}
    for node in nodes:
        found.update((id(edge.target), edge.output_nr) for edge in node.edges if edge is not None)
    return found


def _run(
    tensors: Sequence[Tensor], seeds: Sequence[Tensor | None], inputs: Sequence[Tensor], into: Sequence[Tensor | None],
    retain_graph: bool, create_graph: bool, nodes: Sequence[Node], roots: Sequence[Edge],
) -> list[Any]:  # fmt: skip
    """Send the call; return the new gradient tensors in the order of the inputs without a target."""
    from gradwire.tensor import call

    session = tensors[0].session
    graph = None
    if create_graph:
        edges = [*roots, *(gradient_edge(seed) if seed is not None else None for seed in seeds)]
        graph = reach(edges)
    made: Any = call(_BACKWARD, tensors, seeds, inputs, into, retain_graph, create_graph, session=session)
    for target in into:
        if target is not None:
            target.storage.version += 1
    if graph is not None:
        value = session.answer()
        if not value.HasField("outline"):
            raise GradwireError("a backward with create_graph answers with its graph; none came; please report it")
        _bind_outline(value.outline, graph, made)
    if not retain_graph:
        for node in nodes:
            node.release()
    return list(made)


def _bind_outline(outline: call_pb2.Outline, graph: tuple[list[Node], list[Variable]], made: Sequence[Any]) -> None:
    """Mirror the nodes that the worker made, and hang the gradients on them."""
    new: list[Node] = []

    def edge(message: call_pb2.Outline.Edge) -> Edge | None:
        tables: dict[int, Sequence[Any]] = {1: graph[0], 2: graph[1], 3: new}
        table = tables.get(message.kind)
        return None if table is None else Edge(table[message.index], message.output)

    for message in outline.nodes:
        edges = tuple(edge(item) for item in message.edges)
        outputs = tuple(codec.decode_meta(meta) for meta in message.outputs)
        new.append(RemoteNode(message.name, edges, outputs, message.keeps))  # type: ignore[arg-type]
    for tensor, result in zip(made, outline.results, strict=True):
        found = edge(result)
        if found is None:
            continue
        if isinstance(found.target, Node):
            tensor.node, tensor.output_nr = found.target, found.output_nr
        else:
            tensor.leaf_requires_grad = True


def _captures(roots: Sequence[Edge], nodes: Sequence[Node], inputs: Sequence[Tensor] | None) -> list[Any]:
    """Return the tensors whose `grad` a backward fills: leaves, or the given inputs, and those that retain theirs."""
    if inputs is None:
        _, captures = reach(roots)
        leaves: list[Any] = list(captures)
    else:
        reached = _reached(roots, nodes)
        leaves = [t for t in inputs if (edge := gradient_edge(t)) and (id(edge.target), edge.output_nr) in reached]
    if retained:
        running = {id(node) for node in nodes}
        leaves += [t for t in retained if id(t.node) in running and all(t is not leaf for leaf in leaves)]
    return leaves


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of `tensors` to `grad` of the leaves, or of `inputs`. See `Tensor.backward`."""
    outputs = _as_list(tensors)
    wanted = None if inputs is None else _as_list(inputs)
    if wanted is not None and not wanted:
        raise RuntimeError("'inputs' argument to backward cannot be empty.")
    for tensor in wanted or ():
        if not tensor.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    seeds = _seeds(outputs, _as_list(grad_tensors))
    roots = _roots(outputs)
    targets = None if wanted is None else [edge for t in wanted if (edge := gradient_edge(t)) is not None]
    nodes = plan(roots, targets)
    _check(nodes)
    captures = _captures(roots, nodes, wanted)
    keep = create_graph if retain_graph is None else retain_graph
    into = [None if create_graph else leaf._grad for leaf in captures]
    made = iter(_run(outputs, seeds, captures, into, keep, create_graph, nodes, roots))
    for leaf, target in zip(captures, into, strict=True):
        if target is None:
            gradient = next(made)
            leaf._grad = gradient if leaf._grad is None else leaf._grad + gradient


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the sum of gradients of `outputs` with respect to `inputs`, without touching any `grad`.

    Raises RuntimeError where PyTorch does, among others for an input that the graph does not use, unless `allow_unused`.
    Waits only with `create_graph`, for the outline of the new graph.
    """
    from gradwire import creation

    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False.")
    tensors, wanted = _as_list(outputs), _as_list(inputs)
    seeds = _seeds(tensors, _as_list(grad_outputs))
    roots = _roots(tensors)
    edges = [gradient_edge(tensor) for tensor in wanted]
    if any(edge is None for edge in edges):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    nodes = plan(roots, [edge for edge in edges if edge is not None])
    _check(nodes)
    reached = _reached(roots, nodes)
    used = [edge is not None and (id(edge.target), edge.output_nr) in reached for edge in edges]
    if not all(used) and not (allow_unused or materialize_grads):
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if this "
            "is the desired behavior."
        )
    present = [tensor for tensor, is_used in zip(wanted, used, strict=True) if is_used]
    keep = create_graph if retain_graph is None else retain_graph
    made = iter(_run(tensors, seeds, present, [None] * len(present), keep, create_graph, nodes, roots)) if present else iter(())
    found = [next(made) if is_used else None for is_used in used]
    if materialize_grads:
        return tuple(creation.zeros_like(t) if g is None else g for t, g in zip(wanted, found, strict=True))
    return tuple(found)
