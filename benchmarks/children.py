"""Contestants in processes of their own: asked by a line on standard input, they answer with a line of JSON.

Imports nothing but the standard library, since other frameworks' environments run it too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["Child", "peer", "serve", "serving"]

_ROOT = Path(__file__).resolve().parent.parent


class Child:
    """A process that runs a module of this folder."""

    def __init__(self, module: str, *arguments: str, python: str = sys.executable) -> None:
        self._command = [python, "-m", f"benchmarks.{module}", *arguments]
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT,
        )  # fmt: skip
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def start(self, question: str = "") -> None:
        """Ask, without waiting for the answer."""
        assert self._stdin is not None
        self._stdin.write(question + "\n")
        self._stdin.flush()

    def answer(self) -> Any:
        """Wait for the next answer."""
        assert self._stdout is not None
        line = self._stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._command)} must answer; it ended with status {self._process.wait()}")
        return json.loads(line)

    def ask(self, question: str = "") -> Any:
        """Ask and wait."""
        self.start(question)
        return self.answer()

    def close(self) -> None:
        """End the process."""
        for pipe in (self._stdin, self._stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


def say(value: Any) -> None:
    """Answer."""
    print(json.dumps(value), flush=True)


def serving() -> Iterator[str]:
    """Yield the questions to this process, as long as its parent asks."""
    for line in sys.stdin:
        yield line.strip()


def serve(version: str, run: Callable[[], Any]) -> None:
    """Say that this peer is ready, and run at every question; the answer is what `run` returns."""
    say({"version": version})
    for _ in serving():
        say(run())


def peer(framework: str, module: str) -> tuple[Child | None, str]:
    """Start a peer that is no dependency of ours; return it, or None, and a remark on what is installed.

    `BENCH_JAX`, `BENCH_TENSORFLOW` name a Python that has the framework; without it, this one is asked.
    """
    child = Child(f"peers.{module}", python=os.environ.get(f"BENCH_{framework.upper()}", sys.executable))
    ready = child.answer()
    if "missing" in ready:
        child.close()
        return None, f"{framework} not installed (BENCH_{framework.upper()}=/path/to/python names a Python that has it)"
    return child, f"{framework} {ready['version']}"
