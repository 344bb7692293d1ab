"""`torch.nn.parallel`: named so that scripts which train on one worker can import it."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["DataParallel", "DistributedDataParallel"]


class DistributedDataParallel:
    """Refuses: a session has one worker."""

    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise RuntimeError."""
        raise RuntimeError(
            f"{cls.__name__} needs several workers in one session, which gradwire does not have yet; use the module itself"
        )


class DataParallel(DistributedDataParallel):
    """Refuses, likewise."""
