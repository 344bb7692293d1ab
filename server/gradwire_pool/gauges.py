"""How busy a worker's process is, and what memory is left for it: read from the kernel and the GPU's driver."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

__all__ = ["Busy", "device_memory_bytes", "host_memory_bytes"]

_TICKS = os.sysconf("SC_CLK_TCK")


class Busy:
    """The processors that a process used since it was asked last."""

    def __init__(self, process: int) -> None:
        """Begin to measure."""
        self._process = process
        self._seconds, self._at = self._used(), time.monotonic()

    def _used(self) -> float:
        try:
            # The name in parentheses may hold anything; what follows it does not. User and system time are fields 14 and 15.
            fields = Path(f"/proc/{self._process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def read(self) -> float:
        """Return the processors used since the last call."""
        seconds, at = self._used(), time.monotonic()
        busy = (seconds - self._seconds) / max(at - self._at, 1e-3)
        self._seconds, self._at = seconds, at
        return max(busy, 0.0)


def host_memory_bytes(root: Path = Path("/")) -> tuple[int, int]:
    """Return what is available and what there is: of this machine, or of this container where that may use less."""
    found = {}
    for line in (root / "proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    available, total = found["MemAvailable"], found["MemTotal"]
    group = root / "sys/fs/cgroup"
    try:
        limit, used = (group / "memory.max").read_text().strip(), int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return available, total
    if limit == "max" or int(limit) >= total:
        return available, total
    return min(available, max(int(limit) - used, 0)), int(limit)


def device_memory_bytes() -> tuple[int, int]:
    """Return what is free and what there is on the GPU that Ray gave this process; zeros where nvidia-smi cannot tell."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    command = ["nvidia-smi", "-i", visible, "--query-gpu=memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
        free, total = (int(part) << 20 for part in answer.split(","))
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0, 0
    return free, total
