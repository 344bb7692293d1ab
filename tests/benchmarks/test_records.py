"""The arithmetic and the tables of the benchmark. What it measures is run by hand: `make bench`."""

from __future__ import annotations

from pathlib import Path

import benchmarks
import pytest
from benchmarks.measure import Samples, exponent
from benchmarks.record import Curve, Goal, Line, Record, Row
from benchmarks.report import with_table
from benchmarks.rows import ROWS

README = (Path(benchmarks.__file__).parent / "README.md").read_text(encoding="utf-8")


def test_readme_names_every_row_with_its_goals() -> None:
    assert with_table(README, ROWS, {}) == README


def test_a_new_result_replaces_that_row_alone() -> None:
    record = Record(reached={goal.what: 0.5 for goal in ROWS["W1"].goals})
    changed = with_table(README, ROWS, {"W1": record})
    different = [new for old, new in zip(README.splitlines(), changed.splitlines(), strict=True) if old != new]
    assert len(different) == 1
    assert "0.5x met; 0.5x met" in different[0]
    assert with_table(changed, ROWS, {}) == changed


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (Goal("ratio", 1.0), 1.0, "met"),
        (Goal("ratio", 1.0), 1.01, "short"),
        (Goal("rate", 6, "GB/s", at_least=True), 5.9, "short"),
        (Goal("p99", None, "ms"), 5.0, "reported"),
    ],
)
def test_verdicts(goal: Goal, value: float, verdict: str) -> None:
    row = Row("", (goal,), lambda settings: Record())
    assert row.judged(Record(reached={goal.what: value})) == [(goal, goal.shown(value), verdict)]
    assert row.judged(Record())[0][2] == "not measured"
    assert row.judged(Record(reached={goal.what: float("nan")}))[0][2] == "not measured"


def test_the_exponent_of_a_growth() -> None:
    sizes = (100, 1000, 10_000)
    assert exponent(sizes, [3e-6 * size**1.5 for size in sizes]) == pytest.approx(1.5)
    assert Curve("", sizes, (5.0, 5.0, 5.0), "ms").text().count("####") == 3


def test_a_line_shows_median_and_quartiles() -> None:
    line = Line("step", Samples((1.0, 2.0, 3.0, 4.0, 5.0)).times(10), "ms")
    assert line.cells() == ("step", "30 ms", "20 to 40", "")
