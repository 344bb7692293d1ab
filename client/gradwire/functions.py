"""Functions of the `torch` namespace that are not one method of their first argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire.tensor import Tensor, expect_tensor, get_default_dtype
from gradwire_protocol import infer
from gradwire_protocol.dtypes import DType
from gradwire_protocol.ops import OPS
from gradwire_protocol.signature import using_default

__all__ = ["cat", "equal", "is_floating_point", "is_tensor", "numel", "result_type", "stack", "where"]


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


def where(condition: Tensor, input: Any, other: Any) -> Any:
    """Choose by `condition` from `input` and `other`, of which either or both may be a number."""
    if isinstance(input, Tensor):
        return input.where(condition, other)
    overload = "where.ScalarSelf" if isinstance(other, Tensor) else "where.Scalar"
    return OPS[overload](expect_tensor("where", condition), input, other)


def equal(input: Tensor, other: Tensor) -> bool:
    """Wait for whether both have the same sizes and elements."""
    return expect_tensor("equal", input).equal(other)


def is_tensor(obj: Any) -> bool:
    """Return whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Return whether the dtype is a real floating one."""
    return expect_tensor("is_floating_point", input).dtype.is_floating_point


def numel(input: Tensor) -> int:
    """Return the number of elements."""
    return expect_tensor("numel", input).numel()


def result_type(tensor1: Any, tensor2: Any) -> DType:
    """Return the dtype that an op on both computes in."""
    with using_default(get_default_dtype()):
        return infer.result_type(*(v.meta if isinstance(v, Tensor) else type(v) for v in (tensor1, tensor2)))
