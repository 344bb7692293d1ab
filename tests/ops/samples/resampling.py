"""Samples of the resampling family.

References walk over outputs one by one, with plain Python arithmetic for positions and weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradwire_protocol.ops.resampling import GRID_AXES, UPSAMPLERS
from tests.ops.samples.record import Case, Refusal, Sample

Array = Any
Weights = dict[int, float]  # of the elements of an axis, for one output


# ---------------------------------------------------------------- upsampling
def _step(size: int, count: int, scale: float | None, align_corners: bool) -> float:
    if align_corners:
        return (size - 1) / (count - 1) if count > 1 else 0.0
    return 1 / scale if scale else size / count


def _keys(x: float, a: float) -> float:
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def _around(position: float, size: int, reach: int, weigh: Callable[[float], float]) -> Weights:
    found: Weights = {}
    low = min(math.floor(position), size - 1)
    for place in range(low - reach + 1, low + reach + 1):
        held = min(max(place, 0), size - 1)
        found[held] = found.get(held, 0.0) + weigh(abs(place - position))
    return found


def _stretched(i: int, size: int, step: float, width: int, weigh: Callable[[float], float]) -> Weights:
    stretch, centre = max(step, 1.0), step * (i + 0.5)
    support = width / 2 * stretch
    places = range(max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), size))
    raw = {place: weigh(abs(place - centre + 0.5) / stretch) for place in places}
    return {place: weight / sum(raw.values()) for place, weight in raw.items()}


def _axis(name: str, i: int, size: int, count: int, scale: float | None, align: bool) -> Weights:
    """Return the weights of one output along one axis."""
    step = _step(size, count, scale, align)
    position = step * i if align else step * (i + 0.5) - 0.5
    if size == count and name.endswith("aa"):
        return {i: 1.0}
    if name.endswith("bilinear2d_aa"):
        return _stretched(i, size, step, 2, lambda x: max(1 - x, 0.0))
    if name.endswith("bicubic2d_aa"):
        return _stretched(i, size, step, 4, lambda x: _keys(x, -0.5))
    if "exact" in name:
        return {min(math.floor(max(position, 0.0) + 0.5), size - 1): 1.0}
    if name == "upsample_nearest2d" and count in (size, 2 * size):
        return {i * size // count: 1.0}
    if "nearest" in name:
        return {min(math.floor(step * i), size - 1): 1.0}
    if "bicubic" in name:
        return _around(position, size, 2, lambda x: _keys(x, -0.75))
    return {i: 1.0} if size == count else _around(max(position, 0.0), size, 1, lambda x: max(1 - x, 0.0))


def _matrices(name: str, sizes: Any, counts: Any, scales: Any, align: bool) -> list[Array]:
    found = []
    for size, count, scale in zip(sizes, counts, scales, strict=True):
        matrix = np.zeros((count, size))
        for i in range(count):
            for place, weight in _axis(name, i, size, count, scale, align).items():
                matrix[i, place] += weight
        found.append(matrix)
    return found


def _along(x: Array, matrices: list[Array]) -> Array:
    for axis, matrix in enumerate(matrices, 2):
        x = np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)
    return x


def _arguments(name: str, rest: tuple[Any, ...]) -> tuple[bool, tuple[Any, ...]]:
    dims, aligns = UPSAMPLERS[name][:2]
    align, scales = (rest[0], rest[1:]) if aligns else (False, rest)
    return align, scales or (None,) * dims


def _forward(name: str) -> Callable[..., Array]:
    def reference(self: Array, output_size: Any, *rest: Any) -> Array:
        align, scales = _arguments(name, rest)
        found = _along(self.astype(np.float64), _matrices(name, self.shape[2:], output_size, scales, align))
        return found.astype(self.dtype)

    return reference


def _backward(name: str) -> Callable[..., Array]:
    def reference(grad_output: Array, output_size: Any, input_size: Any, *rest: Any) -> Array:
        align, scales = _arguments(name, rest)
        matrices = _matrices(name, input_size[2:], output_size, scales, align)
        return _along(grad_output, [matrix.T for matrix in matrices])

    return reference


_SIZES = {1: ((5,), (3,)), 2: ((3, 5), (4, 2)), 3: ((2, 3, 4), (3, 2, 5))}


def _plans(name: str) -> Iterator[tuple[Any, Any, tuple[Any, ...]]]:
    """Yield input sizes, output sizes, and the arguments behind."""
    dims, aligns = UPSAMPLERS[name][:2]
    sizes, counts = _SIZES[dims]
    for align in (False, True) if aligns else (False,):
        head = (align,) if aligns else ()
        yield sizes, counts, (*head, *(None,) * dims)
        yield counts, sizes, (*head, *(None,) * dims)
        yield sizes, tuple(2 * size for size in sizes), (*head, *(2.0,) * dims)
        yield sizes, tuple(int(size * 1.6) for size in sizes), (*head, *(1.6,) * dims)
    yield sizes, sizes, (*((False,) if aligns else ()), *(None,) * dims)


def _forward_cases(name: str) -> Callable[[np.random.Generator], Iterator[Case]]:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for sizes, counts, rest in _plans(name):
            yield Case((rng.standard_normal((2, 2, *sizes)), counts, *rest))
        dims = len(sizes)
        yield Case((rng.standard_normal((2, *sizes, 3)).swapaxes(1, -1), (3,) * dims, *rest))
        yield Case((rng.standard_normal((1, 2, *sizes)).astype(np.float32), (7,) * dims, *rest))
        yield Case((np.ones((0, 2, *sizes)), (3,) * dims, *rest))
        if "nearest" in name:
            yield Case(
                (rng.integers(0, 255, (1, 2, *sizes)).astype(np.uint8), (7,) * dims, *rest), differentiable=False
            )

    return cases


def _backward_cases(name: str) -> Callable[[np.random.Generator], Iterator[Case]]:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for sizes, counts, rest in _plans(name):
            yield Case((rng.standard_normal((2, 2, *counts)), counts, (2, 2, *sizes), *rest))

    return cases


def _refusals(name: str) -> tuple[Refusal, ...]:
    dims, aligns, _, takes_bytes = UPSAMPLERS[name]
    rest = (False,) * aligns
    x, wanted = np.ones((1, 2, *(3,) * dims)), (4,) * dims
    found = [
        Refusal((x, (4,) * (dims + 1), *rest), RuntimeError, f"It is expected output_size equals to {dims}, but got"),
        Refusal((x[0], wanted, *rest), RuntimeError, f"It is expected input_size equals to {dims + 2}, but got"),
        Refusal((x, (0,) * dims, *rest), RuntimeError, "Input and output sizes should be greater than 0, but got"),
        Refusal((np.ones((1, 0, *(3,) * dims)), wanted, *rest), RuntimeError, "data tensor expected but got a tensor"),
        Refusal((x.astype(np.int64), wanted, *rest), NotImplementedError, "not implemented for .Long"),
    ]
    if name.endswith("_aa"):
        found.append(Refusal((x.astype(np.float16), wanted, *rest), NotImplementedError, "not implemented for .Half"))
    if not takes_bytes:
        found.append(Refusal((x.astype(np.uint8), wanted, *rest), NotImplementedError, "not implemented for .Byte"))
    return tuple(found)


def _backward_refusals(name: str) -> tuple[Refusal, ...]:
    dims, aligns = UPSAMPLERS[name][:2]
    rest = (False,) * aligns
    g, size = np.ones((1, 2, *(4,) * dims)), (1, 2, *(3,) * dims)
    words = (
        r"Expected a tensor of dimension 3 and tensor.size\[2\] == 5"
        if dims == 1
        else "Expected grad_output to have the"
    )
    return (Refusal((g, (5,) * dims, size, *rest), RuntimeError, words),)


# ---------------------------------------------------------------- grids
def _reflected(x: float, low: float, span: float) -> float:
    if span == 0:
        return 0.0
    flips, rest = divmod(abs(x - low), span)
    return low + (rest if flips % 2 == 0 else span - rest)


def _padded(x: float, size: int, padding: int, align: bool) -> float:
    if padding == 2:
        x = _reflected(x, 0.0, size - 1.0) if align else _reflected(x, -0.5, float(size))
    return x if padding == 0 else min(max(x, 0.0), size - 1.0)


def _point(coordinate: float, size: int, mode: int, padding: int, align: bool) -> Weights:
    x = (coordinate + 1) / 2 * (size - 1) if align else ((coordinate + 1) * size - 1) / 2
    if mode == 2:
        low = math.floor(x)
        found: Weights = {}
        for place in range(low - 1, low + 3):
            held = int(_padded(place, size, padding, align))
            found[held] = found.get(held, 0.0) + _keys(abs(place - x), -0.75)
        return found
    x = _padded(x, size, padding, align)
    return {round(x): 1.0} if mode == 1 else {math.floor(x): 1 - x % 1, math.floor(x) + 1: x % 1}


def _sampled(input: Array, grid: Array, mode: int, padding: int, align: bool) -> Array:
    sizes = input.shape[2:]
    out = np.zeros((*input.shape[:2], *grid.shape[1:-1]))
    for n, *place in np.ndindex(grid.shape[:-1]):
        point = grid[(n, *place)][::-1]
        axes = [_point(float(c), size, mode, padding, align).items() for c, size in zip(point, sizes, strict=True)]
        for corner in itertools.product(*axes):
            index = tuple(at for at, _ in corner)
            if all(0 <= at < size for at, size in zip(index, sizes, strict=True)):
                out[(n, slice(None), *place)] += input[(n, slice(None), *index)] * math.prod(w for _, w in corner)
    return out.astype(input.dtype)


def _grid_cases(dims: int) -> Callable[[np.random.Generator], Iterator[Case]]:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        sizes, points = (3, 4, 2)[:dims], (2, 3, 2)[:dims]
        for mode, padding, align in itertools.product((0, 1, 2)[: 5 - dims], (0, 1, 2), (False, True)):
            grid = rng.uniform(-1.6, 1.6, (2, *points, dims))
            yield Case((rng.standard_normal((2, 2, *sizes)), grid, mode, padding, align))
        single = rng.uniform(-1, 1, (1, *points, dims)).astype(np.float32)
        yield Case((rng.standard_normal((1, 2, *sizes)).astype(np.float32), single, 0, 0, False))
        yield Case((np.ones((1, 0, *sizes)), rng.uniform(-1, 1, (1, *points, dims)), 0, 0, True))

    return cases


def _grid_refusals(dims: int) -> tuple[Refusal, ...]:
    x, grid = np.ones((2, 1, *(3,) * dims)), np.ones((2, *(2,) * dims, dims))
    return (
        Refusal((x, grid[:1], 0, 0, False), RuntimeError, "expected grid and input to have same batch size, but got"),
        Refusal((x, grid[..., :1], 0, 0, False), RuntimeError, f"expected grid to have size {dims} in last dimension"),
        Refusal((x[..., :0], grid, 0, 0, False), RuntimeError, "expected input to have non-empty spatial dimensions"),
        Refusal((x, grid.astype(np.float32), 0, 0, False), RuntimeError, "expected scalar type Double but found Float"),
    )


def _taps_cases(rng: np.random.Generator) -> Iterator[Case]:
    for mode in (0, 1):
        yield Case((rng.uniform(-1.5, 1.5, (2, 3, 1)), (4,), mode, 0, True))


def _taps(grid: Array, input_size: Any, mode: int, padding: int, align: bool) -> Any:
    """Return the taps of an axis of zeros padding, corners on corners."""
    (size,) = input_size
    x = (grid.reshape(grid.shape[0], -1) + 1) * (size - 1) / 2
    low = np.rint(x) if mode else np.floor(x)
    places = np.stack([low + offset for offset in ((0,) if mode else (0, 1))])
    inside = (places >= 0) & (places < size)
    slope = np.full(x.shape, (size - 1) / 2)
    return np.clip(places, 0, size - 1).astype(np.int64), inside, (x - low)[..., None], slope[..., None]


_TAPS_REFUSAL = Refusal((np.ones((1, 2, 2)), (3,), 0, 0, False), RuntimeError, "a coordinate per axis", in_torch=False)

SAMPLES: list[Sample] = [Sample("gw::grid_taps", _taps, _taps_cases, (_TAPS_REFUSAL,))]
for _name in UPSAMPLERS:
    SAMPLES.append(Sample(_name, _forward(_name), _forward_cases(_name), _refusals(_name)))
    SAMPLES.append(Sample(f"{_name}_backward", _backward(_name), _backward_cases(_name), _backward_refusals(_name)))
for _name, _dims in GRID_AXES.items():
    SAMPLES.append(Sample(_name, _sampled, _grid_cases(_dims), _grid_refusals(_dims)))
