"""Whole modules in a `.pt` file: the name of a class and its attributes, never code.

Loading one takes a class that this process has imported already, makes an object of it without calling anything of its, and
sets the attributes. So a file can name classes, but bring none.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from gradwire.pt_file.interpreter import Refused

if TYPE_CHECKING:
    from gradwire.pt_file.program import Program

__all__ = [
    "ALLOWED_BUILDERS", "BUILDERS", "add_safe_globals", "allowed", "clear_safe_globals", "get_safe_globals", "safe_globals",
    "write_function", "write_module",
]  # fmt: skip


def write_module(program: Program, module: Any) -> None:
    """Push a module: its class by name, its attributes by value."""
    if program.recall(id(module)):
        return
    program.write_global("gradwire", "module")
    program.write_tuple((type(module).__module__, type(module).__qualname__, dict(module.__dict__)))
    program.emit(b"R")
    program.remember(id(module), module)


def write_function(program: Program, function: types.FunctionType) -> bool:
    """Push a function of `nn.functional` by its name; return False for another, which a file cannot hold."""
    from gradwire.nn import functional

    if getattr(functional, function.__name__, None) is not function:
        return False
    program.write_global("gradwire", "function")
    program.write_tuple((function.__name__,))
    program.emit(b"R")
    return True


def _module(package: Any, name: Any, state: Any) -> Any:
    from gradwire.nn.module import Module

    found: Any = sys.modules.get(package) if isinstance(package, str) else None
    for part in name.split(".") if isinstance(name, str) else ():
        found = getattr(found, part, None)
    if not isinstance(found, type) or not issubclass(found, Module) or not isinstance(state, dict):
        raise Refused(
            f"its pickle has a module of class {package!r:.100}.{name!r:.100}, which this process has not imported"
        )
    made = object.__new__(found)
    made.__dict__.update(state)
    return made


def _function(name: Any) -> Any:
    from gradwire.nn import functional

    found = getattr(functional, name, None) if isinstance(name, str) and not name.startswith("_") else None
    if not isinstance(found, types.FunctionType):
        raise Refused(f"its pickle names {name!r:.100}, which is no function of torch.nn.functional")
    return found


BUILDERS: dict[str, Callable[..., Any]] = {"gradwire.module": _module, "gradwire.function": _function}

# Classes whose modules a load with weights_only takes, besides gradwire's own.
allowed: list[Any] = []


def _allowed_module(package: Any, name: Any, state: Any) -> Any:
    made = _module(package, name, state)
    if type(made) not in allowed and not type(made).__module__.startswith("gradwire."):
        raise Refused(f"it holds a module of class {package}.{name}, which add_safe_globals does not list")
    return made


ALLOWED_BUILDERS: dict[str, Callable[..., Any]] = {"gradwire.module": _allowed_module, "gradwire.function": _function}


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Let `load` with weights_only take modules of these classes; what else is listed changes nothing."""
    allowed.extend(safe_globals)


def get_safe_globals() -> list[Any]:
    """Return what was added."""
    return list(allowed)


def clear_safe_globals() -> None:
    """Forget what was added."""
    allowed.clear()


@contextlib.contextmanager
def safe_globals(safe_globals: list[Any]) -> Iterator[None]:
    """Add classes for the length of a block."""
    before = list(allowed)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        allowed[:] = before
