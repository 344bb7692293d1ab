"""What a program's backward reads of its forward, where that is views: what they show is kept instead, and shown again.

Steps that became one call leave views of its results. Kept one by one, the backward could not know that they lie together.
"""

from __future__ import annotations

from gradwire_server.programs.tracing import Traced
from gradwire_server.programs.values import Step, Trace, Value

__all__ = ["keep_whole"]


def keep_whole(traced: Traced) -> None:
    """Let the forward's results for the backward be what its views show, and the backward begin with those views."""
    forward, backward = traced.forward, traced.backward
    if backward is None:
        return
    first = len(forward.outputs) - forward.saved
    producer = {value: step for step in forward.steps for value in step.outputs}
    known = {*forward.inputs, *producer}
    kept: dict[Value, None] = {}
    views: dict[Step, None] = {}
    for value in forward.outputs[first:]:
        whole = forward.root(value)
        if whole in known:
            kept[whole] = None
            views.update(dict.fromkeys(_views(forward, producer, value)))
        else:
            kept[value] = None
    seeds = backward.inputs[forward.saved :]
    forward.outputs[first:] = kept
    forward.saved = len(kept)
    copies = [Step(step.signature, step.inputs, step.numbers, step.outputs, step.origin) for step in views]
    traced.backward = Trace([*kept, *seeds], backward.outputs, backward.kinds, [*copies, *backward.steps])


def _views(forward: Trace, producer: dict[Value, Step], value: Value) -> list[Step]:
    """Return the views that lead from a value's root to it."""
    whole, found = forward.root(value), list[Step]()
    while value is not whole:
        step = producer[value]
        assert step.inputs[0] is not None
        found.append(step)
        value = step.inputs[0]
    return found[::-1]
