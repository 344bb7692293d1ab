"""Activations along a dim as modules; what they compute is in functional/activation.py."""

from __future__ import annotations

from gradwire.nn import functional as F
from gradwire.nn.module import Module
from gradwire.tensor import Tensor

__all__ = ["GLU", "LogSoftmax", "Softmax", "Softmax2d", "Softmin"]


class GLU(Module):
    """Multiply the first half along `dim` by the sigmoid of the second."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Return glu(input) along `dim`."""
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        """Return the dim."""
        return f"dim={self.dim}"


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
        return F.softmax(input, self.dim, _stacklevel=5)


class Softmin(_AlongDim):
    """Turn the scores along `dim` into probabilities, the smallest score into the largest."""

    def forward(self, input: Tensor) -> Tensor:
        """Return softmin(input) along `dim`."""
        return F.softmin(input, self.dim, _stacklevel=5)


class Softmax2d(Module):
    """Turn the scores of the channels at each place of an image into probabilities."""

    def forward(self, input: Tensor) -> Tensor:
        """Return softmax(input) over the channels."""
        if input.dim() not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead")
        return F.softmax(input, -3, _stacklevel=5)


class LogSoftmax(_AlongDim):
    """Turn the scores along `dim` into logarithms of probabilities."""

    def forward(self, input: Tensor) -> Tensor:
        """Return log_softmax(input) along `dim`."""
        return F.log_softmax(input, self.dim, _stacklevel=5)
