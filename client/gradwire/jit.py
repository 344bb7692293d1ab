"""`torch.jit`: what marks functions for a compiler is accepted, since it changes nothing; compiling is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

__all__ = ["Final", "export", "ignore", "is_scripting", "is_tracing", "load", "save", "script", "trace", "unused"]

F = TypeVar("F", bound=Callable[..., Any])
Final = Any


def is_scripting() -> bool:
    """Return False."""
    return False


def is_tracing() -> bool:
    """Return False."""
    return False


def export(function: F) -> F:
    """Return the function: a mark for a compiler."""
    return function


ignore = unused = export


def script(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise NotImplementedError."""
    raise NotImplementedError(
        "TorchScript (torch.jit.script, trace, load, save) is a compiler of PyTorch's own; gradwire has none; call the module"
    )


trace = load = save = script
