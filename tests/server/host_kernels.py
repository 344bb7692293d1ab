"""Generated CUDA kernels, compiled for this machine's processor and run as one thread: what they compute, without a GPU."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gradwire_server.programs.cuda.source import NAME, kernel_source
from gradwire_server.programs.fusion import Fusion

__all__ = ["HostRunner", "compile_on_host", "compiler"]

# A grid of one thread. The options keep products and sums apart, as `--fmad=false` does.
_PRELUDE = """
#include <cmath>
#define __device__ static inline
#define __global__
struct Places { long long x; };
static const Places gridDim{1}, blockDim{1}, blockIdx{0}, threadIdx{0};
using namespace std;
"""
_COMMAND = ("-shared", "-fPIC", "-O1", "-ffp-contract=off", "-w", "-x", "c++", "-std=c++17")


def compiler() -> str | None:
    """Return a C++ compiler, None where there is none."""
    return shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")


def compile_on_host(sources: Sequence[str], folder: Path) -> list[Callable[..., None]]:
    """Compile kernels into one library; each takes (count, columns, addresses...)."""
    found = compiler()
    assert found is not None
    text = [_PRELUDE]
    for number, source in enumerate(sources):
        text.append(f"namespace n{number} {{ {source.replace(f'void {NAME}(', f'void {NAME}_{number}(')} }}")
    path = folder / f"kernels{len(list(folder.iterdir()))}.so"
    subprocess.run([found, *_COMMAND, "-", "-o", path], input="\n".join(text).encode(), check=True)
    library = ctypes.CDLL(str(path))
    return [library[f"{NAME}_{number}"] for number in range(len(sources))]


class HostRunner:
    """Stands where a GPU's `KernelRunner` does."""

    def __init__(self, fusion: Fusion, folder: Path) -> None:
        self._layout = fusion.layout
        self._kernel = compile_on_host([kernel_source(fusion)], folder)[0]

    def run(self, arrays: Sequence[Any]) -> None:
        count = self._layout.rows * self._layout.columns
        sizes = (ctypes.c_longlong(count), ctypes.c_longlong(self._layout.columns))
        self._kernel(*sizes, *(ctypes.c_void_p(array.ctypes.data) for array in arrays))

    def forget(self, number: int) -> None:
        pass
