"""The `gradwire` command: scripts and saved programs, workers and pools, and who may come in."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from gradwire_protocol.errors import GradwireError

__all__ = ["main"]


def _worker(arguments: Sequence[str]) -> int:
    """Become the worker process: the client's package never imports the server's."""
    os.execv(sys.executable, [sys.executable, "-m", "gradwire_server", *arguments])


def _health(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="gradwire health", description="Ask a worker whether it serves.")
    parser.add_argument("address", help="HOST:PORT or unix:PATH")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to wait for an answer")
    from gradwire.credential_flags import add_credential_flags, export_credentials

    add_credential_flags(parser)
    given = parser.parse_args(arguments)
    from gradwire.credentials import Credentials
    from gradwire.transport import health

    try:
        export_credentials(given)
        status = health(given.address, given.seconds, Credentials.given())
    except (GradwireError, OSError, ValueError) as error:
        print(f"gradwire health: {error}", file=sys.stderr)
        return 1
    print(status)
    return 0 if status == "SERVING" else 1


def _drain(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="gradwire drain", description="Let a worker finish what runs, take no new session, and end."
    )
    parser.add_argument("address", help="HOST:PORT or unix:PATH")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to wait for its answer")
    from gradwire.credential_flags import add_credential_flags, export_credentials

    add_credential_flags(parser)
    given = parser.parse_args(arguments)
    from gradwire.credentials import Credentials
    from gradwire.transport import drain

    try:
        export_credentials(given)
        sessions = drain(given.address, given.seconds, Credentials.given())
    except (GradwireError, OSError, ValueError) as error:
        print(f"gradwire drain: {error}", file=sys.stderr)
        return 1
    print(f"draining: {sessions} session{'s' if sessions != 1 else ''}")
    return 0


def _run(arguments: Sequence[str]) -> int:
    from gradwire.run.command import run

    return run(arguments)


def _run_program(arguments: Sequence[str]) -> int:
    from gradwire.programs.command import run_program

    return run_program(arguments)


def _pool(arguments: Sequence[str]) -> int:
    from gradwire.pool_command import run_pool

    return run_pool(arguments)


def _top(arguments: Sequence[str]) -> int:
    from gradwire.top import run_top

    return run_top(arguments)


def _loadtest(arguments: Sequence[str]) -> int:
    from gradwire.loadtest.command import run_loadtest

    return run_loadtest(arguments)


def _token(arguments: Sequence[str]) -> int:
    from gradwire.token_command import token

    return token(arguments)


_COMMANDS = {
    "run": _run, "run-program": _run_program, "worker": _worker, "health": _health, "drain": _drain, "top": _top,
    "pool": _pool, "token": _token, "loadtest": _loadtest,
}  # fmt: skip
_USAGE = """usage: gradwire COMMAND ...

  run [--address ADDRESS] SCRIPT [ARGUMENT ...]                 run a PyTorch script, unmodified, on a worker
  run-program FILE [--inputs FILE] [--outputs FILE]             run a program that a compiled function saved
  worker --listen HOST:PORT | unix:PATH [--device cpu|cuda:N]   run a worker
  health ADDRESS                                                ask a worker whether it serves (grpc.health.v1)
  drain ADDRESS                                                 let a worker finish what runs, and end
  top ADDRESS ...                                               watch workers: sessions, memory, rates
  token new --tenant NAME [--role run|metrics|admin]            make a token for a worker's tokens file
  pool up | status | scale N | drain [WORKER] | down            run workers by Ray, and lend them to clients
  loadtest ADDRESS [--profile train] [--clients N] [--html FILE]  load a worker with real clients, by Locust

Each command explains itself with --help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in _COMMANDS:
        return _COMMANDS[given[0]](given[1:])
    print(_USAGE, file=sys.stdout if given[:1] in (["--help"], ["-h"]) else sys.stderr)
    return 0 if given[:1] in (["--help"], ["-h"]) else 2


if __name__ == "__main__":
    raise SystemExit(main())
