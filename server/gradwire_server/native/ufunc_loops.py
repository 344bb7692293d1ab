"""numpy's inner loops, for compiled code to call: a ufunc's structure publishes them (numpy/ufuncobject.h), a loop for each row of
`ufunc.types`. A loop takes (addresses, sizes, steps in bytes, data), and computes what the ufunc computes, to the bit.
"""

from __future__ import annotations

import ctypes
import functools
from typing import NamedTuple

import numpy as np

__all__ = ["InnerLoop", "inner_loop"]

# Where PyUFuncObject has its fields, behind Python's head of any object and four ints.
_HEAD = object.__basicsize__
_FUNCTIONS, _DATA, _TYPES, _NAME = _HEAD + 16, _HEAD + 24, _HEAD + 32, _HEAD + 40


class InnerLoop(NamedTuple):
    """The addresses of a loop and of the data that it is given."""

    function: int
    data: int


@functools.cache
def inner_loop(name: str, types: str) -> InnerLoop | None:
    """Return a ufunc's loop for `types`, such as "ff->f"; None where there is none, or the structure is another."""
    ufunc = getattr(np, name)
    if not isinstance(ufunc, np.ufunc) or types not in ufunc.types:
        return None
    place, row = id(ufunc), ufunc.types.index(types)
    if ctypes.c_int.from_address(place + _TYPES).value != len(ufunc.types):
        return None
    if ctypes.c_char_p.from_address(place + _NAME).value != ufunc.__name__.encode():
        return None
    return InnerLoop(_entry(place + _FUNCTIONS, row), _entry(place + _DATA, row))


def _entry(place: int, row: int) -> int:
    table = ctypes.c_void_p.from_address(place).value
    return (ctypes.c_void_p.from_address(table + ctypes.sizeof(ctypes.c_void_p) * row).value or 0) if table else 0
