"""The autograd graph's outline: nodes, edges, kept values, versions, views. Both sides build it from the same calls.

The client's `Tensor` and the worker's `Array` are both `Variable`s; this file does not know which of them it handles, so
the two graphs cannot drift apart, and an error found here is raised at the user's line by the client and, were a client
to lie, by the worker too. Values live on the worker only. Semantics: pytorch/torch/csrc/autograd (variable.h, saved_variable.h).
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from gradwire_protocol.inplace import forbidden_view, message_name
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import OPS, torch_type_name
from gradwire_protocol.signature import Signature, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "CopySlices", "Edge", "Kept", "Node", "Storage", "Variable", "bind_view", "gradient_edge", "keep_inputs", "keep_outputs",
    "next_order", "raise_versions", "record", "record_inplace", "refresh",
]  # fmt: skip

_orders = count(1)
# Makes an Edge or a Kept of the tuple of its fields, at a third of the price: every recorded call makes several.
_made = tuple.__new__


def next_order() -> int:
    """Return a number that all nodes of before have less of, and all later ones more."""
    return next(_orders)


# PyTorch makes a tensor of the number here, keeps it, and so frees nodes that keep nothing here.
_NUMBER_IS_KEPT = frozenset(("mul.Scalar", "mul_.Scalar", "div.Scalar", "div_.Scalar"))


class Storage:
    """The memory that a tensor and its views share, as far as autograd sees it: a version that in-place ops raise.

    `memory` stands for the memory itself, which `tensor.data` shares too, under a version of its own.
    """

    __slots__ = ("_memory", "version")

    def __init__(self, memory: object = None) -> None:
        """Start at version 0, as PyTorch does."""
        self.version = 0
        self._memory = memory

    @property
    def memory(self) -> object:
        """Return what is the same object wherever the memory is the same."""
        return self if self._memory is None else self._memory

    @memory.setter
    def memory(self, memory: object) -> None:
        self._memory = memory


class Variable:
    """What autograd knows of a tensor. `base` is the tensor that a differentiable view views; views never chain."""

    __slots__ = (
        "__weakref__", "base", "base_version", "leaf_requires_grad", "meta", "node", "offset", "output_nr", "storage", "view_kind",
    )  # fmt: skip

    meta: Meta
    storage: Storage
    offset: int  # in elements, from the start of the storage
    node: Node | None
    output_nr: int
    leaf_requires_grad: bool
    base: Variable | None
    base_version: int  # the storage's when `node` was made: another one there means that `node` is out of date
    view_kind: str  # "", or why in-place ops on this view are forbidden: see `inplace`

    def kept_output(self) -> Any:
        """Return what a node may hold of its own output without holding itself; the worker: a detached alias."""
        return None

    def announce(self) -> None:
        """Say to the other side that this leaf requires grad; the client, since it decides that."""


class Kept(NamedTuple):
    """A value that a node keeps, with the version it must still have when backward reads it."""

    value: Any
    storage: Storage
    version: int
    output: int  # which output of the node this is, or -1 for an input


class Edge(NamedTuple):
    """Where a gradient goes: output `output_nr` of a node, or a leaf (then 0)."""

    target: Node | Variable
    output_nr: int


_Places = tuple[tuple["Node | Variable | None", ...], tuple[int, ...] | None]


def _split(edges: Sequence[Edge | None]) -> _Places:
    """Return the targets of edges, and their output numbers, None where all are 0."""
    numbers = tuple([0 if edge is None else edge.output_nr for edge in edges])
    return tuple([None if edge is None else edge.target for edge in edges]), numbers if any(numbers) else None


class Node:
    """One recorded call. `order` grows with time, so a node's inputs always have smaller ones."""

    __slots__ = ("__weakref__", "freed", "hooks", "kept", "numbers", "order", "scalars", "signature", "targets")

    is_client = False  # whether its backward is the client's Python
    is_border = False  # whether what lies behind it is on another worker, which knows nothing of this one
    signature: Signature
    scalars: tuple[Any, ...]  # the numbers that vary, of this call; the client keeps none
    order: int
    # One per flattened tensor input, None where no gradient is needed; and the output numbers there, None where all are 0.
    # Kept apart since edges of their own are twice as many objects for Python's collector to visit again and again.
    targets: tuple[Node | Variable | None, ...]
    numbers: tuple[int, ...] | None
    kept: dict[str, Any]  # name -> Kept, or tuple of Kept for a tensor list
    freed: bool

    def __init__(
        self, signature: Signature, edges: tuple[Edge | None, ...] | None, scalars: tuple[Any, ...] = ()
    ) -> None:
        """Record a call of `signature`; None for `edges` says that they are set later."""
        self.signature = signature
        self.scalars = scalars
        self.order = next(_orders)
        if edges is not None:
            self.edges = edges
        self.kept = {}
        self.freed = False
        self.hooks: Any = None  # the client's, where a user registered any

    @property
    def edges(self) -> tuple[Edge | None, ...]:
        """Return where the gradients go: an edge per flattened tensor input, None where no gradient is needed."""
        numbers = self.numbers or (0,) * len(self.targets)
        return tuple([
            None if target is None else _made(Edge, (target, number))
            for target, number in zip(self.targets, numbers, strict=True)
        ])  # fmt: skip

    @edges.setter
    def edges(self, edges: Sequence[Edge | None]) -> None:
        self.targets, self.numbers = _split(edges)

    @property
    def name(self) -> str:
        """Return PyTorch's name of the node, such as `MulBackward0`."""
        return self.signature.op.node_name

    @property
    def output_metas(self) -> tuple[Meta, ...]:
        """Return the metas of the recorded call's outputs."""
        return self.signature.outputs or (self.signature.metas[0],)  # type: ignore[return-value]

    def kept_values(self) -> Iterable[Kept]:
        """Return every kept value, those of lists included."""
        if not self.kept:
            return ()
        values: list[Kept] = []
        for kept in self.kept.values():
            if type(kept) is Kept:
                values.append(kept)
            else:
                values += kept
        return values

    @property
    def keeps(self) -> bool:
        """Return whether a backward that does not retain the graph frees anything here."""
        return bool(self.kept) or self.signature.op.name in _NUMBER_IS_KEPT

    def release(self) -> None:
        """Forget the kept values after a backward that does not retain the graph."""
        if self.kept or self.keeps:
            self.kept = {}
            self.freed = True

    def check(self) -> None:
        """Raise RuntimeError if backward cannot run here: values freed, or changed since they were kept."""
        if self.freed:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have "
                "already been freed). Saved intermediate values of the graph are freed when you call .backward() or "
                "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or "
                "if you need to access saved tensors after calling backward."
            )
        for kept in self.kept_values():
            if kept.storage.version != kept.version:
                raise RuntimeError(self._modified(kept))

    def result(self, output: int) -> tuple[str, Meta]:
        """Return the name of the node that PyTorch says a kept result comes from, and its meta."""
        return self.name, self.output_metas[output]

    def _modified(self, kept: Kept) -> str:
        value = kept.value
        name, meta = self.result(max(kept.output, 0))
        meta = meta if value is None else value.meta
        if kept.output >= 0:
            origin = f", which is output {kept.output} of {message_name(name)},"
        elif value is not None and gradient_edge(value) is not None and value.node is not None:
            origin = f", which is output {value.output_nr} of {message_name(value.node.name)},"
        else:
            origin = ""
        return (
            "one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"[torch.{torch_type_name(meta.dtype)}Tensor {list(meta.shape)}]{origin} is at version "
            f"{kept.storage.version}; expected version {kept.version} instead. Hint: enable anomaly detection to find "
            "the operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False)."
        )


class CopySlices(Node):
    """The node of a tensor one of whose views was written to: runs `function` on the view's part of the gradient."""

    __slots__ = ("function", "offset", "view")

    function: Node
    view: Meta
    offset: int

    @property
    def name(self) -> str:
        """Return PyTorch's name."""
        return "CopySlices"

    @property
    def output_metas(self) -> tuple[Meta, ...]:
        """Return the meta of the viewed tensor."""
        return (self.signature.metas[0],)  # type: ignore[return-value]

    def result(self, output: int) -> tuple[str, Meta]:
        """Return what the written view has now."""
        return "AsStridedBackward0", self.view

    def kept_values(self) -> Iterable[Kept]:
        """Return what the in-place op kept."""
        return self.function.kept_values()

    @property
    def keeps(self) -> bool:
        """Return True: PyTorch lets this node go in any case, so it runs once."""
        return True

    def release(self) -> None:
        """Forget what the in-place op kept."""
        self.function.release()
        self.freed = True


def as_strided_signature(base: Meta, view: Meta, offset: int) -> Signature:
    """Return the signature of the `as_strided` call that makes `view` of a contiguous `base`."""
    statics = (view.shape, view.strides, offset)
    return resolve(OPS["as_strided"], (base,), statics, (), (), 1, base.dtype)


def refresh(view: Variable) -> None:
    """Give a view whose memory was written to since a node that goes through its base's present one.

    Raises RuntimeError for a view that cannot have one, such as an output of `unbind`.
    """
    base = view.base
    if base is None or view.base_version == view.storage.version:
        return
    if view.node is None and base.node is None and not base.leaf_requires_grad:
        return
    if view.view_kind:
        raise RuntimeError(forbidden_view(view, "its base or another view of its base has been"))
    if base.node is None and base.leaf_requires_grad:
        base.announce()
    signature = as_strided_signature(base.meta, view.meta, view.offset - base.offset)
    view.node = Node(signature, (gradient_edge(base),))
    view.output_nr = 0
    view.base_version = view.storage.version


def gradient_edge(variable: Variable) -> Edge | None:
    """Return where a gradient of `variable` goes, or None if it requires none."""
    if variable.base is not None:
        refresh(variable)
    if variable.node is not None:
        return _made(Edge, (variable.node, variable.output_nr))
    return _made(Edge, (variable, 0)) if variable.leaf_requires_grad else None


def _kept_input(value: Variable) -> Kept:
    storage = value.storage
    return _made(Kept, (value, storage, storage.version, -1))


def keep_inputs(node: Node, inputs: Sequence[Variable | None]) -> None:
    """Let a node keep those of a call's inputs that its gradients read."""
    kept = node.kept
    for name, first, size, is_list in node.signature.kept_inputs:
        value = inputs[first] if size else None
        if is_list:
            kept[name] = tuple([_kept_input(item) for item in inputs[first : first + size] if item is not None])
        elif value is not None:
            kept[name] = _kept_input(value)


def keep_outputs(node: Node, outputs: Sequence[Variable]) -> None:
    """Let a node keep those of a call's results that its gradients read."""
    for name, number in node.signature.kept_results:
        output = outputs[number]
        node.kept[name] = Kept(output.kept_output(), output.storage, output.storage.version, number)


def _places(signature: Signature, inputs: Sequence[Variable | None]) -> _Places:
    """Return the targets and numbers of a call's node. Asked before the node is made: a view may get a new one here."""
    needs = signature.needs
    targets: list[Node | Variable | None] = []
    for variable in inputs:
        if not needs & 1 or variable is None:
            targets.append(None)
        elif variable.base is None and not variable.output_nr:
            targets.append(variable.node or (variable if variable.leaf_requires_grad else None))
        else:
            break
        needs >>= 1
    else:
        return tuple(targets), None
    needed = [item if signature.needs >> index & 1 else None for index, item in enumerate(inputs)]
    return _split([None if item is None else gradient_edge(item) for item in needed])


def record(
    signature: Signature,
    inputs: Sequence[Variable | None],
    outputs: Sequence[Variable],
    scalars: tuple[Any, ...] = (),
) -> None:
    """Record a call that made new tensors: each differentiable one becomes an output of its node."""
    places = _places(signature, inputs)
    node = Node(signature, None, scalars)
    node.targets, node.numbers = places
    if signature.kept:
        keep_inputs(node, inputs)
        if signature.kept_results:
            keep_outputs(node, outputs)
    for number in signature.graded:
        output = outputs[number]
        output.node = node
        output.output_nr = number


def bind_view(view: Variable, viewed: Variable, kind: str = "") -> None:
    """Make `view` a differentiable view of what `viewed` itself views, or of `viewed`."""
    view.base = viewed.base if viewed.base is not None else viewed
    view.base_version = view.storage.version
    view.view_kind = kind or viewed.view_kind


def record_inplace(
    signature: Signature, inputs: Sequence[Variable | None], original: Any, scalars: tuple[Any, ...] = ()
) -> None:
    """Record a call that wrote to its first input, and raise that one's version.

    `original` is the copy that the worker made of `self` before the write, where a gradient needs it; the client has none.
    """
    self = inputs[0]
    assert self is not None
    places = _places(signature, inputs)
    node = Node(signature, None, scalars)
    node.targets, node.numbers = places
    if signature.kept:
        # Before the version is raised: an input that shares memory with `self` is stale from here on.
        keep_inputs(node, inputs)
        if "self" in node.kept:
            node.kept["self"] = Kept(original, Storage(), 0, -1)
    self.storage.version += 1
    keep_outputs(node, (self,))
    if self.base is None:
        self.node, self.output_nr, self.leaf_requires_grad = node, 0, False
        return
    base = self.base
    slices = CopySlices(as_strided_signature(base.meta, self.meta, self.offset - base.offset), ())
    slices.function, slices.view, slices.offset = node, self.meta, self.offset - base.offset
    slices.edges = (gradient_edge(base), *node.edges[1:])
    base.node, base.output_nr, base.leaf_requires_grad = slices, 0, False
    refresh(self)


def raise_versions(signature: Signature, inputs: Sequence[Variable | None]) -> None:
    """Count a write on every tensor that an unrecorded call writes to."""
    for index in signature.written:
        variable = inputs[index]
        if variable is not None:
            variable.storage.version += 1
