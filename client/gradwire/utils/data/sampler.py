"""Samplers: the order in which the indices of a data set are read, alone or in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

from gradwire.utils.data._namespace import namespace

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

T_co = TypeVar("T_co", covariant=True)

# Indices drawn per request: each is a wait for the worker, and a few hundred KiB at most.
_DRAWN_INDICES = 65_536


class Sampler(Generic[T_co]):
    """An iterable of indices, or of lists of them. Subclasses give `__iter__`, mostly `__len__`."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError("Subclasses of Sampler should implement __iter__.")


class SequentialSampler(Sampler[int]):
    """Every index once, in order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Indices at random: permutations of all of them, or independent draws with `replacement`.

    num_samples: how many indices one pass gives; the length of `data_source` unless given. Without
        replacement and above that length, one permutation follows the other.
    generator: draws the numbers; the default one unless given.

    Raises TypeError for a `replacement` that is no bool and ValueError for a `num_samples` that is
    not a positive int. Waits for the worker at the start of each permutation.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement!r}")
        if not _is_positive_int(self.num_samples):
            raise ValueError(
                f"num_samples should be a positive integer value, but got num_samples={self.num_samples!r}"
            )

    @property
    def num_samples(self) -> int:
        """How many indices one pass gives; follows a data set that grows."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        draw = self._independent if self.replacement else self._permutations
        return islice(draw(), self.num_samples)

    def __len__(self) -> int:
        return self.num_samples

    def _permutations(self) -> Iterator[int]:
        while True:
            size = len(self.data_source)
            yield from namespace().randperm(size, generator=self.generator).tolist()

    def _independent(self) -> Iterator[int]:
        size, count = len(self.data_source), min(self.num_samples, _DRAWN_INDICES)
        while True:
            yield from namespace().randint(0, size, (count,), generator=self.generator).tolist()


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order, each once. Waits for the worker, which draws the order."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for place in namespace().randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[place]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices drawn with probabilities in proportion to `weights`; with `replacement`, any of them again.

    Raises ValueError for weights that are no vector or negative, for a `num_samples` that is not a positive int, and for
    more samples without replacement than weights above 0. Waits for the worker, which draws the numbers.
    """

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Any = None
    ) -> None:
        if not _is_positive_int(num_samples):
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        self.weights = namespace().as_tensor(weights, dtype=namespace().float64)
        if self.weights.dim() != 1:
            raise ValueError(
                f"weights should be a 1d sequence but given weights have shape {tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        values = self.weights.detach().numpy()
        if not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
            raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0, or sums to 0")
        count = self.num_samples if self.replacement else len(values)
        drawn = namespace().rand(count, dtype=namespace().float64, generator=self.generator).numpy()
        if self.replacement:
            ends = np.cumsum(values)
            places = np.searchsorted(ends, drawn * ends[-1], side="right")
            # Rounding may reach the end; the last index that has a weight is meant.
            return iter(np.minimum(places, np.flatnonzero(values)[-1]).tolist())
        if self.num_samples > np.count_nonzero(values):
            raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
        # Efraimidis and Spirakis, 2006: the largest of u**(1/w), in their order, are such a sample.
        with np.errstate(divide="ignore"):
            keys = np.where(
                values > 0, np.log(np.maximum(drawn, np.finfo(float).tiny)) / np.maximum(values, 1e-300), -np.inf
            )
        return iter(np.argsort(-keys, kind="stable")[: self.num_samples].tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices of another sampler; the last may be shorter, or be dropped.

    Raises ValueError for a `batch_size` that is no positive int or a `drop_last` that is no bool.
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        check_batching(batch_size, drop_last)
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return batched(self.sampler, self.batch_size, self.drop_last)

    def __len__(self) -> int:
        return batch_count(self.sampler, self.batch_size, self.drop_last)


def _is_positive_int(value: object) -> bool:
    # True is an int to Python and a mistake here.
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def check_batching(batch_size: object, drop_last: object) -> None:
    """Raise ValueError unless items can be batched so."""
    if not _is_positive_int(batch_size):
        raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size!r}")
    if not isinstance(drop_last, bool):
        raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last!r}")


def batched(items: Iterable[Any], batch_size: int, drop_last: bool) -> Iterator[list[Any]]:
    """Cut items into lists of `batch_size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, batch_size)):
        if len(batch) < batch_size and drop_last:
            return
        yield batch


def batch_count(items: Any, batch_size: int, drop_last: bool) -> int:
    """Say how many lists `batched` gives; TypeError where the items have no length."""
    whole, rest = divmod(len(items), batch_size)
    return whole + (rest > 0 and not drop_last)
