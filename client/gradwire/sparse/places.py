"""Arithmetic on places: the (axes, entries) int64 tensors that say where a sparse tensor's values stand."""

from __future__ import annotations

import math
from typing import Any

from gradwire import creation
from gradwire.data_dependent import repeated_places
from gradwire.functions.joining import stack
from gradwire_protocol.dtypes import int64
from gradwire_protocol.meta import contiguous_strides

__all__ = ["after", "distinct", "gathered", "joined", "numbered", "shared_places", "summed"]


def after(columns: Any, values: Any) -> Any:
    """Return a vector with as many axes of size 1 behind it as `values` has axes after its first."""
    return columns.view(-1, *(1,) * (values.dim() - 1))


def numbered(places: Any, shape: tuple[int, ...]) -> Any:
    """Return each place as one number, in C order: (axes, N) -> (N)."""
    if len(shape) == 1:
        return places.select(0, 0)
    strides = creation.tensor(contiguous_strides(shape), dtype=int64, device=places.device).view(-1, 1)
    return (places * strides).sum(0)


def _unnumbered(numbers: Any, shape: tuple[int, ...]) -> Any:
    """Undo `numbered`."""
    if not shape:
        return numbers.new_zeros(0, numbers.numel())
    axes = zip(contiguous_strides(shape), shape, strict=True)
    return stack([numbers.div(stride, rounding_mode="floor").remainder(max(size, 1)) for stride, size in axes])


def summed(values: Any, groups: Any, count: int) -> Any:
    """Return the sums of the values of each group: (N, ...), (N) -> (count, ...)."""
    zeros = values.new_zeros(count, *values.shape[1:])
    return zeros.index_add(0, groups, values)


def distinct(places: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Return the different places in C order, and for each of the old ones which of them it is. Waits."""
    numbers, groups = numbered(places, shape).unique(return_inverse=True)
    return _unnumbered(numbers, shape), groups


def joined(left: Any, right: Any, size: int) -> tuple[Any, Any]:
    """Return all pairs (i, j) with left[i] == right[j], ordered by i and then j; the numbers are below `size`. Waits."""
    order = right.argsort(stable=True)
    counts = right.new_zeros(size).index_add(0, right, right.ones_like())
    starts = counts.cumsum(0) - counts
    repeats = counts.index_select(0, left)
    firsts = repeats.cumsum(0) - repeats
    lefts = repeated_places(repeats)
    within = creation.arange(lefts.numel(), device=left.device) - firsts.index_select(0, lefts)
    rights = starts.index_select(0, left).index_select(0, lefts) + within
    return lefts, order.index_select(0, rights)


def shared_places(left: Any, right: Any) -> tuple[Any, Any]:
    """Return where two increasing vectors have the same number, as places in each. Waits."""
    if not left.numel() or not right.numel():
        return left.new_zeros(0), left.new_zeros(0)
    found = right.searchsorted(left).clamp(max=right.numel() - 1)
    lefts = (right.index_select(0, found) == left).nonzero().view(-1)
    return lefts, found.index_select(0, lefts)


def gathered(dense: Any, places: Any) -> Any:
    """Return the elements of a dense tensor at places of its first axes: (N, ...)."""
    axes = places.shape[0]
    rest = dense.shape[axes:]
    rows = dense.reshape(math.prod(dense.shape[:axes]), *rest)
    return rows.index_select(0, numbered(places, tuple(dense.shape[:axes])))
