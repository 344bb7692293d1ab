"""The one place where data utilities reach for tensors."""

from importlib import import_module
from typing import Any


def namespace() -> Any:
    """Return the `gradwire` package: late, since it imports this package while it loads itself."""
    return import_module("gradwire")
