"""Functions of products and norms that are no methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire.linalg.aliases import takes_numpy_names
from gradwire.linalg.norms import matrix_norm
from gradwire.linalg.products import expect_tensors, multi_dot
from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol.dtypes import Category
from gradwire_protocol.registry import torch_type_name

__all__ = ["chain_matmul", "frobenius_norm", "nuclear_norm"]


def chain_matmul(*matrices: Tensor) -> Any:
    """Return the product of matrices, in the order that needs fewest multiplications. `linalg.multi_dot` is its successor."""
    if not matrices:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    for matrix in expect_tensors(matrices):
        if matrix.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {matrix.ndim}, expected 2 instead.")
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices)


@takes_numpy_names
def frobenius_norm(input: Tensor, dim: int | Sequence[int], keepdim: bool = False) -> Any:
    """Return the root of the sum of squares over one or two axes, or all if there is none."""
    given: Any = expect_tensor("frobenius_norm", input)
    if given.dtype.category < Category.FLOAT:
        raise RuntimeError(
            "norm(): input dtype should be either floating point or complex. "
            f"Got {torch_type_name(given.dtype)} instead."
        )
    if not isinstance(dim, int) and len(dim) > 2:
        raise RuntimeError(f"Expected at most 2 dimensions, but got {len(dim)} dimensions instead.")
    return given.linalg_vector_norm(2, dim, keepdim)


@takes_numpy_names
def nuclear_norm(input: Tensor, dim: Sequence[int] | int | bool = (-2, -1), keepdim: bool = False) -> Any:
    """Return the sum of the singular values of the matrices that two axes span. Also `nuclear_norm(input, keepdim)`."""
    if isinstance(dim, bool):
        return matrix_norm(input, "nuc", keepdim=dim)
    return matrix_norm(input, "nuc", (dim, dim) if isinstance(dim, int) else tuple(dim), keepdim)
