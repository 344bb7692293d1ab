"""How a client shows who it is, and checks who answers: a bearer token, and TLS with or without a certificate of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from gradwire_protocol.addresses import is_local
from gradwire_protocol.errors import WorkerUnreachable

__all__ = ["NOTHING", "Credentials", "why_closed", "why_refused"]

Options = Sequence[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client presents. The files are read when a channel is made, so renewed ones are used from then on."""

    token: str = field(default="", repr=False)
    tls_ca: str = ""
    tls_certificate: str = ""
    tls_key: str = ""

    def __post_init__(self) -> None:
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError(
                "a client's certificate needs its key and the other way round; give both of tls_certificate "
                "(GRADWIRE_TLS_CERTIFICATE) and tls_key (GRADWIRE_TLS_KEY)"
            )
        if self.tls_certificate and not self.tls_ca:
            raise ValueError(
                "a client's certificate is for TLS, which needs the certificate that workers are checked by; give tls_ca "
                "(GRADWIRE_TLS_CA)"
            )
        if not self.token.isascii() or not self.token.isprintable():
            raise ValueError(
                "a token is one line of printable ASCII; this one is not: was it copied with its line's end?"
            )

    @classmethod
    def given(
        cls,
        token: str | None = None,
        tls_ca: str | None = None,
        tls_certificate: str | None = None,
        tls_key: str | None = None,
    ) -> Credentials:
        """Return what is given, and from GRADWIRE_TOKEN, GRADWIRE_TLS_CA, ..._CERTIFICATE and ..._KEY what is not."""
        chosen = {"TOKEN": token, "TLS_CA": tls_ca, "TLS_CERTIFICATE": tls_certificate, "TLS_KEY": tls_key}
        values = [os.environ.get(f"GRADWIRE_{name}", "") if value is None else value for name, value in chosen.items()]
        return cls(*values)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what goes with each call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def channel(self, target: str, options: Options) -> grpc.Channel:
        """Return a channel to a target, by TLS where there is something to check the worker by."""
        if not self.tls_ca:
            if self.token and not is_local(target):
                raise WorkerUnreachable(
                    f"a token goes to another machine by TLS only; {target} was to be reached without. Give tls_ca "
                    "(GRADWIRE_TLS_CA), the certificate that the worker is checked by"
                )
            return grpc.insecure_channel(target, options=options)
        certificate, key = (_read(path) if path else None for path in (self.tls_certificate, self.tls_key))
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(_read(self.tls_ca), key, certificate), options)


NOTHING = Credentials()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise WorkerUnreachable(f"TLS needs its files to be readable; {path} is not: {error.strerror}") from None


# What gRPC's C core says in the end of a failed connection, and what that means here. In order: the first that fits.
_REASONS = (
    (
        "certificate has expired",
        "the worker's certificate has expired; renew it (a running worker takes the new files by itself)",
    ),
    ("certificate is not yet valid", "the worker's certificate is not yet valid; compare the clocks of both machines"),
    (
        "Hostname Verification",
        "the worker's certificate is for another name; connect by a name or address that it has, or issue it for this one",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "the worker's certificate was not signed by tls_ca (GRADWIRE_TLS_CA); give the certificate of the authority that did",
    ),
    ("WRONG_VERSION_NUMBER", "the server speaks no TLS; start the worker with --tls-certificate and --tls-key"),
)
_REFUSED = {
    "tls with certificate": "the worker refuses the client's certificate; its --tls-client-ca must have signed it",
    "tls": "the worker closed the connection; does it ask for a client's certificate (--tls-client-ca)? Give tls_certificate "
    "and tls_key (GRADWIRE_TLS_CERTIFICATE, GRADWIRE_TLS_KEY)",
    "plain": "the server closed the connection; does it want TLS? Give tls_ca (GRADWIRE_TLS_CA), the certificate that the "
    "worker is checked by",
}


def why_refused(details: str) -> str:
    """Return what the end of a failed connection means and what to do, or an empty text where it says nothing."""
    return next((meaning for words, meaning in _REASONS if words in details), "")


def why_closed(details: str, credentials: Credentials) -> str:
    """Return what a connection that was ended without a word may mean, or an empty text for one that was not."""
    # A server that refuses plain text or a certificate ends the connection so; so does a connection that breaks.
    if "Socket closed" in details or "Connection reset" in details:
        kind = "plain" if not credentials.tls_ca else "tls with certificate" if credentials.tls_certificate else "tls"
        return _REFUSED[kind]
    return ""
