"""`torch.distributed`, as far as a script on one worker asks: whether it is there. It is not: a session has one worker."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = [
    "all_gather", "all_reduce", "barrier", "broadcast", "destroy_process_group", "get_rank", "get_world_size",
    "init_process_group", "is_available", "is_initialized", "is_torchelastic_launched",
]  # fmt: skip


def is_available() -> bool:
    """Return False."""
    return False


def is_initialized() -> bool:
    """Return False."""
    return False


def is_torchelastic_launched() -> bool:
    """Return False."""
    return False


def _no_group(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise ValueError, in PyTorch's words."""
    raise ValueError("Default process group has not been initialized, please make sure to call init_process_group.")


def init_process_group(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise RuntimeError: there are no several workers yet."""
    raise RuntimeError(
        "init_process_group needs several workers in one session, which gradwire does not have yet; train on one worker, "
        "without DistributedDataParallel"
    )


all_gather = all_reduce = barrier = broadcast = destroy_process_group = get_rank = get_world_size = _no_group
