"""The flags of gradwire's commands that say how to come in, as `connect`'s arguments do."""

from __future__ import annotations

import argparse
import os

__all__ = ["add_credential_flags", "export_credentials"]

_FLAGS = {
    "tls_ca": "PEM certificate of the authority that signed the worker's; turns TLS on",
    "tls_certificate": "the client's own PEM certificate, for a worker that asks for one",
    "tls_key": "its private key",
}


def add_credential_flags(parser: argparse.ArgumentParser) -> None:
    """Add --tls-ca, --tls-certificate, --tls-key and --token-file."""
    group = parser.add_argument_group("credentials", "what is left out comes from GRADWIRE_TLS_CA, ..., GRADWIRE_TOKEN")
    for name, meaning in _FLAGS.items():
        group.add_argument(f"--{name.replace('_', '-')}", metavar="FILE", help=meaning)
    # Not the token itself: the arguments of a process can be read by all users of the machine.
    group.add_argument("--token-file", metavar="FILE", help="a file that holds the token")


def export_credentials(given: argparse.Namespace) -> None:
    """Put what the flags say into the environment, where `connect` and processes that a script starts look for it.

    Raises OSError for a token file that cannot be read.
    """
    for name in _FLAGS:
        path = getattr(given, name)
        if path is not None:
            os.environ[f"GRADWIRE_{name.upper()}"] = path
    if given.token_file is not None:
        with open(given.token_file, encoding="ascii") as file:
            os.environ["GRADWIRE_TOKEN"] = file.read().strip()
