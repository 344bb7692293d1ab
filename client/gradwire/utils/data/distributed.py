"""`DistributedSampler`: the share of a data set's indices that one of several processes reads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized
from importlib import import_module
from typing import Any

from gradwire.utils.data._namespace import namespace
from gradwire.utils.data.sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index from `rank` on, of an order that is the same in all processes.

    num_replicas, rank: those of `gradwire.distributed` unless given.
    shuffle: a random order, which depends on `seed` and on the epoch that `set_epoch` was told, and on nothing else.
    drop_last: leave out indices that would not be shared out evenly; else some are read twice.

    Raises ValueError for a rank that is none. Waits for the worker, which draws the order.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.num_replicas: int = _group("get_world_size") if num_replicas is None else num_replicas
        self.rank: int = _group("get_rank") if rank is None else rank
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(f"Invalid rank {self.rank}, rank should be in the interval [0, {self.num_replicas - 1}]")
        self.dataset = dataset
        self.epoch = 0
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = seed
        shares = len(dataset) / self.num_replicas
        self.num_samples = math.floor(shares) if drop_last else math.ceil(shares)
        self.total_size = self.num_samples * self.num_replicas

    def __iter__(self) -> Iterator[int]:
        indices: list[int] = list(range(len(self.dataset)))
        if self.shuffle:
            generator = namespace().Generator().manual_seed(self.seed + self.epoch)
            indices = namespace().randperm(len(self.dataset), generator=generator).tolist()
        if self.total_size > len(indices):
            indices = (indices * math.ceil(self.total_size / len(indices)))[: self.total_size]
        return iter(indices[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose another order; all processes must be told the same."""
        self.epoch = epoch


def _group(name: str) -> Any:
    """Ask the process group a question; raise RuntimeError where there can be none."""
    try:
        distributed = import_module("gradwire.distributed")
    except ModuleNotFoundError:
        raise RuntimeError("Requires distributed package to be available; give num_replicas and rank") from None
    return getattr(distributed, name)()
