"""Functions that combine elements of vectors."""

from __future__ import annotations

import itertools
import math
from typing import Any

from gradwire.tensor import Tensor, call, expect_tensor
from gradwire_protocol.dtypes import int64
from gradwire_protocol.ops import OPS

__all__ = ["cartesian_prod", "combinations"]


def _vector(tensor: Any) -> None:
    if tensor.ndim > 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(tensor.shape)}")


def _crossed(tensors: list[Any]) -> list[Any]:
    """Return each vector along an axis of its own, expanded along those of the others."""
    shape = tuple(tensor.numel() for tensor in tensors)
    return [
        tensor.reshape(*(-1 if i == axis else 1 for i in range(len(shape)))).expand(shape)
        for axis, tensor in enumerate(tensors)
    ]


def cartesian_prod(*tensors: Tensor) -> Any:
    """Return all ways to take an element of each vector, a row each; of one vector, itself."""
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    for tensor in tensors:
        _vector(expect_tensor("cartesian_prod", tensor))
        if tensor.dtype is not tensors[0].dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
    if len(tensors) == 1:
        return tensors[0]
    return OPS["stack"]([tensor.reshape(-1) for tensor in _crossed(list(tensors))], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Any:
    """Return all ways to take `r` elements of a vector in their order, a row each; repeated ones with replacement."""
    elements: Any = expect_tensor("combinations", input)
    if elements.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(elements.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return elements.new_empty(0)
    size = elements.numel()
    count = math.comb(size + r - 1, r) if with_replacement else math.comb(size, r)
    # The places with growing coordinates in a cube of r axes; their number is known, so nothing is waited for.
    grid = _crossed([call(OPS["gw::arange"], size, 0, 1, int64, session=elements.session)] * r)
    chosen = grid[0].ge(0)
    for before, after in itertools.pairwise(grid):
        chosen = chosen.logical_and(before.le(after) if with_replacement else before.lt(after))
    places = OPS["nonzero_static"](chosen, size=count)
    return OPS["stack"]([elements.index_select(0, column) for column in places.unbind(1)], 1)
