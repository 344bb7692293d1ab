"""Runs of pointwise steps as one: evaluated block by block, so that what lies between two steps stays in cache.

A run is cut out of the plan where consecutive pointwise steps have one shape. Seen as a matrix of rows, each operand is the
whole matrix, one row (a bias), one column (a mean), or a number; a block is some rows. Values that only the run itself reads
have no memory but a block's scratch. Every element goes through the same kernels as without fusion, so the bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gradwire_protocol.dtypes import DType
from gradwire_protocol.meta import Meta
from gradwire_protocol.program import Varying
from gradwire_server.programs.values import Step, Value

__all__ = ["LEAST", "Fusion", "Layout", "fuse", "kind_of"]

# Elements of a block. Measured best of 8,192 to 65,536: its arrays stay in a second-level cache, and calls cost little.
_BLOCK = 32_768
# Below this many elements a result stays in cache anyway.
LEAST = 4 * _BLOCK

WHOLE, ROW, COLUMN, NUMBER = "whole", "row", "column", "number"


@dataclass(frozen=True, slots=True)
class Layout:
    """The matrix that a fusion's elements are seen as."""

    rows: int
    columns: int

    @property
    def block_rows(self) -> int:
        """Return the rows of a block."""
        return max(min(_BLOCK // max(self.columns, 1), self.rows), 1)


@dataclass(slots=True, eq=False)
class Fusion:
    """Pointwise steps that run together. `inputs` come from outside, `outputs` are read outside, `inner` only here."""

    steps: list[Step]
    layout: Layout
    inputs: tuple[Value, ...] = ()
    outputs: tuple[Value, ...] = ()
    inner: dict[Value, int] = field(default_factory=dict)  # to the number of its scratch array
    scratch: list[DType] = field(default_factory=list)

    def kind(self, meta: Meta) -> str:
        """Return how an operand lies in the matrix."""
        kind = kind_of(meta, self.steps[0].outputs[0].meta)
        assert kind is not None
        return kind


def kind_of(meta: Meta, like: Meta) -> str | None:
    """Return how an operand lies in the matrix of results `like`; None where it does not."""
    if not meta.is_contiguous:
        return None
    if meta.shape == like.shape:
        return WHOLE
    if meta.numel == 1:
        return NUMBER
    if meta.shape == like.shape[-1:]:
        return ROW
    return COLUMN if meta.shape == (*like.shape[:-1], 1) else None


def _fits(step: Step, like: Meta) -> bool:
    return all(value is not None and kind_of(value.meta, like) is not None for value in step.inputs) and not any(
        isinstance(number, Varying) for number in step.numbers
    )


def fuse(
    steps: Sequence[Step], can_fuse: Callable[[Step], bool], escaping: set[Value], least: int = LEAST
) -> list[Step | Fusion]:
    """Return steps with runs of pointwise ones, of `least` elements or more, as fusions.

    `escaping` values are read by others than `steps`.
    """
    made: list[Step | Fusion] = []
    run: list[Step] = []
    for step in steps:
        meta = step.outputs[0].meta if len(step.outputs) == 1 else None
        fits = meta is not None and meta.numel >= least and can_fuse(step) and _fits(step, meta)
        if fits and run and run[0].outputs[0].meta.shape != step.outputs[0].meta.shape:
            _close(run, made)
        if fits:
            run.append(step)
        else:
            _close(run, made)
            made.append(step)
    _close(run, made)
    _connect(made, escaping)
    return made


def _close(run: list[Step], made: list[Step | Fusion]) -> None:
    """End a run; a single step is no fusion."""
    if len(run) > 1:
        shape = run[0].outputs[0].meta.shape
        columns = shape[-1] if shape else 1
        made.append(Fusion(list(run), Layout(run[0].outputs[0].meta.numel // max(columns, 1), columns)))
    else:
        made.extend(run)
    run.clear()


def _connect(made: Sequence[Step | Fusion], escaping: set[Value]) -> None:
    """Find what each fusion takes from and gives to the others, and give the rest scratch memory."""
    readers: dict[Value, set[int]] = {}
    for number, item in enumerate(made):
        for step in item.steps if isinstance(item, Fusion) else [item]:
            for value in step.inputs:
                while value is not None:
                    readers.setdefault(value, set()).add(number)
                    value = value.viewed
    for number, item in enumerate(made):
        if isinstance(item, Fusion):
            results = [step.outputs[0] for step in item.steps]
            known = set(results)
            item.outputs = tuple(v for v in results if v in escaping or readers.get(v, set()) - {number})
            taken = dict.fromkeys(v for step in item.steps for v in step.inputs if v is not None and v not in known)
            item.inputs = tuple(taken)
            _give_scratch(item)


def _give_scratch(item: Fusion) -> None:
    """Number scratch arrays for inner values, reusing one as soon as its value has been read for the last time."""
    last: dict[Value, Step] = {}
    for step in item.steps:
        for value in (*step.inputs, *step.outputs):
            if value is not None:
                last[value] = step
    free: dict[DType, list[int]] = {}
    outputs = set(item.outputs)
    for step in item.steps:
        for value in dict.fromkeys(step.inputs):
            if value in item.inner and last[value] is step:
                free.setdefault(value.meta.dtype, []).append(item.inner[value])
        (value,) = step.outputs
        if value in outputs:
            continue
        found = free.get(value.meta.dtype)
        if found:
            item.inner[value] = found.pop()
        else:
            item.scratch.append(value.meta.dtype)
            item.inner[value] = len(item.scratch) - 1
