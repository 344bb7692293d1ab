"""Where the elements of an array lie, for code that is not Python's."""

from __future__ import annotations

from ctypes import c_void_p
from typing import Any

import numpy as np

__all__ = ["address"]

# numpy's array structure begins, behind Python's head of any object, with the address of the elements, as its C API promises.
# `array.ctypes.data` says the same in six times the time, which three times a product are two microseconds.
_OFFSET = object.__basicsize__


def address(array: np.ndarray[Any, Any]) -> int:
    """Return the address of the first element, 0 where there is none."""
    return c_void_p.from_address(id(array) + _OFFSET).value or 0
