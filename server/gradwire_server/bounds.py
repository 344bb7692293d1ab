"""What one batch may be at most: looked at before anything of it is, so that a hostile one costs no more than its bytes."""

from __future__ import annotations

from collections.abc import Iterable

from gradwire_protocol import limits
from gradwire_protocol.errors import LimitExceeded, QuotaExceeded
from gradwire_protocol.v1 import call_pb2

__all__ = ["check_bounds", "check_signatures"]

# A client never has more on its way than its credits, so this many unacknowledged answers are a client that never reads.
_KEPT_ANSWERS = 2 * limits.MAX_UNACKED_BATCHES
# A client waits for each answer that has values; what piles up before that is failures, of a kilobyte for each call.
_KEPT_BYTES = 8 * limits.MAX_MESSAGE_BYTES


def check_bounds(batch: call_pb2.Batch, kept: Iterable[tuple[int, int]]) -> None:
    """Raise LimitExceeded for more calls than a batch may have; QuotaExceeded for more answers than a client may leave waiting.

    `kept` are the numbers and bytes of the answers that the worker keeps.
    """
    if len(batch.calls) > limits.MAX_BATCH_CALLS:
        raise LimitExceeded(
            f"a batch may have {limits.MAX_BATCH_CALLS} calls; got {len(batch.calls)}; send them in several"
        )
    waiting = [size for number, size in kept if number > batch.acknowledged]
    if len(waiting) >= _KEPT_ANSWERS or sum(waiting) >= _KEPT_BYTES:
        error = QuotaExceeded(
            f"a client may leave {_KEPT_ANSWERS} answers of together {_KEPT_BYTES} bytes unacknowledged, which the worker "
            f"keeps; it leaves {len(waiting)} of {sum(waiting)} bytes; acknowledge what came, and send the batch again"
        )
        error.quota = "answers"
        raise error


def check_signatures(count: int, encoded_bytes: int) -> None:
    """Raise LimitExceeded for more interned signatures, or larger ones, than a session may have."""
    if count > limits.MAX_SIGNATURES:
        raise LimitExceeded(f"a session may intern {limits.MAX_SIGNATURES} signatures; this makes {count}; reset them")
    if encoded_bytes > limits.MAX_SIGNATURE_BYTES:
        raise LimitExceeded(
            f"a session's interned signatures may have {limits.MAX_SIGNATURE_BYTES} bytes; these have {encoded_bytes}; reset them"
        )
