"""The `gw::` namespace: what ATen lacks. The worker's session runs these itself; they have no kernel."""

from __future__ import annotations

from gradwire_protocol.dtypes import DType, bool_
from gradwire_protocol.meta import Meta
from gradwire_protocol.part import Part
from gradwire_protocol.registry import control

__all__ = ["NODE_META"]

# What stands for the meta of a handle that names a graph node.
NODE_META = Meta.of((0,), bool_)


def _made(size: tuple[int, ...], dtype: DType, *rest: object) -> Meta:
    if any(axis < 0 for axis in size):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(size)}: {list(size)}")
    return Meta.of(size, dtype)


def _backward(
    tensors: tuple[Meta, ...],
    gradients: tuple[Meta | None, ...],
    inputs: tuple[Meta, ...],
    into: tuple[Meta | None, ...],
    retain_graph: bool,
    create_graph: bool,
) -> tuple[Meta, ...]:
    if len(tensors) != len(gradients) or len(inputs) != len(into):
        raise RuntimeError(
            f"backward needs a gradient (or None) per tensor and a target (or None) per input; got {len(tensors)} tensors "
            f"with {len(gradients)} gradients and {len(inputs)} inputs with {len(into)} targets"
        )
    return tuple(Meta.of(meta.shape, meta.dtype) for meta, target in zip(inputs, into, strict=True) if target is None)


def _backward_part(tensors: object, entries: tuple[Meta, ...], part: str, *flags: object) -> tuple[Meta, ...]:
    decoded = Part.decode(part)
    if len(decoded.entries) != len(entries):
        raise RuntimeError(f"a part with {len(decoded.entries)} entries needs as many gradients; got {len(entries)}")
    return tuple(item.meta for item in decoded.exits)


def _function(
    outputs: tuple[Meta, ...], inputs: tuple[Meta, ...], name: str, needs: tuple[bool, ...], made: tuple[bool, ...]
) -> tuple[()]:
    if len(needs) != len(inputs) or len(made) != len(outputs):
        raise RuntimeError(
            f"a function needs a flag per input and output; got {len(needs)} for {len(inputs)} inputs and {len(made)} "
            f"for {len(outputs)} outputs"
        )
    return ()


def _restore_saved(node: Meta, values: tuple[Meta, ...], places: str) -> tuple[()]:
    if len(values) != len([place for place in places.split(",") if place]):
        raise RuntimeError(f"a node's kept values need a place each; got {len(values)} for {places!r}")
    return ()


def _nothing(*arguments: object) -> tuple[()]:
    return ()


# The next inline tensor of the batch; the next finished upload.
control("gw::constant(int[] size, ScalarType dtype) -> Tensor", _made)
control("gw::upload(int[] size, ScalarType dtype, SymInt upload) -> Tensor", _made)

# Answers with the elements.
control("gw::fetch(Tensor self) -> Tensor", _nothing)

# Gradients of `inputs`: added to `into` where that is given, else new tensors. With create_graph it answers an outline.
control(
    "gw::backward(Tensor[] tensors, Tensor?[] gradients, Tensor[] inputs, Tensor(a!)?[] into, bool retain_graph, "
    "bool create_graph) -> Tensor[]",
    _backward,
    heavy=True,
)

# Some nodes of a backward, where the client's hooks and functions run between them: see `Part`.
control(
    "gw::backward_part(Tensor[] tensors, Tensor[] entries, str part, bool retain_graph, bool create_graph) -> Tensor[]",
    _backward_part,
    heavy=True,
)

# Puts a node whose backward is the client's Python between tensors; `made` says which outputs are differentiable.
control("gw::function(Tensor[] outputs, Tensor[] inputs, str name, bool[] needs, bool[] made) -> ()", _function)

# Puts one node in place of all that made `outputs` since; `edges` are the (node, edge) that lead out of that, as `reach`
# numbers nodes.
control("gw::checkpoint(Tensor[] outputs, str name, int[] nodes, int[] edges) -> ()", _nothing)

# Lets a tensor come from output `output` of a node: a saved output of the client's function, unpacked.
control("gw::attach(Tensor node, Tensor self, int output) -> ()", _nothing)

# Handles for graph nodes, so that a user may walk `grad_fn` and read `_saved_*`.
control("gw::grad_fn(Tensor self) -> Tensor", lambda self: NODE_META)
control("gw::next_function(Tensor node, int index) -> Tensor", lambda node, index: NODE_META)
control("gw::saved(Tensor node, str name, int index, int[] size, ScalarType dtype) -> Tensor",
        lambda node, name, index, size, dtype: Meta.of(size, dtype))  # fmt: skip

# Lets a node forget kept values (`places`: "self.0,result.0"), which the client packed; brings them back for a backward.
control("gw::drop_saved(Tensor node, str places) -> ()", _nothing)
control("gw::restore_saved(Tensor node, Tensor[] values, str places) -> ()", _restore_saved)

# `tensor.data = source`: the handle shows the source's memory from here on.
control("gw::set_data(Tensor self, Tensor source) -> Tensor", _nothing)

# `tensor.data`: the same memory with a version counter of its own.
control("gw::data(Tensor self) -> Tensor", lambda self: self)

# Runs a program that the session holds. Its numbers and results follow from the program: see `program_signature`.
control("gw::program(Tensor[] inputs, str digest) -> Tensor[]", _nothing, heavy=True)

# Runs a program several times. See `program.Loop` and `loop_signature`.
control(
    "gw::loop(Tensor[] inputs, str digest, int steps, int[] rows, int[] carried, int[] wanted) -> Tensor[]",
    _nothing,
    heavy=True,
)

# A tensor for another worker to take, under a ticket of two numbers; and the taking, from the worker at `address` ("": this one).
control("gw::offer(Tensor self, SymInt high, SymInt low) -> Tensor", _nothing, awaited=True)
control(
    "gw::receive(int[] size, ScalarType dtype, str address, SymInt high, SymInt low) -> Tensor", _made, awaited=True
)

# Answers whether this worker reaches the one of that incarnation by an address.
control("gw::reachable(str address, str incarnation) -> Tensor", _nothing, awaited=True)

# Holds the graph behind a tensor, and not the tensor.
control("gw::anchor(Tensor self) -> Tensor", lambda self: NODE_META)
