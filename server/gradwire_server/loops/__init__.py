"""Loops that numba compiles, where it is installed (`gradwire[jit]`): several passes over memory in one.

Kernels ask `host_loops(xp)` for the module of a family and go their usual way where it is None: on a GPU, on the strict
namespace, without numba, or with GRADWIRE_JIT=0. numba is imported at the first large array, so a worker that never sees one
pays nothing. What a loop and numpy's calls both compute has the same bits, unless a loop's docstring says otherwise: sums run in
another order, which the numerics fingerprint therefore tells.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from types import ModuleType
from typing import Any

__all__ = ["host_loops", "numba_version"]


@functools.cache
def numba_version() -> str:
    """Return numba's version, "" where it is missing or switched off."""
    if os.environ.get("GRADWIRE_JIT", "1") == "0" or importlib.util.find_spec("numba") is None:
        return ""
    from importlib.metadata import version

    return version("numba")


def host_loops(xp: Any) -> ModuleType | None:
    """Return the compiled loops for arrays of `xp`, None where its own calls must do."""
    if getattr(xp, "__name__", "") != "numpy" or not numba_version():
        return None
    return _module()


@functools.cache
def _module() -> ModuleType:
    from gradwire_server.loops import compiled

    return compiled
