"""A gradwire session whose worker is in this process: the same client, batches and kernels, without a socket."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradwire.session import Session
from gradwire_protocol.meta import Meta
from gradwire_protocol.v1 import worker_pb2
from gradwire_server.backend import open_backend
from gradwire_server.session import Session as WorkerSession

__all__ = ["in_process_session"]


class _InProcess:
    """A connection that hands messages to a worker session."""

    address = "in process"

    def __init__(self) -> None:
        self._worker = WorkerSession(open_backend("cpu"))
        self.stream = self
        self._replies: list[bytes] = []

    def send(self, message: bytes) -> None:
        frame = worker_pb2.ClientFrame.FromString(message)
        if frame.WhichOneof("frame") == "hello":
            reply = worker_pb2.WorkerFrame(welcome=worker_pb2.Welcome(device="cpu", max_unacked_batches=32))
        else:
            with self._worker.engine.backend.active():
                reply = worker_pb2.WorkerFrame(ack=self._worker.apply(frame.batch))
        self._replies.append(reply.SerializeToString())

    def receive(self) -> bytes:
        return self._replies.pop(0)

    def bulk(self, token: bytes) -> _InProcess:
        return self

    def upload(self, number: int, values: np.ndarray[Any, Any], meta: Meta) -> None:
        self._worker.uploads[number] = np.array(values, dtype=meta.dtype.numpy).reshape(meta.shape)

    def close(self) -> None:
        pass


def in_process_session() -> Session:
    """Return a client session on a worker in this process."""
    return Session(_InProcess())
