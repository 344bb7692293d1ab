"""Refusing memory that the machine does not have, before the system ends the worker for it."""

from __future__ import annotations

from gradwire_protocol.errors import QuotaExceeded
from gradwire_server.available import available_bytes
from gradwire_server.quota_settings import shown_bytes

__all__ = ["LARGE_BYTES", "short_of_memory"]

# From here on the machine is asked before memory is taken: reading what is free takes as long as clearing about 1 MiB.
LARGE_BYTES = 64 * 1024 * 1024

# Left to the system and to what kernels need on the way.
_RESERVE_BYTES = 128 * 1024 * 1024


def short_of_memory(new_bytes: int) -> QuotaExceeded | None:
    """Return why the machine cannot give so much memory, where it can know."""
    free = available_bytes()
    if free is None or new_bytes + _RESERVE_BYTES <= free:
        return None
    error = QuotaExceeded(
        f"a call needs memory that the worker's machine has; {shown_bytes(max(free - _RESERVE_BYTES, 0))} are left, and this call "
        f"makes {shown_bytes(new_bytes)}; nothing of it was applied; free tensors (del) and go on"
    )
    error.quota = "memory"
    return error
