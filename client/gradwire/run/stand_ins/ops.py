"""`torch.ops`: ops that a package brings as a compiled library. It is linked to PyTorch, so it cannot be loaded here."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["load_library"]


def load_library(path: str) -> NoReturn:
    """Raise OSError, by which packages know that their own ops are not there."""
    raise OSError(f"{path} is linked to PyTorch's C++ code; gradwire has none, so its ops are not there")


class _Namespace:
    """The ops of one library: none."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, op: str) -> NoReturn:
        raise AttributeError(
            f"'_OpNamespace' '{self._name}' object has no attribute '{op}': it is an op of PyTorch's C++ code, or of a library "
            "that is linked to it; gradwire has neither"
        )


def __getattr__(name: str) -> Any:
    """Return the namespace of a library; it is asked for what it has before its absence matters."""
    if name.startswith("_"):
        raise AttributeError(f"module 'torch.ops' has no attribute '{name}'")
    return _Namespace(name)
