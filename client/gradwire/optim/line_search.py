"""A line search for the strong Wolfe conditions (Nocedal and Wright, Numerical Optimization, algorithms 3.5 and 3.6).

Works on Python numbers; only the objective knows of tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from gradwire.tensor import Tensor

__all__ = ["Point", "strong_wolfe"]

_DECREASE, _CURVATURE, _TOLERANCE = 1e-4, 0.9, 1e-9


@dataclass(frozen=True, slots=True)
class Point:
    """The objective at `t` along the direction: value, gradient, and slope in the direction."""

    t: float
    value: float
    gradient: Tensor
    slope: float


Objective = Callable[[float], Point]


def _minimum_between(first: Point, second: Point, bounds: tuple[float, float] | None = None) -> float:
    """Return where the cubic through both points, with both slopes, is least, within `bounds` or between them."""
    left, right = sorted((first, second), key=lambda point: point.t)
    low, high = bounds or (left.t, right.t)
    d1 = first.slope + second.slope - 3 * (first.value - second.value) / (first.t - second.t)
    square = d1**2 - first.slope * second.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    share = (
        (right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2) if right.slope - left.slope + 2 * d2 else math.nan
    )
    return min(max(right.t - (right.t - left.t) * share, low), high)


def strong_wolfe(objective: Objective, origin: Point, t: float, norm: float, most: int) -> tuple[Point, int]:
    """Return a point that decreases enough and is flat enough, or the best after `most` steps; and the evaluations made.

    `norm` is the largest element of the direction: a bracket that moves no parameter by the tolerance ends the search.
    """
    search = _Search(objective, origin, norm, most)
    search.bracket_from(t)
    search.zoom()
    return search.bracket[search.low], search.evaluations


class _Search:
    def __init__(self, objective: Objective, origin: Point, norm: float, most: int) -> None:
        self.objective, self.origin, self.norm, self.most = objective, origin, norm, most
        self.steps = self.evaluations = 0
        self.done = False
        self.bracket: list[Point] = []
        self.low = 0

    def _evaluate(self, t: float) -> Point:
        self.evaluations += 1
        return self.objective(t)

    def _is_too_high(self, point: Point) -> bool:
        return point.value > self.origin.value + _DECREASE * point.t * self.origin.slope

    def _is_flat(self, point: Point) -> bool:
        return abs(point.slope) <= -_CURVATURE * self.origin.slope

    def bracket_from(self, t: float) -> None:
        """Go on from `t` until a point satisfies the conditions, or two lie around one that does."""
        previous, point = self.origin, self._evaluate(t)
        while self.steps < self.most:
            if self._is_too_high(point) or (self.steps > 1 and point.value >= previous.value):
                self.bracket = [previous, point]
                break
            if self._is_flat(point):
                self.bracket, self.done = [point], True
                break
            if point.slope >= 0:
                self.bracket = [previous, point]
                break
            bounds = (point.t + 0.01 * (point.t - previous.t), point.t * 10)
            t = _minimum_between(previous, point, bounds)
            previous, point = point, self._evaluate(t)
            self.steps += 1
        if self.steps == self.most:
            self.bracket = [self.origin, point]
        self._order()

    def _order(self) -> None:
        self.low = 0 if self.bracket[0].value <= self.bracket[-1].value else 1

    def zoom(self) -> None:
        """Shrink the bracket to a point that satisfies the conditions."""
        stuck = False
        while not self.done and self.steps < self.most:
            first, second = self.bracket
            if abs(second.t - first.t) * self.norm < _TOLERANCE:
                return
            t, stuck = self._kept_inside(_minimum_between(first, second), stuck)
            point = self._evaluate(t)
            self.steps += 1
            self._narrow(point)

    def _kept_inside(self, t: float, stuck: bool) -> tuple[float, bool]:
        """Return `t`, moved inwards where it lies near an end for the second time or beyond it; and if it lies near one."""
        ends = [point.t for point in self.bracket]
        low, high = min(ends), max(ends)
        margin = 0.1 * (high - low)
        if not min(high - t, t - low) < margin:
            return t, False
        if stuck or t >= high or t <= low:
            return (high - margin if abs(t - high) < abs(t - low) else low + margin), False
        return t, True

    def _narrow(self, point: Point) -> None:
        high = 1 - self.low
        if self._is_too_high(point) or point.value >= self.bracket[self.low].value:
            self.bracket[high] = point
            self._order()
            return
        if self._is_flat(point):
            self.done = True
        elif point.slope * (self.bracket[high].t - self.bracket[self.low].t) >= 0:
            self.bracket[high] = self.bracket[self.low]
        self.bracket[self.low] = point
