"""`torch.compiler`: marks for a compiler. `gradwire.compile` records what runs, so most of them change nothing."""

from __future__ import annotations

from typing import Any

from gradwire.programs.recording import active

__all__ = [
    "allow_in_graph",
    "assume_constant_result",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "reset",
]


def is_compiling() -> bool:
    """Return whether `gradwire.compile` records this thread."""
    return active() is not None


is_dynamo_compiling = is_exporting = is_compiling


def allow_in_graph(fn: Any) -> Any:
    """Return the function: a mark for a compiler."""
    return fn


assume_constant_result = allow_in_graph


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Return the function, or a decorator that does: it is not compiled in any case."""
    return allow_in_graph if fn is None else fn


def reset() -> None:
    """Do nothing: there is nothing compiled to forget."""
