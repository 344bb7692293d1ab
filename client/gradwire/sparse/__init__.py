"""Sparse tensors in coordinate layout, as `torch.sparse` has them."""

from __future__ import annotations

from typing import Any

from gradwire.sparse.construction import check_sparse_tensor_invariants
from gradwire.sparse.legacy import *
from gradwire.sparse.legacy import __all__ as _legacy
from gradwire.sparse.products import addmm as _addmm
from gradwire.sparse.products import mm as _mm
from gradwire.sparse.reductions import softmax as _softmax
from gradwire.sparse.reductions import sum_over, total
from gradwire.sparse.tensor import SparseTensor
from gradwire.tensor import expect_tensor
from gradwire_protocol.dtypes import DType

__all__ = [
    "SparseTensor", "addmm", "check_sparse_tensor_invariants", "log_softmax", "mm", "softmax", "sum", *_legacy,
]  # fmt: skip


def mm(input: Any, mat2: Any) -> Any:
    """Multiply matrices, of which either may be sparse: (N, K) @ (K, M); dense, unless both are sparse."""
    if not isinstance(input, SparseTensor) and not isinstance(mat2, SparseTensor):
        return expect_tensor("mm", input).mm(mat2)
    return _mm(input, mat2)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1.0, alpha: Any = 1.0) -> Any:
    """Return beta * input + alpha * mat1 @ mat2, where mat1 or mat2 may be sparse."""
    return expect_tensor("addmm", input).addmm(mat1, mat2, beta=beta, alpha=alpha)


def sum(input: Any, dim: Any = None, dtype: DType | None = None) -> Any:
    """Sum over all axes, or some; sparse, unless all axes with places are summed."""
    if not isinstance(input, SparseTensor):
        expect_tensor("sum", input).coalesce()  # which refuses it
    if dim is None:
        return total(input, dtype)
    made = sum_over(input, (dim,) if isinstance(dim, int) else tuple(dim), False, dtype)
    if isinstance(made, SparseTensor):
        made.made_by = "SparseSumBackward0"
    return made


def softmax(input: Any, dim: int, *, dtype: DType | None = None) -> Any:
    """Return the softmax of the values along an axis, where the elements without one count as -inf."""
    return _softmax(_expected("softmax", input), dim, dtype, False)


def log_softmax(input: Any, dim: int, *, dtype: DType | None = None) -> Any:
    """Return the logarithm of `softmax`."""
    return _softmax(_expected("log_softmax", input), dim, dtype, True)


def _expected(name: str, input: Any) -> SparseTensor:
    if isinstance(input, SparseTensor):
        return input
    expect_tensor(name, input)
    raise NotImplementedError(
        f"Could not run 'aten::_sparse_{name}' with arguments from the 'CPU' backend. It takes a sparse tensor; call to_sparse()."
    )
