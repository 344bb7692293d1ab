"""Numbers and tables as text."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["aligned", "bytes_text", "ms", "of"]


def ms(seconds: float) -> str:
    """Return milliseconds with three digits that count."""
    value = seconds * 1e3
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def of(part: float, whole: float) -> str:
    """Return `31 of 43 ms`, both seconds."""
    return f"{ms(part)} of {ms(whole)} ms"


def bytes_text(count: int) -> str:
    """Return bytes in the unit that leaves the fewest digits."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("the last unit returns")


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int]) -> list[str]:
    """Return the lines of a table; the columns in `left` are texts, the others numbers, which end at one place."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        made = (
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(made).rstrip()

    return [line(head), line(["-" * width for width in widths]), *map(line, rows)]
