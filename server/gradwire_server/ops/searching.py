"""Kernels and gradients of `gradwire_protocol.ops.searching`."""

from __future__ import annotations

import math
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_server.rules import gradient, kernel

Array = Any
Shape = tuple[int, ...]


# ---------------------------------------------------------------- by truth
@kernel("nonzero_static")
def nonzero_static(xp: Any, self: Array, size: int, fill_value: int, result: Meta) -> Array:
    """Return the places of the first `size` elements that are not 0, a row each; rows of `fill_value` behind."""
    if not self.ndim:  # a place without axes has no numbers
        return xp.zeros((size, 0), dtype=xp.int64)
    places = xp.nonzero(self)
    found = min(places[0].size, size)
    rows = xp.full(result.shape, fill_value, dtype=xp.int64)
    for axis, column in enumerate(places):
        rows[:found, axis] = column[:found]
    return rows


@kernel("gw::masked_select")
def masked_select(xp: Any, self: Array, mask: Array, size: int) -> Array:
    """Return the elements where the mask is true."""
    shape = xp.broadcast_shapes(self.shape, mask.shape) or (1,)
    found = xp.broadcast_to(self, shape)[xp.broadcast_to(mask, shape)][:size]
    if found.size != size:
        raise RuntimeError(f"a mask must be true {size} times, as its call says; it is {found.size} times")
    return found


def _given(xp: Any, mask: Array, source: Array) -> Array:
    """Return for each true place of `mask` the next element of `source`; anything where it is false."""
    taken = xp.cumsum(mask.reshape(-1), dtype=xp.int64)
    needed = taken[-1].item()
    if needed > source.size:
        raise RuntimeError(
            f"Number of elements of source < number of ones in mask; got {source.size} elements for {needed} ones"
        )
    if not needed:
        return xp.zeros(mask.shape, dtype=source.dtype)
    return xp.take(source.reshape(-1), xp.maximum(taken - 1, 0)).reshape(mask.shape)


@kernel("masked_scatter")
def masked_scatter(xp: Any, self: Array, mask: Array, source: Array, result: Meta) -> Array:
    """Replace the elements where the mask is true by those of `source`, in order."""
    if not result.numel:
        return xp.zeros(result.shape, dtype=self.dtype)
    mask = xp.broadcast_to(mask, result.shape)
    return xp.where(mask, _given(xp, mask, source), self)


@kernel("masked_scatter_")
def masked_scatter_(xp: Any, self: Array, mask: Array, source: Array) -> None:
    """Write `source` where the mask is true, in order."""
    if self.size:
        mask = xp.broadcast_to(mask, self.shape)
        self[...] = xp.where(mask, _given(xp, mask, source), self)


@kernel("masked_scatter_backward")
def masked_scatter_backward(xp: Any, grad_output: Array, mask: Array, sizes: Shape) -> Array:
    """Return the gradients at true places of the mask as the first elements of zeros."""
    picked = grad_output.reshape(-1)[xp.broadcast_to(mask, grad_output.shape).reshape(-1)]
    zeros = xp.zeros((math.prod(sizes),), dtype=grad_output.dtype)
    zeros[: picked.size] = picked
    return zeros.reshape(sizes)


def _selected_gradient(g: Any, call: Any) -> Any:
    """Put the gradients where the mask is true in the common shape."""
    mask = call.mask
    whole = g.new_zeros(call.meta("self").shape).add(g.new_zeros(mask.meta.shape))
    return whole.masked_scatter(mask, g)


def _unscattered(g: Any, call: Any) -> Any:
    return g.masked_scatter_backward(call.mask, call.meta("source").shape)


gradient("gw::masked_select", self=_selected_gradient)
for _name in ("masked_scatter", "masked_scatter_"):
    gradient(_name, self=lambda g, call: g.masked_fill(call.mask, 0), source=_unscattered)
gradient("masked_scatter_backward",
         grad_output=lambda g, call: g.new_zeros(call.meta("grad_output").shape).masked_scatter(call.mask, g))  # fmt: skip


# ---------------------------------------------------------------- by value
@kernel("searchsorted.Tensor")
def searchsorted(
    xp: Any,
    sorted_sequence: Array,
    self: Array,
    out_int32: bool,
    right: bool,
    side: str | None,
    sorter: Array | None,
    result: Meta,
) -> Array:
    """Halve the range of each value at once: rows of `sorted_sequence` are searched for rows of `self`.

    What is not less (not greater, from the right) than the value is behind it: so NaN comes last.
    """
    size = sorted_sequence.shape[-1]
    if not self.size:
        return xp.zeros(self.shape, dtype=result.dtype.numpy)
    if sorter is not None:
        if ((sorter < 0) | (sorter >= size)).any().item():
            raise RuntimeError("torch.searchsorted(): sorter index out of range")
        sorted_sequence = xp.take_along_axis(sorted_sequence, sorter, -1)
    values = self.reshape((1, -1) if sorted_sequence.ndim == 1 else (-1, self.shape[-1]))
    rows = sorted_sequence.reshape((values.shape[0], size))
    low, high = xp.zeros(values.shape, dtype=xp.int64), xp.full(values.shape, size, dtype=xp.int64)
    for _ in range(size.bit_length()):
        middle = (low + high) // 2
        found = xp.take_along_axis(rows, xp.minimum(middle, size - 1), -1)
        before = ~(found > values if right or side == "right" else found >= values) & (middle < high)
        low, high = xp.where(before, middle + 1, low), xp.where(before, high, middle)
    return low.reshape(self.shape).astype(result.dtype.numpy)


@kernel("isin.Tensor_Tensor")
def isin(xp: Any, elements: Array, test_elements: Array, assume_unique: bool, invert: bool) -> Array:
    """Return which elements equal one of the others; NaN equals none."""
    if not elements.size or not test_elements.size:
        return xp.full(elements.shape, invert, dtype=bool)
    return xp.isin(elements, test_elements, invert=invert)


# ---------------------------------------------------------------- counting
@kernel("gw::bincount")
def bincount(xp: Any, self: Array, weights: Array | None, size: int, result: Meta) -> Array:
    """Count the occurrences of 0 to size - 1, or sum their weights."""
    if self.size and (self < 0).any().item():
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    counts = xp.zeros(result.shape, dtype=result.dtype.numpy)
    given: Any = xp.ones(self.shape, dtype=xp.int64) if weights is None else weights.astype(counts.dtype)
    xp.add.at(counts, self.astype(xp.int64), given)
    return counts


@kernel("gw::repeat_interleave")
def repeat_interleave(xp: Any, repeats: Array, output_size: int) -> Array:
    """Return each index as often as `repeats` says."""
    if (repeats < 0).any().item():
        raise RuntimeError("repeats can not be negative")
    ends = xp.cumsum(repeats, dtype=xp.int64)
    if (ends[-1].item() if ends.size else 0) != output_size:
        raise RuntimeError("allocated size does not match required size")
    return xp.searchsorted(ends, xp.arange(output_size), side="right").astype(repeats.dtype)


def _range(xp: Any, self: Array, low: float | None, high: float | None) -> tuple[float, float]:
    """Return the given range, or the one of all elements; of nothing, (0, 0)."""
    if low is not None and high is not None:
        return float(low), float(high)
    return (self.min().item(), self.max().item()) if self.size else (0.0, 0.0)


@kernel("histc")
def histc(xp: Any, self: Array, bins: int, min: float, max: float) -> Array:
    """Count the elements in bins of equal width; those outside of the range, and NaN, in none."""
    low, high = _range(xp, self, *((None, None) if min == max and self.size else (min, max)))
    if low == high:
        low, high = low - 1, high + 1
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"torch.histc: range of [{low:g}, {high:g}] is not finite")
    if low > high:
        raise RuntimeError("torch.histc: max must be larger than min")
    flat = self.reshape(-1)
    flat = flat[(flat >= low) & (flat <= high)]
    width = self.dtype.type(high) - self.dtype.type(low)
    places = xp.minimum(((flat - self.dtype.type(low)) * bins / width).astype(xp.int64), bins - 1)
    counts = xp.zeros((bins,), dtype=self.dtype)
    xp.add.at(counts, places, self.dtype.type(1))
    return counts


@kernel("gw::bin_edges")
def bin_edges(xp: Any, self: Array, bins: int, low: float | None, high: float | None) -> Array:
    """Return the edges of bins of equal width; a range without width is widened to 1."""
    first, last = _range(xp, self, low, high) if self.size or low is not None else (0.0, 1.0)
    if not (math.isfinite(first) and math.isfinite(last)):
        raise RuntimeError(f"torch.histogramdd: dimension 0's range [{first:g}, {last:g}] is not finite")
    if first > last:
        raise RuntimeError(
            f"torch.histogramdd: min should not exceed max, but got min {first:g} max {last:g} for dimension 0"
        )
    if first == last:
        first, last = first - 0.5, last + 0.5
    return _linspace(xp, first, last, bins + 1, self.dtype)


def _linspace(xp: Any, first: float, last: float, count: int, dtype: Any) -> Array:
    """Return `count` numbers in equal steps, counted from the nearer end as PyTorch does."""
    places = xp.arange(count).astype(dtype)
    step = (dtype.type(last) - dtype.type(first)) / dtype.type(max(count - 1, 1))
    from_last = dtype.type(last) - step * (count - 1 - places)
    return xp.where(places < count // 2, dtype.type(first) + step * places, from_last).astype(dtype)


@kernel("_histogramdd_from_bin_tensors")
def histogramdd(
    xp: Any, self: Array, bins: tuple[Array, ...], weight: Array | None, density: bool, result: Meta
) -> Array:
    """Count rows, or sum their weights, in the boxes that the edges make; the last edge belongs to the last box."""
    rows = self.reshape((-1, self.shape[-1]))
    places = xp.zeros((rows.shape[0],), dtype=xp.int64)
    inside = xp.ones((rows.shape[0],), dtype=bool)
    for axis, edges in enumerate(bins):
        column, boxes = rows[:, axis], edges.size - 1
        place = xp.searchsorted(edges, column, side="right") - 1
        inside = inside & (column >= edges[0]) & (column <= edges[-1])
        places = places * boxes + xp.minimum(place, boxes - 1)
    given = xp.ones(places.shape, dtype=self.dtype) if weight is None else weight.reshape(-1)
    counts = xp.zeros((result.numel,), dtype=self.dtype)
    if result.numel:
        xp.add.at(counts, places[inside], given[inside])
    counts = counts.reshape(result.shape)
    return _density(xp, counts, bins) if density else counts


def _density(xp: Any, counts: Array, bins: tuple[Array, ...]) -> Array:
    counts = counts / counts.sum()
    for axis, edges in enumerate(bins):
        counts = counts / xp.diff(edges).reshape((-1,) + (1,) * (len(bins) - axis - 1))
    return counts


@kernel("gw::require")
def require(xp: Any, self: Array, condition: Array, message: str) -> Array:
    """Return `self` if the condition holds everywhere."""
    if not condition.all().item():
        raise RuntimeError(message)
    return self.copy()


gradient("gw::require", self=lambda g, call: g)
