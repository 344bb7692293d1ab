"""How this worker asks others: channels by address, made at first use and kept."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from gradwire_protocol import limits
from gradwire_protocol.bulk import Receiver, as_bytes
from gradwire_protocol.errors import WorkerLost
from gradwire_protocol.meta import Meta
from gradwire_protocol.v1 import peer_pb2

__all__ = ["ask", "fetch", "is_at"]

_SERVICE = "/gradwire.v1.Peer/"
_OPTIONS = (
    ("grpc.max_receive_message_length", limits.MAX_MESSAGE_BYTES),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A peer that is frozen or cut off answers no ping; one that merely computes does.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Without it a ping waits for a minute: a worker that was stopped was noticed after 80 s, with it after 30.
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
)
_IDENTIFY_SECONDS = 3.0

_channels: dict[str, grpc.Channel] = {}
_lock = threading.Lock()


def _channel(address: str) -> grpc.Channel:
    with _lock:
        found = _channels.get(address)
        if found is None:
            found = _channels[address] = _open(address)
        return found


def _open(address: str) -> grpc.Channel:
    """Return a channel, by TLS where this worker's environment says whom to trust, in the words that clients use."""
    authority, certificate, key = (_file(name) for name in ("TLS_CA", "TLS_CERTIFICATE", "TLS_KEY"))
    if authority is None:
        return grpc.insecure_channel(address, options=_OPTIONS)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(authority, key, certificate), _OPTIONS)


def _file(name: str) -> bytes | None:
    path = os.environ.get(f"GRADWIRE_{name}", "")
    return Path(path).read_bytes() if path else None


def ask(address: str, method: str, message: bytes, seconds: float, *, patient: bool = True) -> bytes:
    """Call a method of another worker; raise WorkerLost if it does not answer in time, or is not there at all unless `patient`."""
    call: Any = _channel(address).unary_unary(_SERVICE + method, request_serializer=None, response_deserializer=None)
    try:
        answer: bytes = call(message, timeout=seconds, wait_for_ready=patient)
    except grpc.RpcError as error:
        raise WorkerLost(f"the worker at {address} must answer this one; {error.code().name}") from None
    return answer


def is_at(address: str, incarnation: str) -> bool:
    """Return whether a worker process can be reached from here by this address."""
    request = peer_pb2.IdentifyRequest(incarnation=incarnation).SerializeToString()
    was_known = address in _channels
    is_this = False
    with suppress(WorkerLost, OSError, DecodeError):
        answer = ask(address, "Identify", request, _IDENTIFY_SECONDS, patient=False)
        is_this = peer_pb2.IdentifyReply.FromString(answer).is_this
    if not is_this and not was_known:
        _forget(address)
    return is_this


def _forget(address: str) -> None:
    """Keep no channel to where no worker was found: a client may name addresses without end. Calls under way hold theirs."""
    with _lock:
        _channels.pop(address, None)


def fetch(address: str, ticket: bytes, meta: Meta) -> np.ndarray[Any, Any]:
    """Wait for a tensor that another worker offers; raise what it failed with there, or WorkerLost."""
    into = np.empty(meta.numel, meta.dtype.numpy)
    receiver = Receiver(as_bytes(into), f"a copy of {meta} from {address}", None)
    open_stream: Any = _channel(address).stream_stream(
        _SERVICE + "Fetch", request_serializer=None, response_deserializer=None
    )
    request = peer_pb2.FetchRequest(ticket=ticket).SerializeToString()
    stream = open_stream(iter((request,)), timeout=limits.PEER_SECONDS)
    try:
        for message in stream:
            receiver.take(message)
            if receiver.is_done:
                break
    except grpc.RpcError as error:
        if not receiver.position:
            _forget(address)
        raise WorkerLost(
            f"a copy from the worker at {address} needs that worker until it is complete; {error.code().name} after "
            f"{receiver.position} of {meta.nbytes} bytes"
        ) from None
    finally:
        stream.cancel()
    return into.reshape(meta.shape)
