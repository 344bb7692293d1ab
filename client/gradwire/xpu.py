"""`torch.xpu`: whether a worker computes on Intel's GPUs. None does; the queries say so."""

from __future__ import annotations

__all__ = ["device_count", "empty_cache", "is_available", "manual_seed"]


def is_available() -> bool:
    """Return False: workers compute on CPUs and on NVIDIA GPUs."""
    return False


def device_count() -> int:
    """Return 0."""
    return 0


def manual_seed(seed: int) -> None:
    """Do nothing, as there is no such device whose generator could be seeded."""


def empty_cache() -> None:
    """Do nothing, as there is no such device whose memory could be given back."""
