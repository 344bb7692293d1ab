"""The worker's certificate, and whose clients' certificates it takes. Renewed files are used from the next connection on."""

from __future__ import annotations

import logging
import ssl
from typing import Any

import grpc

from gradwire_server.doors.reloaded import Reloaded

__all__ = ["server_credentials"]

log = logging.getLogger("gradwire.doors")


def server_credentials(certificate: str, key: str, client_ca: str = "") -> Any:
    """Return gRPC's credentials for a certificate chain and its key; with `client_ca`, only for clients that it signed.

    Raises ValueError for files that do not belong together or cannot be read.
    """
    paths = [certificate, key, *([client_ca] if client_ca else [])]
    loaded = Reloaded(paths, lambda: _load(certificate, key, client_ca))
    return grpc.dynamic_ssl_server_credentials(loaded.get(), loaded.get, require_client_authentication=bool(client_ca))


def _load(certificate: str, key: str, client_ca: str) -> Any:
    """Read and check the files; a pair that is half renewed would otherwise close the door to all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An encrypted key would have OpenSSL ask at the terminal for its password.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"--tls-certificate and --tls-key need a PEM chain and its unencrypted key; {certificate} and {key} are not: "
            f"{error}"
        ) from None
    if client_ca:
        try:
            context.load_verify_locations(client_ca)
        except OSError as error:
            raise ValueError(f"--tls-client-ca needs a PEM file of certificates; {client_ca} is not: {error}") from None
    return grpc.ssl_server_certificate_configuration(
        [(_read(key), _read(certificate))], root_certificates=_read(client_ca) if client_ca else None
    )


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
