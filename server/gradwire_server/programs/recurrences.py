"""Loops over an LSTM cell become one call over time.

A loop over `nn.LSTMCell` is a chain of one-step layers, each of which begins with the states that the one before ends
with. Where all inputs of a chain can be had before it begins, one call computes it, and what its steps made is shown by
views of the results. The gradients' chain is joined in the same way: `recurrence_gradients`.
"""

from __future__ import annotations

from gradwire_protocol.ops.recurrent import work_dtype
from gradwire_protocol.program import Varying
from gradwire_server.programs.flow import Flow, Link, Place, Tries
from gradwire_server.programs.passes import drop_dead
from gradwire_server.programs.recurrence_gradients import join_gradients
from gradwire_server.programs.rewriting import Writer
from gradwire_server.programs.values import Step, Trace, Value

__all__ = ["join_recurrences"]

_FORWARD, _BACKWARD = "gw::lstm_layer", "gw::lstm_layer_backward"


def join_recurrences(trace: Trace) -> bool:
    """Join chains of LSTM steps with the same weights; return whether it looked for any.

    What the steps made is as it was, but for the order of sums.
    """
    names = [step.signature.op.name for step in trace.steps]
    if max(names.count(_FORWARD), names.count(_BACKWARD)) < 2:
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
        if not _is_plain(flow, step):
            continue
        before = flow.producer.get(trace.root(_given(step, 1)))
        if before is not None and _is_plain(flow, before) and _goes_on(flow, before, step):
            passed = [*flow.views(_given(step, 1)), *flow.views(_given(step, 2))]
            following.setdefault(before, Link(step, frozenset((1, 2)), passed=passed))
    links = tries.chain(flow, following)
    if links:
        _join(flow, writer, links)
    return bool(links)


def _given(step: Step, index: int) -> Value:
    value = step.inputs[index]
    assert value is not None
    return value


def _is_plain(flow: Flow, step: Step) -> bool:
    """Return whether a step is a layer that can be joined: forward in time, not packed, in its own dtype's precision."""
    if step.signature.op.name != _FORWARD or step.signature.statics != (None, False) or step.inputs[7] is not None:
        return False
    hx = _given(step, 1).meta
    exact = work_dtype(hx.dtype) is hx.dtype and hx.numel > 0
    return exact and flow.written.isdisjoint(step.outputs)


def _goes_on(flow: Flow, before: Step, step: Step) -> bool:
    """Return whether a layer begins with the states that another ends with, and has its weights."""
    states = all(flow.shows_all(_given(step, index), before.outputs[index]) for index in (1, 2))
    return states and step.inputs[3:7] == before.inputs[3:7]


def _join(flow: Flow, writer: Writer, links: list[Link]) -> None:
    """Put one call in place of a chain, unless the rest has no order then."""
    order = flow.in_one(links, ())
    if order is None:
        return
    steps = [link.step for link in links]
    first, last = steps[0], steps[-1]
    data = writer.rows(first, [_given(step, 0) for step in steps], flow)
    output, _, _, gates, cells = writer.call(
        _FORWARD, first, (data, *first.inputs[1:]), first.signature.statics,
        outputs=(None, last.outputs[1], last.outputs[2], None, None),
    )  # fmt: skip
    start = 0
    for step in steps:
        count, batch = _given(step, 0).shape[:2]
        end, rows = start + count, start * batch
        kept_output, h, c, kept_gates, kept_cells = step.outputs
        for source, value in ((output, kept_output), (gates, kept_gates), (cells, kept_cells)):
            writer.part(step, Place(source, rows * value.shape[-1]), value, flow)
        if step is not last:
            writer.part(step, Place(output, (end - 1) * batch * h.shape[1]), h, flow)
            writer.part(step, Place(cells, (end - 1) * batch * c.shape[1]), c, flow)
        start = end
    flow.trace.steps = [*order[0], *writer.taken(), *order[1]]
