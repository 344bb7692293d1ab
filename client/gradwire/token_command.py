"""`gradwire token new`: make a token, and the lines that a worker's tokens file needs to let it in."""

from __future__ import annotations

import argparse
import datetime
import secrets
import sys
from collections.abc import Sequence

from gradwire_protocol.access import TENANT_NAME, TOKEN_ROLES, new_token_text, token_digest

__all__ = ["token"]

_BYTES = 32


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gradwire token new",
        description="Print a new token to standard error, once, and its entry of a tokens file to standard output.",
        epilog="As: gradwire token new --tenant vision --days 90 >> tokens.toml; chmod 600 tokens.toml",
    )
    parser.add_argument("--tenant", required=True, help="whose it is: sessions are shared by nobody else")
    parser.add_argument("--role", choices=tuple(TOKEN_ROLES), default="run", help="what it is good for")
    parser.add_argument("--days", type=float, help="how long it is good; else until its entry is removed")
    return parser


def token(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    parser = _parser()
    if list(arguments[:1]) != ["new"]:
        parser.print_usage(sys.stderr)
        return 2
    given = parser.parse_args(arguments[1:])
    if not TENANT_NAME.fullmatch(given.tenant):
        parser.error(f"a tenant's name has up to 64 letters, digits, dots and dashes; got {given.tenant!r}")
    if given.days is not None and not 0 < given.days < 36_500:
        parser.error(f"--days is a number above 0 and below 36,500; got {given.days}")
    made = new_token_text(secrets.token_urlsafe(_BYTES))
    print(f"the token, which is not shown again and stands in no file: {made}", file=sys.stderr)
    print(entry(made, given.tenant, given.role, given.days))
    return 0


def entry(made: str, tenant: str, role: str, days: float | None) -> str:
    """Return the lines of a tokens file for a token."""
    lines = [f'sha256 = "{token_digest(made).hex()}"', f'tenant = "{tenant}"', f'role = "{role}"']
    if days is not None:
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        lines.append(f"expires = {expires.strftime('%Y-%m-%dT%H:%M:%SZ')}")
    return "\n".join(["[[token]]", *lines, ""])
