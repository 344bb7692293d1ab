"""`gradwire pool up` and `down`. The other commands ask the gateway, and are the client's."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec

from gradwire_pool.advertised import check_name
from gradwire_pool.doors import Doors
from gradwire_pool.home import Home, Started, started_at
from gradwire_pool.records import Bounds
from gradwire_protocol.addresses import is_local

__all__ = ["main"]

_DOORS = ("tokens", "tls_certificate", "tls_key", "tls_client_ca")
_DOWN_SECONDS = 30.0
_CONNECT_SECONDS = 5.0
# For Ray itself to start, before the workers' time begins.
_RAY_SECONDS = 60.0
# In the environment of every process that a local pool starts, with a value of its own: `down` knows them by it.
_MARK = "GRADWIRE_POOL"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gradwire pool", description="A pool of workers, placed and restarted by Ray."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start a pool, or add one to a running Ray")
    up.add_argument("--workers", type=int, default=2, help="how many to start")
    up.add_argument("--gpus-per-worker", type=float, default=0.0, help="0 for CPU workers")
    up.add_argument("--cpus-per-worker", type=float, default=0.0, help="what Ray reserves; 0 reserves nothing")
    up.add_argument(
        "--host",
        default="127.0.0.1",
        help="where gateway and workers listen; on a running Ray and beyond loopback, workers do at their nodes' addresses",
    )
    up.add_argument("--port", type=int, default=7470, help="of the gateway")
    up.add_argument(
        "--advertise",
        default="",
        metavar="NAME",
        help="the name by which others reach workers, not their address; {ip} is that with dashes, {hostname} the node's own",
    )
    up.add_argument(
        "--address", default="", help="HOST:PORT of a running Ray; without it one is started here, on loopback"
    )
    up.add_argument("--wait-seconds", type=float, default=120.0, help="how long the workers may take to come up")
    up.add_argument(
        "--hung-seconds",
        type=float,
        default=Bounds().hung_seconds,
        help="replace a worker that answers no health check for this long",
    )
    up.add_argument(
        "--drain-seconds",
        type=float,
        default=Bounds().drain_seconds,
        help="how long leases of a draining worker may go on",
    )
    up.add_argument(
        "--worker-flag",
        action="append",
        default=[],
        metavar="FLAG",
        help="for `gradwire worker`, as --worker-flag=--max-sessions=8",
    )
    doors = up.add_argument_group("doors", "of the gateway and the workers; the files must be on each node")
    doors.add_argument(
        "--tokens", default="", metavar="FILE", help="let in these tokens only; `gradwire token new` makes one"
    )
    doors.add_argument("--tls-certificate", default="", metavar="FILE", help="PEM chain for all addresses of the pool")
    doors.add_argument("--tls-key", default="", metavar="FILE", help="its private key, PEM")
    doors.add_argument(
        "--tls-client-ca", default="", metavar="FILE", help="take only certificates signed by this; the pool's own too"
    )
    down = commands.add_parser("down", help="end what `up` started, and nothing else")
    down.add_argument("--port", type=int, default=7470, help="of the gateway")
    return parser


def _plan(given: argparse.Namespace) -> dict[str, object]:
    """Return the fields of the pool's plan, as JSON can hold them; raise ValueError for doors that must not be."""
    # Their names are for the processes of the pool, which run elsewhere.
    files = {name: os.path.abspath(path) if (path := getattr(given, name)) else "" for name in _DOORS}
    Doors(**files).check(f"{given.host}:{given.port}")
    check_name(given.advertise)
    return {
        "doors": files,
        "namespace": f"gradwire-{given.port}",
        "listen": f"{given.host}:{given.port}",
        "workers": given.workers,
        "worker_host": _worker_host(given),
        "gpus_per_worker": given.gpus_per_worker,
        "cpus_per_worker": given.cpus_per_worker,
        "worker_flags": given.worker_flag,
        "advertise": given.advertise,
        "bounds": asdict(Bounds(hung_seconds=given.hung_seconds, drain_seconds=given.drain_seconds)),
    }


def _worker_host(given: argparse.Namespace) -> str:
    """Return where all workers listen; an empty text where each does at its own node's address."""
    if given.address and not is_local(f"{given.host}:0"):
        return ""
    if given.host in ("0.0.0.0", "[::]"):
        raise ValueError(
            f"--host names the address by which scripts reach the workers of this machine; got {given.host}, which is all of them"
        )
    host: str = given.host
    return host


def _up(given: argparse.Namespace) -> int:
    home = Home(given.port)
    plan = _plan(given)
    before = home.read()
    if before is not None and (before.ray_address or before.is_running()):
        raise ValueError(
            f"port {given.port} must have no pool; one runs there; end it with: gradwire pool down --port {given.port}"
        )
    if before is not None:
        # Its Ray was killed; what that left must not be taken for the new one's.
        _end(home)
    home.make()
    try:
        serving = _add_to(home, given, plan) if given.address else _start_here(home, given, plan)
        if serving < given.workers:
            raise RuntimeError(
                f"{given.workers} workers must serve within {given.wait_seconds:g} s; {serving} did; the pool was ended. "
                + (home.worker_words() or "Has Ray room for them? `ray status` shows it")
            )
    except BaseException:
        # Ctrl-C too: what was begun must not stay.
        _end(home)
        raise
    print(f"gradwire pool: {given.workers} workers; gateway on {plan['listen']}", flush=True)
    return 0


def _start_here(home: Home, given: argparse.Namespace, plan: dict[str, object]) -> int:
    """Start a process that holds a Ray of the pool's own; return how many workers serve."""
    process = _start_head(home, plan, given.wait_seconds)
    deadline = time.monotonic() + given.wait_seconds + _RAY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        serving = home.read_serving()
        if serving is not None:
            return serving
        time.sleep(0.05)
    words = home.log.read_text(errors="replace").strip().splitlines()[-12:]
    raise RuntimeError(
        "\n".join(["the process that holds Ray must stay and start workers; it did not. Its last words:", *words])
    )


def _start_head(home: Home, plan: dict[str, object], seconds: float) -> subprocess.Popen[bytes]:
    """Start the process that holds Ray, which goes on without this one."""
    mark = secrets.token_hex(16)
    command = [sys.executable, "-m", "gradwire_pool", "head", str(home.port), str(seconds), json.dumps(plan)]
    with home.log.open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **home.environment(), _MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    home.write(
        Started(
            str(plan["namespace"]), str(plan["listen"]), "", f"{_MARK}={mark}", process.pid, started_at(process.pid)
        )
    )
    return process


def _add_to(home: Home, given: argparse.Namespace, plan: dict[str, object]) -> int:
    """Make a pool on a running Ray; return how many workers serve."""
    host, _, port = given.address.rpartition(":")
    try:
        # Ray itself would try for minutes.
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, ValueError):
        raise ValueError(
            f"--address needs the HOST:PORT of a running Ray; nobody answers at {given.address!r}"
        ) from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    from gradwire_pool import cluster

    cluster.join(given.address)
    home.write(Started(str(plan["namespace"]), str(plan["listen"]), given.address, "", 0, 0))
    return cluster.open_pool(cluster.pool_plan(plan), given.wait_seconds)


def _head(port: str, seconds: str, text: str) -> int:
    """Hold a Ray of our own, and the pool on it, until told to end. All processes of it are this one's children."""
    from gradwire_pool import cluster

    home, plan = Home(int(port)), cluster.pool_plan(json.loads(text))
    cluster.start_local(home.folder)
    # After Ray's start, which sets its own handlers.
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    home.tell_serving(cluster.open_pool(plan, float(seconds)))
    stop.wait()
    cluster.remove_pool(plan.namespace)
    cluster.leave()
    return 0


def _down(given: argparse.Namespace) -> int:
    home = Home(given.port)
    if home.read() is None:
        raise ValueError(f"`pool down` needs a pool that this user started on port {given.port}; there is none")
    killed = _end(home)
    print(f"gradwire pool: down{f'; {killed} processes had to be killed' if killed else ''}", flush=True)
    return 0


def _end(home: Home) -> int:
    """End what `up` made; return how many processes did not go by themselves."""
    started, killed = home.read(), 0
    if started is None:
        home.remove()
        return 0
    if started.ray_address:
        from gradwire_pool import cluster

        cluster.join(started.ray_address)
        cluster.remove_pool(started.namespace)
        cluster.leave()
    else:
        deadline = time.monotonic() + _DOWN_SECONDS
        if started.is_running():
            os.kill(started.process, signal.SIGTERM)
        while started.is_running() and time.monotonic() < deadline:
            _reap(started.process)
            time.sleep(0.05)
        killed = home.end_marked(started.mark, _DOWN_SECONDS)
    home.remove()
    return killed


def _reap(process: int) -> None:
    """Take the exit status of a process, if it is a child of this one: until then it seems to run."""
    try:
        os.waitpid(process, os.WNOHANG)
    except ChildProcessError:
        return


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["head"]:
        return _head(*words[1:])
    given = _parser().parse_args(words)
    if find_spec("ray") is None:
        print("gradwire pool: a pool needs Ray; install it with: pip install 'gradwire[server,pool]'", file=sys.stderr)
        return 1
    try:
        return {"up": _up, "down": _down}[given.command](given)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"gradwire pool: {error}", file=sys.stderr)
    return 1
