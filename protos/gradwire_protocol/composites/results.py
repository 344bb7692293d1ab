"""The named tuples that ops of several results return."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from gradwire_protocol.shown import qualified

__all__ = ["return_type"]


def return_type(name: str, *fields: str) -> Any:
    """Make the named tuple that an op of several results returns; it prints like those of `torch.return_types`."""

    def show(self: Any) -> str:
        lines = ",\n".join(f"{field}={value!r}" for field, value in zip(fields, self, strict=True))
        return f"{qualified('return_types')}.{name}(\n{lines})"

    return type(name, (namedtuple(name, fields),), {"__repr__": show, "__slots__": ()})
