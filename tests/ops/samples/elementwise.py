"""What the samples of elementwise families share: inputs made by kind, and lists in which an op and its in-place form are a line."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gradwire_protocol.infer import floating
from gradwire_protocol.ops import OPS
from tests.ops.samples.record import Case, Refusal, Sample

Array = Any
Cases = Callable[[np.random.Generator], Iterator[Case]]
Reference = Callable[..., Any]
NAN, INF = math.nan, math.inf

CORNERS = np.array([NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, 30.0, -30.0])
erf, erfc = np.vectorize(math.erf, otypes=[float]), np.vectorize(math.erfc, otypes=[float])


# ---------------------------------------------------------------- inputs
def spread(rng: np.random.Generator, *shape: int, low: float = -2.0, high: float = 2.0) -> Array:
    return np.asarray(rng.uniform(low, high, shape))


def whole(rng: np.random.Generator, *shape: int, low: int = -4, high: int = 5, dtype: Any = np.int64) -> Array:
    return np.asarray(rng.integers(low, high, shape)).astype(dtype)


def floats(rng: np.random.Generator, low: float, high: float) -> Iterator[Case]:
    """Make one tensor of several ranks, layouts and precisions, within the bounds of the function's domain."""
    yield Case((spread(rng, 2, 3, low=low, high=high),))
    yield Case((spread(rng, 4, 3, low=low, high=high).T,))
    yield Case((spread(rng, low=low, high=high),))
    yield Case((spread(rng, 3, 6, low=low, high=high)[:, ::2],), differentiable=False)
    yield Case((spread(rng, 5, low=low, high=high).astype(np.float32),))
    yield Case((np.ones((0, 3)),))


def wholes(rng: np.random.Generator, low: int = -4) -> Iterator[Case]:
    yield Case((whole(rng, 2, 3, low=low),))
    yield Case((whole(rng, 4, low=low, dtype=np.int32),))
    yield Case((whole(rng, 4, low=max(low, 0), dtype=np.uint8),))
    yield Case((whole(rng, low=low),))


def bools(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((rng.random((2, 3)) < 0.5,))
    yield Case((np.asarray(True),))


def complexes(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((spread(rng, 2, 3) + 1j * spread(rng, 2, 3),))
    yield Case(((spread(rng, 4) + 1j * spread(rng, 4)).astype(np.complex64),))


def ones(kinds: str, low: float = -2.0, high: float = 2.0, corners: bool = True) -> Cases:
    """Make cases of one tensor: floats (f), integers (i), bools (b) and complex numbers (c), as `kinds` says."""

    def cases(rng: np.random.Generator) -> Iterator[Case]:
        if "f" in kinds:
            yield from floats(rng, low, high)
        if "f" in kinds and corners:
            yield Case((CORNERS,), differentiable=False)
            yield Case((CORNERS.astype(np.float32),), differentiable=False)
        if "i" in kinds:
            yield from wholes(rng, 0 if low >= 0 else -4)
        if "b" in kinds:
            yield from bools(rng)
        if "c" in kinds:
            yield from complexes(rng)

    return cases


def extended(cases: Cases, *arguments: tuple[Any, ...], **keywords: Any) -> Cases:
    """Give every case each of the further arguments in turn, floating ones all of them."""

    def more(rng: np.random.Generator) -> Iterator[Case]:
        for number, case in enumerate(cases(rng)):
            for rest in arguments if number < 3 else arguments[:1]:
                yield Case((*case.args, *rest), {**case.kwargs, **keywords}, case.differentiable)

    return more


def pairs(kinds: str, low: float = -2.0, high: float = 2.0, nonzero: bool = False) -> Cases:
    """Make cases of two tensors that broadcast, of equal and of different dtypes and ranks."""

    def floats(rng: np.random.Generator, *shape: int) -> Array:
        return spread(rng, *shape, low=low, high=high)

    def wholes(rng: np.random.Generator, *shape: int, dtype: Any = np.int64, signed: bool = True) -> Array:
        values = whole(rng, *shape, low=1 if nonzero else 0, high=5, dtype=dtype)
        return values * rng.choice((-1, 1), shape).astype(dtype) if signed and low < 0 else values

    def cases(rng: np.random.Generator) -> Iterator[Case]:
        if "f" in kinds:
            yield Case((floats(rng, 2, 3), floats(rng, 2, 3)))
            yield Case((floats(rng, 3, 2).T, floats(rng, 3)))
            yield Case((floats(rng, 2, 1), floats(rng, 2, 3)[:, ::2]))
            yield Case((floats(rng), floats(rng)))
            yield Case((floats(rng, 4).astype(np.float32), floats(rng, 4)), differentiable=False)
            yield Case((floats(rng, 4).astype(np.float32), floats(rng)), differentiable=False)
            yield Case((floats(rng, 0, 3), floats(rng, 3)))
        if "f" in kinds and "i" in kinds:
            yield Case((floats(rng, 4).astype(np.float32), wholes(rng, 4)))
            yield Case((wholes(rng, 4), floats(rng).astype(np.float32)))
        if "i" in kinds:
            yield Case((wholes(rng, 2, 6), wholes(rng, 6)))
            yield Case((wholes(rng, 6, dtype=np.int32), wholes(rng)))
            yield Case((wholes(rng, 6, dtype=np.uint8, signed=False), wholes(rng, 6, dtype=np.int8)))
        if "b" in kinds:
            yield Case((rng.random(6) < 0.5, rng.random(6) < 0.5))
        if "b" in kinds and "i" in kinds:
            yield Case((rng.random(6) < 0.5, wholes(rng, 6)))

    return cases


def with_numbers(kinds: str, numbers: Sequence[Any], low: float = -2.0, high: float = 2.0) -> Cases:
    return extended(ones(kinds, low, high, corners=False), *((number,) for number in numbers))


def same_shape(cases: Cases) -> Cases:
    """Leave the cases whose result can be written over their first tensor."""

    def fitting(rng: np.random.Generator) -> Iterator[Case]:
        for case in cases(rng):
            self, shapes = case.args[0], [a.shape for a in case.args if isinstance(a, np.ndarray)]
            fits = np.broadcast_shapes(*shapes) == self.shape and self.flags.owndata | bool(self.ndim)
            kinds = [np.asarray(a).dtype.kind for a in case.args if a is not None]
            if fits and max("biufc".index(kind) for kind in kinds) <= "biufc".index(self.dtype.kind):
                yield case

    return fitting


# ---------------------------------------------------------------- what goes into the list
def add_to(samples: list[Sample]) -> Callable[..., None]:
    """Return the function that adds to a family's list."""
    return functools.partial(_add, samples)


def _add(
    samples: list[Sample], name: str, reference: Reference, cases: Cases, *refusals: Refusal, inplace: bool = True,
    **options: Any,
) -> None:  # fmt: skip
    """Add the sample of an op, and that of its in-place form on the cases that can be written back."""
    samples.append(Sample(name, reference, cases, refusals, **options))
    head, dot, overload = name.partition(".")
    written = f"{head}_{dot}{overload}"
    if inplace and written in OPS:
        torch_name = {"pow_.Tensor_Scalar": "Scalar", "pow_.Tensor_Tensor": "Tensor"}.get(written)
        options = {**options, **({"torch": aten(head + "_", torch_name)} if torch_name else {})}
        samples.append(Sample(written, stored(reference), floating_only(name, same_shape(cases)), (), **options))


def aten(name: str, overload: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(getattr(torch.ops.aten, name), overload)(*args, **kwargs)

    return call


def stored(reference: Reference) -> Reference:
    """Return what an in-place op leaves in self."""

    def written(self: Array, *rest: Any, **keywords: Any) -> Array:
        result = np.asarray(reference(self, *rest, **keywords))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
            return result.astype(self.dtype)

    return written


def floating_only(name: str, cases: Cases) -> Cases:
    """Leave out integers where the result is a float, which they cannot hold."""
    if name not in TO_FLOAT:
        return cases
    return lambda rng: (case for case in cases(rng) if case.args[0].dtype.kind in "fc")


TO_FLOAT = frozenset(name for name, op in OPS.items() if op.infer is floating) | {
    "atan2", "copysign.Scalar", "copysign.Tensor", "deg2rad", "digamma", "erf", "erfc", "erfinv", "i0", "lgamma", "logit",
    "mvlgamma", "rad2deg", "xlogy.Scalar_Other", "xlogy.Tensor",
}  # fmt: skip


def no_kernel(kernel: str, name: str, value: Array, *rest: Any, **keywords: Any) -> Refusal:
    return Refusal((value, *rest), NotImplementedError, f"\"{kernel}\" not implemented for '{name}'", keywords)


INTS, FLAGS, COMPLEX = np.ones(2, np.int64), np.array([True, False]), np.ones(2, np.complex64)
HALVES, THREE, FOUR = np.array([1.5, -0.5]), np.zeros(3), np.zeros(4)
MISFIT = Refusal((THREE, FOUR), RuntimeError, r"The size of tensor a \(\d\) must match the size of tensor b \(\d\)")
