"""A named set of booleans that a script may set; a name that is none of them is a mistake and raises."""

from __future__ import annotations

from typing import Any

__all__ = ["Switches"]


class Switches:
    """`Switches("torch.backends.cuda.matmul", allow_tf32=False)`."""

    def __init__(self, name: str, **initial: bool) -> None:
        self.__dict__.update(initial, _name=name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dict__ or name == "_name":
            raise AttributeError(f"gradwire has no {self._name}.{name}")
        if not isinstance(value, bool):
            raise RuntimeError(f"{self._name}.{name} must be a bool; got {type(value).__name__}")
        self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"gradwire has no {self.__dict__['_name']}.{name}")
