"""`torch._assert` and `torch._check`: what code that may be compiled says in place of `assert`. Here they are one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradwire_protocol.tape import Variable

__all__ = ["_assert", "_check", "_check_index", "_check_type", "_check_value"]

_A_TENSOR = "a Tensor. For tensor conditions, use torch._check_tensor_all() to assert that all elements are true."


def _assert(condition: Any, message: str) -> None:
    """Raise AssertionError with the message unless the condition holds; waits where it is a tensor."""
    assert condition, message


def _fail_unless(kind: type[Exception], cond: Any, message: Callable[[], Any] | None) -> None:
    if not isinstance(cond, bool):
        raise TypeError(f"cond must be a bool, but got {_A_TENSOR if isinstance(cond, Variable) else type(cond)}")
    if not cond:
        raise kind("Expected cond to be True, but got False" if message is None else str(message()))


def _check(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """Raise RuntimeError, with what `message()` returns, unless the bool `cond` is True."""
    _fail_unless(RuntimeError, cond, message)


def _check_index(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """Raise IndexError unless the bool `cond` is True."""
    _fail_unless(IndexError, cond, message)


def _check_type(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """Raise TypeError unless the bool `cond` is True."""
    _fail_unless(TypeError, cond, message)


def _check_value(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """Raise ValueError unless the bool `cond` is True."""
    _fail_unless(ValueError, cond, message)
