"""What sessions and tenants may hold, as flags say it, and sizes as people write and read them. Imports no array library."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Quotas", "parse_bytes", "shown_bytes"]

_UNITS = {
    "": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quotas:
    """The bounds of each session and of each tenant; 0 is none."""

    session_bytes: int = 0
    session_handles: int = 0
    tenant_bytes: int = 0
    tenant_sessions: int = 0


def parse_bytes(text: str) -> int:
    """Return the bytes of a size such as "4GiB", "500MB" or "1048576"; raise ValueError for another text."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", text.strip().lower())
    if found is None or found[2] == "i":
        raise ValueError(f'a size is a number with a unit, such as 4GiB or 500MB; got "{text}"')
    return int(float(found[1]) * _UNITS[found[2]])


def shown_bytes(count: int) -> str:
    """Return a size as people read it."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count} bytes"
