"""The user's file and line for each call, so that an error that arrives later can name it.

Sites are kept as (code, instruction) pairs, since working out a line number costs more than the call itself; they never
leave the process.
"""

from __future__ import annotations

import sys
from types import CodeType

__all__ = ["Site", "current", "describe"]

Site = tuple[CodeType, int]

_OURS = ("gradwire.", "gradwire_protocol.")
_is_ours: dict[str, bool] = {}  # by the name of a module


def current(depth: int = 2) -> Site:
    """Return the innermost frame outside gradwire, starting `depth` frames up."""
    try:
        frame = sys._getframe(depth)
    except ValueError:  # fewer than that are there: a thread that runs nothing but a method of ours
        frame = sys._getframe(1)
    while True:
        name = frame.f_globals.get("__name__", "")
        ours = _is_ours.get(name)
        if ours is None:
            ours = _is_ours[name] = name == "gradwire" or name.startswith(_OURS)
        if not ours or frame.f_back is None:
            return frame.f_code, frame.f_lasti
        frame = frame.f_back


def describe(site: Site) -> str:
    """Return `file:line`."""
    code, instruction = site
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= instruction < end and number is not None:
            line = number
    return f"{code.co_filename}:{line}"
