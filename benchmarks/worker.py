"""A worker process on TCP loopback, a fresh one for each row, and the sessions that contestants run in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from gradwire.connecting import connect
from gradwire.session import Session
from tests.support import open_loopback

__all__ = ["Worker", "in_process_session", "resident_bytes", "torch_on_one_thread"]

_PAGE_BYTES = 4096


class Worker:
    """A running worker, which ends with this process or at `close`."""

    def __init__(self, max_sessions: int = 80) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "gradwire_server", "--listen", "127.0.0.1:0", "--max-sessions", str(max_sessions),
                "--until-stdin-closes",
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().rsplit(" ", 1)[-1].strip()

    def session(self) -> Session:
        """Open a session, which becomes the current one."""
        opened: Session = connect(self.address)
        return opened

    @property
    def resident_bytes(self) -> int:
        """Return how much memory the worker holds."""
        return resident_bytes(self._process.pid)

    def close(self) -> None:
        """Stop the worker."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def in_process_session() -> Session:
    """Return a session on a worker in this process: the same client, batches and kernels, without a socket."""
    return open_loopback()[0]


def resident_bytes(pid: int | str = "self") -> int:
    """Return how much memory a process holds, as Linux counts it."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def torch_on_one_thread() -> Any:
    """Return PyTorch, told to compute in one thread."""
    import torch

    torch.set_num_threads(1)
    return torch
