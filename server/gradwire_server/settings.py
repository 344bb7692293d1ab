"""What a worker process is told: one frozen record, filled from flags."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Settings", "parse"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a worker listens, on what device it computes, and its bounds."""

    listen: str
    device: str
    max_sessions: int
    drain_seconds: float
    threads: int
    until_stdin_closes: bool
    public_server: bool = False

    def check(self) -> None:
        """Raise ValueError for settings under which a worker must not start."""
        if not is_local(self.listen):
            raise ValueError(
                f"a worker that listens beyond loopback needs TLS and a token, which this version does not have; got --listen "
                f"{self.listen}; listen on 127.0.0.1:PORT, [::1]:PORT or unix:PATH, and reach it through an SSH tunnel"
            )
        if self.max_sessions < 1:
            raise ValueError(f"--max-sessions must be at least 1; got {self.max_sessions}")


def is_local(listen: str) -> bool:
    """Return whether an address can only be reached from this machine."""
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Return the settings of a command line."""
    parser = argparse.ArgumentParser(prog="gradwire worker", description="Hold tensors and run calls on them.")
    parser.add_argument("--listen", default="127.0.0.1:7471", help="HOST:PORT (port 0 picks one) or unix:PATH")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.add_argument("--max-sessions", type=int, default=64, help="refuse more clients than this at once")
    parser.add_argument(
        "--drain-seconds", type=float, default=30.0, help="how long running calls may take after SIGTERM"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="BLAS threads; more of them change the last bits of results"
    )
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end when standard input does (an embedded worker)"
    )
    parser.add_argument(
        "--public-server", action="store_true", help="use grpcio's documented server: slower, and nothing private"
    )
    given = parser.parse_args(arguments)
    settings = Settings(
        given.listen, given.device, given.max_sessions, given.drain_seconds, given.threads, given.until_stdin_closes,
        given.public_server,
    )  # fmt: skip
    try:
        settings.check()
    except ValueError as error:
        parser.error(str(error))
    return settings
