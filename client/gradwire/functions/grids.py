"""Coordinates of grids and of triangles, and shapes that broadcast."""

from __future__ import annotations

import warnings
from typing import Any

from gradwire.creation import finish
from gradwire.properties import Size
from gradwire.tensor import Tensor, call, expect_tensor
from gradwire_protocol.dtypes import DType, int32, int64
from gradwire_protocol.infer import broadcast_shapes as common_shape
from gradwire_protocol.ops import OPS
from gradwire_protocol.registry import torch_type_name

__all__ = ["broadcast_shapes", "broadcast_tensors", "meshgrid", "tril_indices", "triu_indices"]


def several(name: str, tensors: tuple[Any, ...]) -> list[Any]:
    """Return tensors given as `f(a, b)` or as `f([a, b])`."""
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])
    return [expect_tensor(name, tensor) for tensor in tensors]


_warned = False


def _warn_of_indexing() -> None:
    """Warn once, as PyTorch does, that the order of axes was not said."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.", stacklevel=3
        )


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Return each vector expanded over the axes of all: (N,), (M,) -> (N, M) each with indexing "ij", (M, N) with "xy"."""
    vectors = several("meshgrid", tensors)
    if not vectors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    for vector in vectors:
        if vector.ndim > 1:
            raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {vector.shape}")
        if vector.dtype is not vectors[0].dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
    if indexing is None:
        _warn_of_indexing()
    elif indexing not in ("ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    swapped = indexing == "xy" and len(vectors) > 1
    if swapped:
        vectors[:2] = vectors[1::-1]
    shape = tuple(vector.numel() for vector in vectors)
    grids = [
        vector.reshape([-1 if other == axis else 1 for other in range(len(shape))]).expand(shape)
        for axis, vector in enumerate(vectors)
    ]
    if swapped:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def broadcast_shapes(*shapes: Any) -> Size:
    """Return the shape that tensors of all these shapes broadcast to; a number stands for one axis."""
    found: tuple[int, ...] = ()
    for index, shape in enumerate(shapes):
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        if min(sizes, default=0) < 0:
            raise ValueError("Attempting to broadcast a dimension with negative length!")
        for place, (have, size) in enumerate(zip(found[::-1], sizes[::-1], strict=False), 1):
            if have != size and 1 not in (have, size):
                raise RuntimeError(
                    f"Attempting to broadcast a dimension of length {size} at -{place}! Mismatching argument at index "
                    f"{index} had {shape}; but expected shape should be broadcastable to {list(found)}"
                )
        found = common_shape(found, sizes)
    return Size(found)


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Return each tensor expanded to the shape that all broadcast to."""
    given = several("broadcast_tensors", tensors)
    shape: tuple[int, ...] = ()
    for tensor in given:
        shape = common_shape(shape, tensor.meta.shape)
    return tuple(tensor.expand(shape) for tensor in given)


def _triangle(name: str, lower: bool, row: int, col: int, offset: int, dtype: DType | None, device: Any) -> Tensor:
    """Return the coordinates below or above a diagonal; their number follows from the sizes, so nothing is waited for."""
    for word, size in (("row", row), ("col", col)):
        if size < 0:
            raise RuntimeError(f"{word} must be non-negative, got{size}")
    dtype = dtype or int64
    if dtype not in (int32, int64):
        raise NotImplementedError(f"\"{name}\" not implemented for '{torch_type_name(dtype)}'")
    below = sum(min(max(index + offset + lower, 0), col) for index in range(row))
    count = below if lower else row * col - below
    rows: Any = call(OPS["gw::arange"], row, 0, 1, int64).unsqueeze(1)
    columns: Any = call(OPS["gw::arange"], col, 0, 1, int64)
    distance = columns.sub(rows)
    chosen = distance.le(offset) if lower else distance.ge(offset)
    places: Any = OPS["nonzero_static"](chosen, size=count)
    return finish(places.t().contiguous().to(dtype), False, device)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """Return the (2, count) coordinates of the lower triangle of a (row, col) matrix, row by row."""
    return _triangle("tril_indices", True, row, col, offset, dtype, device)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """Return the (2, count) coordinates of the upper triangle of a (row, col) matrix, row by row."""
    return _triangle("triu_indices", False, row, col, offset, dtype, device)
