"""`gradwire loadtest ADDRESS`: its flags, its files, its exit status."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradwire.credential_flags import add_credential_flags, export_credentials
from gradwire.loadtest.report import ABUSERS, comparison, roles, table
from gradwire.version import __version__

__all__ = ["run_loadtest"]

_PROFILES = ("train", "eager", "upload", "mixed", "idle", "abuse")


def run_loadtest(arguments: Sequence[str]) -> int:
    """Run a load test, or compare two; return 1 where a client met an error or nothing was done."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        if given.compare:
            print(comparison(*(json.loads(Path(path).read_text("utf-8")) for path in given.compare)))
            return 0
        if given.address is None or given.clients < 1 or given.duration <= 0:
            raise ValueError("a load test needs an ADDRESS, one client or more, and a duration above 0; see --help")
        export_credentials(given)
        found = _tested(given, roles(given.profile, given.clients, _abusers(given.abusers)))
    except ModuleNotFoundError as error:
        if error.name not in ("locust", "gevent"):
            raise
        print("gradwire loadtest: it needs Locust; install gradwire[loadtest]", file=sys.stderr)
        return 2
    except (OSError, ValueError, KeyError, TimeoutError) as error:
        print(f"gradwire loadtest: {error}", file=sys.stderr)
        return 2
    print(table(found))
    for text, count in found["error_texts"].items():
        print(f"{count} x {text}", file=sys.stderr)
    return 1 if found["errors"] or not any(found["steps_of_clients"]) else 0


def _abusers(names: str) -> list[str]:
    given = names.split(",")
    unknown = set(given) - set(ABUSERS)
    if unknown:
        raise ValueError(f"--abusers takes some of {', '.join(ABUSERS)}; got {', '.join(sorted(unknown))}")
    return given


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gradwire loadtest", description="Load a worker with real clients.")
    parser.add_argument("address", nargs="?", help="HOST:PORT or unix:PATH")
    parser.add_argument("--profile", choices=_PROFILES, default="train")
    parser.add_argument(
        "--abusers", default=",".join(ABUSERS), metavar="NAMES", help="of the profile abuse (%(default)s)"
    )
    parser.add_argument("--clients", type=int, default=4, metavar="N")
    parser.add_argument("--duration", type=float, default=20.0, metavar="SECONDS")
    parser.add_argument("--reconnect-seconds", type=float, default=10.0, help="how long a client tries to come back")
    parser.add_argument("--html", metavar="FILE", help="write Locust's report with plots")
    parser.add_argument("--json", metavar="FILE", help="write rates, percentiles, errors and fairness")
    parser.add_argument(
        "--compare", nargs=2, metavar=("A.json", "B.json"), help="show two runs side by side, run nothing"
    )
    add_credential_flags(parser)
    return parser


def _tested(given: argparse.Namespace, given_roles: list[str]) -> dict[str, Any]:
    # Locust changes the process that imports it.
    from gradwire.loadtest.swarm import Outcome, run

    about = {
        "gradwire": __version__,
        "at": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load_before": os.getloadavg()[0],
        "profile": given.profile,
        "clients": given.clients,
        "seconds": given.duration,
    }
    outcome = Outcome(given.address, given_roles, given.duration, given.reconnect_seconds)
    found = {**about, **run(outcome, given.html)}
    if given.json is not None:
        Path(given.json).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return found
