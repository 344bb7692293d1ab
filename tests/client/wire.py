"""What passed between a session and the worker session behind its loopback."""

from __future__ import annotations

from gradwire.session import Session
from gradwire_protocol.v1 import call_pb2, worker_pb2
from tests.support import Loopback

__all__ = ["ALWAYS", "NEVER", "Wire"]

NEVER, ALWAYS = 1e9, -1.0  # seconds


class Wire:
    """A session, the loopback behind it, and the batches that passed since `clear`."""

    def __init__(self, session: Session, loopback: Loopback) -> None:
        self.session, self.loopback = session, loopback

    def clear(self) -> None:
        self.session.wait()
        self.loopback.sent.clear()

    @property
    def batches(self) -> list[call_pb2.Batch]:
        frames = [worker_pb2.ClientFrame.FromString(message) for message in self.loopback.sent]
        return [frame.batch for frame in frames if frame.WhichOneof("frame") == "batch"]

    @property
    def ops(self) -> list[str]:
        """Return the ops of the signatures that were interned."""
        return [signature.op for batch in self.batches for signature in batch.signatures]
