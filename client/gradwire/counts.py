"""What a session counts: calls, messages, waits and bytes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Counts", "Statistics"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Where a session's time and bytes went."""

    calls: int
    messages: int
    waits: int
    wait_seconds: float
    sent_bytes: int
    received_bytes: int
    signatures: int


@dataclass(slots=True)
class Counts:
    """The same while it grows."""

    calls: int = 0
    messages: int = 0
    waits: int = 0
    wait_seconds: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0

    def statistics(self, signatures: int) -> Statistics:
        """Return what is counted so far."""
        return Statistics(
            self.calls, self.messages, self.waits, self.wait_seconds, self.sent_bytes, self.received_bytes, signatures
        )
