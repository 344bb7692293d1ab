"""What a row declares and what a run of it gives: goals, contestants, curves, and the Markdown of both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.measure import Samples, exponent

if TYPE_CHECKING:
    from benchmarks.worker import Worker

__all__ = ["Curve", "Goal", "Line", "Record", "Row", "Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a row runs against, and how far its growth curves go."""

    worker: Worker
    largest: int


@dataclass(frozen=True, slots=True)
class Goal:
    """A number to reach: at most `limit`, unless `at_least`; None means that it is only reported."""

    what: str
    limit: float | None = None
    unit: str = "x"
    at_least: bool = False

    @property
    def wanted(self) -> str:
        """Return the bound in words."""
        if self.limit is None:
            return "reported"
        return f"at {'least' if self.at_least else 'most'} {self.shown(self.limit)}"

    def shown(self, value: float) -> str:
        """Return a number with the unit."""
        return f"{value:.3g}{'' if self.unit in ('x', '') else ' '}{self.unit}"

    def verdict(self, value: float) -> str:
        """Return met, short or reported."""
        if self.limit is None:
            return "reported"
        return "met" if (value >= self.limit if self.at_least else value <= self.limit) else "short"


@dataclass(frozen=True, slots=True)
class Line:
    """One contestant: what it took, in `unit`, over all rounds; and a remark."""

    what: str
    samples: Samples
    unit: str
    remark: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return the line of the table."""
        low, high = self.samples.quartiles
        return self.what, f"{self.samples.median:.3g} {self.unit}", f"{low:.3g} to {high:.3g}", self.remark


@dataclass(frozen=True, slots=True)
class Curve:
    """How a quantity grows with a size, and the exponent of the fit."""

    what: str
    sizes: tuple[int, ...]
    values: tuple[float, ...]
    unit: str

    @property
    def exponent(self) -> float:
        """Return k of value ~ size^k."""
        return exponent(self.sizes, self.values)

    def text(self) -> str:
        """Return a plot in characters: a bar is as long as the logarithm of its value."""
        lowest = min(self.values)
        decades = max(math.log10(max(self.values) / lowest), 1e-9)
        lines = [f"{self.what}: grows with exponent {self.exponent:.2f}"]
        for size, value in zip(self.sizes, self.values, strict=True):
            bar = "#" * (4 + round(44 * math.log10(value / lowest) / max(decades, 1)))
            lines.append(f"{size:>9,} {value:>10.4g} {self.unit} {bar}")
        return "\n".join(lines)


@dataclass(slots=True)
class Record:
    """One run of a row. `reached` has a value per goal, by its words; a goal without one was not measured."""

    lines: list[Line] = field(default_factory=list)
    reached: dict[str, float] = field(default_factory=dict)
    curves: list[Curve] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the benchmark."""

    about: str
    goals: tuple[Goal, ...]
    run: Callable[[Settings], Record]

    def judged(self, record: Record) -> list[tuple[Goal, str, str]]:
        """Return each goal with what was reached and the verdict."""
        judged = []
        for goal in self.goals:
            value = record.reached.get(goal.what)
            known = value is not None and not math.isnan(value)
            judged.append(
                (goal, goal.shown(value), goal.verdict(value))
                if known and value is not None
                else (goal, "-", "not measured")
            )
        return judged

    def markdown(self, name: str, record: Record) -> str:
        """Return a section of the results."""
        parts = [f"## {name}: {self.about}", ""]
        parts += table(("what", "median", "quartiles", ""), [line.cells() for line in record.lines])
        for curve in record.curves:
            parts += ["```", curve.text(), "```", ""]
        parts += [f"{note}\n" for note in record.notes]
        parts += [
            f"- {goal.what}: **{value}**, {goal.wanted}: {verdict}" for goal, value, verdict in self.judged(record)
        ]
        return "\n".join([*parts, ""])


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines of a Markdown table and an empty one."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)] + [""]
