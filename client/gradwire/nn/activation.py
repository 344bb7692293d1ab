"""Activations as modules; what they compute is in functional.py."""

from __future__ import annotations

from gradwire.nn import functional as F
from gradwire.nn.module import Module
from gradwire.tensor import Tensor

__all__ = ["GELU", "LogSoftmax", "ReLU", "SiLU", "Sigmoid", "Softmax", "Tanh"]


class Tanh(Module):
    """Apply tanh to each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Return tanh(input)."""
        return F.tanh(input)


class Sigmoid(Module):
    """Apply 1 / (1 + exp(-x)) to each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Return sigmoid(input)."""
        return F.sigmoid(input)


class _WithInplace(Module):
    """An activation that can write its result over its input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        """Return whether it works in place, if so."""
        return "inplace=True" if self.inplace else ""


class ReLU(_WithInplace):
    """Apply max(x, 0) to each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Return relu(input)."""
        return F.relu(input, inplace=self.inplace)


class SiLU(_WithInplace):
    """Apply x * sigmoid(x) to each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Return silu(input)."""
        return F.silu(input, inplace=self.inplace)


class GELU(Module):
    """Apply x * Phi(x) to each element; `approximate="tanh"` for the cheaper formula."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """Return gelu(input)."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        """Return the formula's name."""
        return f"approximate={self.approximate!r}"


class _AlongDim(Module):
    """An activation over the elements along one dim."""

    dim: int | None

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        """Return the dim."""
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """Turn the scores along `dim` into probabilities."""

    def forward(self, input: Tensor) -> Tensor:
        """Return softmax(input) along `dim`."""
        return F.softmax(input, self.dim)


class LogSoftmax(_AlongDim):
    """Turn the scores along `dim` into logarithms of probabilities."""

    def forward(self, input: Tensor) -> Tensor:
        """Return log_softmax(input) along `dim`."""
        return F.log_softmax(input, self.dim)
