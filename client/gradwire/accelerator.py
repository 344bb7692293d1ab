"""`torch.accelerator`: the worker's GPU, whichever it is, or none."""

from __future__ import annotations

from typing import Any

from gradwire import cuda
from gradwire.device import Device

__all__ = [
    "current_accelerator", "current_device_index", "device_count", "is_available", "set_device_index", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Return whether the worker computes on a GPU."""
    return cuda.is_available()


def device_count() -> int:
    """Return 1 with a GPU worker, else 0."""
    return cuda.device_count()


def current_accelerator(check_available: bool = False) -> Device | None:
    """Return `device("cuda")`, or None without a GPU worker."""
    return Device("cuda") if cuda.is_available() else None


def _need_accelerator() -> None:
    if not cuda.is_available():
        raise RuntimeError("Cannot access accelerator device when none is available.")


def current_device_index() -> int:
    """Return the number of the worker's GPU."""
    _need_accelerator()
    return cuda.current_device()


def set_device_index(device: Any) -> None:
    """Accept the worker's GPU; raise RuntimeError for another."""
    _need_accelerator()
    cuda.set_device(device)


def synchronize(device: Any = None) -> None:
    """Wait until all calls so far have run."""
    _need_accelerator()
    cuda.synchronize(device)
