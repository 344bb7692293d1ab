"""Going on after a worker was lost: what lives gives its state to what is new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradwire.autograd.grad_mode import no_grad
from gradwire.collectives import Group
from gradwire.device import Device
from gradwire.replicas.mirrors import mirrors_of, primaries, unmirror
from gradwire.transfer import moved
from gradwire_protocol.errors import GradwireError, WorkerLost

if TYPE_CHECKING:
    from gradwire.nn.parallel import DistributedDataParallel
    from gradwire.session import Session

__all__ = ["recovered"]


def recovered(parallel: DistributedDataParallel, wanted: Sequence[Session]) -> Exception | None:
    """Form anew what `DistributedDataParallel.reform` says, on those of `wanted` that live."""
    from gradwire.optim.number import forget_number

    living = [session for session in wanted if _failure(session, living_only=True) is None]
    replicas = {next(replica.parameters()).session: replica for replica in parallel._replicas}
    roots = [session for session in replicas if not session.is_closed]
    if not living or not roots:
        raise WorkerLost(
            f"the replicas of this module were on {', '.join(s.device for s in replicas)}, and none of these workers lives; load a "
            "checkpoint"
        )
    root = roots[0]
    failure = _failures.pop(id(root), None)
    first = living[0]
    with no_grad():
        for tensor in [tensor for tensor in primaries() if _is_of(parallel, tensor)]:
            _bring_home(tensor, root, first)
            forget_number(tensor)
            unmirror(tensor)
        for parameter in parallel.module.parameters():
            parameter._grad = None
    kept = {session: replica for session, replica in replicas.items() if session in living and session is not first}
    kept = {session: replica for session, replica in kept.items() if replica is not parallel.module}
    for replica in kept.values():
        for parameter in replica.parameters():
            parameter._grad = None
    parallel.device_ids = [Device(session.device) for session in living]
    if str(parallel.output_device) not in {session.device for session in living}:
        parallel.output_device = parallel.device_ids[0]
    if len(living) == 1:
        parallel._group = None
    elif parallel._group is None:
        parallel._group = Group(living)
    else:
        parallel._group.form(living)
    parallel._replicate(living, kept)
    return failure


_failures: dict[int, Exception] = {}


def _failure(session: Session, *, living_only: bool = False) -> Exception | None:
    """Wait for a session; return WorkerLost if its worker is gone. What else failed is noted for the root's report."""
    try:
        session.wait()
    except (GradwireError, RuntimeError, IndexError, TypeError, ValueError) as error:
        if session.is_closed:
            return error
        _failures[id(session)] = error
    return None


def _is_of(parallel: DistributedDataParallel, tensor: Any) -> bool:
    """Return whether a tensor with mirrors is the module's, or kept by an optimizer for it: mirrored on the same workers."""
    found = mirrors_of(tensor)
    if found is None:
        return False
    sessions = [id(next(replica.parameters()).session) for replica in parallel._replicas[1:]]
    return [id(mirror.session) for mirror in found.tensors] == sessions


def _bring_home(tensor: Any, root: Session, first: Session) -> None:
    """Let a tensor show what the root has of it, on the first worker."""
    found = mirrors_of(tensor)
    assert found is not None
    source = next(t for t in (tensor, *found.tensors) if t.session is root)
    if source is tensor and tensor.session is first:
        return
    copied = source.detach().clone() if source.session is first else moved(source.detach(), first)
    tensor.data = copied
