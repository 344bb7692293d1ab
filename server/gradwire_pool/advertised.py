"""By what name others reach the workers of a node: `--advertise`, a host's name with places for what differs from node to node."""

from __future__ import annotations

import re
import socket

__all__ = ["check_name", "name_of"]

# A host's name, of letters, digits, hyphens and dots.
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")


def check_name(template: str) -> None:
    """Raise ValueError for what cannot become a host's name. An empty text asks for none."""
    if template and not _NAME.fullmatch(_filled(template, "0-0-0-0", "host")):
        raise ValueError(
            "--advertise is a host's name without a port; {ip} in it stands for the worker's address with dashes for dots, and "
            f"{{hostname}} for its node's name; got {template!r}"
        )


def name_of(template: str, host: str) -> str:
    """Return the name of this node, whose workers listen at `host`; that itself where no name is asked for."""
    if not template:
        return host
    address = str(socket.getaddrinfo(host.strip("[]"), None)[0][4][0])
    return _filled(template, re.sub("[.:]", "-", address), socket.gethostname())


def _filled(template: str, address: str, hostname: str) -> str:
    return template.replace("{ip}", address).replace("{hostname}", hostname)
