"""`torch.cpu`: what scripts that are written for any device ask of a CPU."""

from __future__ import annotations

from typing import Any

from gradwire import session
from gradwire.cpu import amp

__all__ = ["amp", "current_device", "device_count", "is_available", "set_device", "synchronize"]


def is_available() -> bool:
    """Return True, as PyTorch does; the worker's device is `gradwire.current_session().device`."""
    return True


def device_count() -> int:
    """Return 1."""
    return 1


def current_device() -> str:
    """Return "cpu"."""
    return "cpu"


def set_device(device: Any) -> None:
    """Do nothing, as in PyTorch: there is one."""


def synchronize(device: Any = None) -> None:
    """Wait until the worker has run all calls. Raises what a call failed with."""
    session.current().wait()
