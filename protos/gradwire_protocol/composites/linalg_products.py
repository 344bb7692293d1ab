"""Composites of products: inner and outer ones, Kronecker's, the cross product, traces; and the norms of matrices."""

from __future__ import annotations

import math
from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_, Number
from gradwire_protocol.dtypes import Category, DType
from gradwire_protocol.infer import broadcast_shapes, normalize_dim, result_type
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.linalg import check_floating
from gradwire_protocol.registry import OPS, torch_type_name

__all__ = ["LinalgProductComposites", "check_norm_dtype", "crossed", "expect_operand", "matrix_norm", "nuclear_norm"]

_EXP = OPS["linalg_matrix_exp"]
_INF = float("inf")


def expect_operand(name: str, argument: str, position: int, value: Any) -> None:
    """Refuse what is no tensor, in PyTorch's words."""
    if not isinstance(value, Callable_):
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {type(value).__name__}"
        )


def crossed(self: Any, other: Any, dim: int) -> Any:
    """Return the vectors that are normal to both, along an axis of size 3."""
    axis = _cross_axis(self.meta, other.meta, dim)
    shape = broadcast_shapes(self.meta.shape, other.meta.shape)
    a, b = self.expand(shape), other.expand(shape)
    return a.roll(-1, axis) * b.roll(-2, axis) - a.roll(-2, axis) * b.roll(-1, axis)


def _cross_axis(left: Meta, right: Meta, dim: int) -> int:
    if left.ndim != right.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    if not left.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    axis = normalize_dim(dim, left.ndim)
    if left.shape[axis] != 3 or right.shape[axis] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {left.shape[axis]} and {right.shape[axis]}"
        )
    if left.dtype is not right.dtype:
        raise RuntimeError(
            f"expected scalar type {torch_type_name(left.dtype)} but found {torch_type_name(right.dtype)}"
        )
    if left.dtype.category is Category.BOOL:
        raise NotImplementedError("\"cross\" not implemented for 'Bool'")
    return axis


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
        check_norm_dtype("linalg.matrix_norm", self.meta.dtype, dtype)
        self = self.to(dtype)
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


def check_norm_dtype(name: str, given: DType, dtype: DType) -> None:
    """Refuse a dtype that a norm of a tensor of dtype `given` cannot be computed in."""
    if dtype.category < Category.FLOAT:
        raise RuntimeError(f"{name}: dtype should be floating point or complex, but got {torch_type_name(dtype)}")
    if given.is_complex is not dtype.is_complex:
        kind = "complex" if given.is_complex else "real"
        raise RuntimeError(f"{name}: dtype should be {kind} for {kind} inputs, but got {torch_type_name(dtype)}")
    if dtype.rank < given.rank:
        raise RuntimeError(
            f"{name}: the dtype of the input ({torch_type_name(given)}) should be convertible without narrowing "
            f"to the specified dtype ({torch_type_name(dtype)})"
        )


def _check_matrix_norm(self: Any, ord: Number | str, dim: tuple[int, ...]) -> None:
    _check_order(ord)
    check_floating("linalg.matrix_norm", self.meta, low=ord not in ("nuc", 2, -2))
    if self.meta.ndim < 2:
        raise RuntimeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    if len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {' '.join(map(str, dim))}")
    first, second = (normalize_dim(axis, self.meta.ndim) for axis in dim)
    if first == second:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({first}, {second})")


def _check_order(ord: Number | str) -> None:
    if isinstance(ord, complex):
        raise RuntimeError("linalg.matrix_norm: Expected a non-complex scalar as the order of norm.")
    if not isinstance(ord, str | int | float):
        raise TypeError(f"linalg_matrix_norm(): argument 'ord' must be Number or str, not {type(ord).__name__}")
    if ord not in ("fro", "nuc") and (isinstance(ord, str) or abs(ord) not in (1, 2, _INF)):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")


def _check_weights(dtype: DType, beta: Number, alpha: Number) -> None:
    for name, number in (("beta", beta), ("alpha", alpha)):
        if isinstance(number, bool) and dtype.category > Category.BOOL:
            raise RuntimeError(f"Boolean {name} only supported for Boolean results.")
        if isinstance(number, float | complex) and dtype.category < Category.FLOAT:
            raise RuntimeError(f"For integral input tensors, argument {name} must not be a floating point number.")


def _either(self: Any, product: Any, beta: Number, alpha: Number) -> Any:
    """Return beta * self + alpha * product of bools, whose sum is `or` and whose product is `and`."""
    product = product.logical_and(product.full_like(bool(alpha)))
    return self.logical_or(product) if beta else product


class LinalgProductComposites(Callable_):
    """Methods of products that are written by hand."""

    __slots__ = ()

    def __rmatmul__(self, other: Any) -> Any:
        """Multiply from the left."""
        return other.matmul(self) if isinstance(other, Callable_) else NotImplemented  # type: ignore[attr-defined]

    def matrix_exp(self) -> Self:
        """Compute the exponential of matrices, (*, n, n) -> (*, n, n)."""
        return self._call(_EXP, (self,))  # type: ignore[no-any-return]

    def trace(self: Any) -> Any:
        """Sum the diagonal of a matrix."""
        if self.meta.ndim != 2:
            raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {self.meta.ndim}")
        if self.meta.dtype.category is Category.BOOL:
            raise NotImplementedError("\"trace\" not implemented for 'Bool'")
        return self.diagonal().sum()

    def inner(self: Any, other: Any) -> Any:
        """Sum the products along the last axes: (*, K), (+, K) -> (*, +); with a number, multiply."""
        expect_operand("inner", "other", 2, other)
        left, right = self.meta.shape, other.meta.shape
        if self.meta.dtype is not other.meta.dtype:
            raise RuntimeError("both inputs should have same dtype")
        if not left or not right:
            return self * other
        if left[-1] != right[-1]:
            raise RuntimeError(
                "inner() the last dimension must match on both input tensors but got shapes "
                f"{list(left)} and {list(right)}"
            )
        if len(left) == len(right) == 1:
            return self.dot(other)
        rows = self.reshape(math.prod(left[:-1]), left[-1])
        columns = other.reshape(math.prod(right[:-1]), right[-1])
        return rows.mm(columns.t()).reshape((*left[:-1], *right[:-1]))

    def kron(self: Any, other: Any) -> Any:
        """Return all products of elements as blocks: (m0, m1...), (n0, n1...) -> (m0 n0, m1 n1...)."""
        expect_operand("kron", "other", 2, other)
        ndim = max(self.meta.ndim, other.meta.ndim)
        left = (1,) * (ndim - self.meta.ndim) + self.meta.shape
        right = (1,) * (ndim - other.meta.ndim) + other.meta.shape
        apart = [size for pair in zip(left, (1,) * ndim, strict=True) for size in pair]
        within = [size for pair in zip((1,) * ndim, right, strict=True) for size in pair]
        product = self.reshape(apart) * other.reshape(within)
        return product.reshape([m * n for m, n in zip(left, right, strict=True)])

    def cross(self: Any, other: Any, dim: int | None = None) -> Any:
        """Return the vectors that are normal to both, along `dim`; by default the first axis of size 3."""
        expect_operand("cross", "other", 2, other)
        if dim is None:
            dim = next((axis for axis, size in enumerate(self.meta.shape) if size == 3), None)
            if dim is None:
                raise RuntimeError("no dimension of size 3 in input")
        return crossed(self, other, dim)

    def addr(self: Any, vec1: Any, vec2: Any, *, beta: Number = 1, alpha: Number = 1) -> Any:
        """Compute beta * self + alpha * outer(vec1, vec2)."""
        _check_vectors(vec1, vec2)
        dtype = result_type(self.meta, vec1.meta, vec2.meta)
        _check_weights(dtype, beta, alpha)
        if dtype.category is Category.BOOL:
            return _either(self.expand((vec1.meta.shape[0], vec2.meta.shape[0])), vec1.outer(vec2), beta, alpha)
        column, row = vec1.to(dtype).unsqueeze(1), vec2.to(dtype).unsqueeze(0)
        return self.to(dtype).addmm(column, row, beta=beta, alpha=alpha)

    def addr_(self: Any, vec1: Any, vec2: Any, *, beta: Number = 1, alpha: Number = 1) -> Any:
        """Do as `addr`, in place."""
        if self.meta.ndim != 2:
            raise RuntimeError(f"2D tensor expected, got {self.meta.ndim}D tensor for input")
        _check_vectors(vec1, vec2)
        shape, first, second = (list(tensor.meta.shape) for tensor in (self, vec1, vec2))
        if shape != first + second:
            raise RuntimeError(f"size mismatch, input: {shape}, v1: {first}, v2: {second}")
        return _written(self, self.addr(vec1, vec2, beta=beta, alpha=alpha))

    def addbmm(self: Any, batch1: Any, batch2: Any, *, beta: Number = 1, alpha: Number = 1) -> Any:
        """Compute beta * self + alpha * the sum of batch1[i] @ batch2[i]: (b, n, p), (b, p, m) -> (n, m)."""
        expect_operand("addbmm", "batch1", 2, batch1)
        expect_operand("addbmm", "batch2", 3, batch2)
        whole = self.expand((_size(batch1, 1), _size(batch2, 2)))
        _check_batches(batch1, batch2)
        count, rows, inner = batch1.meta.shape
        if self.meta.dtype.category < Category.FLOAT:  # fractions are dropped, as the products' other forms refuse
            beta, alpha = (x if isinstance(x, complex) else int(x) for x in (beta, alpha))
        left = batch1.permute((1, 0, 2)).reshape(rows, count * inner)
        return whole.addmm(left, batch2.reshape(count * inner, batch2.meta.shape[2]), beta=beta, alpha=alpha)

    def addbmm_(self: Any, batch1: Any, batch2: Any, *, beta: Number = 1, alpha: Number = 1) -> Any:
        """Do as `addbmm`, in place."""
        return _written(self, self.addbmm(batch1, batch2, beta=beta, alpha=alpha))


def _size(tensor: Any, dim: int) -> int:
    size: int = tensor.meta.shape[normalize_dim(dim, tensor.meta.ndim)]
    return size


def _written(self: Any, result: Any) -> Any:
    into, given = self.meta.dtype, result.meta.dtype
    if given.category > into.category:
        raise RuntimeError(
            f"result type {torch_type_name(given)} can't be cast to the desired output type {torch_type_name(into)}"
        )
    if result.meta.shape != self.meta.shape:
        raise RuntimeError(
            f"output with shape {list(self.meta.shape)} doesn't match the broadcast shape {list(result.meta.shape)}"
        )
    return self.copy_(result)


def _check_vectors(vec1: Any, vec2: Any) -> None:
    for number, vector in ((1, vec1), (2, vec2)):
        expect_operand("addr", f"vec{number}", number + 1, vector)
        if vector.meta.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument vec{number}, but got {vector.meta.ndim}-D")


def _check_batches(batch1: Any, batch2: Any) -> None:
    for name, batch in (("batch1", batch1), ("batch2", batch2)):
        if batch.meta.ndim != 3:
            raise RuntimeError(f"{name} must be a 3D tensor")
    first, second = batch1.meta.shape, batch2.meta.shape
    if first[0] != second[0]:
        raise RuntimeError(f"batch1 and batch2 must have same number of batches, got {first[0]} and {second[0]}")
    if first[2] != second[1]:
        raise RuntimeError(f"Incompatible matrix sizes for bmm ({first[1]}x{first[2]} and {second[1]}x{second[2]})")
