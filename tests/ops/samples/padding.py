"""Samples of the padding family. Reference: numpy's own `pad`, after cropping what is negative."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Array = Any
Pad = tuple[int, ...]


def _widths(ndim: int, pad: Pad) -> list[tuple[int, int]]:
    pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    return [(0, 0)] * (ndim - len(pairs)) + pairs


def _padded(self: Array, pad: Pad, mode: str, **kwargs: Any) -> Array:
    """Pad, then crop: of an edge that is cropped, reflection still counts from the input's own end."""
    widths = _widths(self.ndim, pad)
    if not widths:
        return self
    full = np.pad(self, [(max(a, 0), max(b, 0)) for a, b in widths], mode, **kwargs)
    crops = tuple(slice(max(-a, 0), size - max(-b, 0)) for (a, b), size in zip(widths, full.shape, strict=True))
    return full[crops].copy()


# ---------------------------------------------------------------- a constant
def _constant_cases(rng: np.random.Generator) -> Iterator[Case]:
    x = rng.standard_normal((2, 3, 4))
    for pad, value in (((1, 2), 1.5), ((0, 1, 2, 0, 1, 1), 0), ((-1, 2, 1, -2), 0.5), ((0, 0), 1), ((-4, 0), 0)):
        yield Case((x, pad, value))
    yield Case((x.transpose(2, 0, 1), (1, 1), -1))
    yield Case((x, (1, 1), float("inf")), differentiable=False)
    yield Case((rng.standard_normal(()), (), 0))
    yield Case((np.ones((0, 3)), (1, 1, 1, 0), 2.0))
    for dtype, value in ((np.int64, 1.9), (np.uint8, -1), (bool, 2), (np.float16, 0.5)):
        yield Case((np.ones((2, 2), dtype), (1, 0), value), differentiable=False)


def _constant(self: Array, pad: Pad, value: Any) -> Array:
    made = np.asarray(value).astype(np.int64 if self.dtype.kind in "iu" else self.dtype).astype(self.dtype)
    return _padded(self, pad, "constant", constant_values=made)


_X = np.ones((2, 3))
_CONSTANT_REFUSALS = (
    Refusal((_X, (1,), 0), RuntimeError, "Length of pad must be even but instead it equals 1"),
    Refusal((_X, (1, 1, 1, 1, 1, 1), 0), RuntimeError, "no more than twice the number of dimensions of the input"),
    Refusal((_X, (-4, 0), 0), RuntimeError, "length must be non-negative"),
    Refusal((_X, (-2, -2), 0), RuntimeError, "length must be non-negative"),
)


# ---------------------------------------------------------------- the edges
_SHAPES: dict[int, tuple[tuple[int, ...], ...]] = {
    1: ((3, 4), (2, 1, 5)),
    2: ((2, 3, 4), (1, 2, 4, 3)),
    3: ((2, 3, 3, 4),),
}
_PADS: dict[int, tuple[Pad, ...]] = {
    1: ((1, 2), (-1, 1), (3, -1), (0, 0), (-1, -1)),
    2: ((1, 2, 2, 0), (-1, 2, 1, -1), (0, 0, 1, 1)),
    3: ((1, 2, 0, 1, 2, 1), (-1, 2, 1, -1, 0, 1)),
}
_NUMPY = {"reflection": "reflect", "replication": "edge"}


def _edge_cases(dims: int) -> Callable[[np.random.Generator], Iterator[Case]]:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for shape in _SHAPES[dims]:
            for padding in _PADS[dims]:
                yield Case((rng.standard_normal(shape), padding))
        swapped = rng.standard_normal((3, 2, *(4,) * dims)).swapaxes(0, 1)
        yield Case((swapped, (1,) * 2 * dims))
        yield Case((np.ones((0, 2, *(3,) * dims)), (1,) * 2 * dims))
        for dtype in (np.int64, np.uint8, np.float32, np.float16):
            yield Case((rng.integers(0, 9, (1, *(3,) * dims)).astype(dtype), (1,) * 2 * dims), differentiable=False)

    return cases


def _back_cases(kind: str, dims: int) -> Callable[[np.random.Generator], Iterator[Case]]:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for shape in _SHAPES[dims]:
            for padding in _PADS[dims]:
                self = rng.standard_normal(shape)
                g = rng.standard_normal(_padded(self, padding, _NUMPY[kind]).shape)
                yield Case((g, self, padding))

    return cases


def _back(kind: str) -> Callable[..., Array]:
    def reference(grad_output: Array, self: Array, padding: Pad) -> Array:
        """Add each output's gradient to the input that padding a row of indices says it was copied from."""
        index = _padded(np.arange(self.size).reshape(self.shape), padding, _NUMPY[kind])
        found = np.zeros(self.size)
        np.add.at(found, index.reshape(-1), grad_output.reshape(-1))
        return found.reshape(self.shape)

    return reference


def _edge_refusals(kind: str, dims: int) -> tuple[Refusal, ...]:
    x, one = np.ones((1, 2, *(3,) * dims)), (1, 1) * dims
    found = [
        Refusal((np.ones(3), one), RuntimeError, "possibly 0 batch size and other non-zero dimensions for input"),
        Refusal((np.ones((1, 0, *(3,) * dims)), one), RuntimeError, "but got: .1, 0, 3"),
        Refusal((x, (-1, -2) * dims), RuntimeError, "is too small. Calculated output"),
        Refusal((x.astype(bool), one), NotImplementedError, f'"{kind}_pad{dims}d" not implemented for .Bool'),
    ]
    if kind == "reflection":
        found.append(Refusal((x, (3, *one[1:])), RuntimeError, "Padding size should be less than the corresponding"))
    return tuple(found)


def _back_refusals(dims: int) -> tuple[Refusal, ...]:
    x = np.ones((1, 2, *(3,) * dims))
    return (Refusal((x, x, (1, 1) * dims), RuntimeError, "unexpected|expected|Expected"),)


SAMPLES: list[Sample] = [Sample("constant_pad_nd", _constant, _constant_cases, _CONSTANT_REFUSALS)]
for _kind in ("reflection", "replication"):
    for _dims in (1, 2, 3):
        _name = f"{_kind}_pad{_dims}d"

        def _forward(self: Array, padding: Pad, kind: str = _kind) -> Array:
            return _padded(self, padding, _NUMPY[kind])

        SAMPLES.append(Sample(_name, _forward, _edge_cases(_dims), _edge_refusals(_kind, _dims)))
        SAMPLES.append(Sample(f"{_name}_backward", _back(_kind), _back_cases(_kind, _dims), _back_refusals(_dims)))
