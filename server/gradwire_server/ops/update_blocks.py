"""What the kernels of the fused optimizer updates share.

Blocks that fit in cache, ufuncs with `out=`, and scratch memory made before the first write: once writing begins nothing
allocates, so an update is whole or does not happen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gradwire_server.loops import host_loops

__all__ = ["average", "average_square", "block_loops", "blocks", "descent", "fill", "flat", "shrink"]

Array = Any

# Elements. Five float32 arrays of this size stay in a 1 MiB second-level cache.
_BLOCK = 32_768
_WHOLE = 1 << 62
# From so many on, a compiled loop is worth its call, and a model large enough for its import.
_LOOP_ELEMENTS = 16_384


def _block(xp: Any) -> int:
    """Return the elements of a block: on a GPU all, since there each block costs a launch per operation."""
    return _WHOLE if getattr(xp, "__name__", "") == "cupy" else _BLOCK


def _rows(arrays: Sequence[Array]) -> list[tuple[Array, ...]]:
    """Return the arrays of one parameter as flat views, or as they are where one cannot be flattened without a copy.

    Complex numbers are pairs of real ones: the updates are all of single elements, and PyTorch's rule is the same.
    """
    is_complex = arrays[0].dtype.kind == "c"
    if all(array.flags.c_contiguous for array in arrays):
        flat = [array.reshape(-1) for array in arrays]
        return [tuple(array.view(array.real.dtype) for array in flat) if is_complex else tuple(flat)]
    if is_complex:
        return [tuple(array.real for array in arrays), tuple(array.imag for array in arrays)]
    return [tuple(arrays)]


def _cut(rows: Sequence[Array], most: int) -> Iterator[tuple[Array, ...]]:
    if rows[0].ndim != 1 or rows[0].size <= most:
        yield tuple(rows)
        return
    for start in range(0, rows[0].size, most):
        yield tuple(row[start : start + most] for row in rows)


def _parts(arrays: tuple[Array, ...], most: int) -> Iterator[tuple[Array, ...]]:
    """Yield the blocks of one parameter; a small one is a block as it is, whatever its shape."""
    if arrays[0].size <= most and arrays[0].dtype.kind != "c":
        yield arrays
        return
    for row in _rows(arrays):
        yield from _cut(row, most)


def blocks(xp: Any, *lists: Sequence[Array], scratch: int) -> list[tuple[Array, ...]]:
    """Return for each block of each parameter its part of every list that is not empty, then the scratch arrays."""
    most = _block(xp)
    whole = _whole(xp, lists, scratch)
    if whole is not None:
        return whole
    cut = [part for arrays in zip(*(v for v in lists if v), strict=True) for part in _parts(arrays, most)]
    sizes: dict[Any, int] = {}
    for first, *_ in cut:
        sizes[first.dtype] = max(sizes.get(first.dtype, 0), first.size)
    memory = {dtype: [xp.empty(size, dtype) for _ in range(scratch)] for dtype, size in sizes.items()}
    shaped: dict[Any, tuple[Array, ...]] = {}
    made = []
    for part in cut:
        first = part[0]
        key = first.dtype, first.shape
        extra = shaped.get(key)
        if extra is None:
            extra = tuple([array[: first.size].reshape(first.shape) for array in memory[first.dtype]])
            shaped[key] = extra
        made.append((*part, *extra))
    return made


def _whole(xp: Any, lists: Sequence[Sequence[Array]], scratch: int) -> list[tuple[Array, ...]] | None:
    """Return each parameter as a block of its own if all together are no larger than one; None if they are."""
    firsts = lists[0]
    if sum([first.size for first in firsts]) > _BLOCK or any(first.dtype.kind == "c" for first in firsts):
        return None
    extra = [[xp.empty(first.shape, first.dtype) for first in firsts] for _ in range(scratch)]
    return list(zip(*[v for v in lists if v], *extra, strict=True))


def block_loops(xp: Any, *arrays: Array) -> Any:
    """Return the compiled loops if they take the parts of a block, which have one dtype, None if not."""
    if arrays[0].size < _LOOP_ELEMENTS:  # sooner than `host_loops` would find out
        return None
    return host_loops(xp, *arrays, least=_LOOP_ELEMENTS)


def flat(*arrays: Array) -> tuple[Array, ...]:
    """Return contiguous arrays as vectors."""
    return tuple([array.reshape(-1) for array in arrays])


def fill(arrays: Sequence[Array], number: float) -> None:
    """Write the number that 0-dim arrays hold after a step."""
    for array in arrays:
        array[...] = number


def descent(xp: Any, grad: Array, parameter: Array, weight_decay: float, maximize: bool, out: Array) -> Array:
    """Return the gradient to follow: negated to maximise, with the L2 penalty's part added."""
    if weight_decay == 0:
        return xp.negative(grad, out=out) if maximize else grad
    xp.multiply(parameter, weight_decay, out=out)
    return xp.subtract(out, grad, out=out) if maximize else xp.add(out, grad, out=out)


def shrink(xp: Any, parameter: Array, lr: float, weight_decay: float) -> None:
    """Decay the parameter itself, which is not the L2 penalty's gradient where steps are scaled."""
    if weight_decay != 0:
        xp.multiply(parameter, 1 - lr * weight_decay, out=parameter)


def average(xp: Any, g: Array, mean: Array, weight: float, out: Array) -> None:
    """Move a running mean towards `g` by `weight`."""
    xp.subtract(g, mean, out=out)
    xp.add(mean, xp.multiply(out, weight, out=out), out=mean)


def average_square(xp: Any, g: Array, square: Array, beta: float, out: Array) -> None:
    """Move a running mean square towards the square of `g`, keeping `beta` of it."""
    xp.multiply(g, g, out=out)
    xp.multiply(out, 1 - beta, out=out)
    xp.multiply(square, beta, out=square)
    xp.add(square, out, out=square)
