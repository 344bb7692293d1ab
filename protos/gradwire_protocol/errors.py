"""The exceptions of gradwire, and how a failure on the worker becomes one on the client.

    GradwireError(RuntimeError)
    +-- ProtocolError                the two sides do not understand each other
    |   +-- VersionMismatch          other protocol version or op table: update the older side
    |   +-- BatchMalformed           a batch that does not decode to whole calls; nothing of it ran
    |   +-- BatchConflict            a batch number that ran before, with other content; nothing of it ran
    |   +-- UnknownOp                an op or signature number that was never declared
    +-- HandleNotFound               a handle that this session does not hold (freed, foreign or never made)
    +-- LimitExceeded                a bound of `limits` or of the worker's settings; says which, its limit and the use
    |   +-- QuotaExceeded            memory, tensors or sessions that a session or a tenant may have: free some, and go on
    +-- TransferDamaged              the elements of a large tensor changed on their way; send it again
    +-- AccessDenied                 the caller's token is not for this method: ask for one with another role
    |   +-- NotAuthenticated         no token, or one that the worker does not know or that has expired
    +-- WorkerUnreachable(ConnectionError)   nobody answers at the address
    +-- WorkerLost(ConnectionError)          the worker went away with its tensors
    |   +-- SessionExpired           the worker no longer has the session: its lease is over, or the process is another one
    +-- WorkerDraining               the worker takes no new session
    +-- NoWorkerFree                 a pool has no workers that fit; says what was asked and what there is
    +-- GroupBroken                  a member of a group died, or the group was formed anew: form it again
    +-- KernelError                  a kernel broke its own contract: a bug of gradwire's, please report it
    LinAlgError(RuntimeError)        a matrix that has no such factor or inverse, as torch.linalg.LinAlgError
    CheckpointError(OSError)         a file could not be written or is not a whole safetensors file

Everything else that a call can raise is the class that PyTorch raises: RuntimeError, IndexError, TypeError, ValueError.
"""

from __future__ import annotations

__all__ = [
    "AccessDenied", "BatchConflict", "BatchMalformed", "CheckpointError", "GradwireError", "GroupBroken",
    "HandleNotFound", "KernelError", "LimitExceeded", "LinAlgError", "NoWorkerFree", "NotAuthenticated",
    "ProtocolError", "QuotaExceeded", "SessionExpired", "TransferDamaged", "UnknownOp", "VersionMismatch", "WorkerDraining",
    "WorkerLost", "WorkerUnreachable", "class_name", "from_class_name", "is_known",
]  # fmt: skip


class GradwireError(RuntimeError):
    """Base of what gradwire itself refuses or loses. A RuntimeError, so that ported `except` clauses see it."""


class ProtocolError(GradwireError):
    """The two sides do not understand each other; nothing was applied."""


class VersionMismatch(ProtocolError):
    """The other side speaks another protocol version or op table. Update the older one."""


class BatchMalformed(ProtocolError):
    """A batch does not decode to whole calls. Nothing of it ran; the session goes on."""


class BatchConflict(ProtocolError):
    """A batch number was used before with other content, or skips one. Nothing of it ran; the session goes on."""


class UnknownOp(ProtocolError):
    """An op or a signature number was never declared in this session."""


class HandleNotFound(GradwireError):
    """The session holds no such handle: it was freed, belongs to another session, or was never made."""


class LimitExceeded(GradwireError):
    """A bound was reached. The message has the bound's name, its limit and the use."""

    # Where a worker has no room for a session: when to ask again, so that not all ask at once.
    retry_after_seconds = 0.0


class QuotaExceeded(LimitExceeded):
    """A session or a tenant may not hold more, or the machine has no more memory. Free tensors, and go on.

    Only the call that asked for more failed. A RuntimeError, as torch.OutOfMemoryError is.
    """

    quota = ""  # which bound it was, as a worker's metrics name it; empty where it was refused elsewhere


class TransferDamaged(GradwireError):
    """The elements of a large tensor have another checksum than they were sent with. Nothing of them was used."""


class AccessDenied(GradwireError):
    """The caller is known, and may not do this: its token has another role. Nothing was done."""


class NotAuthenticated(AccessDenied):
    """The caller is not known: it has no token, or one that the worker does not know or that has expired."""


class WorkerUnreachable(GradwireError, ConnectionError):
    """Nobody answers at the address. Nothing was sent."""


class WorkerLost(GradwireError, ConnectionError):
    """The worker went away. Its tensors are gone; connect again and restore from the last saved state."""


class SessionExpired(WorkerLost):
    """The worker no longer has the session: it was away for longer than its lease, or another process answers."""


class WorkerDraining(GradwireError):
    """The worker finishes its sessions and takes no new one. Connect to another worker."""


class NoWorkerFree(GradwireError):
    """A pool has no workers that fit. The message says what was asked and what there is."""


class GroupBroken(GradwireError):
    """A member of a group died, or the group was formed anew under a later epoch. Form it again."""


class KernelError(GradwireError):
    """A kernel returned what its shape rule did not promise: a bug of gradwire's, please report it."""


class LinAlgError(RuntimeError):
    """A matrix has no such factorisation or inverse: it is singular, not positive-definite, or did not converge."""


class CheckpointError(OSError):
    """A checkpoint could not be written whole, or a file is not one. The previous file is untouched."""


# What may cross the wire by name. MemoryError and OverflowError come from kernels and from numbers that do not fit.
_CLASSES: dict[str, type[Exception]] = {
    cls.__name__: cls
    for cls in (
        RuntimeError, IndexError, TypeError, ValueError, NotImplementedError, MemoryError, OverflowError, ZeroDivisionError,
        GradwireError, ProtocolError, VersionMismatch, BatchMalformed, BatchConflict, UnknownOp, HandleNotFound,
        LimitExceeded, QuotaExceeded, LinAlgError, TransferDamaged, WorkerLost, SessionExpired, WorkerDraining, KernelError,
        NoWorkerFree, GroupBroken, AccessDenied, NotAuthenticated, CheckpointError,
    )
}  # fmt: skip


def is_known(error: BaseException) -> bool:
    """Return whether an error is of a class that may cross the wire, or derived from one."""
    return any(cls.__name__ in _CLASSES for cls in type(error).__mro__)


def class_name(error: BaseException) -> str:
    """Return the name under which an error crosses the wire: its nearest class that the table knows."""
    for cls in type(error).__mro__:
        if cls.__name__ in _CLASSES:
            return cls.__name__
    return "RuntimeError"


def from_class_name(name: str, message: str) -> Exception:
    """Return the error that a wire name stands for, with its message."""
    return _CLASSES.get(name, RuntimeError)(message)
