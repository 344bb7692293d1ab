"""`torch.backends.openmp`: OpenMP, which our kernels do not use."""

from __future__ import annotations

__all__ = ["is_available"]


def is_available() -> bool:
    """Return False."""
    return False
