"""The exceptions of gradwire; the tree is drawn in `gradwire_protocol.errors`."""

from __future__ import annotations

from gradwire_protocol.errors import (
    AccessDenied,
    BatchConflict,
    BatchMalformed,
    CheckpointError,
    GradwireError,
    GroupBroken,
    HandleNotFound,
    KernelError,
    LimitExceeded,
    LinAlgError,
    NotAuthenticated,
    NoWorkerFree,
    ProtocolError,
    QuotaExceeded,
    SessionExpired,
    UnknownOp,
    VersionMismatch,
    WorkerDraining,
    WorkerLost,
    WorkerUnreachable,
)

__all__ = [
    "AccessDenied",
    "BatchConflict", "BatchMalformed", "CheckpointError", "GradwireError", "GroupBroken", "HandleNotFound", "KernelError",
    "LimitExceeded", "LinAlgError", "NoWorkerFree", "NotAuthenticated", "ProtocolError", "QuotaExceeded",
    "SessionExpired", "UnknownOp", "VersionMismatch", "WorkerDraining", "WorkerLost", "WorkerUnreachable",
]  # fmt: skip
