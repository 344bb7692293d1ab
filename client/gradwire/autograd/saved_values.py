"""One value that a node keeps: as the tensor that it was, or packed, and put back into its place in the graph."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from gradwire.autograd.grad_mode import state as grad_state
from gradwire.autograd.saved_tensors import Packed, Pair, keeper, pack_kept, pack_value
from gradwire_protocol.ops import OPS
from gradwire_protocol.signature import tensor_span
from gradwire_protocol.tape import Edge, Kept, Node, gradient_edge

__all__ = ["PackedInput", "SavedTensor", "linked", "saved_tensor"]

_ATTACH, _NEXT, _SAVED = OPS["gw::attach"], OPS["gw::next_function"], OPS["gw::saved"]


class SavedTensor:
    """What `grad_fn._raw_saved_self` gives: a saved tensor that is not unpacked yet, and may get hooks of its own."""

    def __init__(self, pin: Any, node: Node, name: str, index: int) -> None:
        """Name a value that `node` keeps. `pin` is a handle of the node."""
        self._pin, self._node, self._name, self._index = pin, node, name, index

    def _kept(self) -> Kept | None:
        kept = keeper(self._node).kept.get(self._name)
        return kept if kept is None or type(kept) is Kept else kept[self._index]

    def register_hooks(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        """Pack the value now, and unpack it where it is read. Once only; raises RuntimeError for one that was freed."""
        if not callable(pack_hook) or not callable(unpack_hook):
            raise TypeError(
                "register_hooks(): incompatible function arguments: it needs two functions, which pack and unpack"
            )
        kept = self._kept()
        if kept is None and self._node.freed:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor after it has been freed. Saved intermediate values of the graph are "
                "freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward through "
                "the graph a second time or if you need to access saved tensors after calling backward."
            )
        if kept is None:
            raise RuntimeError("Calling register_hooks on a saved tensor with value None is forbidden")
        if type(kept.value) is Packed:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor whose hooks have already been set. Hint: only one pair of hooks is "
                "allowed at a time."
            )
        pack_kept(self._node, Pair(pack_hook, unpack_hook), self._pin, [(self._name, self._index, kept)])


class PackedInput(Packed):
    """A packed tensor that the client's own code keeps: with where its gradient goes, and a handle of the node there."""

    __slots__ = ("edge", "pin")

    def __init__(self, pair: Pair, tensor: Any) -> None:
        """Pack `tensor`."""
        from gradwire.tensor import call

        packed = pack_value(pair, tensor)
        super().__init__(pair, packed.data, packed.meta)
        self.edge = gradient_edge(tensor)
        is_made = self.edge is not None and isinstance(self.edge.target, Node)
        self.pin = call(OPS["gw::grad_fn"], tensor, session=tensor.session) if is_made else None

    def unpack_linked(self) -> Any:
        """Return the tensor in its place in the graph."""
        return linked(self.unpack(), self.edge, lambda: self.pin)


def saved_tensor(pin: Any, node: Node, name: str, kept: Kept, index: int) -> Any:
    """Return the very tensor for an input; for an output, and for what was packed, a new one with its place in the graph."""
    from gradwire.tensor import call

    if kept.storage.version != kept.version:
        node.check()
    if type(kept.value) is Packed:
        edge = Edge(node, kept.output) if kept.output >= 0 else _edge_of(node, name, index)
        value = kept.value.unpack()
        if edge is not None and not isinstance(edge.target, Node):
            return value.requires_grad_()
        return linked(value, edge, lambda: _pin_of(pin, node, name, kept, index))
    if kept.value is not None:
        return kept.value
    meta = node.output_metas[max(kept.output, 0)]
    saved = call(_SAVED, pin, name, index, meta.shape, meta.dtype, session=pin.session)
    if kept.output >= 0:
        saved.node, saved.output_nr, saved.storage = node, kept.output, kept.storage
    return saved


def _position(node: Node, name: str, index: int) -> int:
    signature = node.signature
    first, count = tensor_span(signature.op, name, signature.lengths)
    given = [place for place in range(first, first + count) if signature.metas[place] is not None]
    return given[index]


def _edge_of(node: Node, name: str, index: int) -> Edge | None:
    return node.edges[_position(node, name, index)]


def _pin_of(pin: Any, node: Node, name: str, kept: Kept, index: int) -> Any:
    """Return a handle of the node that a kept value came from."""
    from gradwire.tensor import call

    return pin if kept.output >= 0 else call(_NEXT, pin, _position(node, name, index), session=pin.session)


def linked(value: Any, edge: Edge | None, pin: Callable[[], Any]) -> Any:
    """Return an unpacked value as a tensor whose gradient goes where `edge` leads; `pin` gives a handle of that node."""
    from gradwire.tensor import Tensor, call

    if edge is None:
        return value
    if not isinstance(edge.target, Node):
        if grad_state.recording:
            return _stand_in().apply(edge.target, value)
        return value.detach().requires_grad_()
    alias = value.detach()
    made = Tensor._make(alias.session, alias.handle, alias.meta)
    alias.handle = 0
    call(_ATTACH, pin(), made, edge.output_nr, session=made.session)
    made.node, made.output_nr = edge.target, edge.output_nr
    return made


@functools.cache
def _stand_in() -> Any:
    """Return a function of a leaf and a value that is that value, and whose gradient is the leaf's."""
    from gradwire.autograd.function import Function

    class Unpacked(Function):
        @staticmethod
        def forward(ctx: Any, leaf: Any, value: Any) -> Any:
            return value.detach()

        @staticmethod
        def backward(ctx: Any, *grad_outputs: Any) -> Any:
            return grad_outputs[0], None

    return Unpacked
