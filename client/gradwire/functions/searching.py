"""Functions that find elements: by truth, by value, and by how often they occur."""

from __future__ import annotations

from typing import Any

from gradwire.tensor import Tensor, expect_tensor

__all__ = ["argwhere", "masked_select", "nonzero", "unique", "unique_consecutive"]


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
    input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Return the distinct elements (slices with `dim`) in order; with inverse and counts as asked. Waits."""
    return expect_tensor("unique", input).unique(sorted, return_inverse, return_counts, dim)


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Return the first of each run of equal elements (slices with `dim`); inverse, counts as asked. Waits."""
    return expect_tensor("unique_consecutive", input).unique_consecutive(return_inverse, return_counts, dim)
