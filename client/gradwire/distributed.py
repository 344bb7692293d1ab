"""`torch.distributed`, as far as a script asks whether it is one of many processes. It is not: one script drives all workers."""

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
    """Raise RuntimeError: one script drives all workers, so there is no group of processes."""
    raise RuntimeError(
        "init_process_group makes one process of many; here one script has several workers: connect to them, and wrap the module "
        "in DistributedDataParallel(module), without init_process_group and DistributedSampler"
    )


all_gather = all_reduce = barrier = broadcast = destroy_process_group = get_rank = get_world_size = _no_group
