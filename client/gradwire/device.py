"""`gradwire.device`: the name of a worker's device, as PyTorch names devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradwire.session import Session

__all__ = ["Device", "check_device"]

_TYPES = ("cpu", "cuda")


@dataclass(frozen=True, slots=True, init=False)
class Device:
    """A device type and, where there are several, a number: `device("cuda:1")`, `device("cuda", 1)`."""

    type: str
    index: int | None

    def __init__(self, device: str | int | Device, index: int | None = None) -> None:
        """Parse a name, or take the number of a GPU; raise RuntimeError for one that PyTorch would refuse too."""
        if isinstance(device, int):
            kind, index = "cuda", device
        elif isinstance(device, Device):
            kind, index = device.type, device.index
        else:
            kind, _, number = device.partition(":")
            if kind not in _TYPES:
                raise RuntimeError(f"Expected one of cpu, cuda device type at start of device string: {device}")
            if number:
                if not number.isdigit() or index is not None:
                    raise RuntimeError(f"Invalid device string: '{device}'")
                index = int(number)
        object.__setattr__(self, "type", kind)
        object.__setattr__(self, "index", index)

    def __enter__(self) -> Device:
        """Make this the device of new tensors until the end of the block, in this thread."""
        from gradwire import session
        from gradwire.workers import placement, session_of

        chosen = session_of(self, session.current())
        placement.previous.append(placement.session)
        # A worker alone is the device of new tensors anyway; a later `connect` may choose another.
        placement.session = None if chosen.fleet is None else chosen
        return self

    def __exit__(self, *exception: object) -> None:
        from gradwire.workers import placement

        placement.session = placement.previous.pop()

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (f", index={self.index})" if self.index is not None else ")")


def check_device(wanted: str | Device | None, session: Session) -> None:
    """Raise PyTorch's RuntimeError if the session's worker does not have the device that is asked for."""
    if wanted is None:
        return
    device, have = Device(wanted), Device(session.device)
    if device.type != have.type:
        if device.type == "cuda":
            raise RuntimeError(
                "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver: the "
                f"worker at {session.address} computes on {have}; start one with --device cuda:0"
            )
        raise RuntimeError(f"the worker at {session.address} computes on {have}; it has no device {device}")
    if device.index not in (None, have.index or 0):
        raise RuntimeError(f"invalid device ordinal: {device}; the worker at {session.address} has {have} only")
