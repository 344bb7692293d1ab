"""Products of matrices and vectors, and the exponential. Nothing here waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire.linalg.aliases import takes_numpy_names
from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol.composites.linalg_products import crossed, expect_operand
from gradwire_protocol.dtypes import Category, DType, bfloat16, float16
from gradwire_protocol.ops import OPS
from gradwire_protocol.registry import torch_type_name

__all__ = ["cross", "diagonal", "matmul", "matrix_exp", "multi_dot", "vander", "vecdot"]


@takes_numpy_names
def matrix_exp(input: Tensor) -> Any:
    """Return the exponential of matrices, (*, n, n) -> (*, n, n)."""
    return expect_tensor("linalg_matrix_exp", input).matrix_exp()


@takes_numpy_names
def matmul(input: Tensor, other: Tensor) -> Any:
    """Return the product of matrices, as `@`."""
    expect_operand("linalg_matmul", "other", 2, other)
    return expect_tensor("linalg_matmul", input).matmul(other)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Return a view of the diagonals of matrices: (*, m, n) -> (*, min(m, n))."""
    return expect_tensor("linalg_diagonal", A).diagonal(offset, dim1, dim2)


@takes_numpy_names
def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Any:
    """Return the vectors that are normal to both, along an axis of size 3."""
    expect_operand("linalg_cross", "other", 2, other)
    return crossed(expect_tensor("linalg_cross", input), other, dim)


@takes_numpy_names
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Any:
    """Return the sum of conj(x) * y along an axis."""
    left: Any = expect_tensor("linalg_vecdot", x)
    expect_operand("linalg_vecdot", "y", 2, y)
    _check_vecdot(left.dtype, y.dtype)
    if left.ndim == y.ndim == 1 and dim in (0, -1):
        return left.vdot(y)
    return (left.conj() * y).sum(dim)


def _check_vecdot(left: DType, right: DType) -> None:
    if left.category < Category.FLOAT:
        raise RuntimeError(
            f"linalg.vecdot: Expected a floating point or complex tensor as input. Got {torch_type_name(left)}"
        )
    if left is not right:
        raise RuntimeError(
            "linalg.vecdot: Expected x and y to have the same dtype, but found x of type "
            f"{torch_type_name(left)} and y of type {torch_type_name(right)} instead"
        )


def vander(x: Tensor, *, N: int | None = None) -> Any:
    """Return the powers 0 to N - 1 of each element in a last axis: (*, n) -> (*, n, N); N is n by default."""
    given: Any = expect_tensor("linalg_vander", x)
    if N is not None and (isinstance(N, bool) or not isinstance(N, int)):
        raise TypeError(f"linalg_vander(): argument 'N' must be int, not {type(N).__name__}")
    if given.dtype.category is Category.BOOL or given.dtype in (float16, bfloat16):
        raise RuntimeError(
            "linalg.vander supports floating point, complex, and integer tensors, but got "
            f"{torch_type_name(given.dtype)}"
        )
    given = given if given.ndim else given.unsqueeze(-1)
    count = given.shape[-1] if N is None else N
    if count <= 1:
        raise RuntimeError("N must be greater than 1.")
    powers = given.unsqueeze(-1).expand((*given.shape, count - 1)).cumprod(-1)
    return OPS["cat"]([powers.new_ones((*given.shape, 1)), powers], -1)


def multi_dot(tensors: Sequence[Tensor]) -> Any:
    """Return the product of matrices in the order that needs fewest multiplications; the outer two may be vectors."""
    if not isinstance(tensors, list | tuple):
        raise TypeError(
            f"linalg_multi_dot(): argument 'tensors' (position 1) must be tuple of Tensors, not {type(tensors).__name__}"
        )
    given: list[Any] = expect_tensors(tensors)
    _check_chain(given)
    first = given[0].unsqueeze(0) if given[0].ndim == 1 else given[0]
    last = given[-1].unsqueeze(1) if given[-1].ndim == 1 else given[-1]
    product = chained([first, *given[1:-1], last])
    axes = [axis for axis, end in ((0, given[0]), (1, given[-1])) if end.ndim == 1]
    for axis in reversed(axes):
        product = product.squeeze(axis)
    return product


def expect_tensors(values: Sequence[Any]) -> list[Any]:
    """Return `values` as a list; raise PyTorch's TypeError if one of them is no Tensor."""
    for index, value in enumerate(values):
        if not isinstance(value, Tensor):
            raise TypeError(f"expected Tensor as element {index} in argument 0, but got {type(value).__name__}")
    return list(values)


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
                f"multi_dot(): all tensors must have be the same dtype but tensor 0 is {_c_name(given[0].dtype)} "
                f"and tensor {index} {_c_name(tensor.dtype)}"
            )
    for index in range(len(given) - 1):
        if given[index].shape[-1] != given[index + 1].shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {index} and {index + 1} with shapes {list(given[index].shape)} and "
                f"{list(given[index + 1].shape)} cannot be multiplied"
            )


def _c_name(dtype: DType) -> str:
    """Return the word for the dtypes that are usually mixed up, which are C++'s here: `float`, `double`."""
    return {"float32": "float", "float64": "double", "int64": "long int"}.get(dtype.name, dtype.name)


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
