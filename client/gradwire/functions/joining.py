"""Functions that make one tensor of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol.ops import OPS

__all__ = ["cat", "stack", "where"]


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """Join tensors along an axis that they have."""
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    return OPS["cat"]([expect_tensor("cat", tensor) for tensor in tensors], dim)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """Join tensors of one shape along a new axis."""
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    return OPS["stack"]([expect_tensor("stack", tensor) for tensor in tensors], dim)


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """Choose by `condition` from `input` and `other`, of which either or both may be a number.

    With the condition alone, return where it is true: an index vector per axis, after a wait for their length.
    """
    if input is None and other is None:
        return expect_tensor("where", condition).nonzero(as_tuple=True)
    if input is None or other is None:
        raise TypeError("where() takes both input and other, or neither; got one of them")
    if isinstance(input, Tensor):
        return input.where(condition, other)
    overload = "where.ScalarSelf" if isinstance(other, Tensor) else "where.Scalar"
    return OPS[overload](expect_tensor("where", condition), input, other)
