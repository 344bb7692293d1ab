"""The backward of a loop over an LSTM cell becomes one call over time.

Each step of such a backward hands gradients of h and c to the one before in time, maybe with a gradient of that h from
outside added to the first. What the steps find for the weights is summed; the joint call finds the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.recurrent import work_dtype
from gradwire_server.programs.flow import Flow, Link, Place, Tries
from gradwire_server.programs.rewriting import Writer
from gradwire_server.programs.values import Step, Trace, Value

__all__ = ["join_gradients"]

_BACKWARD = "gw::lstm_layer_backward"
_GRAD_OUTPUT, _GRAD_HY, _GRAD_CY, _INPUT, _HX, _CX, _OUTPUT, _GATES, _CELLS = 0, 1, 2, 3, 4, 5, 9, 10, 11
# Of the results, and of the mask: the gradients of the input, of the states, and of weights and bias.
_BY_INPUT, _BY_HX, _BY_CX, _WEIGHTS = 0, 1, 2, (3, 4, 5)
_ZEROS = ("full", "new_full", "full_like")


def join_gradients(trace: Trace, writer: Writer) -> None:
    """Join chains of backward steps."""
    tries = Tries()
    while _join_next(trace, writer, tries):
        pass


def _join_next(trace: Trace, writer: Writer, tries: Tries) -> bool:
    """Join a chain if it can be; return whether there was one."""
    flow = Flow(trace)
    following = {}
    for later in trace.steps:
        link = _handed_on(flow, later) if _is_plain(flow, later) else None
        if link is not None:
            following[later] = link
    links = tries.chain(flow, following)
    if links:
        _join(flow, writer, links)
    return bool(links)


def _given(step: Step, index: int) -> Value:
    value = step.inputs[index]
    assert value is not None
    return value


def _is_plain(flow: Flow, step: Step) -> bool:
    """Return whether a step is the backward of a layer that can be joined."""
    if step.signature.op.name != _BACKWARD or step.signature.statics[:2] != (None, False) or step.inputs[8] is not None:
        return False
    hx = _given(step, _HX).meta
    exact = work_dtype(hx.dtype) is hx.dtype and hx.numel > 0
    return exact and flow.written.isdisjoint(step.outputs)


# -- links -------------------------------------------------------------------------------------------------------------


def _handed_on(flow: Flow, later: Step) -> Link | None:
    """Return the step before `later` in time, if it takes the gradients of all that it handed to `later`, and nothing else does."""
    by_c, by_h = _way(flow, later.outputs[_BY_CX]), _way(flow, later.outputs[_BY_HX])
    if by_c is None or by_h is None:
        return None
    step = by_c.step
    fits = step is by_h.step and not by_c.inner and by_c.linking == {_GRAD_CY} and by_h.linking == {_GRAD_HY}
    if not fits or not _is_plain(flow, step) or not _is_next(flow, step, later):
        return None
    return Link(step, frozenset((_GRAD_HY, _GRAD_CY)), by_h.inner, [*by_h.passed, *by_c.passed])


def _way(flow: Flow, value: Value) -> Link | None:
    """Follow a gradient through sums and views that nothing else reads, to a backward step."""
    inner: list[tuple[Step, int]] = []
    passed: list[Step] = []
    shape = value.meta.shape
    while (step := flow.only_reader(value)) is not None:
        index = step.inputs.index(value)
        if step.signature.op.name == _BACKWARD:
            return Link(step, frozenset((index,)), inner, passed)
        if flow.is_sum(step):
            addend = step.inputs[1 - index]
            if addend is None or addend.meta.shape not in (shape, (1, *shape)):
                return None
            inner.append((step, index))
        elif _is_only_reshaped(flow, step, value):
            passed.append(step)
        else:
            return None
        value = step.outputs[0]
    return None


def _is_only_reshaped(flow: Flow, step: Step, value: Value) -> bool:
    """Return whether a step gives a value's elements in another shape: a view, or the only row of an axis."""
    if step.signature.op.name == "select_backward":
        sizes, dim, _ = step.signature.statics
        return sizes[dim] == 1 and value.meta.is_contiguous and flow.written.isdisjoint(step.outputs)
    return step.signature.op.is_view and flow.shows_all(step.outputs[0], flow.trace.root(value))


def _is_next(flow: Flow, step: Step, later: Step) -> bool:
    """Return whether what two steps read of the forward lies one behind the other, and the weights are the same."""
    for index in (_OUTPUT, _GATES, _CELLS):
        first, second = _given(step, index), _given(later, index)
        place = flow.place(first)
        if place is None or not first.meta.is_contiguous or not second.meta.is_contiguous:
            return False
        if flow.place(second) != Place(place.root, place.offset + first.meta.numel) or place.root in flow.written:
            return False
    states = ((_OUTPUT, _HX), (_CELLS, _CX))
    if not all(_is_last_of(flow, _given(step, rows), _given(later, state)) for rows, state in states):
        return False
    ours, theirs = step.signature.statics[2], later.signature.statics[2]
    return step.inputs[6:8] == later.inputs[6:8] and ours[3:] == theirs[3:]


def _is_last_of(flow: Flow, rows: Value, state: Value) -> bool:
    place = flow.place(rows)
    assert place is not None
    last = Place(place.root, place.offset + rows.meta.numel - state.meta.numel)
    return state.meta.is_contiguous and flow.place(state) == last


# -- sums of weights' gradients ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sums:
    """Where the gradients of one weight go: `partial` sums, and values that have all of them, `whole`, with what else."""

    partial: list[Step] = field(default_factory=list)
    whole: list[tuple[Step, list[Value]]] = field(default_factory=list)

    def own(self, flow: Flow) -> Value | None:
        """Return a value that the joint call can make itself: a sum of nothing else, whose memory stays as it is."""
        for step, others in self.whole:
            if not others and step.outputs[0] not in flow.written:
                return step.outputs[0]
        return None


def _sums(flow: Flow, parts: Sequence[Value]) -> _Sums | None:
    """Return how parts are summed, None if something reads a part or a sum of only some of them."""
    found, every = _Sums(), (1 << len(parts)) - 1
    held = {value: 1 << number for number, value in enumerate(parts)}
    others: dict[Value, list[Value]] = {value: [] for value in parts}
    for step in flow.trace.steps:
        some = [value for value in step.inputs if value is not None and held.get(value, every) != every]
        if not some:
            continue
        if not flow.is_sum(step) or not flow.outputs.isdisjoint(some):
            return None
        one, two = (_given(step, index) for index in (0, 1))
        if held.get(one, 0) & held.get(two, 0):
            return None
        made = step.outputs[0]
        held[made] = held.get(one, 0) | held.get(two, 0)
        others[made] = [*others.get(one, [one]), *others.get(two, [two])]
        if any(flow.trace.root(value) in flow.written for value in others[made]):
            return None
        if held[made] == every:
            found.whole.append((step, others[made]))
        else:
            found.partial.append(step)
    # A sum of some that nothing reads on may still leave the program.
    loose = any(mask != every and value in flow.outputs for value, mask in held.items())
    return None if loose else found


# -- joining -----------------------------------------------------------------------------------------------------------


def _join(flow: Flow, writer: Writer, links: list[Link]) -> None:
    """Put one call in place of a chain, unless the gradients go elsewhere or the rest has no order then."""
    mask = links[0].step.signature.statics[2]
    sums = {index: _sums(flow, [link.step.outputs[index] for link in links]) for index in _WEIGHTS if mask[index]}
    order = flow.in_one(links, [step for link in links for step in link.between()])
    if order is None or any(found is None for found in sums.values()):
        return
    own = [None if found is None else found.own(flow) for found in (sums.get(index) for index in _WEIGHTS)]
    totals = _write_joint(flow, writer, links, own)
    joint = writer.taken()
    instead: dict[Step, list[Step]] = {}
    for index, found in sums.items():
        assert found is not None
        instead.update((step, []) for step in found.partial)
        for step, others in found.whole:
            _write_whole(writer, step, totals[index], others)
            instead[step] = writer.taken()
    after = [new for step in order[1] for new in instead.get(step, [step])]
    flow.trace.steps = [*order[0], *joint, *after]


def _write_whole(writer: Writer, step: Step, total: Value, others: list[Value]) -> None:
    """Write what makes the result of a sum, from the joint call's part of it."""
    made = step.outputs[0]
    if others:
        writer.total(step, [total, *others], made)
    elif made is not total:
        # A tensor of its own: the gradient of one bias is also that of the other, and each may be written to.
        writer.call("clone", step, (total,), outputs=(made,))


def _write_joint(flow: Flow, writer: Writer, links: list[Link], own: list[Value | None]) -> tuple[Value, ...]:
    """Write the joint call; return its results. `own` are values that those for the weights are to be."""
    in_time = links[::-1]
    steps = [link.step for link in in_time]
    first, last = steps[0], steps[-1]
    grad_output, grad_hy = _arriving(flow, writer, in_time)
    data, output, gates, cells = (
        writer.rows(last, [_given(step, index) for step in steps], flow)
        for index in (_INPUT, _OUTPUT, _GATES, _CELLS)
    )  # fmt: skip
    masks = [step.signature.statics[2] for step in steps]
    mask = (any(mask[_BY_INPUT] for mask in masks), *masks[0][1:])
    made = writer.call(
        _BACKWARD, last,
        (grad_output, grad_hy, last.inputs[_GRAD_CY], data, *first.inputs[_HX:_OUTPUT], output, gates, cells),
        (None, False, mask), outputs=(None, *first.outputs[_BY_HX : _BY_CX + 1], *own, None),
    )  # fmt: skip
    offset = 0
    for step in steps:
        by_input = step.outputs[_BY_INPUT]
        if step.signature.statics[2][_BY_INPUT]:
            writer.part(step, Place(made[_BY_INPUT], offset), by_input, flow)
        offset += _given(step, _INPUT).meta.numel
    return made


def _arriving(flow: Flow, writer: Writer, in_time: list[Link]) -> tuple[Value, Value | None]:
    """Write the gradients that come from outside, of all steps' outputs; return them, and that of the last h."""
    last = in_time[-1].step
    like = _given(last, _GRAD_OUTPUT).meta
    shape = (sum(_given(link.step, _GRAD_OUTPUT).shape[0] for link in in_time), *like.shape[1:])
    inner = [_addends(link) for link in in_time[:-1]]
    if not any(inner) and all(_is_zero(flow, _given(link.step, _GRAD_OUTPUT)) for link in in_time):
        return writer.zeros(last, Meta.of(shape, like.dtype)), last.inputs[_GRAD_HY]
    final = last.inputs[_GRAD_HY]
    parts = [
        part for link, addends in zip(in_time, [*inner, [] if final is None else [final]], strict=True)
        for part in _of_step(flow, writer, link.step, addends)
    ]  # fmt: skip
    return writer.rows(last, parts, flow), None


def _addends(link: Link) -> list[Value]:
    """Return what is added to the gradient of h on its way from the later step."""
    return [_given(step, 1 - operand) for step, operand in link.inner]


def _of_step(flow: Flow, writer: Writer, step: Step, addends: Sequence[Value]) -> list[Value]:
    """Return the gradient of one step's output as values to stack: `addends` go to its last row, which is h."""
    given = _given(step, _GRAD_OUTPUT)
    if not addends:
        return [given]
    count = given.shape[0]
    summands = [
        value if value.meta.ndim == given.meta.ndim else writer.row(step, value, flow) for value in addends
    ]  # fmt: skip
    is_zero = _is_zero(flow, given)
    before: list[Value] = []
    if count > 1:
        before = [writer.call("slice.Tensor", step, (given,), (0, 0, count - 1, 1))[0]]
    if not is_zero:
        (final,) = writer.call("slice.Tensor", step, (given,), (0, count - 1, count, 1))
        summands.insert(0, final)
    return [*before, writer.total(step, summands)]


def _is_zero(flow: Flow, value: Value) -> bool:
    """Return whether a value is made as zeros and stays so."""
    root = flow.trace.root(value)
    step = flow.producer.get(root)
    if step is None or step.signature.op.name not in _ZEROS or root in flow.written:
        return False
    number = step.numbers[0]
    return type(number) in (int, float, bool) and number == 0
