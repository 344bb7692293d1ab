"""The package's name in texts: `gradwire.float32`, and `torch.float32` in a script that knows it by that name."""

from __future__ import annotations

__all__ = ["qualified", "show_as"]

_package = "gradwire"


def show_as(package: str) -> None:
    """Let texts name the package so, in this process, from now on."""
    global _package
    _package = package


def qualified(name: str) -> str:
    """Return a name of the package's as texts show it."""
    return f"{_package}.{name}"
