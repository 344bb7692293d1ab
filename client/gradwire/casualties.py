"""What a script loses with its worker, in words: how many tensors, and the checkpoint to go back to."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, NamedTuple

from gradwire_protocol.ops.control import NODE_META

if TYPE_CHECKING:
    from gradwire.session import Session

__all__ = ["LastCheckpoint", "casualties"]


class LastCheckpoint(NamedTuple):
    """The checkpoint that was saved or loaded last."""

    path: str
    step: int


def casualties(session: Session) -> str:
    """Return what is lost with a session's worker, as a clause of a sentence."""
    count = _tensor_count(session)
    lost = f", with {'the one tensor' if count == 1 else f'all {count:,} tensors'} of this session"
    last = session.last_checkpoint
    if last is None:
        return f"{lost}, of which no checkpoint was saved"
    return f"{lost}; the last checkpoint is {last.path}, of step {last.step}"


def _tensor_count(session: Session) -> int:
    """Count the script's tensors. They are in no list, which each of them would have to be kept in; this is asked for once."""
    from gradwire.tensor import Tensor

    # By type: what `isinstance` asks of an object may be the object's own code.
    tensors = (each for each in gc.get_objects() if issubclass(type(each), Tensor))
    return sum(getattr(each, "session", None) is session and each.meta is not NODE_META for each in tensors)
