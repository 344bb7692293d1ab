"""How the C library hands memory back to the system: later than by default, in a process that is there to hold arrays."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed"]

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
