"""`torch.multiprocessing`: Python's `multiprocessing`, with its names. Tensors belong to one process's session.

A tensor that is sent to another process is refused when it is pickled; what has no tensors in it works as usual.
"""

from __future__ import annotations

from multiprocessing import *  # noqa: F403
from typing import Any, NoReturn

_STRATEGIES = {"file_descriptor", "file_system"}
_strategy = "file_descriptor"


def get_all_sharing_strategies() -> set[str]:
    """Return PyTorch's names of ways to share memory between processes."""
    return set(_STRATEGIES)


def get_sharing_strategy() -> str:
    """Return what `set_sharing_strategy` set. No memory is shared, so it changes nothing."""
    return _strategy


def set_sharing_strategy(new_strategy: str) -> None:
    """Keep the name of a way to share memory; no memory is shared, since tensors are on the worker."""
    global _strategy
    if new_strategy not in _STRATEGIES:
        raise ValueError(f"sharing strategy needs to be one of {sorted(_STRATEGIES)}; got {new_strategy!r}")
    _strategy = new_strategy


def spawn(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise NotImplementedError: it starts the processes of a group, which would share their gradients."""
    raise NotImplementedError(
        "torch.multiprocessing.spawn starts the processes of a distributed training; gradwire trains on one worker; call the "
        "function itself, or use multiprocessing.Process for work without tensors"
    )
