"""The embedded worker: a child process on a Unix socket, started at first use and ended with the script.

The child watches a pipe from this process and stops when it closes, so it goes however this process ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from gradwire_protocol.errors import WorkerUnreachable

__all__ = ["EmbeddedWorker", "start"]


@dataclass(frozen=True, slots=True)
class EmbeddedWorker:
    """A running child worker."""

    address: str
    process: subprocess.Popen[bytes]
    directory: str

    def stop(self) -> None:
        """Close the pipe, wait for the child, and remove its socket."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def start(device: str = "cpu") -> EmbeddedWorker:
    """Start a worker and return when it listens; raise WorkerUnreachable with its words if it does not."""
    directory = tempfile.mkdtemp(prefix="gradwire-")
    address = f"unix:{os.path.join(directory, 'worker.sock')}"
    process = subprocess.Popen(
        [sys.executable, "-m", "gradwire_server", "--listen", address, "--device", device, "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # A Ctrl-C at the terminal is for the script, which then closes the pipe.
        start_new_session=True,
    )
    worker = EmbeddedWorker(address, process, directory)
    assert process.stdout is not None
    if not process.stdout.readline():
        worker.stop()
        raise WorkerUnreachable(
            f"an embedded worker must start for calls to run; it exited with status {process.returncode} (its own words are "
            "above). Install its part with: pip install 'gradwire[server]', or name a worker in GRADWIRE_ADDRESS"
        )
    return worker
