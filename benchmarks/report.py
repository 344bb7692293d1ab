"""What is written: a dated block at the end of RESULTS.md, and the table of goals in README.md."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import version
from pathlib import Path

from benchmarks.record import Record, Row, table

__all__ = ["append_results", "head", "machine", "summary", "update_readme", "with_table"]

_HERE = Path(__file__).resolve().parent
_BEGIN, _END = "<!-- written by run.py --write: begin -->", "<!-- end -->"


def machine() -> str:
    """Return the machine, how busy it is, and its Python, in words."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{os.cpu_count()} cores ({model}), load {os.getloadavg()[0]:.1f} at the start, Python {platform.python_version()}"


def head(command: str) -> str:
    """Return what stands above a block of results: date, command, machine, versions, method."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("grpcio", "numpy", "protobuf", "torch"))
    return (
        f"# {datetime.date.today()}, `{command}`\n\n{machine()}. {versions}. One compute thread each; contestants take turns "
        "in one run; a fresh worker per row, on TCP loopback. On a shared machine trust the ratios.\n"
    )


def summary(rows: dict[str, Row], records: dict[str, Record]) -> str:
    """Return a table of all goals and verdicts."""
    lines = [
        (f"`{name}`", goal.what, value, goal.wanted, verdict)
        for name, record in records.items()
        for goal, value, verdict in rows[name].judged(record)
    ]
    return "\n".join(table(("row", "what", "reached", "to reach", ""), lines))


def append_results(block: str) -> None:
    """Append a block to RESULTS.md."""
    path = _HERE / "RESULTS.md"
    path.write_text(path.read_text().rstrip("\n") + "\n\n" + block)


def update_readme(rows: dict[str, Row], records: dict[str, Record]) -> None:
    """Write the table of goals in README.md again."""
    path = _HERE / "README.md"
    path.write_text(with_table(path.read_text(), rows, records))


def with_table(text: str, rows: dict[str, Row], records: dict[str, Record]) -> str:
    """Return README's text with its table made again; rows that were not measured now keep what they reached before."""
    before, rest = text.split(_BEGIN)
    old, after = rest.split(_END)
    known = {line.split("`")[1]: line.rsplit("|", 2)[1].strip() for line in old.splitlines() if line.startswith("| `")}
    lines = [
        (
            f"`{name}`",
            row.about,
            _wanted(row),
            _reached(row, records[name]) if name in records else known.get(name, "-"),
        )
        for name, row in rows.items()
    ]
    shown = "\n".join(table(("row", "measures", "to reach", "reached"), lines))
    return f"{before}{_BEGIN}\n{shown}{_END}{after}"


def _wanted(row: Row) -> str:
    return "; ".join(f"{goal.what}: {goal.wanted}" for goal in row.goals)


def _reached(row: Row, record: Record) -> str:
    shown = [(f"**{value}**" if verdict == "short" else value, verdict) for _, value, verdict in row.judged(record)]
    return f"{'; '.join(' '.join(pair) for pair in shown)} ({datetime.date.today()})"
