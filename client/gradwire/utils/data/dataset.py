"""Data sets: anything that gives a sample for an index, or samples one after the other."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

from gradwire.utils.data._namespace import namespace

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """A map from index to sample. Subclasses give `__getitem__`, and mostly `__len__`.

    A subclass may also give `__getitems__(indices)`, which returns a list of samples; the
    DataLoader then asks for a batch's samples at once.
    """

    # No __len__ here, as in PyTorch: a default one would make `len` fail later and less clearly.

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset[T_co]) -> Dataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Samples one after the other, for streams that have no index. Subclasses give `__iter__`."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError("Subclasses of IterableDataset should implement __iter__.")

    def __add__(self, other: Dataset[T_co]) -> ChainDataset[T_co]:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Any, ...]]):
    """Rows of tensors of equal first dimension: sample i is `(t[i] for t in tensors)`.

    Raises AssertionError, as PyTorch does, when the first dimensions differ.
    """

    def __init__(self, *tensors: Any) -> None:
        rows = [tensor.size(0) for tensor in tensors]
        if len(set(rows)) > 1:
            raise AssertionError(
                f"Size mismatch between tensors: TensorDataset needs equal first dimensions; got {rows}"
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].size(0))


class StackDataset(Dataset[Any]):
    """Data sets of equal length side by side: sample i is the tuple, or for keywords the dict, of their samples i."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError(
                "Supported either ``tuple``- (via ``args``) or``dict``- (via ``kwargs``) like input/output, but both types "
                "are given."
            )
        if not args and not kwargs:
            raise ValueError("At least one dataset should be passed")
        self.datasets: Any = args or kwargs
        lengths = {len(dataset) for dataset in args or kwargs.values()}
        if len(lengths) > 1:
            raise ValueError("Size mismatch between datasets")
        self._length = lengths.pop()

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self) -> int:
        return self._length


class Subset(Dataset[T_co]):
    """The samples of `dataset` at `indices`, in that order."""

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[T_co]:
        """Return the samples at `indices`, asking the data set once where it can."""
        inner = [self.indices[i] for i in indices]
        at_once = getattr(self.dataset, "__getitems__", None)
        if at_once is not None:
            samples: list[T_co] = at_once(inner)
            return samples
        return [self.dataset[i] for i in inner]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[T_co]):
    """Data sets one behind the other, under one index.

    Raises AssertionError, as PyTorch does, for no data sets or for one without an index.
    """

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset; use ChainDataset")
        self.cumulative_sizes = list(accumulate(map(_length, self.datasets)))

    def __getitem__(self, index: int) -> T_co:
        if index < 0:
            if -index > len(self):
                raise ValueError(f"absolute value of index should not exceed dataset length {len(self)}; got {index}")
            index += len(self)
        if index >= len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} samples")
        which = bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - start]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class ChainDataset(IterableDataset[T_co]):
    """Iterable data sets one behind the other."""

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        # The iterable is kept as it is, not listed: a generator may make its data sets as it goes.
        self.datasets = datasets

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset")
            yield from dataset

    def __len__(self) -> int:
        return sum(map(_length, self.datasets))


def _length(dataset: Any) -> int:
    # Dataset promises no length; those that are joined need one, and `len` says so where it lacks.
    return len(dataset)


def random_split(dataset: Dataset[T_co], lengths: Sequence[float], generator: Any = None) -> list[Subset[T_co]]:
    """Split a data set at random into disjoint subsets.

    lengths: counts that add up to the data set's length, or fractions that add up to 1; what
        rounding down leaves over goes to the subsets one each, from the first on.

    Raises ValueError for other lengths. Waits for the worker, which draws the permutation.
    """
    total = _length(dataset)
    counts = _counts(lengths, total)
    order: list[int] = namespace().randperm(total, generator=generator).tolist()
    ends = accumulate(counts)
    return [Subset(dataset, order[end - count : end]) for end, count in zip(ends, counts, strict=True)]


def _counts(lengths: Sequence[float], total: int) -> list[int]:
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        return _counts_of_fractions(lengths, total)
    if sum(lengths) != total or any(length < 0 or length != int(length) for length in lengths):
        raise ValueError(
            f"Sum of input lengths does not equal the length of the input dataset! "
            f"random_split needs counts that add up to {total} or fractions that add up to 1; "
            f"got {list(lengths)}"
        )
    return [int(length) for length in lengths]


def _counts_of_fractions(fractions: Sequence[float], total: int) -> list[int]:
    for position, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(f"Fraction at index {position} is not between 0 and 1; got {fraction}")
    counts = [math.floor(total * fraction) for fraction in fractions]
    for position in range(total - sum(counts)):
        counts[position % len(counts)] += 1
    for position, count in enumerate(counts):
        if count == 0:
            warnings.warn(
                f"Length of split at index {position} is 0. This might result in an empty dataset.",
                stacklevel=4,
            )
    return counts
