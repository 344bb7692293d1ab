"""Running a pointwise kernel of several steps block by block on a CPU, so that what it makes on the way stays in its cache.

Owns the cut alone: a kernel gives the same bits for whole arrays and for their parts, since each element stands for itself.
On a GPU a block would cost a launch for each step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["blockwise"]

Array = Any
# Elements. A few float32 arrays of this size lie in a 1 MiB second-level cache; half of it lets numpy's calls show.
_BLOCK = 32_768


def blockwise(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let `function(xp, *arrays_and_numbers, out=None)` run on parts of large contiguous arrays of one shape."""

    @functools.wraps(function)
    def call(xp: Any, *arguments: Any, out: Array | None = None) -> Any:
        if getattr(arguments[0], "size", 0) <= 2 * _BLOCK or getattr(xp, "__name__", "") != "numpy":
            return function(xp, *arguments, out=out)
        flat = _flat(arguments if out is None else (*arguments, out), arguments[0].shape)
        if flat is None:
            return function(xp, *arguments, out=out)
        return _in_blocks(xp, function, flat, arguments[0].shape, out)

    return call


def _flat(arguments: Sequence[Any], shape: tuple[int, ...]) -> list[Any] | None:
    """Return contiguous arrays of `shape` as vectors, numbers as they are; None if there is anything else."""
    found = []
    for value in arguments:
        if getattr(value, "ndim", 0):
            if value.shape != shape or not value.flags.c_contiguous:
                return None
            value = value.reshape(-1)
        found.append(value)
    return found


def _in_blocks(
    xp: Any, function: Callable[..., Any], flat: list[Any], shape: tuple[int, ...], out: Array | None
) -> Any:
    given = flat if out is None else flat[:-1]
    target: Any = None if out is None else flat[-1]
    for start in range(0, given[0].size, _BLOCK):
        part = slice(start, start + _BLOCK)
        arguments = [value[part] if getattr(value, "ndim", 0) else value for value in given]
        if target is None:
            # What dtype the kernel makes, its first block tells.
            first = function(xp, *arguments)
            target = xp.empty(given[0].shape, first.dtype)
            target[part] = first
        else:
            function(xp, *arguments, out=target[part])
    return target.reshape(shape) if out is None else out
