"""The backward of a loop over a recurrent cell becomes one call over time.

Each step of such a backward hands gradients of h and c to the one before in time, maybe with a gradient of that h from
outside added to the first. What the steps find for the weights is summed; the joint call finds the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gradwire_protocol.meta import Meta
from gradwire_server.programs.flow import Flow, Link, Place, Tries
from gradwire_server.programs.recurrent_ops import Layer, backward_of, given
from gradwire_server.programs.rewriting import Writer
from gradwire_server.programs.values import Step, Trace, Value

__all__ = ["join_gradients"]

# Arguments of each backward; then which of its results, and of the mask, is the gradient of the input.
_GRAD_OUTPUT, _GRAD_HY = 0, 1
_BY_INPUT = 0
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
        layer = backward_of(flow, later)
        link = _handed_on(flow, layer, later) if layer else None
        if link is not None:
            following[later] = link
    links = tries.chain(flow, following)
    if links:
        layer = backward_of(flow, links[0].step)
        assert layer is not None
        _join(flow, writer, layer, links)
    return bool(links)


# -- links -------------------------------------------------------------------------------------------------------------


def _handed_on(flow: Flow, layer: Layer, later: Step) -> Link | None:
    """Return the step before `later` in time, if it alone takes the gradients of all that it handed to `later`."""
    ways = [_way(flow, layer, later.outputs[number]) for number in layer.state_numbers]
    first = ways[0]
    if first is None:
        return None
    found = Link(first.step, frozenset(layer.state_numbers), first.inner)
    for number, way in zip(layer.state_numbers, ways, strict=True):
        # What is added to a gradient of h can go in with those of the outputs; there are none of the other states.
        if way is None or way.step is not found.step or way.linking != {number} or (way.inner and way is not first):
            return None
        found.passed += way.passed
    return found if backward_of(flow, found.step) is layer and _is_next(flow, layer, found.step, later) else None


def _way(flow: Flow, layer: Layer, value: Value) -> Link | None:
    """Follow a gradient through sums and views that nothing else reads, to a backward step."""
    inner: list[tuple[Step, int]] = []
    passed: list[Step] = []
    shape = value.meta.shape
    while (step := flow.only_reader(value)) is not None:
        number = step.inputs.index(value)
        if step.signature.op.name == f"{layer.name}_backward":
            return Link(step, frozenset((number,)), inner, passed)
        if flow.is_sum(step):
            if given(step, 1 - number).shape not in (shape, (1, *shape)):
                return None
            inner.append((step, number))
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


def _is_next(flow: Flow, layer: Layer, step: Step, later: Step) -> bool:
    """Return whether what two steps read of the forward lies one behind the other, and the rest is the same."""
    for number in layer.row_numbers:
        first, second = given(step, number), given(later, number)
        place = flow.place(first)
        if place is None or not first.meta.is_contiguous or not second.meta.is_contiguous:
            return False
        if flow.place(second) != Place(place.root, place.offset + first.meta.numel) or place.root in flow.written:
            return False
    holders = [layer.row_numbers[layer.rows.index(holder)] for holder in layer.lying]
    for state, holder in enumerate(holders, layer.data_number + 1):
        if not _is_last_of(flow, given(step, holder), given(later, state)):
            return False
    ours, theirs = step.signature.statics, later.signature.statics
    masks = ours[-1][1 + layer.states :] == theirs[-1][1 + layer.states :]
    return masks and ours[:-1] == theirs[:-1] and step.inputs[layer.kept_weights] == later.inputs[layer.kept_weights]


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
        one, two = (given(step, index) for index in (0, 1))
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


def _join(flow: Flow, writer: Writer, layer: Layer, links: list[Link]) -> None:
    """Put one call in place of a chain, unless the gradients go elsewhere or the rest has no order then."""
    mask = links[0].step.signature.statics[-1]
    numbers = [number for number in layer.sum_numbers if mask[number]]
    sums = {number: _sums(flow, [link.step.outputs[number] for link in links]) for number in numbers}
    order = flow.in_one(links, [step for link in links for step in link.between()])
    if order is None or any(found is None for found in sums.values()):
        return
    own = {number: found.own(flow) for number, found in sums.items() if found is not None}
    totals = _write_joint(flow, writer, layer, links, own)
    joint = writer.taken()
    instead: dict[Step, list[Step]] = {}
    for number, found in sums.items():
        assert found is not None
        instead.update((step, []) for step in found.partial)
        for step, others in found.whole:
            _write_whole(writer, step, totals[number], others)
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


def _write_joint(
    flow: Flow, writer: Writer, layer: Layer, links: list[Link], own: dict[int, Value | None]
) -> tuple[Value, ...]:
    """Write the joint call; return its results. `own` are values that those for the weights are to be."""
    in_time = links[::-1]
    steps = [link.step for link in in_time]
    first, last = steps[0], steps[-1]
    inputs = list(first.inputs)
    inputs[: layer.data_number] = last.inputs[: layer.data_number]
    inputs[_GRAD_OUTPUT], inputs[_GRAD_HY] = _arriving(flow, writer, in_time)
    for number in (layer.data_number, *layer.row_numbers):
        inputs[number] = writer.rows(last, [given(step, number) for step in steps], flow)
    masks = [step.signature.statics[-1] for step in steps]
    mask = (any(mask[_BY_INPUT] for mask in masks), *masks[0][1:])
    wanted = [
        first.outputs[number] if number in layer.state_numbers else own.get(number) for number in range(len(mask))
    ]
    made = writer.call(last.signature.op.name, last, inputs, (*last.signature.statics[:-1], mask), outputs=wanted)
    offset = 0
    for step, step_mask in zip(steps, masks, strict=True):
        if step_mask[_BY_INPUT]:
            writer.part(step, Place(made[_BY_INPUT], offset), step.outputs[_BY_INPUT], flow)
        offset += given(step, layer.data_number).meta.numel
    return made


def _arriving(flow: Flow, writer: Writer, in_time: list[Link]) -> tuple[Value, Value | None]:
    """Write the gradients that come from outside, of all steps' outputs; return them, and that of the last h."""
    last = in_time[-1].step
    like = given(last, _GRAD_OUTPUT).meta
    shape = (sum(given(link.step, _GRAD_OUTPUT).shape[0] for link in in_time), *like.shape[1:])
    inner = [_addends(link) for link in in_time[:-1]]
    if not any(inner) and all(_is_zero(flow, given(link.step, _GRAD_OUTPUT)) for link in in_time):
        return writer.zeros(last, Meta.of(shape, like.dtype)), last.inputs[_GRAD_HY]
    final = last.inputs[_GRAD_HY]
    parts = [
        part for link, addends in zip(in_time, [*inner, [] if final is None else [final]], strict=True)
        for part in _of_step(flow, writer, link.step, addends)
    ]  # fmt: skip
    return writer.rows(last, parts, flow), None


def _addends(link: Link) -> list[Value]:
    """Return what is added to the gradient of h on its way from the later step."""
    return [given(step, 1 - operand) for step, operand in link.inner]


def _of_step(flow: Flow, writer: Writer, step: Step, addends: Sequence[Value]) -> list[Value]:
    """Return the gradient of one step's output as values to stack: `addends` go to its last row, which is h."""
    rows = given(step, _GRAD_OUTPUT)
    if not addends:
        return [rows]
    count = rows.shape[0]
    summands = [value if value.meta.ndim == rows.meta.ndim else writer.row(step, value, flow) for value in addends]
    before: list[Value] = []
    if count > 1:
        before = [writer.call("slice.Tensor", step, (rows,), (0, 0, count - 1, 1))[0]]
    if not _is_zero(flow, rows):
        (final,) = writer.call("slice.Tensor", step, (rows,), (0, count - 1, count, 1))
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
