"""The admin plane, `admin.proto`: what a worker does, for `gradwire top`."""

from __future__ import annotations

import hashlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

from gradwire_protocol.v1 import admin_pb2, admin_pb2_grpc
from gradwire_server.memory import resident_bytes
from gradwire_server.opened import Opened

if TYPE_CHECKING:
    from gradwire_server.service import WorkerService

__all__ = ["AdminService"]

_NAME_LETTERS = 8


class AdminService(admin_pb2_grpc.AdminServicer):
    """Answers from the worker's own numbers."""

    def __init__(self, service: WorkerService) -> None:
        """Tell of this worker."""
        self._service = service

    def Status(self, request: Any, context: Any) -> Any:
        """Say what the worker did since its start, and what each session holds."""
        service, totals = self._service, self._service.totals()
        return admin_pb2.WorkerStatusReply(
            version=metadata.version("gradwire"),
            device=service.backend.device,
            incarnation=service.incarnation,
            draining=service.draining,
            session_limit=service.settings.max_sessions,
            batches=totals.batches,
            calls=totals.calls,
            errors=totals.errors.total(),
            batch_seconds=totals.batch_seconds,
            resident_bytes=resident_bytes(),
            sessions=[_session(opened) for opened in service.open_sessions()],
            waiting_sessions=service.lane.waiting,
        )


def _session(opened: Opened) -> Any:
    statistics = opened.session.statistics()
    return admin_pb2.SessionStatus(
        # The token itself opens the session.
        name=hashlib.sha256(opened.session.token).hexdigest()[:_NAME_LETTERS],
        batches=statistics.batches,
        calls=statistics.calls,
        handles=statistics.handles,
        held_bytes=statistics.held_bytes,
        running_seconds=opened.progress().running_seconds,
        has_client=opened.has_stream,
        repeated_batches=opened.tally.repeated,
        unanswered_batches=opened.unanswered_batches,
    )
