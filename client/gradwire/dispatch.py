"""Calls that are not methods of a tensor: the fused optimizer updates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradwire.tensor import call
from gradwire_protocol.ops import OPS

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = ["fused_update"]


def fused_update(name: str, tensor_lists: Sequence[Sequence[Tensor]], **scalars: Any) -> None:
    """Update all tensors of a parameter group in one call; nothing waits. Unknown names and numbers raise here."""
    op = OPS[name]
    arguments = op.bind(tensor_lists, scalars)
    call(op, *arguments, session=tensor_lists[0][0].session)
