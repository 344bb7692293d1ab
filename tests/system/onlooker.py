"""Someone beside a session: what the worker says of it, over a connection that nothing disturbs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import grpc

from gradwire_protocol.v1 import admin_pb2, worker_pb2

__all__ = ["Onlooker", "name_of", "wait_until"]

_SECONDS = 10.0


class Onlooker:
    """Asks a worker, directly."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address, (("grpc.use_local_subchannel_pool", 1),))

    def __enter__(self) -> Onlooker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def _ask(self, method: str, message: bytes) -> bytes:
        call: Any = self._channel.unary_unary(method, request_serializer=None, response_deserializer=None)
        answer: bytes = call(message, timeout=_SECONDS, wait_for_ready=True)
        return answer

    def progress(self, token: bytes) -> worker_pb2.HeartbeatReply:
        """Return how far a session is."""
        request = worker_pb2.HeartbeatRequest(token=token).SerializeToString()
        return worker_pb2.HeartbeatReply.FromString(self._ask("/gradwire.v1.Worker/Heartbeat", request))

    def status(self) -> admin_pb2.WorkerStatusReply:
        """Return what the worker holds."""
        return admin_pb2.WorkerStatusReply.FromString(self._ask("/gradwire.v1.Admin/Status", b""))

    def session(self, token: bytes) -> admin_pb2.SessionStatus:
        """Return what a session holds."""
        return next(session for session in self.status().sessions if session.name == name_of(token))


def name_of(token: bytes) -> str:
    """Return the name by which a worker's status shows a session."""
    return hashlib.sha256(token).hexdigest()[:8]


def wait_until(holds: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait for something that must come about."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.005)
