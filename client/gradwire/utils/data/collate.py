"""Put samples together to a batch, whatever they are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from copy import copy
from typing import Any

import numpy as np

from gradwire.utils.data._namespace import namespace

__all__ = ["default_collate", "default_convert"]

_NEEDED = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists"


def default_collate(batch: Sequence[Any]) -> Any:
    """Put a non-empty list of like samples together, with a new first dimension.

    Tensors `(...)` become `(N, ...)`, numpy arrays and numbers become tensors (ints int64, floats
    float64), text stays a list; mappings, named tuples and sequences are put together member by
    member, and a plain tuple gives a list. Raises TypeError for anything else and RuntimeError for
    samples of unequal sizes.
    """
    first = batch[0]
    gradwire = namespace()
    if isinstance(first, gradwire.Tensor):
        return gradwire.stack(list(batch))
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, np.ndarray | np.generic):
        return gradwire.tensor(_stacked(batch))
    if isinstance(first, float):
        return gradwire.tensor(batch, dtype=gradwire.float64)
    if isinstance(first, int):
        return gradwire.tensor(batch)
    if isinstance(first, Mapping):
        members = {key: default_collate([sample[key] for sample in batch]) for key in first}
        return _mapping_like(first, members)
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError(
                f"each element in list of batch should be of equal size; got {[len(sample) for sample in batch]}"
            )
        members_of = zip(*batch, strict=True)
        return _sequence_like(first, [default_collate(members) for members in members_of])
    raise TypeError(f"{_NEEDED}; found {type(first)}")


def default_convert(data: Any) -> Any:
    """Turn the numpy arrays within one sample into tensors and leave the rest as it is."""
    if isinstance(data, str | bytes | namespace().Tensor):
        return data
    if isinstance(data, np.ndarray | np.generic):
        # As an array, because numpy.float64 is a Python float too and would become a float32.
        return data if data.dtype.kind in "SUO" else namespace().tensor(np.asarray(data))
    if isinstance(data, Mapping):
        return _mapping_like(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, Sequence):
        return _sequence_like(data, [default_convert(member) for member in data])
    return data


def _stacked(arrays: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Stack arrays here, so that a batch of them is one upload."""
    first = np.asarray(arrays[0])
    if first.dtype.kind in "SUO":
        raise TypeError(f"{_NEEDED}; found {first.dtype}")
    for position, array in enumerate(arrays):
        if np.shape(array) != first.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first.shape)} at "
                f"entry 0 and {list(np.shape(array))} at entry {position}"
            )
    return np.stack(arrays)


def _mapping_like(original: Mapping[Any, Any], members: dict[Any, Any]) -> Any:
    if isinstance(original, MutableMapping):
        # A copy keeps what a subclass adds, say a defaultdict's factory.
        clone = copy(original)
        clone.update(members)
        return clone
    return _or_plain(type(original), members)


def _sequence_like(original: Sequence[Any], members: list[Any]) -> Any:
    if isinstance(original, tuple):
        return type(original)(*members) if hasattr(original, "_fields") else members
    return _or_plain(type(original), members)


def _or_plain(build: Callable[[Any], Any], members: Any) -> Any:
    """Make the original's type of the members where it can be made so; a `range`, say, cannot."""
    try:
        return build(members)
    except TypeError:
        return members
