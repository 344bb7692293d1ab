"""All rows, in the order in which they are run and shown."""

from __future__ import annotations

from benchmarks import compiled_rows, eager_rows, process_rows, transfer_rows
from benchmarks.record import Row

__all__ = ["ROWS"]

_ORDER = ("E1", "E2", "E3", "W1", "W2", "W3", "W4", "W5", "W6", "W7", "R", "X1", "G1", "C", "S", "M")
_ALL = {**eager_rows.ROWS, **compiled_rows.ROWS, **transfer_rows.ROWS, **process_rows.ROWS}
ROWS: dict[str, Row] = {name: _ALL[name] for name in _ORDER}
