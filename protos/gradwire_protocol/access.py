"""Who may call which method: the roles that `access.proto` lets methods declare, and what a token is."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from google.protobuf import descriptor_pool

from gradwire_protocol.v1 import access_pb2

__all__ = [
    "ANYONE",
    "SECRET",
    "TENANT_NAME",
    "TOKEN_ROLES",
    "bearer_token",
    "declared_roles",
    "may",
    "new_token_text",
    "token_digest",
]

ANYONE, SECRET = "anyone", "secret"

# A token's role, and the methods' roles that it is good for.
TOKEN_ROLES = {"run": {"run"}, "metrics": {"metrics"}, "admin": {"run", "metrics", "admin"}}

TENANT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

# Of services whose .proto is not ours. Kubernetes' probes bring no token; `List` names what a server has, and nobody needs it.
_FOREIGN = {"grpc.health.v1.Health": {"Check": ANYONE, "Watch": ANYONE, "List": "metrics"}}

# So that it is recognised where it must not be: in a log, in a repository.
_PREFIX = "gw_"
_BEARER = re.compile(r"[Bb]earer ([\x21-\x7e]{1,512})")


def declared_roles(service: str) -> dict[str, str]:
    """Return the role of each method of a service, by its path: {"/package.Service/Method": "run"}.

    Raises ValueError if a method has none: it would be denied at its first use, which is too late to find out.
    """
    descriptor: Any = descriptor_pool.Default().FindServiceByName(service)
    roles = {method.name: _role(service, method) for method in descriptor.methods}
    undeclared = sorted(name for name, role in roles.items() if not role)
    if undeclared:
        raise ValueError(
            f"every method must declare who may call it; {service} has none for {', '.join(undeclared)}: add "
            "`option (role) = ROLE_...;` in its .proto"
        )
    return {f"/{service}/{name}": role for name, role in roles.items()}


def _role(service: str, method: Any) -> str:
    if service in _FOREIGN:
        return _FOREIGN[service].get(method.name, "")
    number = method.GetOptions().Extensions[access_pb2.role]
    return access_pb2.Role.Name(number).removeprefix("ROLE_").lower() if number else ""


def may(token_role: str, method_role: str) -> bool:
    """Return whether a token of a role may call a method of a role."""
    return method_role in (ANYONE, SECRET) or method_role in TOKEN_ROLES[token_role]


def new_token_text(random: str) -> str:
    """Return a token of random text."""
    return _PREFIX + random


def token_digest(token: str) -> bytes:
    """Return what a tokens file keeps of a token. Tokens are random, 256 bits, so one round of SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


def bearer_token(metadata: Any) -> str:
    """Return the token of a call's metadata; an empty text where there is none, or not exactly one."""
    found = [value for key, value in metadata or () if key == "authorization"]
    match = _BEARER.fullmatch(found[0]) if len(found) == 1 and isinstance(found[0], str) else None
    return match[1] if match else ""
