"""Numbers that an optimizer keeps in 0-dim tensors, as PyTorch does: step counts, and what else changes with them.

The worker's tensor is what is saved and loaded; a step needs the number here too, as a scalar of its call. So what this
process wrote into a tensor is remembered with the version at which it did, and only a number that came otherwise - from
a loaded state, or by the user's hand - is waited for, once.
"""

from __future__ import annotations

import numpy as np

from gradwire.tensor import Tensor, get_default_dtype
from gradwire_protocol.dtypes import DType, float32, float64

__all__ = ["forget_number", "number_in", "number_tensor", "remember", "rounded", "scalar_dtype"]

_HELD = "_held_number"


def scalar_dtype() -> DType:
    """Return the dtype of a new step count."""
    return float64 if get_default_dtype() is float64 else float32


def number_tensor(beside: Tensor, value: float, dtype: DType | None = None) -> Tensor:
    """Return a new 0-dim tensor of a number, on the worker that has `beside`."""
    made: Tensor = beside.new_full((), float(value), dtype=dtype or scalar_dtype())
    remember(made, rounded(value, made.dtype))
    return made


def rounded(value: float, dtype: DType) -> float:
    """Return a number as a tensor of `dtype` holds it."""
    return float(np.asarray(value, dtype.numpy))


def remember(tensor: Tensor, value: float) -> None:
    """Note what a call that was just sent writes into `tensor`."""
    tensor.__dict__[_HELD] = (tensor.storage, tensor.storage.version, value)


def forget_number(tensor: Tensor) -> None:
    """Look again at what is in `tensor`: a call that was to write it may not have run."""
    tensor.__dict__.pop(_HELD, None)


def number_in(value: Tensor) -> float:
    """Return the number that an optimizer keeps in a tensor: waits for it unless this process wrote it there last."""
    held = value.__dict__.get(_HELD)
    # The storage too: a copy of the tensor takes its attributes along, and counts versions anew.
    if held is None or held[0] is not value.storage or held[1] != value.storage.version:
        remember(value, float(value.item()))
        held = value.__dict__[_HELD]
    return float(held[2])
