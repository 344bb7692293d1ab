"""Kernels and gradients of `gradwire_protocol.ops.embedding`. float16 is summed in float32."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.embedding import MAX, MEAN
from gradwire_server.ops.indexing import checked
from gradwire_server.ops.reduction import in_dtype, widened
from gradwire_server.rules import gradient, kernel

Array = Any

_LOOKUP = "index out of range in self"
# `add.at` on rows is numpy's fast way for wide rows, that on elements for narrow ones: measured, they meet near here.
_WIDE_ROW = 8


def _lookup(xp: Any, weight: Array, indices: Array) -> Array:
    """Return indices, known to be rows of the weight."""
    return checked(xp, indices, weight.shape[0], 0, 0, IndexError, _LOOKUP)


def _sum_rows(xp: Any, rows: Array, places: Array, count: int) -> Array:
    """Sum (N, D) rows into (count, D) by their places (N)."""
    rows = widened(rows)
    width = rows.shape[1]
    out = xp.zeros((count, width), rows.dtype)
    if width >= _WIDE_ROW:
        xp.add.at(out, places, rows)
    elif rows.size:
        elements = places.reshape(-1, 1) * width + xp.arange(width)
        xp.add.at(out.reshape(-1), elements.reshape(-1), rows.reshape(-1))
    return out


# ---------------------------------------------------------------- one by one
@kernel("embedding")
def embedding(xp: Any, weight: Array, indices: Array, padding_idx: int, scale_grad_by_freq: bool) -> Array:
    """Pick rows; the other arguments matter to the gradient alone."""
    return xp.take(weight, _lookup(xp, weight, indices), axis=0)


@kernel("embedding_dense_backward")
def embedding_dense_backward(
    xp: Any, grad_output: Array, indices: Array, num_weights: int, padding_idx: int, scale_grad_by_freq: bool,
    result: Meta,
) -> Array:  # fmt: skip
    """Sum the gradients of the rows that were picked; the padding row gets none."""
    places = checked(xp, indices.reshape(-1), num_weights, 0)
    out = _sum_rows(xp, grad_output.reshape(places.size, result.shape[1]), places, num_weights)
    if scale_grad_by_freq:
        out /= xp.maximum(xp.bincount(places, minlength=num_weights), 1).astype(out.dtype).reshape(-1, 1)
    if 0 <= padding_idx < num_weights:
        out[padding_idx] = 0
    return in_dtype(out, result)


@kernel("embedding_renorm_")
def embedding_renorm_(xp: Any, self: Array, indices: Array, max_norm: float, norm_type: float) -> None:
    """Scale the rows that are named, and have a norm above `max_norm`, down to it."""
    size = self.shape[0]
    if not indices.size:
        return
    places = checked(xp, indices.reshape(-1), size, 0, 0, IndexError, _LOOKUP)
    rows = xp.take(self, places, axis=0)
    norm = _norm(xp, widened(rows), norm_type)
    scale = xp.where(norm > max_norm, max_norm / (norm + norm.dtype.type(1e-7)), norm.dtype.type(1))
    # A row that is named twice is written twice, with the same values.
    self[places] = (widened(rows) * scale).astype(self.dtype)


def _norm(xp: Any, rows: Array, p: float) -> Array:
    size = xp.abs(rows)
    if p == float("inf"):
        return size.max(axis=1, keepdims=True)
    return xp.power(xp.power(size, p).sum(axis=1, keepdims=True), 1 / p)


def _picked_again(g: Array, call: Any) -> Array:
    """Pick rows of the gradient's gradient; as PyTorch, without regard to `scale_grad_by_freq`."""
    picked = g.embedding(call.indices, call.padding_idx)
    if call.padding_idx < 0:
        return picked
    return picked.masked_fill(call.indices.eq(call.padding_idx).unsqueeze(-1), 0)


gradient(
    "embedding",
    weight=lambda g, call: g.embedding_dense_backward(
        call.indices, call.meta("weight").shape[0], call.padding_idx, call.scale_grad_by_freq
    ),
)
gradient("embedding_dense_backward", grad_output=_picked_again)


# ---------------------------------------------------------------- in bags
def _bags(xp: Any, indices: Array, offsets: Array, include_last_offset: bool) -> Array:
    """Return the bag of each index; raise RuntimeError for offsets that start elsewhere than at 0 or end too late."""
    count = indices.size
    if offsets.size:
        first, last = int(offsets[0].item()), int(offsets[-1].item())
        if first != 0:
            raise RuntimeError(
                "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. However, "
                f"got {first}"
            )
        if last > count:
            raise RuntimeError(
                f"offsets[-1] can not be greater than input's length {count} but got offsets[-1] of {last}"
            )
    starts = offsets[:-1] if include_last_offset else offsets
    return xp.searchsorted(starts.astype(xp.int64), xp.arange(count), side="right").astype(xp.int64) - 1


@kernel("_embedding_bag")
def embedding_bag(
    xp: Any, weight: Array, indices: Array, offsets: Array, scale_grad_by_freq: bool, mode: int,
    per_sample_weights: Array | None, include_last_offset: bool, padding_idx: int, result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """Reduce the rows of each bag; return that, the bag of each index, the bags' sizes, and which rows were largest."""
    output, _, _, largest = result
    count = output.shape[0]
    places = _lookup(xp, weight, indices)
    bag = _bags(xp, indices, offsets, include_last_offset)
    counts = xp.not_equal(places, padding_idx)
    kept, kept_bag = places[counts], bag[counts]
    bag_size = xp.bincount(kept_bag, minlength=count)[:count].astype(xp.int64)
    rows = xp.take(weight, kept, axis=0)
    if mode == MAX:
        value, index = _largest(xp, rows, kept, kept_bag, count)
        return value, bag, bag_size, index
    if per_sample_weights is not None:
        rows = rows * per_sample_weights[counts].reshape(-1, 1)
    summed = _sum_rows(xp, rows, kept_bag, count)
    if mode == MEAN:
        summed /= xp.maximum(bag_size, 1).astype(summed.dtype).reshape(-1, 1)
    return in_dtype(summed, output), bag, bag_size, xp.zeros(largest.shape, xp.int64)


def _largest(xp: Any, rows: Array, places: Array, bag: Array, count: int) -> tuple[Array, Array]:
    """Return the maximum of each bag's rows, and which row of the weight it came from, the first of equals."""
    wide, width = widened(rows), rows.shape[1]
    elements = (bag.reshape(-1, 1) * width + xp.arange(width)).reshape(-1)
    best = xp.full((count * width,), -xp.inf, wide.dtype)
    xp.maximum.at(best, elements, wide.reshape(-1))
    order = xp.broadcast_to(xp.arange(bag.size).reshape(-1, 1), wide.shape).reshape(-1)
    last = max(bag.size, 1)
    position = xp.where(wide.reshape(-1) == xp.take(best, elements), order, last - 1)
    first = xp.full((count * width,), last - 1, xp.int64)
    xp.minimum.at(first, elements, position)
    filled = (xp.bincount(bag, minlength=count)[:count] > 0).reshape(-1, 1)
    value = xp.where(filled, best.reshape(count, width), 0).astype(rows.dtype)
    if not bag.size:
        return value, xp.zeros((count, width), xp.int64)
    return value, xp.where(filled, xp.take(places, first).reshape(count, width), 0)


def _bag_gradient(g: Array, call: Any) -> Array:
    """Hand each bag's gradient to the rows that it was made of."""
    weights = call.meta("weight").shape[0]
    if call.mode == MAX:
        filled = g.masked_fill(call.result2.eq(0).unsqueeze(-1), 0)
        return g.new_zeros(call.meta("weight").shape).scatter_add(0, call.result3, filled)
    if call.mode == MEAN:
        g = g / call.result2.clamp(min=1).unsqueeze(-1)
    rows = g.index_select(0, call.result1)
    if call.per_sample_weights is not None:
        rows = rows * call.per_sample_weights.unsqueeze(-1)
    return rows.embedding_dense_backward(call.indices, weights, call.padding_idx, call.scale_grad_by_freq)


def _sample_gradient(g: Array, call: Any) -> Array:
    """Multiply each bag's gradient with the rows that it was made of."""
    found = (g.index_select(0, call.result1) * call.weight.index_select(0, call.indices)).sum(-1)
    return found if call.padding_idx < 0 else found.masked_fill(call.indices.eq(call.padding_idx), 0)


gradient("_embedding_bag", weight=_bag_gradient, per_sample_weights=_sample_gradient)
