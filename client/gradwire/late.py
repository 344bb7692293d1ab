"""Names that a package imports at their first use (PEP 562): a script pays for what it uses, and no more."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Set
from importlib import import_module
from typing import Any

__all__ = ["late_names"]


def late_names(
    package: str, modules: Set[str], others: Mapping[str, Iterable[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package with these submodules, and with names of `others`, by module."""
    namespace = vars(sys.modules[package])
    attributes = {name: module for module, names in others.items() for name in names}

    def get(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")  # which also sets the attribute
        if name in attributes:
            found = namespace[name] = getattr(import_module(attributes[name]), name)
            return found
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted({*namespace, *modules, *attributes})

    return get, names
