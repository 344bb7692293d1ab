"""Making the steps that a pass puts in place of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.signature import resolve
from gradwire_server.programs.flow import Flow, Place
from gradwire_server.programs.values import Step, Trace, Value, values_in

__all__ = ["Writer"]


class Writer:
    """Collects new steps in `steps`.

    `lying` says where values lie that a `Flow` does not know yet; `stacked`, where a stack made of values holds a copy.
    """

    def __init__(self, trace: Trace) -> None:
        """Number new values after those that there are."""
        self.steps: list[Step] = []
        self.lying: dict[Value, Place | None] = {}
        self.stacked: dict[Value, Place] = {}
        self._count = 1 + max(value.number for value in (*trace.inputs, *values_in(trace.steps)))

    def taken(self) -> list[Step]:
        """Return the steps collected so far, and begin anew."""
        made, self.steps = self.steps, []
        return made

    def call(
        self, name: str, like: Step, tensors: Sequence[Value | None], statics: tuple[Any, ...] = (),
        numbers: tuple[Any, ...] = (), lengths: tuple[int, ...] = (), outputs: Sequence[Value | None] | None = None,
    ) -> tuple[Value, ...]:  # fmt: skip
        """Add a call of an op, made where the program's call of `like` was; `outputs` are values that it shall make."""
        op = OPS[name]
        metas = tuple([None if value is None else value.meta for value in tensors])
        kinds = tuple(map(type, numbers))
        signature = resolve(op, metas, statics, kinds, lengths, 0, like.signature.default)
        made = []
        viewed = tensors[0] if op.is_view else None
        for meta, value in zip(signature.outputs, outputs or [None] * len(signature.outputs), strict=True):
            made.append(self._new(meta) if value is None else value)
            assert made[-1].meta is meta
            made[-1].viewed = viewed
        self.steps.append(Step(signature, tuple(tensors), numbers, tuple(made), like.origin))
        return tuple(made)

    def _new(self, meta: Meta) -> Value:
        self._count += 1
        return Value(self._count - 1, meta)

    def view(self, like: Step, place: Place, meta: Meta, output: Value | None = None) -> Value:
        """Show a part of a value."""
        statics = (meta.shape, meta.strides, place.offset)
        return self.call("as_strided", like, (place.root,), statics, outputs=(output,))[0]

    def part(self, like: Step, place: Place, value: Value, flow: Flow) -> None:
        """Let an existing value be a part of another; a copy of it where somebody gets it."""
        if value in flow.handed_out:
            self.call("clone", like, (self.view(like, place, value.meta),), outputs=(value,))
        else:
            self.view(like, place, value.meta, value)

    def row(self, like: Step, value: Value, flow: Flow) -> Value:
        """Return a value with an axis before the others."""
        (made,) = self.call("unsqueeze", like, (value,), (0,))
        self.lying[made] = flow.place(value)
        return made

    def zeros(self, like: Step, meta: Meta) -> Value:
        """Make zeros."""
        return self.call("full", like, (), (meta.shape, meta.dtype), (0,))[0]

    def total(self, like: Step, values: Sequence[Value], output: Value | None = None) -> Value:
        """Add values from the left; `output` is the value that two or more of them shall make."""
        made = values[0]
        for number, value in enumerate(values[1:], 2):
            wanted = output if number == len(values) else None
            (made,) = self.call("add.Tensor", like, (made, value), (), (1,), outputs=(wanted,))
        return made

    def rows(self, like: Step, parts: Sequence[Value], flow: Flow) -> Value:
        """Return values one below the other: a view where they lie so, else a stack."""
        if len(parts) == 1:
            return parts[0]
        lying = [self.lying.get(value) or flow.place(value) for value in parts]
        for places in (lying, [self.stacked.get(value) for value in parts]):
            found = _block(parts, places)
            if found is not None:
                return self.view(like, *found)
        (made,) = self.call("cat", like, parts, (0,), lengths=(len(parts),))
        offset = 0
        for value in parts:
            # Where a value is written to later, the copy is of another time.
            if flow.trace.root(value) not in flow.written and value.meta.is_contiguous:
                self.stacked.setdefault(value, Place(made, offset))
            offset += value.meta.numel
        return made


def _block(parts: Sequence[Value], places: Sequence[Place | None]) -> tuple[Place, Meta] | None:
    """Return where parts lie one below the other in one memory, at equal distances, and as what they are read there."""
    first, second = places[0], places[1]
    if first is None or second is None:
        return None
    meta = parts[0].meta
    distance, short = divmod(second.offset - first.offset, meta.shape[0])
    expected = first.offset
    for value, place in zip(parts, places, strict=True):
        strides = value.meta.strides
        even = value.meta.shape[0] == 1 or strides[0] == distance
        if place != Place(first.root, expected) or strides[1:] != meta.strides[1:] or not even or short or distance < 0:
            return None
        expected += distance * value.meta.shape[0]
    count = sum(value.meta.shape[0] for value in parts)
    return first, Meta.strided((count, *meta.shape[1:]), meta.dtype, (distance, *meta.strides[1:]))
