"""Questions about tensors and dtypes."""

from __future__ import annotations

from typing import Any

from gradwire.tensor import Tensor, expect_tensor, get_default_dtype
from gradwire_protocol import infer
from gradwire_protocol.dtypes import DType
from gradwire_protocol.signature import using_default

__all__ = ["equal", "is_floating_point", "is_tensor", "numel", "result_type"]


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
