"""Functions of products and norms that are no methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire.linalg.norms import matrix_norm
from gradwire.linalg.products import multi_dot
from gradwire.tensor import Tensor, expect_tensor

__all__ = ["chain_matmul", "frobenius_norm", "nuclear_norm"]


def chain_matmul(*matrices: Tensor) -> Any:
    """Return the product of matrices, in the order that needs fewest multiplications. `linalg.multi_dot` is its successor."""
    if not matrices:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices)


def frobenius_norm(input: Tensor, dim: int | Sequence[int], keepdim: bool = False) -> Any:
    """Return the root of the sum of squares over one or two axes, or all if there is none."""
    return expect_tensor("frobenius_norm", input).linalg_vector_norm(2, dim, keepdim)


def nuclear_norm(input: Tensor, dim: Sequence[int] = (-2, -1), keepdim: bool = False) -> Any:
    """Return the sum of the singular values of the matrices that two axes span."""
    return matrix_norm(input, "nuc", tuple(dim), keepdim)
