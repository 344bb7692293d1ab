"""`.to("cpu:1")`: a tensor copied from one worker to another. Waits only at a pair's first copy, for which way it can go.

The elements go from worker to worker: the source offers them under a ticket, which is used once and known to the two workers
and this client only, and the target fetches them. Where it cannot reach the source they pass through this process.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gradwire.autograd.grad_mode import state as grad_state
from gradwire.sparse_methods import SparseMeta
from gradwire_protocol.meta import Meta
from gradwire_protocol.opaque import OpaqueNode
from gradwire_protocol.ops import OPS
from gradwire_protocol.tape import Edge, Node, gradient_edge

if TYPE_CHECKING:
    from gradwire.autograd.walk import Walk
    from gradwire.session import Session
    from gradwire.tensor import Tensor

__all__ = ["BorderNode", "anchors_of", "come_across", "moved", "road"]

_OFFER, _RECEIVE, _REACHABLE = OPS["gw::offer"], OPS["gw::receive"], OPS["gw::reachable"]
_FUNCTION, _ANCHOR = OPS["gw::function"], OPS["gw::anchor"]


class BorderNode(OpaqueNode):
    """Where a graph goes from one worker to another: a backward copies the gradient the other way."""

    __slots__ = ("anchors", "source")

    is_client = True
    is_border = True
    source: Session | None  # where gradients go; None: they stay where they are
    anchors: tuple[Tensor, ...]  # hold the graph behind the copied tensor on its worker; none where that is a leaf

    def backward(self, grads: Sequence[Any], walk: Walk) -> list[Any]:
        """Return the gradient where the copied tensor is."""
        source = self.source
        return [gradient if gradient is None or source is None else moved(gradient, source) for gradient in grads]


def come_across(tensor: Tensor, edge: Edge, name: str, source: Session | None, anchors: tuple[Tensor, ...]) -> None:
    """Let a tensor that was just received come from `edge`, which its worker knows nothing of."""
    node = BorderNode(name, (edge,), (tensor.meta,), keeps=False)
    node.source, node.anchors = source, anchors
    _call(_FUNCTION, tensor.session, [tensor], [], node.name, (), (True,))
    tensor.node, tensor.output_nr = node, 0


def moved(tensor: Any, target: Session) -> Any:
    """Return a tensor's copy on another worker, contiguous; gradients go back through it."""
    from gradwire.tensor import Tensor

    if not isinstance(tensor, Tensor):
        return _moved_other(tensor, target)
    if type(tensor.meta) is SparseMeta:
        return tensor.moved(target)  # type: ignore[attr-defined]
    source = tensor.session
    for session in (source, target):
        if session.recorder is not None:
            session.recorder.unfit = session.recorder.unfit or "it copies a tensor from one worker to another"
    edge = gradient_edge(tensor) if grad_state.recording else None
    copied = _copied(tensor, target)
    if edge is None:
        return copied
    come_across(copied, edge, "ToCopyBackward0", source, anchors_of(tensor, edge))
    return copied


def _moved_other(tensor: Any, target: Session) -> Any:
    raise TypeError(f"a copy to {target.device} needs a dense tensor; got {type(tensor).__name__}")


def _call(op: Any, session: Session, *arguments: Any) -> Any:
    from gradwire.tensor import call

    return call(op, *arguments, session=session)


def anchors_of(tensor: Tensor, edge: Edge) -> tuple[Tensor, ...]:
    """Return an empty tensor that comes from where `tensor` does, so that the tensor itself may be freed; none for a leaf."""
    if not isinstance(edge.target, Node):
        return ()
    anchor: Tensor = _call(_ANCHOR, tensor.session, tensor)
    anchor.node, anchor.output_nr = edge.target, edge.output_nr
    return (anchor,)


def _copied(tensor: Tensor, target: Session) -> Any:
    source = tensor.session
    address = road(source, target)
    meta = Meta.of(tensor.meta.shape, tensor.meta.dtype)
    if address is None:
        from gradwire.conversion import fetch, from_array

        return from_array(fetch(tensor), meta.dtype, target)
    high, low = secrets.randbits(63), secrets.randbits(63)
    _call(_OFFER, source, tensor, high, low)
    return _call(_RECEIVE, target, meta.shape, meta.dtype, address, high, low)


def road(source: Session, target: Session) -> str | None:
    """Return the address by which `target`'s worker reaches `source`'s, "" for its own; None where it does not. May wait."""
    if source.welcome.incarnation == target.welcome.incarnation:
        return ""
    known = _reached.setdefault(target, WeakKeyDictionary())
    if source not in known:
        known[source] = _reaches(source, target)
    return source.address if known[source] else None


# By target and source.
_reached: WeakKeyDictionary[Session, WeakKeyDictionary[Session, bool]] = WeakKeyDictionary()


def _reaches(source: Session, target: Session) -> bool:
    with target.lock:
        _call(_REACHABLE, target, source.address, source.welcome.incarnation)
        return bool(target.answer().data)
