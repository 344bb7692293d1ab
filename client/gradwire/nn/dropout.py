"""Dropout as modules: what each does to its input in training; in evaluation mode the input passes as it is."""

from __future__ import annotations

from gradwire.nn import functional as F
from gradwire.nn.module import Module
from gradwire.tensor import Tensor

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(Module):
    """The probability `p` of a drop, and whether the input is written in place."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        F.check_dropout_probability(p)
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        """Return the probability."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Zero each element with probability `p` and scale the rest by 1 / (1 - p)."""

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` with elements dropped, or `input` in evaluation mode."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """Zero each channel of (N, C, L) or (C, L) with probability `p` and scale the rest by 1 / (1 - p)."""

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` with channels dropped, or `input` in evaluation mode."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Zero each channel of (N, C, H, W) with probability `p` and scale the rest by 1 / (1 - p)."""

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` with channels dropped, or `input` in evaluation mode."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """Zero each channel of (N, C, D, H, W) or (C, D, H, W) with probability `p` and scale the rest by 1 / (1 - p)."""

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` with channels dropped, or `input` in evaluation mode."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


# As in PyTorch, the two below never write in place, whatever `inplace` says.
class AlphaDropout(_Dropout):
    """Set elements to SELU's lowest value with probability `p`; scale and shift so that mean and variance stay."""

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` with elements dropped, or `input` in evaluation mode."""
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_Dropout):
    """Do what `AlphaDropout` does, to whole channels of (N, C, *)."""

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` with channels dropped, or `input` in evaluation mode."""
        return F.feature_alpha_dropout(input, self.p, self.training)
