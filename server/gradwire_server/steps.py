"""How pointwise kernels of several steps are written: where the result goes, float16, numbers among arrays.

A kernel reads no input after its first write to `out`, so that `out` may be one of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from gradwire_protocol.dtypes import float16, float32

__all__ = ["deliver", "drop", "operand", "select", "widened", "zero_gradient"]

Array = Any


def deliver(result: Array, out: Array | None) -> Array:
    """Return `result`, in `out` where one is given: for functions of `xp` that take none."""
    if out is None or out is result:
        return result
    out[...] = result
    return out


def widened(function: Callable[..., Array]) -> Callable[..., Array]:
    """Let a kernel of several steps compute float16 in float32, and round once."""

    @functools.wraps(function)
    def call(xp: Any, *arguments: Any, out: Array | None = None) -> Array:
        if all(getattr(argument, "dtype", None) != float16.numpy for argument in arguments):
            return function(xp, *arguments, out=out)
        wide = [a.astype(float32.numpy) if getattr(a, "dtype", None) == float16.numpy else a for a in arguments]
        return deliver(function(xp, *wide).astype(float16.numpy), out)

    return call


def operand(xp: Any, number: Any, like: Any) -> Array:
    """Return a number as an array without axes, an array as it is: where a kernel asks what only arrays answer.

    What is an array shows in that it can be written to; numpy's scalars cannot.
    """
    return number if hasattr(number, "__setitem__") else xp.asarray(number, dtype=like.dtype)


_BITS = {1: "int8", 2: "int16", 4: "int32", 8: "int64"}


def select(xp: Any, mask: Array, values: Array) -> Array:
    """Return `values` where the mask holds, else 0, by their bits.

    A product with the mask would make NaN of infinities; `xp.where` branches, which random masks make four times as slow.
    """
    return drop(xp, ~mask, values)


def drop(xp: Any, mask: Array, values: Array) -> Array:
    """Return 0 where the mask holds, else `values`, as `select` does."""
    bits = _BITS[values.dtype.itemsize]
    return xp.bitwise_and(values.view(bits), mask.astype(bits) - 1).view(values.dtype)


def zero_gradient(g: Array, call: Any) -> Array:
    """Return zeros: the gradient of what is constant almost everywhere, and of what was overwritten."""
    return g.zeros_like()
