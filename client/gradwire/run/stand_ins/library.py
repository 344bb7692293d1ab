"""`torch.library`: what describes ops of a compiled library to compilers is accepted; making ops is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

__all__ = ["Library", "custom_op", "define", "impl", "register_autograd", "register_fake", "register_kernel"]

F = TypeVar("F", bound=Callable[..., Any])


def register_fake(op: str, func: Any = None, /, *, lib: Any = None, allow_override: bool = False) -> Any:
    """Return the function, or a decorator that does: only a compiler asks for an op's shapes without its values."""

    def register(function: F) -> F:
        return function

    if lib is not None:
        _refuse()
    return register if func is None else register(func)


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise NotImplementedError."""
    raise NotImplementedError(
        "torch.library registers ops with PyTorch's C++ dispatcher, which gradwire does not have; write a function of tensors, "
        "or an autograd.Function where it needs its own gradient"
    )


class Library:
    """Ops in a namespace: refused when made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse()


custom_op = define = impl = register_autograd = register_kernel = _refuse
