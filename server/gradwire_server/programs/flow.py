"""Which steps of a trace wait for which others, where views lie, and which steps may become one. It changes nothing.

Two steps depend on each other where one reads what the other makes or writes, or writes what the other reads. A view
waits for what it shows to exist, not for writes to it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gradwire_server.programs.values import Step, Trace, Value

__all__ = ["Flow", "Link", "Place", "Tries"]

# Each is a walk over a trace: a bound on what a program that was made for it can take.
_MOST_TRIES = 256


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value's first element lies: so many elements after that of `root`."""

    root: Value
    offset: int


@dataclass(slots=True, eq=False)
class Link:
    """A step of a chain. Of its inputs, `linking` come from the chain's step before it, through `inner` and `passed`.

    `inner` are sums on the way, each with the number of the operand that comes from the chain; `passed` are views.
    """

    step: Step
    linking: frozenset[int] = frozenset()
    inner: list[tuple[Step, int]] = field(default_factory=list)
    passed: list[Step] = field(default_factory=list)

    def between(self) -> Iterator[Step]:
        """Return the steps between this one and the chain's step before it."""
        yield from (step for step, _ in self.inner)
        yield from self.passed


@dataclass(slots=True)
class Tries:
    """The steps of chains that were looked at, and how many more chains may be."""

    steps: set[Step] = field(default_factory=set)
    left: int = _MOST_TRIES

    def chain(self, flow: Flow, following: dict[Step, Link]) -> list[Link]:
        """Return the next chain of two steps or more, in the trace's order; empty where there is none."""
        for step in flow.trace.steps:
            if step in following and step not in self.steps and self.left:
                self.left -= 1
                links = flow.chain(step, following)
                self.steps.update(link.step for link in links[:-1] or links)
                if len(links) > 1:
                    return links
        return []


class Flow:
    """A trace as a graph. Made anew after each change of the trace."""

    def __init__(self, trace: Trace) -> None:
        """Go through the steps once."""
        self.trace = trace
        self.outputs = frozenset(trace.outputs)
        self.handed_out = frozenset(trace.outputs[: len(trace.outputs) - trace.saved])
        self.written = frozenset(trace.root(value) for step in trace.steps for value in step.written)
        self.producer: dict[Value, Step] = {}
        self.readers: dict[Value, list[Step]] = {}
        self._reads: dict[Step, tuple[tuple[Step, ...], ...]] = {}
        self._hazards: dict[Step, tuple[Step, ...]] = {}
        self._last_write: dict[Value, Step] = {}
        self._since: dict[Value, list[Step]] = {}
        for step in trace.steps:
            self._add(step)

    def _add(self, step: Step) -> None:
        trace, is_view = self.trace, step.signature.op.is_view
        self._reads[step] = tuple(tuple(self._sources(value, is_view)) for value in step.inputs)
        for value in step.inputs:
            if value is not None:
                self.readers.setdefault(value, []).append(step)
        written = {trace.root(value) for value in step.written}
        hazards: list[Step] = []
        for root in written:
            hazards += self._since.pop(root, ())
            if root in self._last_write:
                hazards.append(self._last_write[root])
            self._last_write[root] = step
        self._hazards[step] = tuple(hazards)
        if not is_view:
            for root in {trace.root(value) for value in step.inputs if value is not None} - written:
                self._since.setdefault(root, []).append(step)
        for value in step.outputs:
            self.producer[value] = step
            if value.viewed is None:
                self._last_write[value] = step

    def _sources(self, value: Value | None, is_view: bool) -> Iterator[Step]:
        """Return what must have run before a value is read now."""
        if value is None:
            return
        if value in self.producer:
            yield self.producer[value]
        wrote = None if is_view else self._last_write.get(self.trace.root(value))
        if wrote is not None:
            yield wrote

    def before(self, step: Step, without: Iterable[int] = ()) -> set[Step]:
        """Return the steps that one waits for directly, not counting the inputs `without`."""
        skipped = set(without)
        found = set(self._hazards[step])
        for index, sources in enumerate(self._reads[step]):
            if index not in skipped:
                found.update(sources)
        return found

    def outer(self, link: Link) -> set[Step]:
        """Return what a link waits for beside the chain's step before it."""
        found = self.before(link.step, link.linking)
        for step, operand in link.inner:
            found |= self.before(step, (operand,))
        return found

    # -- values --------------------------------------------------------------------------------------------------------

    def place(self, value: Value) -> Place | None:
        """Return where a value lies, None if a view on the way shows elements as another dtype."""
        root, offset, at = self.trace.root(value), 0, value
        while at is not root:
            step = self.producer.get(at)
            if step is None or step.signature.offsets is None or step.inputs[0] is None:
                return None
            offset += step.signature.offsets[step.outputs.index(at)]
            at = step.inputs[0]
            if at.meta.dtype is not value.meta.dtype:
                return None
        return Place(root, offset)

    def shows_all(self, value: Value, of: Value) -> bool:
        """Return whether a value is another, or a view with just its elements in their order."""
        if value is of:
            return True
        fits = value.meta.numel == of.meta.numel and value.meta.is_contiguous and of.meta.is_contiguous
        return fits and self.place(value) == Place(of, 0)

    def views(self, value: Value) -> list[Step]:
        """Return the views that lead from a value to its root."""
        root, found = self.trace.root(value), list[Step]()
        while value is not root and value in self.producer and value.viewed is not None:
            found.append(self.producer[value])
            value = value.viewed
        return found

    def only_reader(self, value: Value) -> Step | None:
        """Return the one step that reads a value once, if nothing else does and it leaves the program nowhere."""
        readers = self.readers.get(value, ())
        return readers[0] if len(readers) == 1 and value not in self.outputs else None

    def is_sum(self, step: Step) -> bool:
        """Return whether a step adds two values of its result's shape and dtype, and nothing writes to the result."""
        if step.signature.op.name != "add.Tensor" or len(step.numbers) != 1:
            return False
        number = step.numbers[0]
        made = step.outputs[0]
        alike = all(
            value is not None and value.meta.shape == made.meta.shape and value.meta.dtype is made.meta.dtype
            for value in step.inputs
        )
        return alike and type(number) in (int, float) and number == 1 and made not in self.written

    # -- chains --------------------------------------------------------------------------------------------------------

    def chain(self, first: Step, following: dict[Step, Link]) -> list[Link]:
        """Return the longest chain from a step on of which no link waits for what another waits for the chain to make."""
        found = [Link(first)]
        held = {first}  # the chain, and what waits for it
        steps = self.trace.steps
        for position in range(steps.index(first) + 1, len(steps)):
            step, link = steps[position], following.get(found[-1].step)
            if link is None:
                break
            if step is link.step:
                if not held.isdisjoint(self.outer(link)):
                    break
                found.append(link)
                held.add(step)
            elif step not in link.between() and not held.isdisjoint(self.before(step)):
                held.add(step)
        return found

    def in_one(self, links: Sequence[Link], taken: Iterable[Step]) -> tuple[list[Step], list[Step]] | None:
        """Return the other steps in an order in which a chain runs at once: those before it and those after it.

        `taken` are steps beside the links' own that go with the chain. None if there is no such order.
        """
        group = {*(link.step for link in links), *taken}
        node = links[0].step
        waits = {
            step: {node if before in group else before for before in self.before(step)}
            for step in self.trace.steps if step not in group
        }  # fmt: skip
        waits[node] = set[Step]().union(*(self.outer(link) for link in links)) - group
        order = _sorted(self.trace.steps, waits)
        if len(order) < len(waits):
            return None
        place = order.index(node)
        return order[:place], order[place + 1 :]


def _sorted(steps: Sequence[Step], waits: dict[Step, set[Step]]) -> list[Step]:
    """Return the steps so that each comes after those that it waits for, else in the order in which they were."""
    number = {step: position for position, step in enumerate(steps)}
    behind: dict[Step, list[Step]] = {}
    for step, before in waits.items():
        for other in before:
            behind.setdefault(other, []).append(step)
    left = {step: len(before) for step, before in waits.items()}
    ready = [number[step] for step, count in left.items() if not count]
    heapq.heapify(ready)
    order: list[Step] = []
    while ready:
        step = steps[heapq.heappop(ready)]
        order.append(step)
        for other in behind.get(step, ()):
            left[other] -= 1
            if not left[other]:
                heapq.heappush(ready, number[other])
    return order
