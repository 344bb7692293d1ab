"""Products of matrices and vectors, and the exponential. Nothing here waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol.composites.linalg_products import crossed
from gradwire_protocol.ops import OPS

__all__ = ["cross", "diagonal", "matmul", "matrix_exp", "multi_dot", "vander", "vecdot"]


def matrix_exp(A: Tensor) -> Any:
    """Return the exponential of matrices, (*, n, n) -> (*, n, n)."""
    return expect_tensor("linalg_matrix_exp", A).matrix_exp()


def matmul(input: Tensor, other: Tensor) -> Any:
    """Return the product of matrices, as `@`."""
    return expect_tensor("linalg_matmul", input).matmul(other)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Return a view of the diagonals of matrices: (*, m, n) -> (*, min(m, n))."""
    return expect_tensor("linalg_diagonal", A).diagonal(offset, dim1, dim2)


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Any:
    """Return the vectors that are normal to both, along an axis of size 3."""
    return crossed(expect_tensor("linalg_cross", input), other, dim)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Any:
    """Return the sum of conj(x) * y along an axis."""
    return (expect_tensor("linalg_vecdot", x).conj() * y).sum(dim)


def vander(x: Tensor, N: int | None = None) -> Any:
    """Return the powers 0 to N - 1 of each element in a last axis: (*, n) -> (*, n, N); N is n by default."""
    given: Any = expect_tensor("linalg_vander", x)
    given = given if given.ndim else given.unsqueeze(-1)
    count = given.shape[-1] if N is None else N
    if count <= 1:
        raise RuntimeError("N must be greater than 1.")
    powers = given.unsqueeze(-1).expand((*given.shape, count - 1)).cumprod(-1)
    return OPS["cat"]([powers.new_ones((*given.shape, 1)), powers], -1)


def multi_dot(tensors: Sequence[Tensor]) -> Any:
    """Return the product of matrices in the order that needs fewest multiplications; the outer two may be vectors."""
    given: list[Any] = [expect_tensor("linalg_multi_dot", tensor) for tensor in tensors]
    _check_chain(given)
    first = given[0].unsqueeze(0) if given[0].ndim == 1 else given[0]
    last = given[-1].unsqueeze(1) if given[-1].ndim == 1 else given[-1]
    product = chained([first, *given[1:-1], last])
    axes = [axis for axis, end in ((0, given[0]), (1, given[-1])) if end.ndim == 1]
    for axis in reversed(axes):
        product = product.squeeze(axis)
    return product


def _check_chain(given: Sequence[Any]) -> None:
    if len(given) < 2:
        raise RuntimeError("multi_dot(): expected at least 2 tensors but got " + str(len(given)))
    for index, tensor in enumerate(given):
        end = index in (0, len(given) - 1)
        if tensor.ndim not in ((1, 2) if end else (2,)):
            place = "the first tensor" if index == 0 else "the last tensor" if end else f"tensor {index}"
            raise RuntimeError(f"multi_dot(): {place} must be {'1D or 2D' if end else '2D'} but got {tensor.ndim}D")
        if tensor.dtype is not given[0].dtype:
            raise RuntimeError(
                f"multi_dot(): all tensors must have be the same dtype but got tensor {index} {tensor.dtype}"
            )
    for index in range(len(given) - 1):
        if given[index].shape[-1] != given[index + 1].shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {index} and {index + 1} with shapes {list(given[index].shape)} and "
                f"{list(given[index + 1].shape)} cannot be multiplied"
            )


def chained(matrices: Sequence[Any]) -> Any:
    """Multiply in the best order: Cormen et al., "Introduction to Algorithms", section 15.2."""
    sizes = [matrices[0].shape[0], *(matrix.shape[1] for matrix in matrices)]
    count = len(matrices)
    cost = [[0] * count for _ in range(count)]
    split = [[0] * count for _ in range(count)]
    for span in range(1, count):
        for first in range(count - span):
            last = first + span
            options = [
                (cost[first][k] + cost[k + 1][last] + sizes[first] * sizes[k + 1] * sizes[last + 1], k)
                for k in range(first, last)
            ]
            cost[first][last], split[first][last] = min(options)

    def product(first: int, last: int) -> Any:
        if first == last:
            return matrices[first]
        middle = split[first][last]
        return product(first, middle).mm(product(middle + 1, last))

    return product(0, count - 1)
