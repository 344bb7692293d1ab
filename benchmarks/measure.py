"""Interleaved timing: contestants take turns, so that a noisy machine is noisy for all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Samples", "exponent", "interleave", "slope"]


@dataclass(frozen=True, slots=True)
class Samples:
    """One quantity of one contestant, over all rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """Return the middle of the rounds."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Return the 25th and 75th percentile."""
        low, high = np.percentile(self.values, (25, 75))
        return float(low), float(high)

    def times(self, factor: float) -> Samples:
        """Return the samples in another unit."""
        return Samples(tuple(value * factor for value in self.values))

    def over(self, other: Samples) -> float:
        """Return the ratio of the medians."""
        return self.median / other.median


def interleave(contestants: Mapping[str, Callable[[], object]], rounds: int, warmup: int = 2) -> dict[str, Samples]:
    """Return the seconds of each contestant, run once a round, in turn, after `warmup` rounds that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(warmup + rounds):
        for name, run in contestants.items():
            started = time.perf_counter()
            run()
            if number >= warmup:
                seconds[name].append(time.perf_counter() - started)
    return {name: Samples(tuple(values)) for name, values in seconds.items()}


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return k of the fit value ~ size^k: least squares over the logarithms."""
    return slope(np.log(sizes), np.log(values))


def slope(x: Iterable[float], y: Iterable[float]) -> float:
    """Return the slope of the least-squares line."""
    return float(np.polyfit(list(x), list(y), 1)[0])
