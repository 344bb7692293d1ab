"""When a batch began, how long each of its calls took, and when it ended: measured only for a client that profiles."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from gradwire_protocol.v1 import call_pb2

__all__ = ["Clock", "Stopwatch"]

Clock = Callable[[], int]


class Stopwatch:
    """The clock of one batch, started as it is made.

    `synchronize` waits for the device: a call's time is then that of its kernels, not of their launch. So calls that would
    overlap on a GPU do not while a client profiles.
    """

    def __init__(self, clock: Clock, synchronize: Callable[[], None]) -> None:
        """Start; `clock` counts nanoseconds from any moment and never goes back."""
        self._clock = clock
        self._synchronize = synchronize
        self._started = clock()
        self._readings: list[int] = []

    def timing(self, one: Callable[..., None]) -> Callable[..., None]:
        """Return `one`, which runs a call, with a reading of the clock after it."""
        clock, synchronize, note = self._clock, self._synchronize, self._readings.append

        def timed(*arguments: Any) -> None:
            one(*arguments)
            synchronize()
            note(clock())

        note(clock())
        return timed

    def report(self, into: call_pb2.Timing) -> None:
        """Write down what was measured; the batch ends now."""
        readings = self._readings
        into.started_ns, into.finished_ns = self._started, self._clock()
        into.prepared_ns = readings[0] - self._started
        into.call_ns.extend([after - before for before, after in pairwise(readings)])
