"""Collectives between CPU workers: gloo, through PyTorch's bare ProcessGroupGloo over numpy memory. Extra `[gloo]`.

No `init_process_group`: its default group is one for each process, and cannot be formed anew after a member died.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np

from gradwire_server.collectives.interface import Collective, Meeting

__all__ = ["open_gloo"]


def open_gloo(meeting: Meeting, rank: int, size: int, host: str, seconds: float) -> Collective:
    """Meet the other members; raise RuntimeError without PyTorch, or if they do not come."""
    try:
        import torch
        from torch import distributed
    except ImportError as error:
        raise RuntimeError(
            f"collectives between CPU workers need gloo, from PyTorch: pip install 'gradwire[gloo]' for each worker; {error}"
        ) from None
    torch.set_num_threads(1)
    options = distributed.ProcessGroupGloo._Options()
    options._devices = [distributed.ProcessGroupGloo.create_device(hostname=host)]
    options._timeout = timedelta(seconds=seconds)
    store = _store(distributed, meeting, seconds)
    return _Gloo(torch, distributed, distributed.ProcessGroupGloo(store, rank, size, options), store)


def _store(distributed: Any, meeting: Meeting, seconds: float) -> Any:
    class Store(distributed.Store):  # type: ignore[misc]
        def set(self, key: str, value: Any) -> None:
            meeting.set(key, value.encode() if isinstance(value, str) else bytes(value))

        def get(self, key: str) -> bytes:
            return meeting.get(key, seconds)

        def wait(self, keys: list[str], timeout: Any = None) -> None:
            for key in keys:
                meeting.get(key, timeout.total_seconds() if timeout is not None else seconds)

        def add(self, key: str, amount: int) -> int:
            return meeting.add(key, amount)

        def check(self, keys: list[str]) -> bool:
            return meeting.has(keys)

        def set_timeout(self, timeout: Any) -> None:
            pass

    return Store()


class _Work:
    """Holds the tensors that gloo's threads write to."""

    def __init__(self, work: Any, *held: Any) -> None:
        self._work, self._held = work, held

    def wait(self, seconds: float) -> None:
        self._work.wait(timedelta(seconds=seconds))


class _Gloo:
    def __init__(self, torch: Any, distributed: Any, group: Any, store: Any) -> None:
        self._torch, self._distributed, self._group, self._store = torch, distributed, group, store

    def _tensor(self, values: Any) -> Any:
        if values.dtype.kind == "V" or values.dtype.name == "bfloat16":
            # numpy has no such dtype of its own; the bits are the same.
            return self._torch.from_numpy(values.view(np.int16)).view(self._torch.bfloat16)
        return self._torch.from_numpy(values)

    def all_reduce(self, values: Any) -> _Work:
        tensor = self._tensor(values)
        return _Work(self._group.allreduce([tensor]), tensor)

    def reduce_scatter(self, values: Any, into: Any) -> _Work:
        source, target = self._tensor(values), self._tensor(into)
        return _Work(self._group._reduce_scatter_base(target, source), source, target)

    def all_gather(self, values: Any, into: Any) -> _Work:
        source, target = self._tensor(values), self._tensor(into)
        return _Work(self._group._allgather_base(target, source), source, target)

    def broadcast(self, values: Any, root: int) -> _Work:
        options = self._distributed.BroadcastOptions()
        options.rootRank = root
        tensor = self._tensor(values)
        return _Work(self._group.broadcast([tensor], options), tensor)

    def barrier(self) -> _Work:
        return _Work(self._group.barrier())

    def abort(self) -> None:
        group, self._group = self._group, None
        if group is not None:
            group.abort()
        # It says nothing to the others; its connections, which end with the object, do.

    def close(self) -> None:
        self._group = self._store = None
