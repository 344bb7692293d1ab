"""Running a sample's cases on a worker's engine: numpy arrays in, arrays of the backend through, numpy arrays out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradwire_protocol.dtypes import from_numpy
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.registry import Op
from gradwire_protocol.tape import gradient_edge
from gradwire_server.backend import open_backend
from gradwire_server.backward import gradients
from gradwire_server.engine import Array, Engine
from tests.ops.samples import SAMPLES, Case, Sample

__all__ = [
    "Function", "call", "cases", "describe", "differentiable_cases", "engine_on", "host", "is_array", "outputs_of", "sampled",
    "tensors_of",
]  # fmt: skip

Host = np.ndarray[Any, Any]

# Every suite draws the same inputs.
_SEED = 20_261_123


def sampled(*, gradients_only: bool = False) -> list[str]:
    """Return the names of the ops that have a sample, or of those whose gradient finite differences reach."""
    return [
        name for name, sample in SAMPLES.items()
        if not gradients_only or (OPS[name].differentiable and sample.gradients_by_values)
    ]  # fmt: skip


def cases(sample: Sample) -> list[Case]:
    """Return the cases of a sample, the same at every call."""
    return list(sample.cases(np.random.default_rng(_SEED)))


def engine_on(backend: str) -> Engine:
    """Return a new engine."""
    return Engine(open_backend(backend))


def is_array(value: Any) -> bool:
    """Return whether a case's argument stands for a tensor."""
    return isinstance(value, np.ndarray | np.generic)


def _strided(engine: Engine, values: Host) -> Array:
    """Put an array on the backend with the strides it has here: views and expanded tensors are inputs too."""
    meta = Meta.of(values.shape, from_numpy(values.dtype))
    if values.flags.c_contiguous or values.size == 0 or any(stride < 0 for stride in values.strides):
        return engine.new(engine.backend.from_host(np.array(values, order="C")), meta)
    span = (
        1
        + sum((size - 1) * stride for size, stride in zip(values.shape, values.strides, strict=True)) // values.itemsize
    )
    flat = np.array(np.lib.stride_tricks.as_strided(values, (span,), (values.itemsize,)))
    data = engine.backend.as_strided(engine.backend.from_host(flat), values.shape, values.strides)
    strides = tuple(stride // values.itemsize for stride in values.strides)
    return engine.new(data, Meta.strided(values.shape, meta.dtype, strides))


def put(engine: Engine, value: Any) -> Any:
    """Return an argument with its numpy arrays on the backend."""
    if is_array(value):
        return _strided(engine, np.asarray(value))
    if isinstance(value, list) and any(is_array(item) or item is None for item in value):
        return [put(engine, item) for item in value]
    return value


def host(array: Array) -> Host:
    """Return an array's elements."""
    return np.array(array.engine.backend.to_host(array.data))


def call(engine: Engine, op: Op, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run an op on arguments that are on the backend."""
    with np.errstate(all="ignore"):
        return engine.call(op, *op.split(op.bind(args, kwargs)))


def outputs_of(op: Op, args: Sequence[Any], result: Any) -> list[Array]:
    """Return what a call made or, for one that writes, what it wrote."""
    if op.writes:
        return list(args[0]) if isinstance(args[0], list) else [args[0]]
    return list(result) if isinstance(result, tuple | list) else [result]


def describe(op: Op, number: int, case: Case) -> str:
    """Return a case in one line, for the message of a failure."""

    def text(value: Any) -> str:
        if is_array(value):
            return f"{value.dtype}{list(value.shape)}"
        return f"[{', '.join(map(text, value))}]" if isinstance(value, list) else repr(value)

    keywords = [f"{name}={text(value)}" for name, value in case.kwargs.items()]
    return f"{op.name} case {number}: ({', '.join([*map(text, case.args), *keywords])})"


def tensors_of(op: Op, case: Case) -> list[tuple[int, int | None]]:
    """Return where the double arrays stand that the op has a gradient for: (argument, index in a list or None)."""
    found: list[tuple[int, int | None]] = []
    for position, (argument, value) in enumerate(zip(op.arguments, case.args, strict=False)):
        if argument.name not in op.differentiable:
            continue
        if isinstance(value, list):
            found += [(position, i) for i, item in enumerate(value) if is_array(item) and item.dtype in DOUBLES]
        elif is_array(value) and value.dtype in DOUBLES:
            found.append((position, None))
    return found


DOUBLES = (np.dtype(np.float64), np.dtype(np.complex128))


def as_pairs(values: Host) -> Host:
    """Return complex numbers as pairs of real ones, along a new last axis; real ones as they are."""
    return np.stack((values.real, values.imag), -1) if values.dtype.kind == "c" else values


def differentiable_cases(sample: Sample) -> Iterator[tuple[int, Case]]:
    """Yield the cases on which finite differences mean something."""
    op = OPS[sample.op]
    for number, case in enumerate(cases(sample)):
        places = tensors_of(op, case)
        arrays = [case.args[position] if index is None else case.args[position][index] for position, index in places]
        if case.differentiable and places and all(np.isfinite(array).all() for array in arrays) and _is_double(case):
            yield number, case


def _is_double(case: Case) -> bool:
    """Return whether all floating arrays are double; among single ones finite differences drown in rounding."""
    flat = [item for value in case.args for item in (value if isinstance(value, list) else [value])]
    return all(value.dtype in DOUBLES for value in flat if is_array(value) and value.dtype.kind in "fc")


class Function:
    """A case as a real function of its double arrays: a fixed random projection of the op's outputs.

    Complex numbers count as pairs of real ones, in arguments and outputs, so that differences mean the same for both.
    """

    def __init__(self, op: Op, case: Case, backend: str = "cpu") -> None:
        self.op, self.case, self.backend = op, case, backend
        self.places = tensors_of(op, case)
        self.outputs = SAMPLES[op.name].differentiable_outputs
        self._rng_seed = 7

    def values(self) -> list[Host]:
        """Return the arrays that the function is of."""
        return [as_pairs(np.array(self._at(self.case.args, place), order="C")) for place in self.places]

    @staticmethod
    def _at(args: Sequence[Any], place: tuple[int, int | None]) -> Any:
        position, index = place
        return args[position] if index is None else args[position][index]

    def _run(self, engine: Engine, values: Sequence[Host], leaves: list[Array]) -> Array | None:
        """Return the projection, with `leaves` filled by the arrays that stand for `values`."""
        args = [list(value) if isinstance(value, list) else value for value in self.case.args]
        for place, value in zip(self.places, values, strict=True):
            leaf = engine.new(engine.backend.from_host(np.array(value)), Meta.of(value.shape, from_numpy(value.dtype)))
            leaf.leaf_requires_grad = True
            leaves.append(leaf)
            # An in-place op may not write to a leaf; a copy has the same gradient.
            entered: Any = leaf.clone() if self.op.writes else leaf
            if self._at(self.case.args, place).dtype.kind == "c":
                entered = OPS["view_as_complex"](entered)
            if place[1] is None:
                args[place[0]] = entered
            else:
                args[place[0]][place[1]] = entered
        ready = [value if isinstance(value, Array) else self._put(engine, value) for value in args]
        result = call(engine, self.op, ready, {name: put(engine, value) for name, value in self.case.kwargs.items()})
        return self._project(engine, outputs_of(self.op, ready, result)[: self.outputs])

    @staticmethod
    def _put(engine: Engine, value: Any) -> Any:
        if isinstance(value, list):
            return [item if isinstance(item, Array) else put(engine, item) for item in value]
        return put(engine, value)

    def _project(self, engine: Engine, outputs: Sequence[Array]) -> Array | None:
        with np.errstate(all="ignore"):
            return self._projection(engine, outputs)

    def _projection(self, engine: Engine, outputs: Sequence[Array]) -> Array | None:
        rng = np.random.default_rng(self._rng_seed)
        total: Array | None = None
        for output in outputs:
            if output.dtype.is_complex:
                output = OPS["view_as_real"](output)
            if not output.dtype.is_floating_point:
                continue
            weights = rng.standard_normal(output.shape).astype(output.dtype.numpy)
            part: Any = (
                output * engine.new(engine.backend.from_host(weights), Meta.of(output.shape, output.dtype))
            ).sum()
            total = part if total is None else total + part
        return total

    def number(self, values: Sequence[Host]) -> float:
        """Return the function's value."""
        engine = engine_on(self.backend)
        total = self._run(engine, values, [])
        return float(host(total)) if total is not None else 0.0

    def gradient(self, values: Sequence[Host]) -> list[Host]:
        """Return the gradient by the op's rules."""
        return [host(g) for g in self._gradient(engine_on(self.backend), values, create_graph=False)[1]]

    def _gradient(
        self, engine: Engine, values: Sequence[Host], *, create_graph: bool
    ) -> tuple[list[Array], list[Array]]:
        leaves: list[Array] = []
        engine.recording = True
        total = self._run(engine, values, leaves)
        assert total is not None
        found = _gradients(engine, total, leaves, create_graph=create_graph)
        return leaves, found

    def directional(self, values: Sequence[Host]) -> float:
        """Return a fixed random projection of the gradient: the function that second gradients are of."""
        return float(host(self._directional(engine_on(self.backend), values)[1]))

    def second_gradient(self, values: Sequence[Host]) -> list[Host]:
        """Return the gradient of `directional` by the rules of the rules."""
        engine = engine_on(self.backend)
        leaves, total = self._directional(engine, values)
        return [host(g) for g in _gradients(engine, total, leaves, create_graph=False)]

    def _directional(self, engine: Engine, values: Sequence[Host]) -> tuple[list[Array], Array]:
        leaves, found = self._gradient(engine, values, create_graph=True)
        total = self._project(engine, found)
        assert total is not None
        return leaves, total


def _gradients(engine: Engine, total: Array, leaves: Sequence[Array], *, create_graph: bool) -> list[Array]:
    targets = [edge for leaf in leaves if (edge := gradient_edge(leaf)) is not None]
    root = gradient_edge(total)
    if root is None:
        return [_zeros(engine, leaf) for leaf in leaves]
    one = engine.new(engine.backend.from_host(np.ones((), total.dtype.numpy)), Meta.of((), total.dtype))
    with np.errstate(all="ignore"), engine.recorded(create_graph):
        found = gradients([root], [one], targets, retain_graph=create_graph)
    return [g if g is not None else _zeros(engine, leaf) for g, leaf in zip(found, leaves, strict=True)]


def _zeros(engine: Engine, leaf: Array) -> Array:
    return engine.new(engine.backend.from_host(np.zeros(leaf.shape)), Meta.of(leaf.shape, leaf.dtype))


def numeric_gradient(
    function: Callable[[Sequence[Host]], float], values: Sequence[Host], step: float = 1e-6, most: int = 12
) -> list[list[tuple[int, float]]]:
    """Return central differences, at up to `most` random places of each array: (flat index, derivative)."""
    rng = np.random.default_rng(3)
    found = []
    for number, value in enumerate(values):
        places = rng.permutation(value.size)[:most]
        column = []
        for place in places:
            ends = []
            for sign in (1, -1):
                moved = [np.array(v, order="C") for v in values]
                moved[number].reshape(-1)[place] += sign * step
                ends.append(function(moved))
            column.append((int(place), (ends[0] - ends[1]) / (2 * step)))
        found.append(column)
    return found


def assert_matches(
    analytic: Sequence[Host], numeric: Sequence[Sequence[tuple[int, float]]], rtol: float, what: str
) -> None:
    """Compare a gradient with central differences."""
    for number, (array, column) in enumerate(zip(analytic, numeric, strict=True)):
        flat = array.reshape(-1)
        scale = max([1.0, *(abs(value) for _, value in column)])
        for place, value in column:
            error = abs(flat[place] - value)
            assert error <= rtol * scale, (
                f"{what}: input {number}, element {place}: rule {flat[place]}, differences {value}"
            )
