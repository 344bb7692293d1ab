"""Certificates for tests: an authority, and what it and a stranger issue."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme

__all__ = ["Authority", "Pair"]


@dataclass(frozen=True)
class Pair:
    """The files of a certificate and its key."""

    certificate: str
    key: str

    def as_flags(self) -> list[str]:
        """Return the worker's flags."""
        return ["--tls-certificate", self.certificate, "--tls-key", self.key]

    def as_arguments(self) -> dict[str, str]:
        """Return the client's arguments."""
        return {"tls_certificate": self.certificate, "tls_key": self.key}


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name, self._authority = folder, name, trustme.CA()
        self.file = str(folder / f"{name}.pem")
        self._authority.cert_pem.write_to_path(self.file)

    def issue(self, *identities: str, name: str, expired: bool = False) -> Pair:
        """Write a certificate for these identities."""
        ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        start = ago - datetime.timedelta(days=30)
        dates = {"not_before": start, "not_after": ago} if expired else {}
        issued = self._authority.issue_cert(*identities, **dates)
        pair = Pair(str(self._folder / f"{name}.crt"), str(self._folder / f"{name}.key"))
        Path(pair.certificate).write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        Path(pair.key).write_bytes(issued.private_key_pem.bytes())
        return pair
