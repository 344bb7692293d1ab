"""A session as the gRPC edge holds it: with the lock between its calls and its transfers, and the memory it shares."""

from __future__ import annotations

import threading

from gradwire_protocol.errors import HandleNotFound
from gradwire_protocol.shared_memory import Segment
from gradwire_protocol.v1 import call_pb2
from gradwire_server.backend import Backend
from gradwire_server.programs.shared import SharedPrograms
from gradwire_server.session import Session

__all__ = ["Opened"]


class Opened:
    """An open session."""

    def __init__(self, backend: Backend, programs: SharedPrograms, tenant: str = "") -> None:
        """Open a tenant's session on a backend; `programs` are what the worker's sessions share."""
        self.tenant = tenant
        self.session = Session(backend, shared=programs)
        self.lock = threading.Lock()
        self.is_wanted = False  # a batch waits for the lock, which a download holds
        self._segment: Segment | None = None
        self._sharing = threading.Lock()
        self._is_closed = False

    def apply(self, batch: call_pb2.Batch) -> call_pb2.Ack:
        """Run a batch when no download reads the session's arrays."""
        if not self.lock.acquire(blocking=False):
            self.is_wanted = True
            self.lock.acquire()
            self.is_wanted = False
        try:
            return self.session.apply(batch)
        finally:
            self.lock.release()

    def share(self) -> Segment | None:
        """Return memory to share with the client, made at the first call; None where there is none to share."""
        with self._sharing:
            if self._segment is None and not self._is_closed:
                self._segment = Segment.create()
            return self._segment

    def segment(self, secret: bytes) -> Segment | None:
        """Return the memory of a transfer in slots, None for one in chunks (no secret)."""
        if not secret:
            return None
        segment = self._segment
        if segment is None or not segment.is_secret(secret):
            raise HandleNotFound(
                "a transfer in slots needs the secret of the session's shared memory; this has another"
            )
        return segment

    def close(self) -> None:
        """End what waits on the session, and stop sharing memory."""
        self.session.uploads.close()
        with self._sharing:
            self._is_closed = True
            if self._segment is not None:
                self._segment.close()
                self._segment = None
