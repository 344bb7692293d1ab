"""`torch.backends.cpu`."""

from __future__ import annotations

__all__ = ["get_cpu_capability"]


def get_cpu_capability() -> str:
    """Return DEFAULT: kernels are numpy's, which picks its instructions by itself."""
    return "DEFAULT"
