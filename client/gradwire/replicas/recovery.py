"""Going on after a worker was lost: what lives gives its state to what is new."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gradwire.autograd.grad_mode import no_grad
from gradwire.collectives import Group
from gradwire.device import Device
from gradwire.replicas.mirrors import mirrors_of, primaries, unmirror
from gradwire.transfer import moved
from gradwire_protocol.errors import GradwireError, WorkerLost

if TYPE_CHECKING:
    from gradwire.nn.module import Module
    from gradwire.nn.parallel import DistributedDataParallel
    from gradwire.session import Session

__all__ = ["recovered"]


def recovered(parallel: DistributedDataParallel, devices: Sequence[str]) -> Exception | None:
    """Do what `DistributedDataParallel.reform` says, on those of the devices whose workers live."""
    replicas = {next(replica.parameters()).session: replica for replica in parallel._replicas}
    failures = {session: _failure(session) for session in replicas}
    wanted = _present(next(iter(replicas)), devices)
    living = [session for session in wanted if not session.is_closed]
    root = next((session for session in replicas if not session.is_closed), None)
    if root is None or not living:
        raise WorkerLost(
            f"the replicas of this module were on {', '.join(s.device for s in replicas)}, and none of these workers lives; load "
            "a checkpoint"
        )
    _bring_home(parallel, root, living[0])
    _choose(parallel, living)
    parallel._replicate(living, _kept(parallel, replicas, living))
    return failures[root]


def _failure(session: Session) -> Exception | None:
    """Wait for a session; return what failed of what it was sent."""
    try:
        session.wait()
    except (GradwireError, RuntimeError, IndexError, TypeError, ValueError) as error:
        return error
    return None


def _present(near: Session, devices: Sequence[str]) -> list[Session]:
    """Return the sessions that stand for devices now; what a pool lent and lost is replaced first."""
    from gradwire import pool

    fleet = near.fleet
    chosen = [session for session in ([near] if fleet is None else fleet.sessions) if session.device in devices]
    for index, session in enumerate(chosen):
        _failure(session)
        if session.is_closed and session.lent is not None:
            with suppress(WorkerLost):
                chosen[index] = pool.replace(session)
    return chosen


def _bring_home(parallel: DistributedDataParallel, root: Session, first: Session) -> None:
    """Let the module, and what optimizers keep for it, show what the root has, on the first worker; drop gradients."""
    from gradwire.optim.number import forget_number

    with no_grad():
        for tensor in primaries():
            found = mirrors_of(tensor)
            if found is None or not _belongs(parallel, found):
                continue
            source = next((t for t in (tensor, *found.tensors) if t.session is root), tensor)
            if source is not tensor or root is not first:
                tensor.data = source.detach().clone() if root is first else moved(source.detach(), first)
            forget_number(tensor)
            unmirror(tensor)
    for parameter in parallel.module.parameters():
        parameter._grad = None


def _belongs(parallel: DistributedDataParallel, found: Any) -> bool:
    """Return whether mirrors are those of the module, or of what an optimizer keeps on the same workers."""
    sessions = [next(replica.parameters()).session for replica in parallel._replicas[1:]]
    return found.keeper in (0, id(parallel)) and [made.session for made in found.tensors] == sessions


def _choose(parallel: DistributedDataParallel, living: Sequence[Session]) -> None:
    parallel.device_ids = [Device(session.device) for session in living]
    if parallel.output_device not in parallel.device_ids:
        parallel.output_device = parallel.device_ids[0]
    if len(living) == 1:
        parallel._group = None
    elif parallel._group is None:
        parallel._group = Group(living)
    else:
        parallel._group.form(living)


def _kept(
    parallel: DistributedDataParallel, replicas: dict[Session, Module], living: Sequence[Session]
) -> dict[Session, Module]:
    """Return the replicas that stay where they are; their values are copied anew all the same."""
    kept = {s: replicas[s] for s in living[1:] if s in replicas and replicas[s] is not parallel.module}
    for replica in kept.values():
        for parameter in replica.parameters():
            parameter._grad = None
    return kept
