"""`torch.fx`: its marks are accepted, and its classes named for annotations; recording programs is refused."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

from gradwire.nn.module import Module

__all__ = [
    "Argument", "Graph", "GraphModule", "Interpreter", "Node", "Proxy", "Target", "Tracer", "Transformer", "replace_pattern",
    "symbolic_trace", "wrap",
]  # fmt: skip

F = TypeVar("F")
Argument = Target = Any

_USER_PRESERVED_ATTRIBUTES_KEY = "_user_preserved_attributes"


def wrap(fn_or_name: F) -> F:
    """Return it: a mark for a recorder, that a function is not to be looked into."""
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    return fn_or_name


def symbolic_trace(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise NotImplementedError."""
    raise NotImplementedError(
        "torch.fx records a module's program by calling it with proxies for tensors, which gradwire does not have; use hooks "
        "(register_forward_hook) to get at what a module computes inside"
    )


replace_pattern = _copy_attr = symbolic_trace


class _Refused:
    """A class that is named in annotations and derived from; making an object of it is refused."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        symbolic_trace()


class Node(_Refused):
    """A call in a recorded program."""


class Graph(_Refused):
    """A recorded program."""


class Proxy(_Refused):
    """What stands for a tensor while a program is recorded."""


class Tracer(_Refused):
    """What records."""


class Interpreter(_Refused):
    """Runs a recorded program call by call."""


class Transformer(Interpreter):
    """Rewrites a recorded program."""


class GraphModule(Module):
    """A module that runs a recorded program."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Raise NotImplementedError."""
        symbolic_trace()


class _CodeOnlyModule(Module):
    """What a GraphModule is read from."""
