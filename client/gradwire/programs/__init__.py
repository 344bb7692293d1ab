"""Programs: functions that are recorded once and then run on the worker by one message. See `compile` and `loop`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradwire.programs.loading import LoadedFunction

__all__ = ["load"]


def load(path: str | os.PathLike[str]) -> LoadedFunction:
    """Return what `save` of a compiled function wrote, as a function that needs none of the script's Python.

    The file may come from anywhere: nothing of it is executed here but checked calls on the worker. Raises CheckpointError
    for a file that is not whole, or not such a file, and what `open` raises when there is none.
    """
    # Imported here: what a session is made of imports this package.
    from gradwire.programs.loading import load_programs

    return load_programs(path)
