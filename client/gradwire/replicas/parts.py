"""`scatter` and `gather`: a batch cut along a dimension and laid on several workers, and results brought back together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradwire.transfer import moved

if TYPE_CHECKING:
    from gradwire.session import Session

__all__ = ["gather", "scatter"]


def scatter(value: Any, sessions: Sequence[Session], dim: int = 0) -> list[Any]:
    """Return a part for each session, with gradients: tensors in chunks, containers element by element, all else as it is.

    Fewer parts than sessions where the batch is that small.
    """
    from gradwire.tensor import Tensor

    if isinstance(value, Tensor):
        if not value.dim():
            return [_on(value, session) for session in sessions]
        parts = value.chunk(len(sessions), dim)
        return [_on(part, session) for part, session in zip(parts, sessions, strict=False)]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [type(value)(*parts) for parts in zip(*(scatter(item, sessions, dim) for item in value), strict=False)]
    if isinstance(value, tuple | list) and value:
        return [type(value)(parts) for parts in zip(*(scatter(item, sessions, dim) for item in value), strict=False)]
    if isinstance(value, dict) and value:
        columns = [scatter(item, sessions, dim) for item in value.values()]
        return [type(value)(zip(value, parts, strict=True)) for parts in zip(*columns, strict=False)]
    return [value for _ in sessions]


def _on(tensor: Any, session: Session) -> Any:
    return tensor if tensor.session is session else moved(tensor, session)


def gather(values: Sequence[Any], session: Session, dim: int = 0) -> Any:
    """Return the replicas' results as one, on a session, with gradients: tensors joined, containers element by element."""
    from gradwire.tensor import Tensor
    from gradwire_protocol.ops import OPS

    first = values[0]
    if isinstance(first, Tensor):
        here = [_on(value, session) for value in values]
        if len(here) == 1:
            return here[0]
        return OPS["cat"]([part.unsqueeze(0) if not part.dim() else part for part in here], dim if first.dim() else 0)
    if isinstance(first, dict):
        return type(first)((name, gather([value[name] for value in values], session, dim)) for name in first)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(gather(column, session, dim) for column in zip(*values, strict=True)))
    if isinstance(first, tuple | list):
        return type(first)(gather(column, session, dim) for column in zip(*values, strict=True))
    return first
