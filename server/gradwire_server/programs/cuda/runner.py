"""Running a fusion on a GPU: one launch of its generated kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire_server.programs.cuda.source import NAME, OPTIONS, kernel_source
from gradwire_server.programs.fusion import Fusion

__all__ = ["KernelRunner"]

_THREADS = 256
# More blocks than any GPU runs at once; threads go on to the elements behind.
_MOST_BLOCKS = 4096


class KernelRunner:
    """A fusion as a kernel, which CuPy compiles at the first run and keeps on disk."""

    def __init__(self, fusion: Fusion, xp: Any) -> None:
        """Write the kernel."""
        layout = fusion.layout
        count = layout.rows * layout.columns
        self._kernel = xp.RawKernel(kernel_source(fusion), NAME, options=OPTIONS)
        self._grid = (min(max(-(-count // _THREADS), 1), _MOST_BLOCKS),)
        self._sizes = (xp.int64(count), xp.int64(layout.columns))

    def run(self, arrays: Sequence[Any]) -> None:
        """Run on the inputs and into the outputs, in the fusion's order."""
        self._kernel(self._grid, (_THREADS,), (*self._sizes, *arrays))

    def forget(self, number: int) -> None:
        """Do nothing: no array is held after a run."""
