"""`gradwire top`: what workers do, looked at again and again. Rates come from two looks; nothing of it slows a call."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from gradwire.credential_flags import add_credential_flags, export_credentials
from gradwire.credentials import Credentials
from gradwire.transport import ask
from gradwire_protocol.errors import GradwireError
from gradwire_protocol.v1 import admin_pb2

__all__ = ["Look", "frame", "run_top"]

_HOME_AND_CLEAR = "\x1b[H\x1b[J"
_MIB = 1 << 20
_WORKER = "{:<24} {:<8} {:>9} {:>7} {:>5} {:>9} {:>9} {:>5} {:>8} {:>9} {:>9}  {}"
_SESSION = "  {:<22} {:<8} {:>9} {:>7} {:>5} {:>9} {:>9} {:>5} {:>8} {:>9} {:>9}  {}"
_HEAD = _WORKER.format(
    "worker / session",
    "device",
    "sessions",
    "running",
    "queue",
    "batch/s",
    "calls/s",
    "busy",
    "errors",
    "handles",
    "MiB",
    "state",
)


@dataclass(frozen=True, slots=True)
class Look:
    """What a worker said at a time; no status, but why, where it said nothing."""

    address: str
    at_seconds: float
    status: Any = None
    reason: str = ""


def frame(before: Sequence[Look], now: Sequence[Look]) -> str:
    """Return the table of two looks at the same workers."""
    lines = [_HEAD]
    for earlier, later in zip(before, now, strict=True):
        lines += _worker_lines(earlier, later)
    return "\n".join(lines)


def _worker_lines(earlier: Look, later: Look) -> list[str]:
    status = later.status
    if status is None:
        return [f"{later.address:<24} {later.reason}"]
    seconds = later.at_seconds - earlier.at_seconds
    # A process that was started again counts from 0 again: no rate then.
    is_same = earlier.status is not None and earlier.status.incarnation == status.incarnation
    was = earlier.status if is_same else status
    sessions = status.sessions
    lines = [_WORKER.format(
        later.address, status.device, f"{len(sessions)}/{status.session_limit}", sum(s.running_seconds > 0 for s in sessions),
        status.waiting_sessions, _rate(was.batches, status.batches, seconds), _rate(was.calls, status.calls, seconds),
        f"{(status.batch_seconds - was.batch_seconds) / seconds:.2f}" if seconds > 0 else "-", status.errors,
        sum(s.handles for s in sessions), f"{status.resident_bytes / _MIB:.0f}", "draining" if status.draining else "",
    )]  # fmt: skip
    known = {session.name: session for session in was.sessions}
    for session in sorted(sessions, key=lambda session: -session.held_bytes):
        lines.append(_session_line(known.get(session.name, session), session, seconds))
    return lines


def _session_line(was: Any, session: Any, seconds: float) -> str:
    age = f"batch runs for {session.running_seconds:.1f} s" if session.running_seconds >= 1 else ""
    return _SESSION.format(
        session.name, "", "", int(session.running_seconds > 0), session.unanswered_batches,
        _rate(was.batches, session.batches, seconds), _rate(was.calls, session.calls, seconds), "", "", session.handles,
        f"{session.held_bytes / _MIB:.1f}", age if session.has_client else "no client",
    )  # fmt: skip


def _rate(before: int, now: int, seconds: float) -> str:
    return f"{(now - before) / seconds:.1f}" if seconds > 0 else "-"


def _look(address: str, seconds: float, credentials: Credentials) -> Look:
    try:
        reply = ask(address, "/gradwire.v1.Admin/Status", b"", seconds, credentials)
    except GradwireError as error:
        return Look(address, time.monotonic(), None, str(error).splitlines()[0])
    return Look(address, time.monotonic(), admin_pb2.WorkerStatusReply.FromString(reply))


def _as_json(looks: Sequence[Look]) -> str:
    return json.dumps([
        {"address": look.address, **({"error": look.reason} if look.status is None else _fields(look.status))} for look in looks
    ])  # fmt: skip


def _fields(status: Any) -> Any:
    return MessageToDict(status, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gradwire top", description="Watch workers until Ctrl-C.")
    parser.add_argument("addresses", nargs="*", default=["127.0.0.1:7471"], help="HOST:PORT or unix:PATH")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between looks")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to wait for a worker's answer")
    parser.add_argument("--once", action="store_true", help="print one table, of two looks, and end")
    parser.add_argument("--json", action="store_true", help="print each look as a line of JSON; counts, no rates")
    add_credential_flags(parser)
    return parser


def _watch(given: argparse.Namespace, credentials: Credentials) -> int:
    """Look and print until there is no more to print; return 1 if the last look missed a worker."""
    before: list[Look] | None = None
    while True:
        now = [_look(address, given.seconds, credentials) for address in given.addresses]
        if given.json:
            print(_as_json(now), flush=True)
        elif before is not None:
            columns, rows = shutil.get_terminal_size()
            table = frame(before, now)
            if not given.once:
                table = _HOME_AND_CLEAR + "\n".join(line[:columns] for line in table.splitlines()[: rows - 1])
            print(table, flush=True)
        if given.once and (given.json or before is not None):
            return int(any(look.status is None for look in now))
        before = now
        time.sleep(given.interval)


def run_top(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    given = _parser().parse_args(arguments)
    try:
        export_credentials(given)
        return _watch(given, Credentials.given())
    except KeyboardInterrupt:
        return 0
    except (OSError, ValueError) as error:
        print(f"gradwire top: {error}", file=sys.stderr)
        return 1
