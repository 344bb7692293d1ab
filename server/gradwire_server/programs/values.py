"""What a traced program is made of: steps, each one kernel call, over values."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.signature import Signature

__all__ = ["Step", "Trace", "Value", "values_in"]


class Value:
    """What a step makes or reads. A view shows the memory of `viewed`.

    `constant` holds the elements of a value that is the same in every run.
    """

    __slots__ = ("constant", "meta", "number", "viewed")

    def __init__(self, number: int, meta: Meta, viewed: Value | None = None, constant: Any = None) -> None:
        """Number a value; `viewed` is given for a view."""
        self.number = number
        self.meta = meta
        self.viewed = viewed
        self.constant = constant

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the sizes."""
        return self.meta.shape

    def __repr__(self) -> str:
        return f"%{self.number}: {self.meta}"


@dataclass(slots=True, eq=False)
class Step:
    """One kernel call. `numbers` are constants or `Varying`; `origin` is the program's call that it comes from."""

    signature: Signature
    inputs: tuple[Value | None, ...]
    numbers: tuple[Any, ...]
    outputs: tuple[Value, ...]
    origin: int = 0

    @property
    def written(self) -> Iterator[Value]:
        """Return the values that the call writes to."""
        for index in self.signature.written:
            value = self.inputs[index]
            if value is not None:
                yield value


@dataclass
class Trace:
    """Steps in order, over `inputs`; what remains in `outputs` is the result. `kinds` are those of the varying numbers.

    The last `saved` outputs are for the backward trace: nobody else gets them, so they may share memory.
    """

    inputs: list[Value]
    outputs: list[Value]
    kinds: tuple[type, ...]
    steps: list[Step] = field(default_factory=list)
    saved: int = 0

    def root(self, value: Value) -> Value:
        """Return the value whose memory another shows. An input is its own root, whatever it is elsewhere."""
        while value.viewed is not None and value not in self._given:
            value = value.viewed
        return value

    @functools.cached_property
    def _given(self) -> frozenset[Value]:
        return frozenset(self.inputs)


def values_in(steps: Sequence[Step]) -> Iterator[Value]:
    """Return every value that steps read or make, as often as they do."""
    for step in steps:
        yield from (value for value in step.inputs if value is not None)
        yield from step.outputs
