"""Kernels and gradients of `gradwire_protocol.ops.sorting`.

A stable sort by index is the one tool: numpy and CuPy agree on it, NaN last included.
"""

from __future__ import annotations

import math
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_server.ops.reduction import evenly_distributed, value_selecting_reduction_backward
from gradwire_server.rules import gradient, kernel

__all__ = ["first_of_runs", "running", "sorted_order"]

Array = Any
Pair = tuple[Array, Array]
Metas = tuple[Meta, ...]


def _with_axis(array: Array) -> Array:
    return array if array.ndim else array.reshape((1,))


def sorted_order(xp: Any, self: Array, axis: int, descending: bool = False) -> Array:
    """Return the indices that sort along `axis`, equal elements in their order of old.

    To sort down, the reversed array is sorted up and its order read backwards, which keeps equals in order too.
    """
    if not descending:
        return xp.argsort(self, axis=axis, kind="stable")
    order = xp.flip(xp.argsort(xp.flip(self, axis), axis=axis, kind="stable"), axis)
    return self.shape[axis] - 1 - order


# ---------------------------------------------------------------- sort, topk
@kernel("sort")
def sort(xp: Any, self: Array, dim: int, descending: bool, result: Metas) -> Pair:
    """Return the sorted elements and where each came from."""
    source = _with_axis(self)
    order = sorted_order(xp, source, dim, descending)
    return xp.take_along_axis(source, order, dim).reshape(self.shape), order.reshape(self.shape)


@kernel("sort.stable")
def sort_stable(xp: Any, self: Array, stable: bool | None, dim: int, descending: bool, result: Metas) -> Pair:
    """Sort; every sort is stable."""
    found: Pair = sort(xp, self, dim, descending, result)
    return found


@kernel("argsort")
def argsort(xp: Any, self: Array, dim: int, descending: bool) -> Array:
    """Return where each element of the sorted tensor comes from."""
    return sorted_order(xp, _with_axis(self), dim, descending).reshape(self.shape)


@kernel("topk")
def topk(xp: Any, self: Array, k: int, dim: int, largest: bool, sorted: bool, result: Metas) -> Pair:
    """Return the first `k` of the sorted elements; `sorted` or not, they come in order."""
    if not self.ndim:  # whatever `k` is, as in PyTorch
        return self.copy(), xp.zeros((), dtype=xp.int64)
    source = xp.moveaxis(self, dim, -1)
    order = sorted_order(xp, source, -1, largest)[..., :k]
    values = xp.take_along_axis(source, order, -1)
    return xp.moveaxis(values, -1, dim), xp.moveaxis(order, -1, dim)


def _kept(xp: Any, rows: Array, k: int, largest: bool) -> Array | None:
    """Return the indices, in order, of the k largest (or smallest) of each row; None where equals or NaN blur them."""
    place = rows.shape[-1] - k if largest else k - 1
    bound = xp.partition(rows, place, axis=-1)[..., place, None]
    kept = rows >= bound if largest else rows <= bound
    if not (kept.sum(axis=-1) == k).all().item():
        return None
    return xp.nonzero(kept)[-1].reshape((*rows.shape[:-1], k))


@kernel("topk", backend="cpu")
def topk_by_partition(xp: Any, self: Array, k: int, dim: int, largest: bool, sorted: bool, result: Metas) -> Pair:
    """Sort only what is kept, if that is little: ten times as fast for 50 of 50,000. CuPy's partition is a sort."""
    rows = xp.moveaxis(_with_axis(self), dim, -1)
    kept = _kept(xp, rows, k, largest) if 0 < 4 * k <= rows.shape[-1] and self.size else None
    if kept is None:
        return topk(xp, self, k, dim, largest, sorted, result)  # type: ignore[no-any-return]
    values = xp.take_along_axis(rows, kept, -1)
    order = sorted_order(xp, values, -1, largest)
    values, indices = (xp.take_along_axis(array, order, -1) for array in (values, kept))
    return xp.moveaxis(values, -1, dim), xp.moveaxis(indices, -1, dim)


# ---------------------------------------------------------------- one element of each row
def _rows(xp: Any, self: Array, dim: int) -> Array:
    return xp.moveaxis(_with_axis(self), dim, -1)


def _pick(xp: Any, rows: Array, indices: Array, result: Metas) -> Pair:
    """Return the element of each row that `indices` (without the last axis) names, and the index."""
    values = xp.take_along_axis(rows, indices[..., None], -1)
    return values.reshape(result[0].shape), indices.reshape(result[1].shape)


@kernel("kthvalue")
def kthvalue(xp: Any, self: Array, k: int, dim: int, keepdim: bool, result: Metas) -> Pair:
    """Return the k-th smallest element of each row along `dim`, counted from 1."""
    rows = _rows(xp, self, dim)
    return _pick(xp, rows, sorted_order(xp, rows, -1)[..., k - 1], result)


def running(xp: Any, array: Array, better: Any) -> Array:
    """Scan along the last axis: each entry becomes better(all before it, itself), in log2(n) steps.

    `better(earlier, later)` is associative. CuPy has no `accumulate` but of add and multiply.
    """
    step, size = 1, array.shape[-1]
    while step < size:
        joined = better(array[..., :-step], array[..., step:])
        array = xp.concatenate((array[..., :step], joined), axis=-1)
        step *= 2
    return array


def first_of_runs(xp: Any, rows: Array) -> Array:
    """Return where an element of the last axis differs from the one before it; NaN differs from NaN."""
    changed = rows[..., 1:] != rows[..., :-1]
    return xp.concatenate((xp.ones((*rows.shape[:-1], 1), dtype=bool), changed), axis=-1)[..., : rows.shape[-1]]


@kernel("mode")
def mode(xp: Any, self: Array, dim: int, keepdim: bool, result: Metas) -> Pair:
    """Return the most frequent element of each row, the smallest of such, and the last index of it."""
    rows = _rows(xp, self, dim)
    order = sorted_order(xp, rows, -1)
    places = xp.arange(rows.shape[-1])
    starts = xp.where(first_of_runs(xp, xp.take_along_axis(rows, order, -1)), places, 0)
    lengths = places - running(xp, starts, xp.maximum)
    # The longest run is complete where its length is reached first.
    longest = lengths.argmax(axis=-1)[..., None]
    return _pick(xp, rows, xp.take_along_axis(order, longest, -1)[..., 0], result)


@kernel("nanmedian")
def nanmedian(xp: Any, self: Array) -> Array:
    """Return the lower of the two middle elements among those that are not NaN; NaN if there are none."""
    if self.size == 0:
        return xp.full((), math.nan if self.dtype.kind == "f" else 0, dtype=self.dtype)
    flat = self.reshape(-1)
    return xp.take(flat, _middle(xp, flat)).reshape(())


@kernel("nanmedian.dim")
def nanmedian_dim(xp: Any, self: Array, dim: int, keepdim: bool, result: Metas) -> Pair:
    """Return the lower middle element of each row among those that are not NaN, and its index."""
    rows = _rows(xp, self, dim)
    return _pick(xp, rows, _middle(xp, rows)[..., 0], result)


def _middle(xp: Any, rows: Array) -> Array:
    """Return where the lower middle element of each row is, as a last axis of one."""
    present = rows.shape[-1] - (rows != rows).sum(axis=-1, keepdims=True)  # what is not equal to itself is NaN
    return xp.take_along_axis(sorted_order(xp, rows, -1), xp.maximum(present - 1, 0) // 2, -1)


# ---------------------------------------------------------------- the distinct ones
def _ranks(xp: Any, new: Array, result: Metas) -> tuple[Array, Array, Array]:
    """Return (group of each element, counts padded with 0, number of groups) of a sequence cut where `new` is true."""
    groups = xp.cumsum(new, dtype=xp.int64) - 1
    starts = xp.flatnonzero(new)
    counts = xp.zeros(result[2].shape, dtype=xp.int64)
    if counts.size:
        counts[: starts.size] = xp.diff(xp.concatenate((starts, xp.full((1,), new.size))))
    return groups, counts, xp.asarray(starts.size, dtype=xp.int64)


def _distinct(xp: Any, rows: Array, new: Array, order: Array | None, result: Metas) -> tuple[Array, ...]:
    """Return the rows at which `new` is true, padded; the group of each row before it was put in `order`; counts."""
    groups, counts, size = _ranks(xp, new, result)
    values = xp.zeros(rows.shape, dtype=rows.dtype)
    values[: size.item()] = rows[new]
    inverse = groups
    if order is not None:
        inverse = xp.empty(groups.shape, dtype=xp.int64)
        inverse[order] = groups
    asked = result[1].numel == inverse.size
    return values, inverse.reshape(result[1].shape) if asked else inverse[:0], counts, size


@kernel("gw::unique")
def unique(xp: Any, self: Array, return_inverse: bool, return_counts: bool, result: Metas) -> tuple[Array, ...]:
    """Return the distinct elements in order; each NaN is one."""
    flat = self.reshape(-1)
    order = sorted_order(xp, flat, 0)
    ordered = flat[order]
    return _distinct(xp, ordered, first_of_runs(xp, ordered), order, result)


@kernel("gw::unique_consecutive")
def unique_consecutive(
    xp: Any, self: Array, return_inverse: bool, return_counts: bool, result: Metas
) -> tuple[Array, ...]:
    """Return the first element of each run of equal ones."""
    flat = self.reshape(-1)
    return _distinct(xp, flat, first_of_runs(xp, flat), None, result)


def _slices(xp: Any, self: Array, dim: int) -> Array:
    """Return the slices along `dim` as rows."""
    moved = xp.moveaxis(self, dim, 0)
    return moved.reshape((moved.shape[0], self.size // max(moved.shape[0], 1)))


def _unsliced(xp: Any, found: tuple[Array, ...], self: Array, dim: int) -> tuple[Array, ...]:
    shape = (self.shape[dim], *(size for axis, size in enumerate(self.shape) if axis != dim % self.ndim))
    return xp.moveaxis(found[0].reshape(shape), 0, dim), *found[1:]


def _changed(xp: Any, rows: Array) -> Array:
    """Return which rows differ from the one before."""
    changed = (rows[1:] != rows[:-1]).any(axis=1)
    return xp.concatenate((xp.ones((1,), dtype=bool), changed))[: rows.shape[0]]


@kernel("gw::unique_dim")
def unique_dim(
    xp: Any, self: Array, dim: int, return_inverse: bool, return_counts: bool, result: Metas
) -> tuple[Array, ...]:
    """Return the distinct slices along `dim` in lexicographic order."""
    rows = _slices(xp, self, dim)
    keys = rows.astype(xp.uint8) if rows.dtype.kind == "b" else rows
    # lexsort's last key is the first to look at.
    order = xp.lexsort(xp.flip(keys.T, 0)) if rows.shape[0] else xp.arange(0)
    ordered = rows[order]
    return _unsliced(xp, _distinct(xp, ordered, _changed(xp, ordered), order, result), self, dim)


@kernel("gw::unique_consecutive_dim")
def unique_consecutive_dim(
    xp: Any, self: Array, dim: int, return_inverse: bool, return_counts: bool, result: Metas
) -> tuple[Array, ...]:
    """Return the first slice of each run of equal ones along `dim`."""
    rows = _slices(xp, self, dim)
    return _unsliced(xp, _distinct(xp, rows, _changed(xp, rows), None, result), self, dim)


# ---------------------------------------------------------------- gradients
def _sorted_gradient(g: Array, call: Any) -> Array:
    """Put each gradient back where its element came from."""
    meta = call.meta("self")
    return g.new_zeros(meta.shape).scatter(call.dim, call.result1, g) if meta.ndim else g.reshape(())


for _name in ("sort", "sort.stable", "topk"):
    gradient(_name, self=_sorted_gradient)
for _name in ("kthvalue", "mode", "nanmedian.dim"):
    gradient(_name, self=value_selecting_reduction_backward)
gradient("nanmedian", self=lambda g, call: evenly_distributed(g, call.self, call.result))
