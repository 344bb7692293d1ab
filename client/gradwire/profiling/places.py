"""What a call site is called in a report: file, line, function and the user's own words there."""

from __future__ import annotations

import linecache
import os
from dataclasses import dataclass
from functools import lru_cache

from gradwire import callsite

__all__ = ["Place", "expression", "place_of"]

_MOST_SHOWN = 60


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of the user's."""

    file: str
    line: int
    function: str

    @property
    def text(self) -> str:
        """Return the line as it is written, "" where the source is not at hand."""
        return _short(linecache.getline(self.file, self.line).strip())

    def __str__(self) -> str:
        """Return `file:line`, the file from the current folder on if it lies there."""
        path = os.path.relpath(self.file) if os.path.isabs(self.file) else self.file
        return f"{os.path.basename(path) if path.startswith(os.pardir) else path}:{self.line}"


def place_of(site: callsite.Site) -> Place:
    """Return the line of a site."""
    return _place(site[0].co_filename, site)


def expression(site: callsite.Site) -> str:
    """Return what stands at a site (`loss.item()`), or its whole line where only that is known."""
    return _expression(site[0].co_filename, site)


# The file is in the key since equal code of two files is equal to Python.
@lru_cache(maxsize=8192)
def _place(file: str, site: callsite.Site) -> Place:
    line = callsite.describe(site).rpartition(":")[2]
    return Place(file, int(line), site[0].co_qualname)


@lru_cache(maxsize=8192)
def _expression(file: str, site: callsite.Site) -> str:
    code, instruction = site
    line, last, start, end = list(code.co_positions())[max(instruction, 0) // 2]
    if line is None or last != line or start is None or end is None:
        return place_of(site).text
    # Columns count bytes of UTF-8.
    source = linecache.getline(file, line).encode()[start:end].decode(errors="replace")
    return _short(source.strip()) or place_of(site).text


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."
