"""Affine maps."""

from __future__ import annotations

from gradwire.tensor import Tensor

__all__ = ["linear"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return `input @ weight.T + bias`: (*, K), (N, K), (N,) -> (*, N)."""
    return input.linear(weight, bias)
