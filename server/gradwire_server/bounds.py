"""What one batch may be at most: looked at before anything of it is, so that a hostile one costs no more than its bytes."""

from __future__ import annotations

from collections.abc import Iterable

from gradwire_protocol import limits
from gradwire_protocol.errors import LimitExceeded
from gradwire_protocol.v1 import call_pb2

__all__ = ["check_bounds", "check_signatures"]

# A client never has more on its way than its credits, so this many unacknowledged answers are a client that never reads.
_KEPT_ANSWERS = 2 * limits.MAX_UNACKED_BATCHES


def check_bounds(batch: call_pb2.Batch, kept: Iterable[int]) -> None:
    """Raise LimitExceeded for more calls than a batch may have, or more answers `kept` than a client may leave waiting."""
    if len(batch.calls) > limits.MAX_BATCH_CALLS:
        raise LimitExceeded(
            f"a batch may have {limits.MAX_BATCH_CALLS} calls; got {len(batch.calls)}; send them in several"
        )
    waiting = sum(number > batch.acknowledged for number in kept)
    if waiting >= _KEPT_ANSWERS:
        raise LimitExceeded(
            f"a client may leave {_KEPT_ANSWERS} answers unacknowledged, which the worker keeps; it leaves {waiting}; acknowledge "
            "what came, and send the batch again"
        )


def check_signatures(count: int, encoded_bytes: int) -> None:
    """Raise LimitExceeded for more interned signatures, or larger ones, than a session may have."""
    if count > limits.MAX_SIGNATURES:
        raise LimitExceeded(f"a session may intern {limits.MAX_SIGNATURES} signatures; this makes {count}; reset them")
    if encoded_bytes > limits.MAX_SIGNATURE_BYTES:
        raise LimitExceeded(
            f"a session's interned signatures may have {limits.MAX_SIGNATURE_BYTES} bytes; these have {encoded_bytes}; reset them"
        )
