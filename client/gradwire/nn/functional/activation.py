"""Activations: one call of an op each."""

from __future__ import annotations

import warnings
from typing import Any

from gradwire.tensor import Tensor

__all__ = ["gelu", "implicit_dim", "log_softmax", "relu", "sigmoid", "silu", "softmax", "tanh"]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return max(x, 0) of each element."""
    return input.relu_() if inplace else input.relu()


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x * sigmoid(x) of each element."""
    return input.silu_() if inplace else input.silu()


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Return x * Phi(x) of each element; `approximate="tanh"` for the cheaper formula."""
    return input.gelu(approximate=approximate)


def tanh(input: Tensor) -> Tensor:
    """Return the hyperbolic tangent of each element."""
    return input.tanh()


def sigmoid(input: Tensor) -> Tensor:
    """Return 1 / (1 + exp(-x)) of each element."""
    return input.sigmoid()


def softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """Return the probabilities of the scores along `dim`, computed in `dtype` if given."""
    dim = implicit_dim("softmax", input) if dim is None else dim
    return input.softmax(dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """Return the logarithms of `softmax`, without computing it on the way."""
    dim = implicit_dim("log_softmax", input) if dim is None else dim
    return input.log_softmax(dim, dtype=dtype)


def implicit_dim(name: str, input: Tensor) -> int:
    """Return the dim that PyTorch chooses where none is given, and warn."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=3,
    )
    return 0 if input.dim() in (0, 1, 3) else 1
