"""The process's memory: how much it is, and that the C library hands it back later than by default, since arrays come again."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

__all__ = ["keep_freed", "resident_bytes"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of malloc.h

_KEPT_BYTES = 128 * 1024 * 1024
# Larger blocks still come from the system and go back to it at once.
_LARGEST_BYTES = 32 * 1024 * 1024


def keep_freed() -> None:
    """Let glibc keep freed memory for the next array and the next message; elsewhere do nothing.

    By default it gives blocks of a MiB back and asks for them again, and the system clears their pages each time: a third
    of the time of an upload in chunks. One arena, so that what one thread freed another one can use; the interpreter's lock
    keeps threads from waiting for it.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for name, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, _LARGEST_BYTES), (_TRIM_THRESHOLD, _KEPT_BYTES)):
        mallopt(name, value)


def resident_bytes() -> int:
    """Return the memory of this process that lies in RAM."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:  # no Linux: the largest it ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * resource.getpagesize()
