"""Complex numbers and their parts, as functions."""

from __future__ import annotations

from typing import Any

from gradwire.tensor import Tensor, expect_tensor

__all__ = ["imag", "real"]


def real(input: Tensor) -> Any:
    """Return the real parts; the tensor itself if it is real."""
    return expect_tensor("real", input).real


def imag(input: Tensor) -> Any:
    """Return the imaginary parts."""
    return expect_tensor("imag", input).imag
