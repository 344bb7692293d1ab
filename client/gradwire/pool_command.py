"""`gradwire pool`: `status`, `scale` and `drain` ask a gateway, from anywhere; `up` and `down` are the server's."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from gradwire.credential_flags import add_credential_flags, export_credentials
from gradwire_protocol.errors import GradwireError

__all__ = ["run_pool"]

_USAGE = """usage: gradwire pool COMMAND ...

  up [--workers N] [--gpus-per-worker K] [--port P] [--address RAY]   start a pool here, or on a running Ray
  status [--gateway ADDRESS]                                          show its workers
  scale N [--gateway ADDRESS]                                         start or drain workers until there are N
  drain [WORKER] [--gateway ADDRESS]                                  lend a worker, or all, no more; they end when free
  down [--port P]                                                     end what `up` started

Each command explains itself with --help."""
_GIB = 1 << 30


def _parser() -> argparse.ArgumentParser:
    gateway = argparse.ArgumentParser(add_help=False)
    gateway.add_argument("--gateway", default="127.0.0.1:7470", help="HOST:PORT of the pool")
    gateway.add_argument("--seconds", type=float, default=5.0, help="how long to wait for it")
    add_credential_flags(gateway)
    parser = argparse.ArgumentParser(prog="gradwire pool")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("status", parents=[gateway], help="show the workers")
    scale = commands.add_parser("scale", parents=[gateway], help="start or drain workers")
    scale.add_argument("workers", type=int, help="how many the pool is to have")
    drain = commands.add_parser("drain", parents=[gateway], help="lend a worker no more")
    drain.add_argument("worker", nargs="?", default="", help="its name; all without it")
    return parser


def _table(status: Any) -> str:
    """Return a line for each worker."""
    lines = [
        f"{'worker':10} {'state':9} {'device':7} {'address':21} {'leases':>6} {'busy':>5} {'free GiB':>8} {'starts':>6}"
    ]
    lines += [
        f"{w.name:10} {w.state:9} {w.device or '-':7} {w.address or '-':21} {w.leases:6} {w.busy:5.2f} "
        f"{w.available_memory_bytes / _GIB:8.1f} {w.starts:6}"
        for w in status.workers
    ]
    return "\n".join([*lines, f"{len(status.workers)} workers, {status.leases} leases"])


def _ask(given: argparse.Namespace) -> None:
    from gradwire.credentials import Credentials
    from gradwire.pool import Gateway

    gateway = Gateway(given.gateway, given.seconds, Credentials.given())
    try:
        if given.command == "scale":
            gateway.scale(given.workers)
        elif given.command == "drain":
            gateway.drain(given.worker)
        print(_table(gateway.status()))
    finally:
        gateway.close()


def run_pool(arguments: Sequence[str]) -> int:
    """Run a command of `gradwire pool`; return its exit status."""
    if arguments and arguments[0] in ("up", "down"):
        # The client's package never imports the server's.
        os.execv(sys.executable, [sys.executable, "-m", "gradwire_pool", *arguments])
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    given = _parser().parse_args(arguments)
    if given.command == "scale" and given.workers < 0:
        print(f"gradwire pool: a pool has 0 workers or more; got {given.workers}", file=sys.stderr)
        return 2
    try:
        export_credentials(given)
        _ask(given)
    except (GradwireError, ValueError, OSError) as error:
        print(f"gradwire pool: {error}", file=sys.stderr)
        return 1
    return 0
