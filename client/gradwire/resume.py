"""Going on with a session after its connection broke: when to try again, for how long, and what the script is told.

The worker keeps a session for its lease, and the answers to batches that are not acknowledged. So a new connection, and the
unacknowledged batches once more, are all that is needed; what was applied already is answered from the worker's record.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Iterator

__all__ = ["attempts", "log", "reconnect_seconds"]

log = logging.getLogger("gradwire")

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 2.0
_DEFAULT_SECONDS = 30.0


def reconnect_seconds(wanted: float | None) -> float:
    """Return for how long to try: as asked, else GRADWIRE_RECONNECT_SECONDS, else 30. Raises ValueError for no such number."""
    text = os.environ.get("GRADWIRE_RECONNECT_SECONDS", str(_DEFAULT_SECONDS)) if wanted is None else str(wanted)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise ValueError(f"reconnect_seconds is a number of seconds, 0 or more (0: never); got {text}")
    return seconds


def attempts(
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
    draw: Callable[[], float] = random.random,
) -> Iterator[float]:
    """Yield how long each attempt may take, with pauses between them that double, until the time is up.

    A pause is drawn between half of its length and all of it, so that the clients of a worker that was away do not all come at
    the same moment (M. Brooker, "Exponential Backoff And Jitter", 2015).
    """
    end, pause = clock() + seconds, _FIRST_PAUSE_SECONDS
    while (left := end - clock()) > 0:
        yield min(left, max(pause * 4, 1.0))
        if (left := end - clock()) > 0:
            sleep(min(pause * (0.5 + 0.5 * draw()), left))
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
