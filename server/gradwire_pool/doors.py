"""Who may come in to a pool: the doors of its workers, at its gateway, and the key by which the controller asks its workers.

Gateway and workers have the same tokens and certificates. Ray's own token is none of these, and no user ever has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from gradwire_protocol.addresses import is_local
from gradwire_server.doors.doorkeeper import Denied, Doorkeeper, open_doors
from gradwire_server.doors.tls import server_credentials

__all__ = ["Doors", "Guard"]


@dataclass(frozen=True, slots=True)
class Doors:
    """The files of a pool's doors; empty names for what it does without."""

    tokens: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""

    def check(self, listen: str) -> None:
        """Raise ValueError for doors under which a pool must not listen there."""
        if not is_local(listen) and not (self.tokens and self.tls_certificate):
            raise ValueError(
                f"a pool that listens beyond loopback needs TLS and tokens; got {listen} without both; give --tls-certificate, "
                "--tls-key and --tokens"
            )
        if bool(self.tls_certificate) != bool(self.tls_key) or (self.tls_client_ca and not self.tls_key):
            raise ValueError("TLS needs a certificate and its key; give both of --tls-certificate and --tls-key")

    def flags(self) -> tuple[str, ...]:
        """Return the flags that give a worker the same doors."""
        files = {
            "--tokens": self.tokens,
            "--tls-certificate": self.tls_certificate,
            "--tls-key": self.tls_key,
            "--tls-client-ca": self.tls_client_ca,
        }
        return tuple(word for flag, file in files.items() if file for word in (flag, file))

    def bind(self, server: Any, listen: str) -> int:
        """Bind a server's address; return the port. Raises OSError if it is taken."""
        try:
            if self.tls_certificate:
                own = server_credentials(self.tls_certificate, self.tls_key, self.tls_client_ca)
                port: int = server.add_secure_port(listen, own)
            else:
                port = server.add_insecure_port(listen)
        except RuntimeError as error:
            raise OSError(f"a gateway needs an address that is free; {listen} cannot be bound") from error
        return port

    def channel(self, address: str, options: Any) -> Any:
        """Return a channel to one of the pool's own workers, which health checks need no token for.

        By TLS, worker and controller show the same certificate; its own chain is what it is checked by.
        """
        if not self.tls_certificate:
            return grpc.aio.insecure_channel(address, options)
        with open(self.tls_certificate, "rb") as certificate, open(self.tls_key, "rb") as key:
            chain, secret = certificate.read(), key.read()
        shown = (secret, chain) if self.tls_client_ca else (None, None)
        return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(chain, *shown), options)


class Guard(grpc.aio.ServerInterceptor):
    """The doorkeeper of workers, at the gateway: every call is asked for its token, and a method without a role is nobody's."""

    def __init__(self, doors: Doors, service: str) -> None:
        """Read the tokens; raise ValueError for a file that cannot be used."""
        self._keeper: Doorkeeper = open_doors(doors.tokens)
        self._keeper.declare(service)

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Return the method's handler, or one that says why not."""
        try:
            self._keeper.admit(handler_call_details.method, handler_call_details.invocation_metadata)
        except Denied as denied:
            return _denying(denied)
        return await continuation(handler_call_details)


def _denying(denied: Denied) -> Any:
    async def deny(request: Any, context: Any) -> None:
        await context.abort(denied.code, str(denied))

    return grpc.unary_unary_rpc_method_handler(deny)
