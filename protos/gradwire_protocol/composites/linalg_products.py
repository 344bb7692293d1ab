"""Composites of products: inner and outer ones, Kronecker's, the cross product, traces; and the norms of matrices."""

from __future__ import annotations

from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_, Number
from gradwire_protocol.dtypes import Category, DType
from gradwire_protocol.infer import broadcast_shapes, normalize_dim
from gradwire_protocol.registry import OPS, torch_type_name

__all__ = ["LinalgProductComposites", "crossed", "matrix_norm", "nuclear_norm"]

_EXP = OPS["linalg_matrix_exp"]
_INF = float("inf")


def crossed(self: Any, other: Any, dim: int) -> Any:
    """Return the vectors that are normal to both, along an axis of size 3."""
    left, right = self.meta.shape, other.meta.shape
    if len(left) != len(right):
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    axis = normalize_dim(dim, len(left))
    if left[axis] != 3 or right[axis] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {left[axis]} and {right[axis]}"
        )
    shape = broadcast_shapes(left, right)
    a, b = self.expand(shape), other.expand(shape)
    return a.roll(-1, axis) * b.roll(-2, axis) - a.roll(-2, axis) * b.roll(-1, axis)


def nuclear_norm(self: Any, dim: tuple[int, int], keepdim: bool) -> Any:
    """Return the sum of the singular values of the matrices that two axes span."""
    return _restored(OPS["linalg_svdvals"](_matrices(self, dim)).sum(-1), self, dim, keepdim)


def _matrices(self: Any, dim: tuple[int, int]) -> Any:
    """Return the matrices of two axes in the last two."""
    first, second = (normalize_dim(axis, self.meta.ndim) for axis in dim)
    rest = [axis for axis in range(self.meta.ndim) if axis not in (first, second)]
    return self.permute((*rest, first, second))


def _restored(value: Any, self: Any, dim: tuple[int, int], keepdim: bool) -> Any:
    if not keepdim:
        return value
    for axis in sorted(normalize_dim(axis, self.meta.ndim) for axis in dim):
        value = value.unsqueeze(axis)
    return value


def matrix_norm(self: Any, ord: Number | str, dim: tuple[int, int], keepdim: bool, dtype: DType | None) -> Any:
    """Return a norm of the matrices that two axes span: "fro", "nuc", or 1, 2, inf and their negatives."""
    _check_matrix_norm(self, ord, dim)
    if dtype is not None:
        self = _in_norm_dtype(self, dtype)
    if ord == "fro":
        return self.linalg_vector_norm(2, dim, keepdim)
    if ord == "nuc":
        return nuclear_norm(self, dim, keepdim)
    first, second = (normalize_dim(axis, self.meta.ndim) for axis in dim)
    if abs(ord) == 2:  # type: ignore[arg-type]
        values = OPS["linalg_svdvals"](_matrices(self, dim))
        return _restored(_extreme(values, -1, ord == 2, False), self, dim, keepdim)
    summed, reduced = (first, second) if abs(ord) == 1 else (second, first)  # type: ignore[arg-type]
    sums = self.linalg_vector_norm(1, (summed,), True)
    found = _extreme(sums, reduced, ord > 0, True)  # type: ignore[operator]
    return found if keepdim else found.squeeze((first, second))


def _extreme(values: Any, dim: int, is_largest: bool, keepdim: bool) -> Any:
    """Return the largest, which of nothing is 0 as a norm, or the smallest, which of nothing there is none."""
    if not is_largest:
        return values.amin(dim, keepdim)
    return values.amax(dim, keepdim) if values.meta.shape[dim] else values.sum(dim, keepdim)


def _in_norm_dtype(self: Any, dtype: DType) -> Any:
    given = self.meta.dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(
            f"linalg.matrix_norm: dtype should be floating point or complex. Got {torch_type_name(dtype)}"
        )
    if given.is_complex is not dtype.is_complex or dtype.rank < given.rank:
        raise RuntimeError(
            f"linalg.matrix_norm: the dtype of the input ({torch_type_name(given)}) should be convertible without narrowing "
            f"to the specified dtype ({torch_type_name(dtype)})"
        )
    return self.to(dtype)


def _check_matrix_norm(self: Any, ord: Number | str, dim: tuple[int, int]) -> None:
    if self.meta.dtype.category < Category.FLOAT:
        raise RuntimeError(
            "linalg.matrix_norm: Expected a floating point or complex tensor as input. Got "
            f"{torch_type_name(self.meta.dtype)}"
        )
    if self.meta.ndim < 2:
        raise RuntimeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    if len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {' '.join(map(str, dim))}")
    if normalize_dim(dim[0], self.meta.ndim) == normalize_dim(dim[1], self.meta.ndim):
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if isinstance(ord, str):
        if ord not in ("fro", "nuc"):
            raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    elif abs(ord) not in (1, 2, _INF):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")


def _weighed(self: Any, product: Any, beta: Number, alpha: Number) -> Any:
    """Return beta * self + alpha * product, where a beta of 0 drops even NaN."""
    dtype = product.meta.dtype
    for name, number in (("beta", beta), ("alpha", alpha)):
        if isinstance(number, bool) and dtype.name != "bool":
            raise RuntimeError(f"Boolean {name} only supported for Boolean results.")
        if isinstance(number, float) and dtype.category < Category.FLOAT:
            raise RuntimeError(f"For integral input tensors, argument {name} must not be a floating point number.")
        if isinstance(number, complex) and not dtype.is_complex:
            raise RuntimeError(f"For non-complex input tensors, argument {name} must not be a complex number.")
    if dtype.name == "bool":
        product = product.logical_and(product.full_like(bool(alpha)))
        return product if not beta else self.logical_or(product)
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return scaled
    return (self if beta == 1 else self * beta) + scaled


class LinalgProductComposites(Callable_):
    """Methods of products that are written by hand."""

    __slots__ = ()

    def __rmatmul__(self, other: Self) -> Self:
        """Multiply from the left."""
        return other.matmul(self)  # type: ignore[attr-defined, no-any-return]

    def matrix_exp(self) -> Self:
        """Compute the exponential of matrices, (*, n, n) -> (*, n, n)."""
        return self._call(_EXP, (self,))  # type: ignore[no-any-return]

    def trace(self: Any) -> Any:
        """Sum the diagonal of a matrix."""
        if self.meta.ndim != 2:
            raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {self.meta.ndim}")
        return self.diagonal().sum()

    def inner(self: Any, other: Any) -> Any:
        """Sum the products along the last axes: (*, K), (+, K) -> (*, +); with a number, multiply."""
        left, right = self.meta.shape, other.meta.shape
        if self.meta.dtype is not other.meta.dtype:
            raise RuntimeError(
                f"expected both vectors to have same dtype, but found {torch_type_name(self.meta.dtype)} and "
                f"{torch_type_name(other.meta.dtype)}"
            )
        if not left or not right:
            return self * other
        if left[-1] != right[-1]:
            raise RuntimeError(
                "inner() the last dimension must match on both input tensors but got shapes "
                f"{list(left)} and {list(right)}"
            )
        rows, columns = self.reshape(-1, left[-1]) if left[-1] else self.reshape(_rows(left), 0), other
        columns = other.reshape(-1, right[-1]) if right[-1] else other.reshape(_rows(right), 0)
        return rows.mm(columns.t()).reshape((*left[:-1], *right[:-1]))

    def kron(self: Any, other: Any) -> Any:
        """Return all products of elements as blocks: (m0, m1...), (n0, n1...) -> (m0 n0, m1 n1...)."""
        ndim = max(self.meta.ndim, other.meta.ndim)
        left = (1,) * (ndim - self.meta.ndim) + self.meta.shape
        right = (1,) * (ndim - other.meta.ndim) + other.meta.shape
        apart = [size for pair in zip(left, (1,) * ndim, strict=True) for size in pair]
        within = [size for pair in zip((1,) * ndim, right, strict=True) for size in pair]
        product = self.reshape(apart) * other.reshape(within)
        return product.reshape([m * n for m, n in zip(left, right, strict=True)])

    def cross(self: Any, other: Any, dim: int | None = None) -> Any:
        """Return the vectors that are normal to both, along `dim`; by default the first axis of size 3."""
        if dim is None:
            shape = broadcast_shapes(self.meta.shape, other.meta.shape)
            dim = next((axis for axis, size in enumerate(shape) if size == 3), None)
            if dim is None:
                raise RuntimeError("no dimension of size 3 in input")
        return crossed(self, other, dim)

    def addr(self: Any, vec1: Any, vec2: Any, *, beta: Number = 1, alpha: Number = 1) -> Any:
        """Compute beta * self + alpha * outer(vec1, vec2)."""
        _check_addr(self, vec1, vec2)
        return _weighed(self.expand((vec1.meta.shape[0], vec2.meta.shape[0])), vec1.outer(vec2), beta, alpha)

    def addr_(self: Any, vec1: Any, vec2: Any, *, beta: Number = 1, alpha: Number = 1) -> Any:
        """Do as `addr`, in place."""
        return self.copy_(self.addr(vec1, vec2, beta=beta, alpha=alpha))

    def addbmm(self: Any, batch1: Any, batch2: Any, *, beta: Number = 1, alpha: Number = 1) -> Any:
        """Compute beta * self + alpha * the sum of batch1[i] @ batch2[i]: (b, n, p), (b, p, m) -> (n, m)."""
        _check_addbmm(batch1, batch2)
        count, rows, inner = batch1.meta.shape
        columns = batch2.meta.shape[2]
        if self.meta.dtype.category < Category.FLOAT:  # fractions are dropped, as the products' other forms refuse
            beta, alpha = int(beta), int(alpha)  # type: ignore[arg-type]
        product = batch1.permute((1, 0, 2)).reshape(rows, count * inner).mm(batch2.reshape(count * inner, columns))
        return _weighed(self.expand((rows, columns)), product, beta, alpha)

    def addbmm_(self: Any, batch1: Any, batch2: Any, *, beta: Number = 1, alpha: Number = 1) -> Any:
        """Do as `addbmm`, in place."""
        return self.copy_(self.addbmm(batch1, batch2, beta=beta, alpha=alpha))


def _rows(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape[:-1]:
        count *= size
    return count


def _check_addr(self: Any, vec1: Any, vec2: Any) -> None:
    for number, vector in (("2", vec1), ("3", vec2)):
        if vector.meta.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument vec{int(number) - 1}, but got {vector.meta.ndim}-D")
    rows, columns = vec1.meta.shape[0], vec2.meta.shape[0]
    try:
        fits = broadcast_shapes(self.meta.shape, (rows, columns)) == (rows, columns)
    except RuntimeError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"size mismatch, input: {list(self.meta.shape)}, v1: {list(vec1.meta.shape)}, v2: {list(vec2.meta.shape)}"
        )


def _check_addbmm(batch1: Any, batch2: Any) -> None:
    for name, batch in (("batch1", batch1), ("batch2", batch2)):
        if batch.meta.ndim != 3:
            raise RuntimeError(f"{name} must be a 3D tensor")
    first, second = batch1.meta.shape, batch2.meta.shape
    if first[0] != second[0]:
        raise RuntimeError(f"batch1 and batch2 must have same number of batches, got {first[0]} and {second[0]}")
    if first[2] != second[1]:
        raise RuntimeError(f"Incompatible matrix sizes for bmm ({first[1]}x{first[2]} and {second[1]}x{second[2]})")
