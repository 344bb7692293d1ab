"""`Collective`: what gloo and NCCL have in common, as far as it is used. One object for each group and epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Collective", "Meeting", "Opener", "Work"]

HostOrDevice = Any  # an array of the backend: numpy's or CuPy's


class Work(Protocol):
    """A collective under way."""

    def wait(self, seconds: float) -> None:
        """Wait for it; raise RuntimeError or TimeoutError, whatever the library says, if it does not complete."""


class Meeting(Protocol):
    """The key-value store by which members find each other before they can talk."""

    def set(self, key: str, value: bytes) -> None:
        """Set a key."""

    def get(self, key: str, seconds: float) -> bytes:
        """Wait for a key and return its value; raise TimeoutError."""

    def add(self, key: str, amount: int) -> int:
        """Add to a counter and return it."""

    def has(self, keys: list[str]) -> bool:
        """Return whether all keys are set."""


class Collective(Protocol):
    """The members of one epoch. Calls start in the same order on all of them; arrays are contiguous and stay alive till the end."""

    def all_reduce(self, values: HostOrDevice) -> Work:
        """Sum over the members, in place."""

    def reduce_scatter(self, values: HostOrDevice, into: HostOrDevice) -> Work:
        """Sum over the members; member k gets the k-th part."""

    def all_gather(self, values: HostOrDevice, into: HostOrDevice) -> Work:
        """Give every member the parts of all, in their order."""

    def broadcast(self, values: HostOrDevice, root: int) -> Work:
        """Overwrite with what the member `root` has."""

    def barrier(self) -> Work:
        """Return when every member came here."""

    def abort(self) -> None:
        """End what is under way, with an error here and on the others. May be called from any thread."""

    def close(self) -> None:
        """Let the others go, when nothing is under way."""


# (meeting, rank, size, own host, seconds) -> Collective
Opener = Callable[[Meeting, int, int, str, float], Collective]
