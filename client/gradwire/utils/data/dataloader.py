"""The DataLoader: batches of a data set, ready to train on.

Owns the checks of its options and the fetching of one batch. The order of samples is the samplers', their joining is
`collate`'s, and reading ahead in threads is `workers`'.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from gradwire.utils.data.collate import default_collate, default_convert
from gradwire.utils.data.dataset import Dataset, IterableDataset, Subset, TensorDataset
from gradwire.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    batch_count,
    batched,
    check_batching,
)
from gradwire.utils.data.workers import Crew, check_workers

__all__ = ["DataLoader"]

T_co = TypeVar("T_co", covariant=True)

# What the samplers were made from; another value later would be ignored.
_FIXED = frozenset({"dataset", "batch_size", "sampler", "batch_sampler", "drop_last"})


class DataLoader(Generic[T_co]):
    """An iterable of batches of `dataset`, new at each `iter`.

    batch_size: samples per batch; None gives single samples, with numpy arrays made tensors.
    shuffle: a new random order at each pass. sampler: an iterable of indices, instead of shuffle.
    batch_sampler: an iterable of lists of indices, instead of these and of drop_last.
    drop_last: leave out a last batch that is not full.
    collate_fn: makes a batch of a list of samples; `default_collate` unless given.
    num_workers: how many threads of this process read ahead, `prefetch_factor` batches each (2 unless given); with 0,
        samples are read when they are asked for. Each thread has a shallow copy of the data set and random numbers of
        its own. Threads read files and decode at once; pure Python code takes turns.
    worker_init_fn: called in each thread with its number; persistent_workers: keep the threads between passes.
    timeout: seconds to wait for a batch of a thread.
    pin_memory, in_order: what they permit has no use here, where batches come in order and go to a worker.
    generator: draws the order of shuffle; the default one unless given.

    With `default_collate`, a batch of a TensorDataset (or of a Subset of one) is one indexing call
    per tensor. Raises ValueError for options that exclude each other or cannot be.
    """

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: None = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        in_order: bool = True,
    ) -> None:
        check_workers(num_workers, timeout, prefetch_factor, persistent_workers, multiprocessing_context)
        is_stream = isinstance(dataset, IterableDataset)
        if is_stream:
            _check_stream(shuffle, sampler, batch_sampler)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            _check_batch_sampler_alone(batch_size, shuffle, sampler, drop_last)
            batch_size = None
        if sampler is None:
            sampler = () if is_stream else _sampler(dataset, shuffle, generator)
        if batch_size is not None and is_stream:
            check_batching(batch_size, drop_last)
        elif batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        elif drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if collate_fn is None:
            is_single = batch_size is None and batch_sampler is None
            collate_fn = default_convert if is_single else default_collate

        self.num_workers = num_workers
        self.prefetch_factor = 2 if prefetch_factor is None and num_workers else prefetch_factor
        self.persistent_workers, self.timeout, self.worker_init_fn = persistent_workers, timeout, worker_init_fn
        self.pin_memory, self.in_order, self.multiprocessing_context = pin_memory, in_order, None
        self._crew: Crew | None = None
        self.generator = generator
        self.collate_fn: Callable[[Any], Any] = collate_fn
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self._initialized = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and getattr(self, "_initialized", False):
            raise ValueError(
                f"{name} attribute should not be set after DataLoader is initialized; make a new DataLoader"
            )
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[Any]:
        if self.num_workers:
            return self._read_ahead()
        if self.timeout:
            raise AssertionError("timeout needs num_workers > 0: without threads nothing is waited for")
        if isinstance(self.dataset, IterableDataset):
            return self._batches(self.dataset)
        if self.batch_sampler is not None:
            return map(functools.partial(self._fetch, self.dataset), self.batch_sampler)
        return (self._single(self.dataset, index) for index in self.sampler)

    def _read_ahead(self) -> Iterator[Any]:
        """Yield the batches that threads make, which end with the pass unless they are to persist."""
        crew = self._crew or Crew(self.dataset, self.num_workers, self.worker_init_fn, self.generator)
        self._crew = crew if self.persistent_workers else None
        ahead = self.num_workers * (self.prefetch_factor or 1)
        try:
            if isinstance(self.dataset, IterableDataset):
                yield from crew.streams(self._batches, ahead, self.timeout)
            else:
                fetch = self._single if self.batch_sampler is None else self._fetch
                yield from crew.batches(fetch, self.batch_sampler or self.sampler, ahead, self.timeout)
        finally:
            if self._crew is not crew:
                crew.end()

    def __len__(self) -> int:
        """Say how many batches one pass gives; TypeError where the data set has no length."""
        if self.batch_sampler is not None:
            return _length(self.batch_sampler)
        if isinstance(self.dataset, IterableDataset):
            return batch_count(self.dataset, self.batch_size or 1, self.drop_last)
        return _length(self.sampler)

    def _batches(self, dataset: IterableDataset[Any]) -> Iterator[Any]:
        """Make the batches of a data set without an index, one after the other."""
        samples: Iterable[Any] = dataset
        if self.batch_size is not None:
            samples = batched(dataset, self.batch_size, self.drop_last)
        return map(self.collate_fn, samples)

    def _single(self, dataset: Any, index: Any) -> Any:
        """Make the sample of an index, where samples are not batched."""
        return self.collate_fn(dataset[index])

    def _fetch(self, dataset: Any, indices: list[Any]) -> Any:
        """Make the batch of these indices."""
        if self.collate_fn is default_collate:
            batch = _tensor_batch(dataset, indices)
            if batch is not None:
                return batch
        at_once = getattr(dataset, "__getitems__", None)
        if at_once is not None:
            return self.collate_fn(at_once(indices))
        return self.collate_fn([dataset[index] for index in indices])


def _tensor_batch(dataset: Any, indices: Any) -> list[Any] | None:
    """Select the rows of each tensor of a TensorDataset at once; None where that might not give the same.

    A row at a time would be one call per row and tensor, and one more to stack them. Exact types,
    because a subclass may have a `__getitem__` of its own; plain ints, because indexing means
    something else for lists of anything else; not empty, because `default_collate` refuses that.
    """
    if type(indices) is not list or not indices or any(type(i) is not int for i in indices):
        return None
    while type(dataset) is Subset:
        indices = [dataset.indices[index] for index in indices]
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset:
        return None
    return _rows(dataset.tensors, indices)


def _rows(tensors: Iterable[Any], indices: list[int]) -> list[Any]:
    """Return these rows of each tensor. Those on a worker are selected there: only the indices travel, once for all."""
    order: dict[Any, Any] = {}  # by session
    rows = []
    for tensor in tensors:
        session = getattr(tensor, "session", None)
        if session is None or not 0 <= min(indices) <= max(indices) < tensor.size(0):
            rows.append(tensor[indices])
            continue
        if session not in order:
            order[session] = tensor._tensor_from(indices)
        rows.append(tensor.index_select(0, order[session]))
    return rows


def _sampler(dataset: Any, shuffle: bool | None, generator: Any) -> Iterable[int]:
    if shuffle:
        return RandomSampler(dataset, generator=generator)
    return SequentialSampler(dataset)


def _length(sized: Any) -> int:
    # Samplers promise no length; `len` says so where one lacks it.
    return len(sized)


def _check_batch_sampler_alone(batch_size: int | None, shuffle: bool | None, sampler: object, drop_last: bool) -> None:
    if batch_size != 1 or shuffle or sampler is not None or drop_last:
        raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")


def _check_stream(shuffle: bool | None, sampler: object, batch_sampler: object) -> None:
    """Refuse what orders indices for a data set that has none."""
    options = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
    for name, value in options.items():
        if value is not None:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value!r}"
            )
