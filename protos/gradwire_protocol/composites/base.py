"""What every composite builds on: the one required method, and the plain argument forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import Op

__all__ = ["Callable_", "Number", "ints", "is_operand", "sizes"]

Number = bool | int | float | complex


def ints(values: Sequence[int] | int | None) -> tuple[int, ...] | None:
    """Return an `int[]` argument as a tuple; a single int stands for one, None for absent."""
    if values is None or type(values) is tuple:
        return values
    return (values,) if isinstance(values, int) else tuple(values)


def is_operand(value: object) -> bool:
    """Return whether a tensor may be compared with `value`: tensors and numbers, numpy's included."""
    return isinstance(value, Callable_ | bool | int | float | complex) or hasattr(value, "item")


def sizes(values: tuple[Any, ...]) -> tuple[int, ...]:
    """Return the sizes given as `f(2, 3)` or `f((2, 3))`."""
    if len(values) == 1 and isinstance(values[0], list | tuple):
        return tuple(values[0])
    return values


class Callable_:
    """The contract of an implementor: metadata, and one method that runs a call."""

    __slots__ = ()

    meta: Meta

    def _call(
        self,
        op: Op,
        tensors: tuple[Any, ...],
        statics: tuple[Any, ...] = (),
        scalars: tuple[Any, ...] = (),
        lengths: tuple[int, ...] = (),
    ) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must implement _call")
