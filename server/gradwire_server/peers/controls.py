"""The `gw::` ops that reach other workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gradwire_protocol import codec, limits
from gradwire_protocol.dtypes import DType
from gradwire_protocol.errors import LimitExceeded
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.control import NODE_META
from gradwire_protocol.signature import Signature
from gradwire_protocol.tape import Node, gradient_edge
from gradwire_protocol.v1 import failure_pb2
from gradwire_server.collectives.controls import COLLECTIVE_CONTROLS, COLLECTIVE_ON_POISON
from gradwire_server.engine import Array
from gradwire_server.peers import offers, reach

if TYPE_CHECKING:
    from gradwire_server.session import Run, Session

__all__ = ["ON_POISON", "PEER_CONTROLS"]


def offer(session: Session, run: Run, signature: Signature, self: Array, high: int, low: int) -> tuple[()]:
    """Let another worker take a copy of a tensor as it is now."""
    host = np.array(session.engine.backend.to_host(self.data), order="C", copy=True)
    offers.of_process.put(offers.ticket_of(high, low), host, session)
    return ()


def _offer_failure(
    session: Session, signature: Signature, scalars: tuple[Any, ...], failure: failure_pb2.Failure
) -> None:
    try:
        ticket = offers.ticket_of(scalars[0], scalars[1])
        offers.of_process.put(ticket, failure, session)
    except (OverflowError, LimitExceeded):
        return  # numbers that are no ticket, or more tickets than anyone fetches: nobody waits under them


def receive(
    session: Session, run: Run, signature: Signature, size: tuple[int, ...], dtype: DType, address: str, high: int,
    low: int,
) -> tuple[Array]:  # fmt: skip
    """Wait for what another worker offers, and take it; an empty address is this process's own."""
    meta, ticket = signature.outputs[0], offers.ticket_of(high, low)
    host = reach.fetch(address, ticket, meta) if address else _taken(ticket, meta)
    return (session.engine.new(session.engine.backend.from_host(host), meta),)


def _taken(ticket: bytes, meta: Meta) -> np.ndarray[Any, Any]:
    found = offers.of_process.take(ticket, limits.PEER_SECONDS)
    if isinstance(found, failure_pb2.Failure):
        raise codec.decode_failure(found)
    return found.reshape(meta.shape)


def reachable(session: Session, run: Run, signature: Signature, address: str, incarnation: str) -> tuple[()]:
    """Answer whether this worker reaches another one by an address."""
    run.answer(data=b"1" if reach.is_at(address, incarnation) else b"")
    return ()


def anchor(session: Session, run: Run, signature: Signature, self: Array) -> tuple[Array]:
    """Hold the graph behind a tensor, and not the tensor."""
    edge = gradient_edge(self)
    if edge is None or not isinstance(edge.target, Node):
        raise RuntimeError("a tensor needs a grad_fn for its graph to be held; this one has none")
    empty = session.engine.filled(NODE_META, 0)
    empty.node, empty.output_nr = edge.target, edge.output_nr
    return (empty,)


PEER_CONTROLS: dict[str, Callable[..., Any]] = {
    "gw::offer": offer,
    "gw::receive": receive,
    "gw::reachable": reachable,
    "gw::anchor": anchor,
    **COLLECTIVE_CONTROLS,
}
# What else must hear of it when such a call did not run: another worker waits.
ON_POISON: dict[str, Callable[[Session, Signature, tuple[Any, ...], failure_pb2.Failure], None]] = {
    "gw::offer": _offer_failure,
    **COLLECTIVE_ON_POISON,
}
