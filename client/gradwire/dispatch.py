"""Calls that are not methods of a tensor: the fused optimizer updates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradwire.replicas.mirrors import mirrored_lists
from gradwire.tensor import call
from gradwire_protocol.ops import OPS
from gradwire_protocol.registry import Op
from gradwire_protocol.schema import Kind

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = ["collected", "fused_update"]

# While a program is replayed, what the updates in it would send: (op, statics, scalars) of each.
_collecting: list[tuple[Op, tuple[Any, ...], list[Any]]] | None = None


def fused_update(name: str, tensor_lists: Sequence[Sequence[Tensor]], **scalars: Any) -> None:
    """Update all tensors of a parameter group in one call; nothing waits. Unknown names and numbers raise here."""
    op = OPS[name]
    arguments = op.bind(tensor_lists, scalars)
    if _collecting is not None:
        _collecting.append(_numbers(op, arguments))
        return
    for lists in mirrored_lists(tensor_lists):
        call(op, *op.bind(lists, scalars), session=lists[0][0].session)
    call(op, *arguments, session=tensor_lists[0][0].session)


def collected(update: Callable[[], None]) -> list[tuple[Op, tuple[Any, ...], list[Any]]]:
    """Run `update` without sending anything; return (op, statics, scalars) of the calls that it would have made."""
    global _collecting
    _collecting = []
    try:
        update()
        return _collecting
    finally:
        _collecting = None


def _numbers(op: Op, arguments: Sequence[Any]) -> tuple[Op, tuple[Any, ...], list[Any]]:
    """Return an update's statics and scalars, and count its writes, which the program makes."""
    statics, scalars = [], []
    for argument, value in zip(op.arguments, arguments, strict=True):
        if argument.kind is Kind.SCALAR:
            scalars.append(value)
        elif argument.kind is Kind.STATIC:
            statics.append(value)
        elif argument.is_written:
            for tensor in value:
                tensor.storage.version += 1
    return op, tuple(statics), scalars
