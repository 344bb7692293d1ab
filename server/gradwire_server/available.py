"""How much memory the machine, or the container that the worker runs in, still has."""

from __future__ import annotations

from pathlib import Path

__all__ = ["available_bytes"]

# (limit, use) of control groups, version 2 and 1, as a container sees its own.
_GROUPS = (
    ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available_bytes(root: Path = Path("/")) -> int | None:
    """Return the bytes that can still be taken without anything being killed; None where that cannot be known."""
    known = [_of_machine(root), *[_of_group(root / limit, root / use) for limit, use in _GROUPS]]
    return min((count for count in known if count is not None), default=None)


def _of_machine(root: Path) -> int | None:
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _of_group(limit: Path, use: Path) -> int | None:
    try:
        bound = limit.read_text(encoding="ascii").strip()
        # The page cache of files counts as used, and is given back when it is needed.
        cached = _cached(use.with_name("memory.stat"))
        return None if bound == "max" else max(int(bound) - int(use.read_text(encoding="ascii")) + cached, 0)
    except (OSError, ValueError):
        return None


def _cached(statistics: Path) -> int:
    for line in statistics.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            return int(value)
    return 0
