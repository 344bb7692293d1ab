"""Integer tensors whose values the client knows since it made them: sizes and orders of packed sequences.

They decide shapes, so to fetch them would be to wait at each use. Values are forgotten when the tensor is written to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradwire.conversion import from_array
from gradwire.session import Session
from gradwire.tensor import Tensor
from gradwire_protocol.dtypes import int64

__all__ = ["known_ints", "make_ints"]


def make_ints(values: Sequence[int] | np.ndarray, session: Session) -> Tensor:
    """Return an int64 tensor of one axis that remembers its values."""
    made = from_array(np.asarray(values, np.int64), int64, session)
    made.__dict__["_known_ints"] = (made.storage.version, tuple(int(value) for value in values))
    return made


def known_ints(tensor: Tensor) -> tuple[int, ...]:
    """Return the elements of an int64 tensor of one axis; waits for them once if this client did not make it."""
    version, values = tensor.__dict__.get("_known_ints", (-1, ()))
    if version != tensor.storage.version:
        values = tuple(int(value) for value in tensor.tolist())
        tensor.__dict__["_known_ints"] = (tensor.storage.version, values)
    return values  # type: ignore[no-any-return]
