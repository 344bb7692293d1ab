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
    return xp.broadcast_to(self, shape)[xp.broadcast_to(mask, shape)][:size]


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
