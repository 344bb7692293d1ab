"""Matrix products with a sparse side: (N, K) @ (K, M), where either may be sparse.

Each value takes its row of the dense side, and the rows are summed by where they go: what is read is O(nnz * M), and the
gradients by the values and by the dense side follow from the same two steps.
"""

from __future__ import annotations

from typing import Any

from gradwire.functions.joining import stack
from gradwire.sparse.places import joined, summed
from gradwire.sparse.tensor import SparseTensor, sparse
from gradwire.tensor import expect_tensor
from gradwire_protocol.registry import torch_type_name

__all__ = ["addmm", "bmm", "mm", "mv", "spmm", "transposed"]


def transposed(matrix: Any) -> Any:
    """Return a sparse or dense matrix with its axes swapped; a sparse one's places lose their order."""
    if not isinstance(matrix, SparseTensor):
        return matrix.t()
    rows, columns = matrix.shape[0], matrix.shape[1]
    return sparse(matrix.places.flip(0), matrix.held, (columns, rows), matrix._nnz() < 2, "TBackward0")


def mm(left: Any, right: Any) -> Any:
    """Multiply; the product of two sparse matrices is sparse, any other is dense."""
    if left.dim() != 2 or right.dim() != 2:
        raise IndexError(f"Dimension out of range: mm needs matrices; got {left.dim()}-D and {right.dim()}-D")
    both = isinstance(left, SparseTensor) and isinstance(right, SparseTensor)
    if left.shape[1] != right.shape[0]:
        if both:
            sizes = f"({left.shape[0]}x{left.shape[1]} and {right.shape[0]}x{right.shape[1]})"
            raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied {sizes}")
        held, dense = (
            (left.shape[1], right.shape[0]) if isinstance(left, SparseTensor) else (right.shape[0], left.shape[1])
        )
        raise RuntimeError(f"addmm: Argument #3 (dense): Expected dim 0 size {held}, got {dense}")
    if left.dtype is not right.dtype:
        names = [torch_type_name(side.dtype) for side in (left, right)]
        raise RuntimeError(f"expected scalar type {names[0]} but found {names[1]}")
    if both:
        return _sparse_by_sparse(left, right)
    if isinstance(left, SparseTensor):
        return _sparse_by_dense(left, right)
    return _sparse_by_dense(transposed(right), left.t()).t()


def spmm(input: Any, mat2: Any) -> Any:
    """Multiply matrices, of which either may be sparse: another name of `mm`."""
    return expect_tensor("mm", input).mm(mat2)


def _sparse_by_dense(left: SparseTensor, right: Any) -> Any:
    if left.dense_dim():
        raise RuntimeError(
            f"mm: expected a matrix with 2 sparse axes; got {left.dense_dim()} dense ones; call to_dense()"
        )
    rows, columns = left.places.unbind(0)
    return summed(right.index_select(0, columns) * left.held.unsqueeze(1), rows, left.shape[0])


def _sparse_by_sparse(left: SparseTensor, right: SparseTensor) -> Any:
    """Multiply every pair of a value in column k and one in row k; sum what falls together. Waits for how many both are."""
    if left.dense_dim() or right.dense_dim():
        raise RuntimeError("sparse mm: expected both matrices without dense axes; call to_dense()")
    lefts, rights = joined(left.places.select(0, 1), right.places.select(0, 0), left.shape[1])
    rows = left.places.select(0, 0).index_select(0, lefts)
    columns = right.places.select(0, 1).index_select(0, rights)
    values = left.held.index_select(0, lefts) * right.held.index_select(0, rights)
    made = sparse(stack([rows, columns]), values, (left.shape[0], right.shape[1])).coalesce()
    made.made_by = ""  # the product names the node, not its last step
    return made


def mv(left: Any, vector: Any) -> Any:
    """Multiply a matrix by a vector."""
    if isinstance(vector, SparseTensor):
        return NotImplemented
    if vector.dim() != 1 or left.shape[1] != vector.shape[0]:
        raise RuntimeError("mv: expected self.size(-1) == vec.size(-1)")
    return mm(left, vector.unsqueeze(1)).squeeze(1)


def addmm(self: Any, mat1: Any, mat2: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta * self + alpha * mat1 @ mat2, dense; self broadcasts."""
    if isinstance(self, SparseTensor):
        raise RuntimeError("addmm_sparse_dense: expected strided result tensor, got tensor with layout Sparse")
    product = mm(mat1, mat2)
    if isinstance(product, SparseTensor):
        product = product.to_dense()
    product = product if alpha == 1 else product * alpha
    if beta == 0:
        return product
    added = self.expand(product.shape)
    return product + (added if beta == 1 else added * beta)


def bmm(left: Any, right: Any) -> Any:
    """Multiply sparse matrices by dense ones: (B, N, K), (B, K, M) -> (B, N, M); as one matrix of blocks."""
    if not isinstance(left, SparseTensor) or isinstance(right, SparseTensor) or left.sparse_dim() != 3:
        return NotImplemented
    if right.dim() != 3 or left.shape[0] != right.shape[0] or left.shape[2] != right.shape[1]:
        raise RuntimeError(f"bmm: expected (B, N, K) and (B, K, M); got {tuple(left.shape)} and {tuple(right.shape)}")
    count, rows, columns = left.shape
    batch, row, column = left.places.unbind(0)
    taken = right.flatten(0, 1).index_select(0, batch * columns + column) * left.held.unsqueeze(1)
    return summed(taken, batch * rows + row, count * rows).view(count, rows, right.shape[2])
