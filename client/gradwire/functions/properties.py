"""Properties of a tensor that PyTorch also has as functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradwire.tensor import Tensor, expect_tensor

__all__ = [
    "get_device", "is_complex", "is_conj", "is_distributed", "is_inference", "is_neg", "is_nonzero", "is_same_size", "is_signed",
]  # fmt: skip


def _function(name: str) -> Callable[[Tensor], Any]:
    def function(input: Tensor) -> Any:
        return getattr(expect_tensor(name, input), name)()

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Return `input.{name}()`."
    return function


is_complex, is_signed, is_conj, is_neg, is_nonzero, is_distributed, is_inference, get_device = map(
    _function,
    ("is_complex", "is_signed", "is_conj", "is_neg", "is_nonzero", "is_distributed", "is_inference", "get_device"),
)


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Return whether both have the same sizes."""
    return bool(expect_tensor("is_same_size", input).is_same_size(other))
