"""The checksums of a checkpoint: of an array with its dtype and shape, and of the text that describes all of them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

__all__ = ["array_sum", "text_sum"]

_SUM_BYTES = 16


def array_sum(array: np.ndarray[Any, Any]) -> str:
    """Return a checksum of an array's dtype, shape and elements, as little-endian bytes."""
    values = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C").reshape(-1).view(np.uint8)
    made = hashlib.blake2b(f"{array.dtype.name} {array.shape}".encode(), digest_size=_SUM_BYTES)
    made.update(values.data)
    return made.hexdigest()


def text_sum(text: str) -> str:
    """Return a checksum of a text."""
    return hashlib.blake2b(text.encode(), digest_size=_SUM_BYTES).hexdigest()
