"""Loops that numba compiles, where it is installed (`gradwire[jit]`): several passes over memory in one.

Kernels ask `host_loops(xp, *arrays)` for them and go their usual way where it is None: on a GPU, on the strict namespace,
for few elements, without numba, or with GRADWIRE_JIT=0. numba is imported at the first large array, so a worker that never
sees one pays nothing. What a loop and numpy's calls both compute has the same bits, unless the loop is a `sum_loop`: sums run
in another order, always the same one, which the numerics fingerprint therefore tells.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from types import ModuleType
from typing import Any

__all__ = ["host_loops", "numba_version"]

# Elements from which on a loop is worth the import of numba, which takes 0.2 s.
_LEAST = 65_536


@functools.cache
def numba_version() -> str:
    """Return numba's version, "" where it is missing or switched off."""
    if os.environ.get("GRADWIRE_JIT", "1") == "0" or importlib.util.find_spec("numba") is None:
        return ""
    from importlib.metadata import version

    return version("numba")


def host_loops(xp: Any, *arrays: Any, least: int = _LEAST) -> ModuleType | None:
    """Return the compiled loops if they take these arrays, None where the calls of `xp` must do.

    Loops take contiguous arrays of one dtype, float32 or float64, of which the first has at least so many elements.
    """
    first = arrays[0]
    if first.size < least or first.dtype.char not in "fd" or getattr(xp, "__name__", "") != "numpy":
        return None
    if any(array.dtype != first.dtype or not array.flags.c_contiguous for array in arrays):
        return None
    return _module() if numba_version() else None


@functools.cache
def _module() -> ModuleType | None:
    try:
        from gradwire_server.loops import compiled
    except ImportError:  # numba refuses a numpy that is newer than itself
        return None
    return compiled
