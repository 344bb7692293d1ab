"""What a pool leaves on the machine that started it: a folder by its port, and how to find the processes that it made."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Home", "Started", "marked_processes", "started_at"]

# Ray's sockets lie 60 characters deeper, and a socket's path may have 107.
_LONGEST_FOLDER = 45


def started_at(process: int) -> int:
    """Return when a process started, in the kernel's ticks, or 0 if there is none: with its id it names it for good."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        return 0


def marked_processes(mark: str) -> Iterator[int]:
    """Yield the processes, zombies apart, that have `mark` (NAME=VALUE) in the environment they were started with."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found = mark.encode() in (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if found:
                yield int(entry.name)


@dataclass(frozen=True, slots=True)
class Started:
    """What `pool up` made, for `pool down`."""

    namespace: str
    gateway: str
    # Of a Ray that runs without us; empty for one of the pool's own, which `process` then holds.
    ray_address: str
    mark: str
    process: int
    process_started_at: int

    def is_running(self) -> bool:
        """Return whether the process that holds the pool's own Ray is there."""
        return self.process > 0 and started_at(self.process) == self.process_started_at


class Home:
    """The folder of the pool on one port."""

    def __init__(self, port: int) -> None:
        """Name it; `make` makes it."""
        base = tempfile.gettempdir()
        base = base if len(base) <= _LONGEST_FOLDER - 30 else "/tmp"
        self.port = port
        self.parent = Path(base) / f"gradwire-pool-{os.getuid()}"
        self.folder = self.parent / str(port)

    def make(self) -> None:
        """Make the folder for this user alone; raise PermissionError if another user got there first."""
        for folder in (self.parent, self.folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
                raise PermissionError(
                    f"a pool's folder must be this user's alone, since it holds Ray's token; {folder} is not; remove it"
                )

    def environment(self) -> dict[str, str]:
        """Write a token for a Ray of the pool's own, and return its environment: loopback only, all files in this folder."""
        token = self.folder / "token"
        # Ray would write one into the home folder. It runs code for whoever has it, so it is readable by its owner only.
        with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_TMPDIR": str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            # By its name for other systems; on Linux it makes Ray bind 127.0.0.1 instead of every interface.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        }

    @property
    def log(self) -> Path:
        """Return the file with the words of the process that holds Ray."""
        return self.folder / "head.log"

    def write(self, started: Started) -> None:
        """Note what was made."""
        (self.folder / "started.json").write_text(json.dumps(asdict(started)))

    def read(self) -> Started | None:
        """Return what was made, or None."""
        try:
            return Started(**json.loads((self.folder / "started.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def worker_words(self) -> str:
        """Return the last line that a worker's processes wrote to their log, or an empty text."""
        words = ""
        for log in sorted(self.folder.glob("session_latest/logs/worker-*.err")):
            # Ray's own lines begin with a colon.
            lines = [line for line in log.read_text(errors="replace").splitlines() if line and line[0] != ":"]
            words = next((line for line in reversed(lines) if line.startswith("gradwire worker:")), words)
        return words

    def tell_serving(self, workers: int) -> None:
        """Note how many workers serve, for the process that waits for it."""
        aside = self.folder / "serving.new"
        aside.write_text(str(workers))
        aside.rename(self.folder / "serving")

    def read_serving(self) -> int | None:
        """Return how many workers serve, or None as long as that is open."""
        try:
            return int((self.folder / "serving").read_text())
        except OSError:
            return None

    def remove(self) -> None:
        """Remove the folder with all that Ray left in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def end_marked(mark: str, seconds: float) -> int:
        """Kill whatever still has the mark; return how many processes that took. Raises OSError if one stays."""
        killed: set[int] = set()
        deadline = time.monotonic() + seconds
        while left := list(marked_processes(mark)):
            if time.monotonic() > deadline:
                raise OSError(f"no process of the pool may stay; {left} did not end within {seconds:g} s")
            for process in left:
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                killed.add(process)
            time.sleep(0.05)
        return len(killed)
