"""How loops are compiled: what each of them keeps, and where. The one file that imports numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["loop", "sum_loop"]

Loop = Callable[..., Any]


def loop(function: Loop) -> Loop:
    """Compile a loop whose results have the bits that numpy's calls would give."""
    return _compiled(function)


def sum_loop(function: Loop) -> Loop:
    """Compile a loop whose sums may be taken in another order, so that they run in lanes; nothing else is loosened."""
    return _compiled(function, fastmath={"reassoc", "nsz"})


def _compiled(function: Loop, **options: Any) -> Loop:
    try:
        made: Loop = njit(nogil=True, cache=True, error_model="numpy", **options)(function)
    except RuntimeError:  # neither this folder nor a home can be written: each process compiles for itself
        made = njit(nogil=True, error_model="numpy", **options)(function)
    return made
