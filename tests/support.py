"""Fakes that are not mocks: a real client session straight onto a real worker session, without a socket."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradwire.session import Session
from gradwire_protocol.errors import WorkerLost, WorkerUnreachable
from gradwire_protocol.meta import Meta
from gradwire_protocol.v1 import worker_pb2
from gradwire_server.backend import open_backend
from gradwire_server.session import Session as WorkerSession

__all__ = ["Loopback", "open_loopback"]


class Loopback:
    """A connection whose far end is a worker session in this process. Records every message in `sent`."""

    address = "loopback"

    def __init__(self, backend: str = "cpu") -> None:
        self.worker = WorkerSession(open_backend(backend))
        self.stream: Any = self
        self.sent: list[bytes] = []
        self._replies: list[bytes] = []
        self._uploads = 0

    def send(self, message: bytes) -> None:
        self.sent.append(message)
        frame = worker_pb2.ClientFrame.FromString(message)
        if frame.WhichOneof("frame") == "end":
            return
        if frame.WhichOneof("frame") == "hello":
            reply = worker_pb2.WorkerFrame(welcome=worker_pb2.Welcome(device="cpu", max_unacked_batches=4))
        else:
            with self.worker.engine.backend.active():
                reply = worker_pb2.WorkerFrame(ack=self.worker.apply(frame.batch))
        self._replies.append(reply.SerializeToString())

    def receive(self) -> bytes:
        return self._replies.pop(0)

    def bulk(self, token: bytes) -> Loopback:
        return self

    def reopen(self, seconds: float) -> None:
        raise WorkerUnreachable("a loopback does not break")

    def heartbeat(self, token: bytes, seconds: float) -> None:
        pass

    def is_gone(self) -> bool:
        return False

    def lost(self, error: WorkerLost) -> WorkerLost:
        return error

    def cancel(self) -> None:
        pass

    def acknowledged(self, batch: int) -> None:
        pass

    def upload(self, values: np.ndarray[Any, Any], meta: Meta, batch: int) -> int:
        self._uploads += 1
        self.worker.uploads.finish(self._uploads, np.array(values, dtype=meta.dtype.numpy).reshape(meta.shape))
        return self._uploads

    def download(self, handle: int, meta: Meta) -> np.ndarray[Any, Any]:
        entry: Any = self.worker.store.array(handle)
        return np.array(self.worker.engine.backend.to_host(entry.data))

    def close(self) -> None:
        pass


def open_loopback(backend: str = "cpu") -> tuple[Session, Loopback]:
    """Return a client session and the loopback it talks to."""
    loopback = Loopback(backend)
    return Session(loopback), loopback
