"""`torch.nn.parallel`: one module on several workers of this script. Each computes a part of the batch.

There is one process, this one, so that a script looks as it would on one device: the batch goes in whole, the results come out
whole, and so does the loss that is made of them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gradwire import session as sessions
from gradwire.collectives import Group
from gradwire.device import Device
from gradwire.nn.module import Module
from gradwire.replicas.mirrors import mirror, mirrors_of
from gradwire.replicas.parts import gather, scatter
from gradwire.replicas.recovery import recovered
from gradwire.replicas.reducer import Reducer
from gradwire.session import Session
from gradwire.workers import on, session_of

__all__ = ["DataParallel", "DistributedDataParallel"]

_MEBIBYTE = 1024 * 1024


class DistributedDataParallel(Module):
    """Compute a module on several workers, a part of the batch on each, and average its gradients between them.

    `device_ids` are the devices, by default all of this script; `module` is on the first, or moves there. Results are gathered on
    `output_device`, by default the first. A loss of those results has the gradients that one worker would compute, but for the
    order of additions; layers that look at the whole batch, as batch norm in training, see their worker's part of it, as in
    PyTorch. Optimizers are given `parameters()` as ever: their updates are made on each worker.

    Keyword arguments that PyTorch's has and this lacks are refused. Unused parameters are found in any case.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        bucket_cap_mb: float = 25,
        find_unused_parameters: bool = False,
        *,
        backend: str = "auto",
        collective_seconds: float = 60.0,
    ) -> None:
        """Copy the module to the workers and let them meet; raise RuntimeError if it has no parameter to learn."""
        super().__init__()
        near = sessions.current()
        chosen = _sessions(device_ids, near)
        if not any(parameter.requires_grad for parameter in module.parameters()):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter that requires a gradient."
            )
        self.module = module.to(chosen[0].device)
        self.device_ids = [Device(session.device) for session in chosen]
        self.output_device = self.device_ids[0] if output_device is None else Device(output_device)
        self.dim, self.broadcast_buffers = dim, broadcast_buffers
        self.find_unused_parameters = find_unused_parameters
        self.bucket_bytes_cap = int(bucket_cap_mb * _MEBIBYTE)
        self._group: Group | None = None
        if len(chosen) > 1:
            self._group = Group(chosen, backend=backend, seconds=collective_seconds)
        self._reducer: Reducer | None = None
        self._replicate(chosen, {})

    def _replicate(self, chosen: Sequence[Session], kept: dict[Session, Module]) -> None:
        """Make a replica on each further worker, or take the one that is there, and mirror the module's tensors in them."""
        made = [kept[s] if s in kept else copy.deepcopy(self.module).to(s.device) for s in chosen[1:]]
        # Not a submodule, nor a list of them: parameters() and state_dict() are the module's.
        self._replicas = (self.module, *made)
        for name in ("named_parameters", "named_buffers"):
            for path, tensor in getattr(self.module, name)():
                mirror(tensor, [dict(getattr(replica, name)())[path] for replica in made], id(self))
        if self._reducer is not None:
            self._reducer.close()
        self._reducer = None
        if self._group is not None:
            rows = [[p for p in replica.parameters() if p.requires_grad] for replica in self._replicas]
            self._reducer = Reducer(self._group, rows, self.bucket_bytes_cap)

    @property
    def epoch(self) -> int:
        """Return the number of the present epoch: it grows with each time that the workers met."""
        return 0 if self._group is None else self._group.epoch

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Run the replicas on the parts of the batch, and join what they return. Does not wait."""
        self._bring_in_line()
        chosen = [self._session(device) for device in self.device_ids]
        parts = scatter((inputs, kwargs), chosen, self.dim)
        results = []
        for (args, options), replica, session in zip(parts, self._replicas, chosen, strict=False):
            with on(session):
                results.append(replica(*args, **options))
            session.flush()
        return gather(results, self._session(self.output_device), self.dim)

    def _session(self, device: Device) -> Session:
        return session_of(device, next(self.module.parameters()).session)

    def _bring_in_line(self) -> None:
        """Copy what changed here otherwise than by an optimizer to the replicas, modes included."""
        modules = list(self.module.modules())
        for replica in self._replicas[1:]:
            for own, other in zip(modules, replica.modules(), strict=True):
                other.training = own.training
        for is_buffer, tensors in ((False, self.module.parameters()), (True, self.module.buffers())):
            for tensor in tensors:
                found = mirrors_of(tensor)
                if found is not None and (self.broadcast_buffers or not is_buffer):
                    for rank in range(len(found.tensors)):
                        found.sync(tensor, rank, exactly=is_buffer)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Inside, backward adds to each replica's own gradients; the next one outside averages what has come together."""
        reducer = self._reducer
        if reducer is None:
            yield
            return
        before, reducer.is_sync = reducer.is_sync, False
        try:
            yield
        finally:
            reducer.is_sync = before

    def reform(self, device_ids: Sequence[Any] | None = None) -> Exception | None:
        """Go on after a worker was lost: with those that live, and with new ones in place of those that were replaced.

        A pool's worker is waited for until it is back; another one's place is taken by `gradwire.workers.reconnect` before.
        `device_ids` are the devices from here on; by default those of before that have a worker. Parameters, buffers and what
        optimizers keep come from the first worker that lives; gradients are dropped. Returns the first failure of what was
        sent to that worker before, None if all of it ran: after a failure, the step in which it arose has to be made again.
        """
        return recovered(self, [str(Device(d)) for d in (self.device_ids if device_ids is None else device_ids)])


def _sessions(device_ids: Sequence[Any] | None, near: Session) -> list[Session]:
    if device_ids is not None:
        chosen = [session_of(Device("cuda", d) if isinstance(d, int) else d, near) for d in device_ids]
    else:
        chosen = [near] if near.fleet is None else list(near.fleet.sessions)
    if not chosen or len({id(session) for session in chosen}) != len(chosen):
        raise ValueError(f"replicas need devices that differ; got {[session.device for session in chosen]}")
    return chosen


class DataParallel(DistributedDataParallel):
    """The older name; PyTorch's copies the module for each batch, this keeps the copies."""

    def __init__(
        self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0
    ) -> None:
        """See `DistributedDataParallel`."""
        super().__init__(module, device_ids, output_device, dim)
