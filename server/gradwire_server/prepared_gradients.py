"""Prepared gradients: the kernels that an op's gradient rule calls for one signature, run on plain arrays.

A rule looks at metas alone, so for one signature, with the same numbers and the same layout of the gradient, it calls the same
kernels in every backward. They are found by running the rule once on values without elements, as a program's calls are
(`programs.tracing_engine`), and from then on run without arrays' wrappers, graphs and signatures in between. Where something
is unusual, there is no prepared gradient, and the rule itself runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.signature import Signature
from gradwire_protocol.tape import Edge, Kept, Node, bind_view, keep_inputs, keep_outputs
from gradwire_server.engine import Array, Engine
from gradwire_server.fast_calls import is_plain, kernel_function
from gradwire_server.programs.tracing_engine import TracingEngine
from gradwire_server.programs.values import Step, Value
from gradwire_server.rule_calls import run_rules

__all__ = ["Gradient", "PreparedGradient", "layout", "prepared_gradient"]

# A gradient on its way: an `Array`, or a backend's array alone, of any layout, which is memory that nothing outside of the
# backward holds.
Gradient = Any

# A rule ran once: most signatures of a script are used once, and preparing costs more than a run.
_UNSEEN, _SEEN = object(), object()
# A signature with more sets of numbers than this does not repeat itself.
_MOST_PREPARED = 8


class _NotPrepared(Exception):
    """A rule does what cannot be prepared."""


class PreparedGradient:
    """What a rule does for one signature, set of numbers and layout of the gradient: steps over a list of arrays."""

    __slots__ = ("_kept", "_results", "_steps", "shares")

    def __init__(self, engine: Engine, rehearsal: _Rehearsal) -> None:
        """Prepare the steps of a rehearsal; raise _NotPrepared for one that does what this does not know."""
        read = {value for step in rehearsal.steps for value in step.inputs if value is not None}
        kept = {value: place for value, place in rehearsal.kept.items() if value in read}
        self._kept = [(name, index, value.meta) for value, (name, index) in kept.items()]
        values = [rehearsal.gradient, None, *kept]  # what a run's list of arrays begins with
        places = {value: place for place, value in enumerate(values)}
        self._steps: list[Callable[[list[Any]], None]] = []
        for step in rehearsal.steps:
            self._steps.append(_prepared_step(engine, step, places))
            for value in step.outputs:
                places[value] = len(places)
        results = _Results(engine, rehearsal, places)
        self._results = [None if value is None else results.of(value) for value in rehearsal.results]
        self.shares = results.count(rehearsal.gradient) > 1  # whether several results are the gradient's memory

    def run(self, node: Node, g: Gradient, is_sole: bool) -> list[Gradient | None] | None:
        """Return one gradient per input of `node`, given that of its first output; None if the rule must run itself.

        `is_sole` says of a backend's array that its memory is nowhere else.
        """
        values = [g.data if type(g) is Array else g, None]
        for name, index, meta in self._kept:
            kept = node.kept[name]
            value = (kept if index is None else kept[index]).value
            if value is None or value.meta is not meta:
                return None
            values.append(value.data)
        for step in self._steps:
            step(values)
        return [None if result is None else result(g, values, is_sole) for result in self._results]


class _Rehearsal:
    """A rule, run on values without elements: what it reads, the kernel calls it makes, and what it returns."""

    def __init__(self, engine: Engine, signature: Signature, scalars: tuple[Any, ...], meta: Meta | None) -> None:
        """Run the rules of `signature` on a gradient of `meta`; None stands for a contiguous one."""
        tracer = TracingEngine(engine.backend, engine.default)
        inputs = [None if given is None else Array(tracer, tracer.value(given), given) for given in signature.metas]
        edges = [
            Edge(array, 0) if array is not None and signature.needs >> index & 1 else None
            for index, array in enumerate(inputs)
        ]
        node = Node(signature, tuple(edges), scalars)
        outputs = [Array(tracer, tracer.value(given), given) for given in node.output_metas]
        keep_inputs(node, inputs)
        keep_outputs(node, outputs)
        self.meta = contiguous(node.output_metas[0]) if meta is None else meta
        self.gradient = tracer.value(self.meta)
        self.kept = dict(_places(node))
        g = Array(tracer, self.gradient, self.meta)
        found = run_rules(node, [g, *[None] * (len(outputs) - 1)])
        self.steps = tracer.steps
        self.results: list[Value | None] = [None if array is None else array.data for array in found]


def _places(node: Node) -> Iterator[tuple[Value, tuple[str, int | None]]]:
    """Yield where a node keeps each value: under which name, and which of a list."""
    for name, kept in node.kept.items():
        if type(kept) is Kept:
            yield kept.value.data, (name, None)
        else:
            for index, item in enumerate(kept):
                yield item.value.data, (name, index)


def _prepared_step(engine: Engine, step: Step, places: Mapping[Value | None, int]) -> Callable[[list[Any]], None]:
    """Return what appends the results of a kernel call to the values."""
    signature = step.signature
    function, take = kernel_function(engine, signature, step.numbers), _taker([places[value] for value in step.inputs])

    def write(values: list[Any]) -> None:
        function(*take(values))

    def extend(values: list[Any]) -> None:
        values.extend(function(*take(values)))

    def append(values: list[Any]) -> None:
        values.append(function(*take(values)))

    if signature.op.writes:
        return write
    if signature.op.is_view:
        return extend
    conform, metas = engine.conform, signature.outputs
    if len(metas) != 1 or signature.returns_list:
        return lambda values: values.extend(map(conform, function(*take(values)), metas))
    meta = metas[0]
    if is_plain(engine, signature, step.numbers):
        return append
    return lambda values: values.append(conform(function(*take(values)), meta))


def _taker(places: Sequence[int]) -> Callable[[list[Any]], Sequence[Any]]:
    """Return what takes the arrays at these places."""
    if len(places) > 1:
        return itemgetter(*places)
    if not places:
        return lambda values: ()
    only = places[0]
    return lambda values: (values[only],)


# (the gradient, the values of the run, whether the gradient is nowhere else) -> what a rule returns
_Result = Callable[[Gradient, list[Any], bool], Gradient]


class _Results:
    """How a rule's results are handed on: the gradient as it came, new memory as it is, views as arrays that say so."""

    def __init__(self, engine: Engine, rehearsal: _Rehearsal, places: Mapping[Value | None, int]) -> None:
        self._engine, self._rehearsal, self._places = engine, rehearsal, places
        self._made = {
            value: step.signature.offsets[number] if step.signature.offsets is not None else 0
            for step in rehearsal.steps for number, value in enumerate(step.outputs)
        }  # fmt: skip
        self._roots = [_root(value) for value in rehearsal.results if value is not None]

    def count(self, root: Value) -> int:
        """Return how many results are the memory of a value."""
        return self._roots.count(root)

    def of(self, value: Value) -> _Result:
        """Return what hands on a result; raise _NotPrepared for a kept value, which is a tensor's own memory."""
        place, root = self._places.get(value, -1), _root(value)
        if value is self._rehearsal.gradient:
            return lambda g, values, is_sole: g
        if root is not self._rehearsal.gradient and root not in self._made:
            raise _NotPrepared
        view = self._view(value, root, place)
        if self.count(root) > 1 or not _is_dense(value.meta) or value.meta.numel != root.meta.numel:
            return view
        if root in self._made:
            return lambda g, values, is_sole: values[place]
        return lambda g, values, is_sole: values[place] if is_sole else view(g, values, is_sole)

    def _view(self, value: Value, root: Value, place: int) -> _Result:
        engine, root_place, offset, viewed = self._engine, self._places[root], 0, value
        while viewed is not root:
            offset += self._made[viewed]
            assert viewed.viewed is not None
            viewed = viewed.viewed

        def view(g: Gradient, values: list[Any], is_sole: bool) -> Array:
            source = g if root_place == 0 and type(g) is Array else Array(engine, values[root_place], root.meta)
            made = Array(engine, values[place], value.meta, source.storage)
            made.offset = source.offset + offset
            bind_view(made, source)
            return made

        return view


def _root(value: Value) -> Value:
    """Return the value whose memory another shows."""
    while value.viewed is not None:
        value = value.viewed
    return value


def _is_dense(meta: Meta) -> bool:
    """Return whether a view's elements lie beside each other, in any order of its axes."""
    expected = 1
    for stride, size in sorted(
        (stride, size) for size, stride in zip(meta.shape, meta.strides, strict=True) if size != 1
    ):
        if stride != expected:
            return False
        expected *= size
    return True


def contiguous(meta: Meta) -> Meta:
    """Return the meta of a contiguous tensor of the same shape and dtype."""
    return meta if meta.is_contiguous else Meta.of(meta.shape, meta.dtype)


def layout(g: Gradient, meta: Meta) -> Meta:
    """Return the meta of a gradient that comes for an output of `meta`."""
    if type(g) is Array:
        return g.meta
    if g.flags.c_contiguous:
        return contiguous(meta)
    return Meta.strided(meta.shape, meta.dtype, tuple([stride // meta.dtype.itemsize for stride in g.strides]))


def prepared_gradient(engine: Engine, node: Node, g: Gradient) -> PreparedGradient | None:
    """Return the prepared gradient of a node, None where its rule must run itself: always for the first of its kind."""
    table, scalars = node.signature.gradients, node.scalars
    if type(g) is Array:
        meta = None if g.meta.is_contiguous else g.meta
    else:
        meta = None if g.flags.c_contiguous else layout(g, node.output_metas[0])
    key = scalars if meta is None else (meta, scalars)
    found = table.get(key, _UNSEEN)
    if found is _UNSEEN:
        if len(table) < _MOST_PREPARED:
            table[key] = _SEEN
        return None
    if found is _SEEN:
        found = table[key] = _prepare(engine, node.signature, scalars, meta)
    return found  # type: ignore[no-any-return]


def _prepare(
    engine: Engine, signature: Signature, scalars: tuple[Any, ...], meta: Meta | None
) -> PreparedGradient | None:
    # 0.0 and -0.0 are one key, and two numbers.
    if not all(scalars):
        return None
    try:
        return PreparedGradient(engine, _Rehearsal(engine, signature, scalars, meta))
    except Exception:  # the rule itself meets the same error with a real gradient, or copes with what this does not
        return None
