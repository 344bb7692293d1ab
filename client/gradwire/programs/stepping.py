"""A capture that is run many times by one call: what of it each step reads anew, hands on, and leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire.programs.capture import Capture, Filled, Source
from gradwire.programs.places import Survey
from gradwire.programs.recording import Scheduled
from gradwire.programs.replay import Replay, tensor_at
from gradwire.tensor import Tensor
from gradwire.tree import tree_unflatten
from gradwire_protocol import limits
from gradwire_protocol.program import Loop, loop_signature
from gradwire_protocol.signature import Signature

__all__ = ["Stepper"]

# Numbers of one message: ten bytes each at most, far below what a message may have.
_MOST_NUMBERS = 50_000


class Stepper:
    """A replay that makes several steps.

    A gradient that a step fills and the next one reads is carried from step to step on the worker. Where the client's
    state would lead the next step elsewhere, `fits` is False: only single calls can follow that.
    """

    def __init__(self, replay: Replay, found: Survey) -> None:
        """Look at how steps hang together; `found` is what the function can see."""
        self._replay, self._found = replay, found
        made = replay.capture
        carried = _carried(made)
        self.fits = carried is not None and all(item.outside is None for item in made.results)
        self._carried = carried or ()
        self._wanted = tuple(dict.fromkeys([
            *(2 * item.output + 1 for item in made.results if item.output >= 0),
            *(2 * item.output for item in made.filled if item.output >= 0),
        ]))  # fmt: skip
        self._most_steps = min(limits.MAX_LOOP_STEPS, max(_MOST_NUMBERS // max(len(made.program.kinds), 1), 1))
        # Only a schedule can change what the function sees between two steps.
        self._is_scheduled = any(isinstance(event, Scheduled) for event in made.events)
        self._signatures: dict[Loop, Signature] = {}

    def run(self, leaves: Sequence[Any], whole: dict[int, Tensor], first: int, steps: int) -> tuple[int, Any]:
        """Make steps, as many as one message holds; return how many, and their stacked results.

        `leaves` are the arguments of the first step; `whole` has, by id, the tensors that they are rows of, `first` being
        theirs. Raises Mismatch, before anything happened, if the inputs are not as recorded.
        """
        replay, made = self._replay, self._replay.capture
        given = replay.inputs(leaves)
        rows = tuple([whole[id(tensor)].shape[0] if id(tensor) in whole else 0 for tensor in given])
        given = [whole.get(id(tensor), tensor) for tensor in given]
        numbers: list[Any] = [first]
        count = 0
        while count < min(steps, self._most_steps) and not (
            count and self._is_scheduled and self._found.changed() is not None
        ):
            replay.last = replay.numbers()
            numbers += replay.last
            count += 1
        signature = self._signature(Loop(count, rows, self._carried, self._wanted))
        session = replay.session
        handle = session.append(session.intern_program(signature, made.encoded, made.lines), given, numbers)
        for index, grown in made.writes:
            given[index].storage.version += grown if self._carried[index] else grown * count
        results = {
            item: Tensor._make(session, handle + index, meta)
            for index, (item, meta) in enumerate(zip(self._wanted, signature.outputs, strict=True))
        }
        return count, self._finish(results, leaves)

    def _signature(self, loop: Loop) -> Signature:
        found = self._signatures.get(loop)
        if found is None:
            made = self._replay.capture
            found = self._signatures[loop] = loop_signature(made.program, made.digest, loop)
        return found

    def _finish(self, results: dict[int, Tensor], leaves: Sequence[Any]) -> Any:
        """Leave what the last step leaves, and return the stacked results."""
        made = self._replay.capture
        for item in made.filled:
            outside = None if item.outside is None else tensor_at(item.outside, leaves)
            tensor_at(item.source, leaves)._grad = results[2 * item.output] if item.output >= 0 else outside
        stacked: list[Any] = []
        for result in made.results:
            found = results[2 * result.output + 1] if result.output >= 0 else result.value
            if result.view is not None:
                meta, offset = result.view
                each = made.program.output_metas()[result.output].numel
                found = found.as_strided((found.shape[0], *meta.shape), (each, *meta.strides), offset)
            stacked.append(found)
        return tree_unflatten(stacked, made.spec)


def _carried(made: Capture) -> tuple[int, ...] | None:
    """Return for each input 1 + the output that is it in the next step, else 0; None if the next step would be another one."""
    filled = {_owner(item): item for item in made.filled}
    if any(item.source.argument >= 0 or item.was_empty for item in made.filled):
        return None
    carried = []
    for source, meta in zip(made.sources, made.program.inputs, strict=True):
        item = filled.get(_owner(source)) if source.of_grad else None
        if source.of_grad and source.argument >= 0:
            return None
        if item is not None and (item.output < 0 or made.program.output_metas()[item.output] is not meta):
            return None
        carried.append(0 if item is None else item.output + 1)
    return tuple(carried)


def _owner(item: Filled | Source) -> int:
    """Return what tells a tensor whose gradient is meant from others."""
    source = item.source if isinstance(item, Filled) else item
    return id(source.held if source.place is None else source.place)
