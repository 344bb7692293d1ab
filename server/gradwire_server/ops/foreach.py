"""Kernels of `gradwire_protocol.ops.foreach`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire_protocol.dtypes import DType
from gradwire_protocol.meta import Meta
from gradwire_server.ops.reduction import linalg_vector_norm
from gradwire_server.rules import kernel

Array = Any


@kernel("_foreach_norm.Scalar")
def norms(
    xp: Any, self: Sequence[Array], ord: float, dtype: DType | None, result: tuple[Meta, ...]
) -> tuple[Array, ...]:
    """Compute the norm of each tensor as a vector."""
    return tuple(
        linalg_vector_norm(xp, array, ord, None, False, dtype, meta) for array, meta in zip(self, result, strict=True)
    )


@kernel("_foreach_mul_.Tensor")
def scale(xp: Any, self: Sequence[Array], other: Array) -> None:
    """Multiply all by one number on the worker, whatever its dtype."""
    for array in self:
        xp.multiply(array, other.astype(array.dtype), out=array)


@kernel("_foreach_clamp_min_.Scalar")
def clamp_min(xp: Any, self: Sequence[Array], scalar: float) -> None:
    """Raise what is less than `scalar` to it; NaN stays."""
    for array in self:
        xp.maximum(array, array.dtype.type(scalar), out=array)


@kernel("_foreach_clamp_max_.Scalar")
def clamp_max(xp: Any, self: Sequence[Array], scalar: float) -> None:
    """Lower what is greater than `scalar` to it; NaN stays."""
    for array in self:
        xp.minimum(array, array.dtype.type(scalar), out=array)
