"""`backward` and `grad`: check against the outline, send one call, take the gradients.

All that PyTorch refuses is refused here, at the user's line. The worker runs the same plan over the same graph.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from gradwire.autograd import anomaly_mode
from gradwire.autograd.grad_mode import no_grad
from gradwire.autograd.graph_hooks import GradientEdge, running
from gradwire.autograd.node_hooks import hooks_of_leaf
from gradwire.autograd.outline import Graph, read_outline
from gradwire.autograd.owners import align, cuts_of, owns, refuse_owned
from gradwire.autograd.walk import Walk, key_of, stops
from gradwire.programs.recording import active
from gradwire.sparse_methods import dense_parts, sparse_again
from gradwire_protocol.inplace import requires_grad
from gradwire_protocol.ops import OPS
from gradwire_protocol.planning import leaves, plan, reach
from gradwire_protocol.registry import check_no_overlap
from gradwire_protocol.tape import Edge, Node, Variable, gradient_edge

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = ["backward", "grad", "retained"]

# Non-leaf tensors that asked for their gradient, by id, since == of tensors is elementwise. Weak: asking must not keep a
# tensor alive.
retained: WeakValueDictionary[int, Any] = WeakValueDictionary()

_BACKWARD = OPS["gw::backward"]


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    listed = [value] if isinstance(value, Variable | GradientEdge) else list(value)
    return [item.ownership_token if isinstance(item, GradientEdge) else item for item in listed]


def _seeds(tensors: Sequence[Tensor], given: Sequence[Tensor | None] | None) -> list[Tensor | None]:
    """Check the gradients given for the outputs; None stands for 1, which only a scalar may leave out."""
    seeds: list[Tensor | None] = [None] * len(tensors) if given is None else list(given)
    if len(seeds) != len(tensors):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(seeds)} gradients")
    for index, (tensor, seed) in enumerate(zip(tensors, seeds, strict=True)):
        if seed is None:
            if requires_grad(tensor) and tensor.meta.numel != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if requires_grad(tensor) and tensor.meta.dtype.is_complex:
                raise RuntimeError(
                    f"grad can be implicitly created only for real scalar outputs but got torch.{tensor.meta.dtype.name}"
                )
        elif not isinstance(seed, Variable):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(seed).__name__}")
        elif seed.meta.shape != tensor.meta.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{index}] has a shape of {seed.shape} and output[{index}] has a shape of "
                f"{tensor.shape}."
            )
    return seeds


def _roots(tensors: Sequence[Tensor]) -> list[Edge]:
    roots = []
    for index, tensor in enumerate(tensors):
        edge = gradient_edge(tensor)
        if edge is None:
            raise RuntimeError(f"element {index} of tensors does not require grad and does not have a grad_fn")
        roots.append(edge)
    return roots


def _edges(inputs: Sequence[Tensor]) -> list[Edge | None]:
    """Return where gradients of `inputs` go: nowhere for a view that was made while nothing was recorded."""
    if not all(requires_grad(tensor) for tensor in inputs):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return [gradient_edge(tensor) for tensor in inputs]


def _check(nodes: Sequence[Node]) -> None:
    if anomaly_mode.mode.enabled:
        anomaly_mode.check(nodes)
        return
    for node in nodes:
        node.check()


def _reached(roots: Sequence[Edge], nodes: Sequence[Node]) -> set[tuple[int, int]]:
    """Return where gradients arrive when `nodes` run."""
    found = {key_of(edge) for edge in roots}
    for node in nodes:
        found.update(key_of(edge) for edge in node.edges if edge is not None)
    return found


def _run(
    tensors: Sequence[Tensor], seeds: Sequence[Tensor | None], inputs: Sequence[Tensor], into: Sequence[Tensor | None],
    retain_graph: bool, create_graph: bool, nodes: Sequence[Node], roots: Sequence[Edge],
) -> list[Any]:  # fmt: skip
    """Return the new gradients in the order of the inputs without a target; None where a custom function gave none."""
    recording = active()
    if recording is not None and nodes and nodes[-1].order <= recording.order:
        recording.unfit = recording.unfit or "a backward inside of it goes through what was computed outside"
    hooks = [hooks_of_leaf(tensor) if tensor.node is None else None for tensor in inputs]
    is_walk = stops(nodes) or owns(inputs) or any(tensor.session is not tensors[0].session for tensor in tensors)
    if not any(hooks) and not is_walk:
        return _call(tensors, seeds, inputs, into, retain_graph, create_graph, nodes, roots)
    with running(nodes, inputs):
        if is_walk:
            found = _walk(tensors, seeds, inputs, retain_graph, create_graph, nodes, roots)
        else:
            found = _call(tensors, seeds, inputs, [None] * len(inputs), retain_graph, create_graph, nodes, roots)
        made = []
        for gradient, hook, target in zip(found, hooks, into, strict=True):
            changed = gradient if hook is None or gradient is None else hook.on_gradient(gradient)
            if target is None:
                made.append(changed)
            elif changed is not None:
                with no_grad():
                    target.add_(changed)
    return made


def _walk(
    tensors: Sequence[Tensor], seeds: Sequence[Tensor | None], inputs: Sequence[Tensor], retain_graph: bool,
    create_graph: bool, nodes: Sequence[Node], roots: Sequence[Edge],
) -> list[Any]:  # fmt: skip
    """Run a backward that stops for the client's code."""
    walk = Walk(tensors, retain_graph=retain_graph, create_graph=create_graph)
    for tensor, edge, seed in zip(tensors, roots, seeds, strict=True):
        if seed is None:
            seed = tensor.detach().ones_like()
        walk.add(edge, seed if seed.meta.dtype is tensor.meta.dtype else seed.to(tensor.meta.dtype))
    edges = [gradient_edge(tensor) for tensor in inputs]
    wanted = [edge for edge in edges if edge is not None]
    cuts = cuts_of(nodes, wanted)
    try:
        walk.run(nodes, wanted, cuts)
    except BaseException:
        if cuts is not None:
            cuts.failed()
        raise
    if not retain_graph:
        for node in nodes:
            node.release()
    return [None if edge is None else walk.captured.get(key_of(edge)) for edge in edges]


def _call(
    tensors: Sequence[Tensor], seeds: Sequence[Tensor | None], inputs: Sequence[Tensor], into: Sequence[Tensor | None],
    retain_graph: bool, create_graph: bool, nodes: Sequence[Node], roots: Sequence[Edge],
) -> list[Any]:  # fmt: skip
    """Let the worker run it all in one call."""
    from gradwire.tensor import call

    session = tensors[0].session
    graph = _known_graph(roots, seeds) if create_graph else None
    made: Any = call(_BACKWARD, tensors, seeds, inputs, into, retain_graph, create_graph, session=session)
    for target in into:
        if target is not None:
            target.storage.version += 1
    if graph is not None:
        read_outline(session, graph, made)
    if not retain_graph:
        for node in nodes:
            node.release()
    return list(made)


def _known_graph(roots: Sequence[Edge], seeds: Sequence[Tensor | None]) -> Graph:
    """Return the graph that the worker describes new nodes by."""
    for seed in seeds:
        if seed is not None and seed.leaf_requires_grad:
            seed.announce()
    return reach([*roots, *(gradient_edge(seed) for seed in seeds if seed is not None)])


def _captures(roots: Sequence[Edge], nodes: Sequence[Node], inputs: Sequence[Tensor] | None) -> list[Any]:
    """Return the tensors whose `grad` a backward fills: leaves, or the given inputs, and those that retain theirs."""
    if inputs is None:
        found_leaves = leaves(roots, nodes)
        # A leaf may have been frozen since.
        return [*(leaf for leaf in found_leaves if leaf.leaf_requires_grad), *_retained(nodes, ())]
    reached = _reached(roots, nodes)
    # By id, since an input may be given twice, and may be one that retains its gradient.
    found = {id(tensor): tensor for tensor in inputs if (edge := gradient_edge(tensor)) and key_of(edge) in reached}
    found.update((id(tensor), tensor) for tensor in _retained(nodes, ()))
    return list(found.values())


def _retained(nodes: Sequence[Node], targets: Sequence[Edge]) -> list[Any]:
    """Return the tensors that keep their gradient and are made by one of `nodes`, or are themselves a target."""
    if not retained:
        return []
    passed = {id(node) for node in nodes} | {id(edge.target) for edge in targets}
    return [tensor for tensor in retained.values() if (edge := gradient_edge(tensor)) and id(edge.target) in passed]


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
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    seeds = _seeds(outputs, None if grad_tensors is None else _as_list(grad_tensors))
    for tensor in wanted or ():
        tensor.retain_grad()
    roots = _roots(outputs)
    nodes = plan(roots, None if wanted is None else [edge for edge in _edges(wanted) if edge is not None])
    _check(nodes)
    captures = _captures(roots, nodes, wanted)
    if create_graph:
        refuse_owned(captures, True)
    align(captures)
    into = [None if create_graph else leaf._grad for leaf in captures]
    for target in into:
        if target is not None:
            check_no_overlap(target.meta)
    keep = create_graph if retain_graph is None else retain_graph
    _fill(captures, into, _run(outputs, seeds, captures, into, keep, create_graph, nodes, roots))
    for leaf in captures:
        hooks = hooks_of_leaf(leaf) if leaf.node is None else None
        if hooks is not None:
            hooks.on_accumulated(leaf, leaf._grad)


def _fill(captures: Sequence[Any], into: Sequence[Any], made: Sequence[Any]) -> None:
    """Set `grad` of the tensors that the worker did not add to in place."""
    new = [tensor for tensor, target in zip(captures, into, strict=True) if target is None]
    for tensor, gradient in zip(new, made, strict=True):
        if gradient is not None:
            tensor._grad = gradient if tensor._grad is None else tensor._grad + gradient


def _check_used(used: list[bool], allow_unused: bool | None) -> None:
    if not all(used) and not allow_unused:
        raise RuntimeError(
            f"The differentiated Tensor at index {used.index(False)} appears to not have been used in the graph. Set "
            "allow_unused=True if this is the desired behavior."
        )


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the sum of gradients of `outputs` with respect to `inputs`, without touching any `grad`.

    With `is_grads_batched`, `grad_outputs` have a leading dimension, and so have the results: a loop over it, which adds
    one message for each. Raises RuntimeError where PyTorch does, among others for an input that the graph does not use,
    unless `allow_unused`. Waits only with `create_graph`, for the outline of the new graph.
    """
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for other "
            "parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    if is_grads_batched:
        return _grad_of_batch(
            _as_list(outputs),
            inputs,
            _as_list(grad_outputs),
            retain_graph,
            create_graph,
            allow_unused,
            materialize_grads,
        )
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    tensors, given = _as_list(outputs), _as_list(inputs)
    wanted = dense_parts(given)
    if not wanted:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    seeds = _seeds(tensors, None if grad_outputs is None else _as_list(grad_outputs))
    keep = create_graph if retain_graph is None else retain_graph
    found = _gradients(tensors, wanted, seeds, keep, create_graph, bool(allow_unused or materialize_grads))
    if materialize_grads:
        found = [tensor.detach().zeros_like() if g is None else g for tensor, g in zip(wanted, found, strict=True)]
    return tuple(sparse_again(given, found))


def _gradients(
    tensors: Sequence[Tensor], wanted: Sequence[Tensor], seeds: Sequence[Tensor | None], keep: bool, create_graph: bool,
    allow_unused: bool,
) -> list[Tensor | None]:  # fmt: skip
    """Return a gradient for each of `wanted`, None for one that is not used."""
    roots = _roots(tensors)
    edges = _edges(wanted)
    refuse_owned(wanted, False)
    nodes = plan(roots, [edge for edge in edges if edge is not None])
    _check(nodes)
    reached = _reached(roots, nodes)
    used = [edge is not None and key_of(edge) in reached for edge in edges]
    _check_used(used, allow_unused)
    present = [tensor for tensor, is_used in zip(wanted, used, strict=True) if is_used]
    extra = _retained(nodes, [edge for edge in edges if edge is not None and key_of(edge) in reached])
    into = [None if create_graph else tensor._grad for tensor in extra]
    made: list[Any] = []
    if present:
        given = [*[None] * len(present), *into]
        made = _run(tensors, seeds, [*present, *extra], given, keep, create_graph, nodes, roots)
        _fill(extra, into, made[len(present) :])
    gradients = iter(made)
    found = [next(gradients) if is_used else None for is_used in used]
    _check_used([gradient is not None for gradient in found], allow_unused)
    return found


def _grad_of_batch(
    outputs: Sequence[Tensor], inputs: Any, seeds: Sequence[Tensor | None], retain_graph: bool | None,
    create_graph: bool, allow_unused: bool | None, materialize_grads: bool,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    """Return `grad` of every gradient in a batch of them, stacked."""
    sizes = {seed.meta.shape[0] if seed is not None and seed.meta.shape else 0 for seed in seeds}
    if len(seeds) != len(outputs) or len(sizes) != 1 or not all(sizes):
        raise RuntimeError(
            "is_grads_batched needs a grad_output for every output, all with the same first dimension, of 1 or more; got "
            f"{len(seeds)} for {len(outputs)} outputs, with first dimensions {sorted(sizes)}."
        )
    for index, (output, seed) in enumerate(zip(outputs, seeds, strict=True)):
        if seed is not None and seed.meta.shape[1:] != output.meta.shape:
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch dimension. "
                "The sizes of the remaining dimensions are expected to match the shape of corresponding output, but a "
                f"mismatch was detected: grad_output[{index}] has a shape of {seed.shape} and output[{index}] has a shape "
                f"of {output.shape}. If you only want some tensors in `grad_output` to be considered batched, consider "
                "using vmap."
            )
    rows: list[tuple[Tensor | None, ...]] = []
    size = sizes.pop()
    for row in range(size):
        keep = True if row + 1 < size else retain_graph
        given = [None if seed is None else seed.select(0, row) for seed in seeds]
        rows.append(
            grad(outputs, inputs, given, keep, create_graph, True, allow_unused, materialize_grads=materialize_grads)
        )
    return tuple(None if column[0] is None else OPS["stack"](column, 0) for column in zip(*rows, strict=True))
