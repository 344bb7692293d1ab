"""`torch.backends.mkl`: Intel's MKL, which a worker's numpy may or may not be built with, and does not say so."""

from __future__ import annotations

__all__ = ["is_available"]


def is_available() -> bool:
    """Return False."""
    return False
