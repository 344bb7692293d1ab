"""What single instructions of a program do: take arguments out of slots, call, and put results where they belong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from gradwire_server.programs.values import Value

__all__ = ["Instruction", "Slots", "drop", "into", "into_new", "new_output", "on_block", "taker"]

Slots = list[Any]
Instruction = Callable[[], None]

# References to an output that only this program's list of outputs holds: the list's and getrefcount's argument.
_ONLY_HERE = 2


def taker(arguments: Sequence[Any]) -> Callable[[Slots], Sequence[Any]]:
    """Return what takes the arguments of a call out of the slots; a tuple among them is a tensor list."""
    if any(isinstance(argument, tuple) for argument in arguments):
        takers = [
            (lambda slots, inner=argument: tuple([slots[index] for index in inner]))
            if isinstance(argument, tuple) else itemgetter(argument) for argument in arguments
        ]  # fmt: skip
        return lambda slots: [take(slots) for take in takers]
    if len(arguments) == 1:
        only = arguments[0]
        return lambda slots: (slots[only],)
    return itemgetter(*arguments)


def into(function: Callable[..., Any], take: Callable[[Slots], Sequence[Any]], slots: Slots) -> Instruction:
    """Call a function that writes where it was told, or into its arguments."""

    def run() -> None:
        function(*take(slots))

    return run


def into_new(
    function: Callable[..., Any], take: Callable[[Slots], Sequence[Any]], slots: Slots, new: Callable[[], Any]
) -> Instruction:
    """Write into memory that leaves the program: what an earlier run gave and nobody holds any more, or new memory."""

    def run() -> None:
        function(*take(slots), out=new())

    return run


def new_output(slots: Slots, slot: int, recycled: list[Any], output: Value, xp: Any) -> Callable[[], Any]:
    """Return what puts memory for an output into its slot."""
    shape, dtype = output.meta.shape, output.meta.dtype.numpy

    def new() -> Any:
        for array in recycled:
            if sys.getrefcount(array) == _ONLY_HERE + 1:
                break
        else:
            array = xp.empty(shape, dtype)
            recycled.append(array)
            if len(recycled) > 2:
                del recycled[0]
        slots[slot] = array
        return array

    return new


def on_block(
    function: Callable[..., Any], take: Callable[[Slots], Sequence[Any]], slots: Slots, out: int
) -> Callable[[], None]:
    """Call a function on parts of arrays."""

    def run() -> None:
        function(*take(slots), out=slots[out])

    return run


def drop(slots: Slots, indices: Sequence[int]) -> None:
    """Forget what slots hold."""
    for index in indices:
        slots[index] = None
