"""Addresses of workers: HOST:PORT or unix:PATH."""

from __future__ import annotations

import ipaddress

__all__ = ["is_local"]


def is_local(address: str) -> bool:
    """Return whether an address can only be reached from this machine: a Unix socket, or loopback."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
