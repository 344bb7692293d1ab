"""The gRPC edge of the client: a control stream driven from the caller's own thread, connections, health.

`open_stream` prefers `DirectStream`, which uses the mechanism of grpcio's own single-threaded unary-stream call: send and
receive without a consumer thread, about 60 us of CPU and two thread hops less per message. That is private API, so it is
probed at start and `PublicStream` takes over where it is missing; both pass the same tests.
"""

from __future__ import annotations

import queue
from typing import Any, Protocol

import grpc

from gradwire.channels import HEALTH, bulk_channel, open_channel
from gradwire.credentials import NOTHING, Credentials
from gradwire_protocol.errors import AccessDenied, GradwireError, NotAuthenticated, WorkerLost, WorkerUnreachable
from gradwire_protocol.v1 import worker_pb2

__all__ = [
    "Connection",
    "DirectStream",
    "GrpcConnection",
    "PublicStream",
    "Stream",
    "ask",
    "bulk_channel",
    "drain",
    "health",
    "open_channel",
    "open_stream",
]

_METHOD = "/gradwire.v1.Worker/Run"

Metadata = tuple[tuple[str, str], ...]


class Stream(Protocol):
    """An ordered stream of messages. Used by one thread at a time."""

    def send(self, message: bytes) -> None:
        """Send one message; raise WorkerLost if the stream has ended."""

    def receive(self) -> bytes:
        """Wait for the next message; raise WorkerLost if the stream has ended."""

    def close(self) -> None:
        """End the stream. Nothing may be sent after it."""

    def cancel(self) -> None:
        """Break the stream off, from any thread: whoever waits on it gets WorkerLost."""


# A status is a number in one stream and grpc's enumeration in the other.
_DENIALS: dict[object, type[AccessDenied]] = {
    code: kind
    for status, kind in (
        (grpc.StatusCode.UNAUTHENTICATED, NotAuthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, AccessDenied),
    )
    for code in (status, status.value[0])
}


def _ended(address: str, status: object, details: str) -> GradwireError:
    """Return the error of a stream that ended by itself."""
    if status in _DENIALS:
        return _DENIALS[status](f"the worker at {address} must let the caller in: {details}")
    return WorkerLost(f"the connection to the worker at {address} ended ({status}: {details})")


class PublicStream:
    """The control stream over grpcio's public API."""

    def __init__(self, channel: grpc.Channel, address: str, method: str = _METHOD, metadata: Metadata = ()) -> None:
        """Open the stream."""
        self._address = address
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        call: Any = channel.stream_stream(method, request_serializer=None, response_deserializer=None)
        self._replies = call(iter(self._outbox.get, None), metadata=metadata)

    def cancel(self) -> None:
        """Break the stream off."""
        self._replies.cancel()
        self._outbox.put(None)

    def send(self, message: bytes) -> None:
        """Queue a message for grpcio's sending thread."""
        self._outbox.put(message)

    def receive(self) -> bytes:
        """Wait for the next message."""
        try:
            reply: bytes = next(self._replies)
        except StopIteration:
            raise _ended(self._address, "OK", "ended by the worker") from None
        except grpc.RpcError as error:
            raise _ended(self._address, error.code(), error.details() or "") from None
        return reply

    def close(self) -> None:
        """Half-close the stream."""
        self._outbox.put(None)


class DirectStream:
    """The control stream over grpcio's segregated call: events are taken from the call's own queue by whoever waits."""

    def __init__(self, channel: grpc.Channel, address: str, method: str = _METHOD, metadata: Metadata = ()) -> None:
        """Open the stream; raise AttributeError, ImportError or TypeError where this grpcio works otherwise."""
        from grpc._cython import cygrpc

        self._cygrpc = cygrpc
        self._address = address
        self._sending = False
        self._receiving = False
        self._message: bytes | None = None
        self._status: Any = None
        # One tag per batch of operations; initial metadata goes out with the call.
        self._call = channel._channel.segregated_call(  # type: ignore[attr-defined]
            0, method.encode(), None, None, (), None,
            (
                ((cygrpc.SendInitialMetadataOperation(metadata, 0),), "open"),
                ((cygrpc.ReceiveInitialMetadataOperation(0),), "metadata"),
                ((cygrpc.ReceiveStatusOnClientOperation(0),), "status"),
            ),
            None,
        )  # fmt: skip

    def cancel(self) -> None:
        """Break the stream off."""
        self._call.cancel(self._cygrpc.StatusCode.cancelled, "given up")

    def _take_event(self) -> None:
        event = self._call.next_event()
        if event.tag == "sent":
            self._sending = False
        elif event.tag == "received":
            self._receiving = False
            self._message = event.batch_operations[0].message()
        elif event.tag == "status":
            self._status = event.batch_operations[0]

    def _raise_ended(self) -> None:
        status = self._status
        raise _ended(self._address, status.code(), status.details() or "ended by the worker")

    def send(self, message: bytes) -> None:
        """Start sending; gRPC takes one message of a call at a time, so wait for the one before."""
        while self._sending and self._status is None:
            self._take_event()
        if self._status is not None:
            self._raise_ended()
        self._call.operate((self._cygrpc.SendMessageOperation(message, 0),), "sent")
        self._sending = True

    def receive(self) -> bytes:
        """Wait for the next message."""
        if self._status is None and not self._receiving:
            self._call.operate((self._cygrpc.ReceiveMessageOperation(0),), "received")
            self._receiving = True
        while self._receiving:
            self._take_event()
        message, self._message = self._message, None
        if message is None:
            while self._status is None:
                self._take_event()
            self._raise_ended()
        assert message is not None
        return message

    def close(self) -> None:
        """Half-close the stream and wait for the worker's end of it."""
        if self._status is not None:
            return
        while self._sending and self._status is None:
            self._take_event()
        if self._status is None:
            self._call.operate((self._cygrpc.SendCloseFromClientOperation(0),), "closed")
        ended = False
        while self._status is None:
            # gRPC holds the status back while messages lie unread before it.
            if not ended and not self._receiving:
                self._call.operate((self._cygrpc.ReceiveMessageOperation(0),), "received")
                self._receiving, self._message = True, b""
            self._take_event()
            ended = not self._receiving and self._message is None


def open_stream(
    channel: grpc.Channel,
    address: str,
    *,
    public: bool = False,
    method: str = _METHOD,
    credentials: Credentials = NOTHING,
) -> Stream:
    """Open a stream, the control stream unless told otherwise, in the fastest way that this grpcio allows.

    `public` asks for the documented API.
    """
    if not public:
        try:
            return DirectStream(channel, address, method, credentials.metadata)
        except (AttributeError, ImportError, TypeError):
            pass
    return PublicStream(channel, address, method, credentials.metadata)


class Connection(Protocol):
    """What a session needs of a worker: the control stream, the bulk plane, an end. Tests put a loopback in its place."""

    address: str
    stream: Stream

    def bulk(self, token: bytes) -> Any:
        """Return the bulk plane of the session that `token` belongs to: `upload`, `download`, `close`."""

    def reopen(self, seconds: float) -> None:
        """Replace the stream by one over a new connection; raise WorkerUnreachable if nobody answers in time."""

    def heartbeat(self, token: bytes, seconds: float) -> None:
        """Hear from the worker, whatever it does at the moment; raise WorkerUnreachable if nothing comes in time."""

    def is_gone(self) -> bool:
        """Return whether it is known that the worker's process has ended."""

    def lost(self, error: WorkerLost) -> WorkerLost:
        """Return what to raise when the worker is lost for good."""

    def close(self) -> None:
        """Release the connection."""


class GrpcConnection:
    """A connection to a worker process."""

    def __init__(
        self,
        address: str,
        *,
        connect_seconds: float,
        public_stream: bool,
        credentials: Credentials = NOTHING,
        is_alone: bool = False,
    ) -> None:
        """Connect; raise WorkerUnreachable if nobody answers in time."""
        self.address = address
        self._credentials, self._public_stream, self._is_alone = credentials, public_stream, is_alone
        self._channel = open_channel(address, connect_seconds, credentials, is_alone=is_alone)
        self.stream = open_stream(self._channel, address, public=public_stream, credentials=credentials)

    def reopen(self, seconds: float) -> None:
        """Connect again."""
        self._channel.close()
        self._channel = open_channel(self.address, seconds, self._credentials, is_alone=self._is_alone)
        self.stream = open_stream(
            self._channel, self.address, public=self._public_stream, credentials=self._credentials
        )

    def heartbeat(self, token: bytes, seconds: float) -> None:
        """Hear from the worker, whatever it does at the moment; raise WorkerUnreachable if nothing comes in time."""
        request = worker_pb2.HeartbeatRequest(token=token).SerializeToString()
        ask(self.address, "/gradwire.v1.Worker/Heartbeat", request, seconds, self._credentials)

    def is_gone(self) -> bool:
        """Return False: nobody tells."""
        return False

    def lost(self, error: WorkerLost) -> WorkerLost:
        """Return the error as it is."""
        return error

    def bulk(self, token: bytes) -> Any:
        """Return the bulk plane."""
        from gradwire.bulk import Bulk

        return Bulk(self.address, token, self._credentials)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def ask(
    address: str, method: str, request: bytes, seconds: float, credentials: Credentials = NOTHING, patient: bool = True
) -> bytes:
    """Return a worker's answer, over a connection of its own; raise WorkerUnreachable for none in time."""
    with bulk_channel(address, credentials) as channel:
        call: Any = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
        try:
            answer: bytes = call(request, timeout=seconds, wait_for_ready=patient, metadata=credentials.metadata)
        except grpc.RpcError as error:
            raise WorkerUnreachable(
                f"the worker at {address} must answer within {seconds:g} s; it answered {error.code()}"
            ) from None
    return answer


def drain(address: str, seconds: float, credentials: Credentials = NOTHING) -> int:
    """Ask a worker to finish what runs and end; return how many sessions it has. Raises WorkerUnreachable."""
    reply = ask(address, "/gradwire.v1.Worker/Drain", b"", seconds, credentials)
    return int(worker_pb2.DrainWorkerReply.FromString(reply).sessions)


def health(address: str, seconds: float, credentials: Credentials = NOTHING) -> str:
    """Return what `grpc.health.v1` says of a worker: SERVING, NOT_SERVING, ...; raise WorkerUnreachable."""
    with open_channel(address, seconds, credentials) as channel:
        check: Any = channel.unary_unary(HEALTH, request_serializer=None, response_deserializer=None)
        try:
            # An empty request asks for the whole server; field 1 of the reply is the status. So the client needs no stubs.
            reply: bytes = check(b"", timeout=seconds)
        except grpc.RpcError as error:
            raise WorkerUnreachable(
                f"the server at {address} must offer grpc.health.v1; it answered {error.code()}"
            ) from None
    status = reply[1] if len(reply) >= 2 and reply[0] == 8 else 0
    return ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")[min(status, 3)]
