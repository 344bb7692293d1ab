"""Loops over an LSTM, GRU or RNN cell become one call over time.

A loop over `nn.LSTMCell` is a chain of one-step layers, each of which begins with the states that the one before ends
with. Where all inputs of a chain can be had before it begins, one call computes it, and what its steps made is shown by
views of the results. The gradients' chain is joined in the same way: `recurrence_gradients`.
"""

from __future__ import annotations

from gradwire_protocol.program import Varying
from gradwire_server.programs.flow import Flow, Link, Place, Tries
from gradwire_server.programs.passes import drop_dead
from gradwire_server.programs.recurrence_gradients import join_gradients
from gradwire_server.programs.recurrent_ops import NAMES, Layer, forward_of, given
from gradwire_server.programs.rewriting import Writer
from gradwire_server.programs.values import Step, Trace

__all__ = ["join_recurrences"]


def join_recurrences(trace: Trace) -> bool:
    """Join chains of recurrent steps with the same weights; return whether it looked for any.

    What the steps made is as it was, but for the order of sums.
    """
    if sum(step.signature.op.name in NAMES for step in trace.steps) < 2:
        return False
    drop_dead(trace)
    writer = Writer(trace)
    _read_no_likes(trace, writer)
    tries = Tries()
    while _join_next(trace, writer, tries):
        pass
    join_gradients(trace, writer)
    return True


def _read_no_likes(trace: Trace, writer: Writer) -> None:
    """Let what is filled like another value not read it: the zeros beside a gradient are made like it."""
    for step in trace.steps:
        if step.signature.op.name in ("new_full", "full_like") and not isinstance(step.numbers[0], Varying):
            (made,) = step.outputs
            writer.call("full", step, (), (made.shape, made.meta.dtype), step.numbers, outputs=(made,))
        else:
            writer.steps.append(step)
    trace.steps = writer.taken()


def _join_next(trace: Trace, writer: Writer, tries: Tries) -> bool:
    """Join a chain if it can be; return whether there was one."""
    flow = Flow(trace)
    following: dict[Step, Link] = {}
    for step in trace.steps:
        layer = forward_of(flow, step)
        before = flow.producer.get(trace.root(given(step, 1))) if layer else None
        if layer and before and forward_of(flow, before) is layer and _goes_on(flow, layer, before, step):
            passed = [view for number in layer.state_numbers for view in flow.views(given(step, number))]
            following.setdefault(before, Link(step, frozenset(layer.state_numbers), passed=passed))
    links = tries.chain(flow, following)
    if links:
        layer = forward_of(flow, links[0].step)
        assert layer is not None
        _join(flow, writer, layer, links)
    return bool(links)


def _goes_on(flow: Flow, layer: Layer, before: Step, step: Step) -> bool:
    """Return whether a call begins with the states that another ends with, and is the same but for its input."""
    states = all(flow.shows_all(given(step, number), before.outputs[number]) for number in layer.state_numbers)
    weights = step.inputs[layer.weight_numbers] == before.inputs[layer.weight_numbers]
    return states and weights and step.signature.statics == before.signature.statics


def _join(flow: Flow, writer: Writer, layer: Layer, links: list[Link]) -> None:
    """Put one call in place of a chain, unless the rest has no order then."""
    order = flow.in_one(links, ())
    if order is None:
        return
    steps = [link.step for link in links]
    first, last = steps[0], steps[-1]
    data = writer.rows(first, [given(step, 0) for step in steps], flow)
    wanted = [last.outputs[number] if number in layer.state_numbers else None for number in range(len(last.outputs))]
    made = writer.call(layer.name, first, (data, *first.inputs[1:]), first.signature.statics, outputs=wanted)
    start = 0
    for step in steps:
        count, batch = given(step, 0).shape[:2]
        for number in layer.rows:
            value = step.outputs[number]
            writer.part(step, Place(made[number], start * batch * value.shape[-1]), value, flow)
        start += count
        for number, holder in zip(layer.state_numbers, layer.lying, strict=True):
            state = step.outputs[number]
            if step is not last:
                writer.part(step, Place(made[holder], (start - 1) * batch * state.shape[1]), state, flow)
    flow.trace.steps = [*order[0], *writer.taken(), *order[1]]
