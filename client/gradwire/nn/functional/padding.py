"""Padding of the last axes."""

from __future__ import annotations

from collections.abc import Sequence

from gradwire.tensor import Tensor

__all__ = ["pad"]


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad by (before, after) per axis, the last axis first; negative sizes crop.

    `mode` is "constant", with `value` or 0, for any axes, or "reflect", "replicate" or "circular" for the last one to three.
    """
    return input._pad(pad, mode, value)
