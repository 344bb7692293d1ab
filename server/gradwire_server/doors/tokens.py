"""The tokens file: who may come in as which tenant, in which role, until when. It holds digests, so reading it lets nobody in.

    [[token]]
    sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
    tenant = "vision"
    role = "run"                       # run, metrics or admin
    expires = 2027-01-31T00:00:00Z     # may be left out

`gradwire token new` prints a token and its lines. A change counts within about a second, without a restart.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
import stat
import tomllib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gradwire_protocol.access import TENANT_NAME, TOKEN_ROLES, token_digest

__all__ = ["Grant", "Tokens", "parse_tokens", "read_tokens"]

log = logging.getLogger("gradwire.doors")

_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEYS = {"sha256", "tenant", "role", "expires"}


@dataclass(frozen=True, slots=True)
class Grant:
    """What one token is good for."""

    digest: bytes
    tenant: str
    role: str
    expires: float | None = None  # seconds since 1970

    def is_expired(self, now: float) -> bool:
        """Return whether its time is over."""
        return self.expires is not None and now >= self.expires


class Tokens:
    """All grants of a file."""

    def __init__(self, grants: tuple[Grant, ...]) -> None:
        """Hold these grants."""
        self.grants = grants

    def find(self, token: str) -> Grant | None:
        """Return the grant of a token, expired or not.

        Every grant is compared, each in a time that its content does not change: how long it takes tells nothing.
        """
        digest, found = token_digest(token), None
        for grant in self.grants:
            if hmac.compare_digest(grant.digest, digest):
                found = grant
        return found


def read_tokens(path: str) -> Tokens:
    """Read a tokens file; raise ValueError for one that must not be used."""
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--tokens needs a readable TOML file; {path} is not: {error}") from None
    if mode & 0o022:
        raise ValueError(
            f"a tokens file lets in whom it names, so only its owner may write it; {path} has mode {mode:o}; run: chmod "
            f"600 {path}"
        )
    if mode & 0o004:
        log.warning("all users of this machine can read the tokens file %s; run: chmod 600 %s", path, path)
    try:
        return parse_tokens(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse_tokens(text: str) -> Tokens:
    """Return the grants of a tokens file; raise ValueError, which names an entry by its number."""
    content = tomllib.loads(text)
    entries = content.pop("token", [])
    if content or not isinstance(entries, list):
        raise ValueError(
            f"a tokens file has [[token]] entries only; got {', '.join(sorted(content)) or 'another token'}"
        )
    grants = tuple(_grant(number, entry) for number, entry in enumerate(entries, 1))
    if len({grant.digest for grant in grants}) < len(grants):
        raise ValueError("each token stands in a tokens file once; one stands in it twice")
    return Tokens(grants)


def _grant(number: int, entry: dict[str, Any]) -> Grant:
    unknown = sorted(entry.keys() - _KEYS)
    if unknown:
        raise ValueError(f"token {number} may have {', '.join(sorted(_KEYS))}; got {', '.join(unknown)}")
    digest, tenant, role = (entry.get(key) for key in ("sha256", "tenant", "role"))
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError(
            f"token {number} needs sha256, 64 lower-case hexadecimal digits, as `gradwire token new` prints it"
        )
    if not isinstance(tenant, str) or not TENANT_NAME.fullmatch(tenant):
        raise ValueError(f"token {number} needs a tenant, up to 64 letters, digits, dots and dashes; got {tenant!r}")
    if role not in TOKEN_ROLES:
        raise ValueError(f"token {number} needs a role, one of {', '.join(TOKEN_ROLES)}; got {role!r}")
    return Grant(bytes.fromhex(digest), tenant, role, _expires(number, entry.get("expires")))


def _expires(number: int, expires: Any) -> float | None:
    if expires is None:
        return None
    if not isinstance(expires, datetime) or expires.tzinfo is None:
        raise ValueError(
            f"token {number} expires at a date and time with its zone, as 2027-01-31T00:00:00Z, unquoted; got {expires!s}"
        )
    return expires.timestamp()
