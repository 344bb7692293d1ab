"""The DataLoader: batches of a data set, ready to train on.

Owns the checks of its options and the fetching of one batch. Everything runs in the script's own
process; the order of samples is the samplers' and their joining is `collate`'s.
"""

from __future__ import annotations

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
    num_workers: 0, samples are read in this process.
    generator: draws the order of shuffle; the default one unless given.

    With `default_collate`, a batch of a TensorDataset (or of a Subset of one) is one indexing call
    per tensor. Raises ValueError for options that exclude each other or cannot be.
    """

    # Positions as in PyTorch up to collate_fn, so that calls without keywords mean the same.
    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        *,
        drop_last: bool = False,
        generator: Any = None,
    ) -> None:
        _check_workers(num_workers)
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
        if isinstance(self.dataset, IterableDataset):
            return map(self.collate_fn, self._stream(self.dataset))
        if self.batch_sampler is not None:
            return map(self._fetch, self.batch_sampler)
        return (self.collate_fn(self.dataset[index]) for index in self.sampler)

    def __len__(self) -> int:
        """Say how many batches one pass gives; TypeError where the data set has no length."""
        if self.batch_sampler is not None:
            return _length(self.batch_sampler)
        if isinstance(self.dataset, IterableDataset):
            return batch_count(self.dataset, self.batch_size or 1, self.drop_last)
        return _length(self.sampler)

    def _stream(self, dataset: IterableDataset[Any]) -> Iterable[Any]:
        if self.batch_size is None:
            return dataset
        return batched(dataset, self.batch_size, self.drop_last)

    def _fetch(self, indices: list[Any]) -> Any:
        """Make the batch of these indices."""
        if self.collate_fn is default_collate:
            batch = _tensor_batch(self.dataset, indices)
            if batch is not None:
                return batch
        at_once = getattr(self.dataset, "__getitems__", None)
        if at_once is not None:
            return self.collate_fn(at_once(indices))
        return self.collate_fn([self.dataset[index] for index in indices])


def _tensor_batch(dataset: Any, indices: Any) -> list[Any] | None:
    """Index each tensor of a TensorDataset once; None where that might not give the same.

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
    return [tensor[indices] for tensor in dataset.tensors]


def _sampler(dataset: Any, shuffle: bool | None, generator: Any) -> Iterable[int]:
    if shuffle:
        return RandomSampler(dataset, generator=generator)
    return SequentialSampler(dataset)


def _length(sized: Any) -> int:
    # Samplers promise no length; `len` says so where one lacks it.
    return len(sized)


def _check_workers(num_workers: int) -> None:
    if num_workers != 0:
        raise ValueError(
            f"DataLoader needs num_workers=0, it reads samples in this process; got "
            f"num_workers={num_workers!r}; leave it out, and give slow data sets __getitems__ "
            f"to read a batch at once"
        )


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
