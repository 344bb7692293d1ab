"""Functions that find elements: by truth, by value, and by how often they occur."""

from __future__ import annotations

from typing import Any

from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol import infer
from gradwire_protocol.dtypes import Category
from gradwire_protocol.ops import OPS

__all__ = [
    "allclose", "argwhere", "bincount", "bucketize", "index_put_", "isin", "masked_select", "nonzero", "repeat_interleave",
    "searchsorted", "unique", "unique_consecutive", "unravel_index",
]  # fmt: skip


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Return the places of the elements that are not 0, a row each; as a tuple, an index vector per axis. Waits."""
    return expect_tensor("nonzero", input).nonzero(as_tuple=as_tuple)


def argwhere(input: Tensor) -> Any:
    """Return the places of the elements that are not 0, a row each. Waits."""
    return expect_tensor("argwhere", input).argwhere()


def masked_select(input: Tensor, mask: Tensor) -> Any:
    """Return the elements where `mask`, which broadcasts with `input`, is True, as a vector. Waits."""
    return expect_tensor("masked_select", input).masked_select(mask)


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """Return the distinct elements (slices with `dim`) in order; with inverse and counts as asked. Waits."""
    return expect_tensor("unique", input).unique(sorted, return_inverse, return_counts, dim)


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Return the first of each run of equal elements (slices with `dim`); inverse, counts as asked. Waits."""
    return expect_tensor("unique_consecutive", input).unique_consecutive(return_inverse, return_counts, dim)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Any:
    """Count how often each number from 0 on occurs, or sum the weights of its places. Waits for the largest."""
    return expect_tensor("bincount", input).bincount(weights, minlength)


def repeat_interleave(
    input: Tensor, repeats: Tensor | int | None = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Repeat each element (slice with `dim`) `repeats` times; of one tensor alone, repeat each index as it says."""
    return expect_tensor("repeat_interleave", input).repeat_interleave(repeats, dim, output_size=output_size)


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Wait for whether all elements are close to those of `other`, as `isclose` says."""
    return expect_tensor("allclose", input).allclose(other, rtol, atol, equal_nan)


def _beside(tensor: Tensor, value: Any) -> Any:
    """Return a number as a tensor without axes beside `tensor`, which promotes as the number would."""
    return value if isinstance(value, Tensor) else OPS["gw::number_for"](tensor, value)


def _common(first: Tensor, second: Tensor) -> tuple[Any, Any]:
    """Cast two tensors to the dtype that PyTorch compares them in."""
    dtype = infer.result_type(first.meta, second.meta)
    return first.to(dtype), second.to(dtype)


def searchsorted(
    sorted_sequence: Tensor,
    input: Tensor | float,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Any:
    """Return where each value would be inserted into its row of a sorted tensor, before equals or (right) behind them.

    `sorter` holds the indices that sort the rows, if they are not sorted.
    """
    rows = expect_tensor("searchsorted", sorted_sequence)
    if not isinstance(input, Tensor) and rows.ndim != 1:
        raise RuntimeError(
            "torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we got "
            f"boundaries tensor dim({rows.ndim}) and input value's dim(0) numel(1)"
        )
    rows, values = _common(rows, _beside(rows, input))
    return OPS["searchsorted.Tensor"](rows, values, out_int32=out_int32, right=right, side=side, sorter=sorter)


def bucketize(input: Tensor | float, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Any:
    """Return the number of the bucket that each value falls into; right says to which an inner boundary belongs."""
    if expect_tensor("bucketize", boundaries).ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def isin(
    elements: Tensor | float, test_elements: Tensor | float, *, assume_unique: bool = False, invert: bool = False
) -> Any:
    """Return which elements are among the others, or with `invert` which are not; one of the two may be a number."""
    tensor = elements if isinstance(elements, Tensor) else expect_tensor("isin", test_elements)
    mine, theirs = _common(_beside(tensor, elements), _beside(tensor, test_elements))
    return OPS["isin.Tensor_Tensor"](mine, theirs, assume_unique=assume_unique, invert=invert)


def unravel_index(indices: Tensor, shape: Any) -> tuple[Any, ...]:
    """Return the coordinates, one tensor per axis of `shape`, of flat indices into a tensor of that shape."""
    if indices.dtype.category is not Category.INT:
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype!r}")
    if not isinstance(shape, int | list | tuple):
        raise TypeError(f"expected 'shape' to be int or sequence of ints, but got {type(shape)}")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(not isinstance(size, int) for size in sizes):
        raise TypeError(f"expected 'shape' sequence to only contain ints, but got {sizes!r}")
    if any(size < 0 for size in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    found, step, places = [], 1, indices.long()
    for size in reversed(sizes):
        found.append(places.floor_divide(step).remainder(size))
        step *= size
    return tuple(reversed(found))


def index_put_(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Any:
    """Write `values`, or add them, where index tensors or masks say; waits if there are masks."""
    return expect_tensor("index_put_", input).index_put_(indices, values, accumulate)
