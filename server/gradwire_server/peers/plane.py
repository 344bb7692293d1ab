"""The methods of `peer.proto`, over raw messages: what other workers ask of this one."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np

from gradwire_protocol import codec, limits
from gradwire_protocol.bulk import as_bytes, chunk_parts, pieces
from gradwire_protocol.v1 import bulk_pb2, peer_pb2
from gradwire_server.collectives import store
from gradwire_server.peers import offers

__all__ = ["PeerPlane"]


class PeerPlane:
    """Answers other workers. What they may have, the secret in each request says."""

    def __init__(self, incarnation: str) -> None:
        """Serve as the worker process of this name."""
        self._incarnation = incarnation

    def handler(self) -> Any:
        """Return what a gRPC server registers."""
        methods: dict[str, Any] = {
            "Identify": grpc.unary_unary_rpc_method_handler(self.identify),
            "Meet": grpc.unary_unary_rpc_method_handler(self.meet),
            "Fetch": grpc.stream_stream_rpc_method_handler(self.fetch),
        }
        return grpc.method_handlers_generic_handler("gradwire.v1.Peer", methods)

    def identify(self, message: bytes, context: Any) -> bytes:
        """Say whether this is the worker that is meant; not which it is."""
        asked = peer_pb2.IdentifyRequest.FromString(message).incarnation
        is_this = hmac.compare_digest(asked.encode(), self._incarnation.encode())
        return peer_pb2.IdentifyReply(is_this=is_this).SerializeToString()

    def meet(self, message: bytes, context: Any) -> bytes:
        """Keep what the members of a group tell each other."""
        return store.answer(peer_pb2.MeetRequest.FromString(message)).SerializeToString()

    def fetch(self, messages: Iterator[bytes], context: Any) -> Iterator[bytes]:
        """Send the tensors of tickets, one after the other, each when it is offered."""
        for message in messages:
            ticket = peer_pb2.FetchRequest.FromString(message).ticket
            try:
                found = offers.of_process.take(ticket, limits.PEER_SECONDS, context.is_active)
            except Exception as error:
                found = codec.encode_failure(error)
            if isinstance(found, np.ndarray):
                yield from chunk_parts(pieces(as_bytes(found), limits.CHUNK_BYTES))
            else:
                yield bulk_pb2.Part(failure=found).SerializeToString()
