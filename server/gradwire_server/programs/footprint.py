"""How much memory a program takes of its own: known from its plan, before any of it is taken."""

from __future__ import annotations

from gradwire_protocol.errors import QuotaExceeded
from gradwire_server.programs.plan import Plan
from gradwire_server.programs.values import Value
from gradwire_server.quota_settings import shown_bytes
from gradwire_server.shortage import LARGE_BYTES, short_of_memory

__all__ = ["peak_bytes", "refusal"]


def peak_bytes(plan: Plan) -> int:
    """Return the bytes of the planned memory and of the most that kernels make beside it at a time, inputs not counted."""
    planned = sum(dtype.itemsize * numel for dtype, numel in plan.buffers)
    held: dict[Value, int] = {}
    now = most = 0
    for step in plan.steps:
        for value in step.outputs:
            if value.viewed is None and value not in plan.placed:
                held[value] = value.meta.nbytes
                now += value.meta.nbytes
        most = max(most, now)
        now -= sum(held.pop(root, 0) for root in plan.dying.get(step, ()))
    return planned + most


def refusal(plan: Plan, most_bytes: int) -> QuotaExceeded | None:
    """Return why a program may not be run: its calls inside of it pass no quota one by one. 0 for `most_bytes` is no quota."""
    needed_bytes = peak_bytes(plan)
    if most_bytes and needed_bytes > most_bytes:
        error = QuotaExceeded(
            f"a session may hold {shown_bytes(most_bytes)} (--max-session-bytes, --max-tenant-bytes); a compiled function needs "
            f"{shown_bytes(needed_bytes)} at a time; nothing of it was applied; compile smaller parts, or take smaller batches"
        )
        error.quota = "session_bytes"
        return error
    return short_of_memory(needed_bytes) if needed_bytes >= LARGE_BYTES else None
