"""Padding as modules. `padding` is one size for all sides, or (before, after) per axis, the last axis first."""

from __future__ import annotations

from collections.abc import Sequence

from gradwire.nn import functional as F
from gradwire.nn.module import Module
from gradwire.tensor import Tensor

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """Pad the last `_dims` axes."""

    _dims: int
    _mode: str

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        self.padding = (padding,) * (2 * self._dims) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` padded."""
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """Return the padding."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` padded."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """Return the padding and the value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Pad the last axis with a value."""

    _dims = 1


class ConstantPad2d(_ConstantPad):
    """Pad the last two axes with a value."""

    _dims = 2


class ConstantPad3d(_ConstantPad):
    """Pad the last three axes with a value."""

    _dims = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """Return the padding."""
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad, ConstantPad1d):
    """Pad the last axis with zeros."""


class ZeroPad2d(_ZeroPad, ConstantPad2d):
    """Pad the last two axes with zeros."""


class ZeroPad3d(_ZeroPad, ConstantPad3d):
    """Pad the last three axes with zeros."""


class ReflectionPad1d(_Pad):
    """Pad the last axis with its reflection at the edges: (N, C, W) or (C, W)."""

    _dims, _mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Pad the last two axes with their reflection at the edges: (N, C, H, W) or (C, H, W)."""

    _dims, _mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Pad the last three axes with their reflection at the edges: (N, C, D, H, W) or (C, D, H, W)."""

    _dims, _mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """Pad the last axis with its edges: (N, C, W) or (C, W)."""

    _dims, _mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Pad the last two axes with their edges: (N, C, H, W) or (C, H, W)."""

    _dims, _mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """Pad the last three axes with their edges: (N, C, D, H, W) or (C, D, H, W)."""

    _dims, _mode = 3, "replicate"


class _CircularPad(_Pad):
    _mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` padded."""
        few = self._dims + 1
        if input.dim() not in (few, few + 1):
            raise ValueError(f"expected {few}D or {few + 1}D input (got {input.dim()}D input)")
        return super().forward(input)


class CircularPad1d(_CircularPad):
    """Pad the last axis with its other end: (N, C, W) or (C, W)."""

    _dims = 1


class CircularPad2d(_CircularPad):
    """Pad the last two axes with their other ends: (N, C, H, W) or (C, H, W)."""

    _dims = 2


class CircularPad3d(_CircularPad):
    """Pad the last three axes with their other ends: (N, C, D, H, W) or (C, D, H, W)."""

    _dims = 3
