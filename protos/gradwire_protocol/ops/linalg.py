"""Solving linear equations, and the factors that help. Shapes and words: pytorch/aten/src/ATen/native/BatchLinearAlgebra.cpp.

Every matrix argument may be a batch (*, m, n). None of these ops promotes dtypes. Where a result says `info`, it is
LAPACK's: 0, or the number of the column at which the matrix turned out to have no such factor. With `check_errors` the
worker raises LinAlgError then; its words begin with `api_name`, since PyTorch names the function that the user called.
"""

from __future__ import annotations

from collections.abc import Callable

from gradwire_protocol import infer
from gradwire_protocol.dtypes import Category, bfloat16, float16, int32
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.complex import real_of
from gradwire_protocol.registry import op, torch_type_name

__all__ = ["check_floating", "check_square", "is_vector_rhs"]

Shape = tuple[int, ...]

_LOW = (float16, bfloat16)


# ---------------------------------------------------------------- what PyTorch refuses, in its words
def _check_axes(name: str, matrix: Meta, argument: str = "A") -> None:
    if matrix.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")


def check_square(name: str, A: Meta) -> None:
    """Refuse what is no batch of square matrices; `name` is the function that the words begin with."""
    _check_axes(name, A)
    if A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {A.shape[-2]} by {A.shape[-1]} matrices"
        )


def check_floating(name: str, A: Meta, low: bool = True) -> None:
    """Refuse integers, and half precision where `low` is False."""
    if A.dtype.category < Category.FLOAT:
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {torch_type_name(A.dtype)}"
        )
    if not low and A.dtype in _LOW:
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {torch_type_name(A.dtype)}")


def _check_kernel(kernel: str, A: Meta) -> None:
    """Refuse the dtypes that LAPACK has no routine for."""
    if A.dtype.category < Category.FLOAT or A.dtype in _LOW:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{torch_type_name(A.dtype)}'")


def _check_same(A: Meta, B: Meta, words: str) -> None:
    if A.dtype is not B.dtype:
        raise RuntimeError(words.format(A=torch_type_name(A.dtype), B=torch_type_name(B.dtype)))


def _check_equation(name: str, A: Meta, rows: Shape, left: bool) -> None:
    """Refuse a right side of `rows` (its last two sizes) that A X = B, or X A = B, cannot have."""
    if A.shape[-1] != rows[0 if left else 1]:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation {'AX' if left else 'XA'} = B "
            f"({A.shape[-2]}x{A.shape[-1]} and {rows[0]}x{rows[1]})"
        )


def _batch(B: Meta, A: Meta) -> Shape:
    return infer.broadcast_shapes(B.shape[:-2], A.shape[:-2])


# ---------------------------------------------------------------- LU factors
def _factors(A: Meta) -> tuple[Meta, Meta, Meta]:
    """Return LU, pivots and info of A."""
    batch, k = A.shape[:-2], min(A.shape[-2:])
    return Meta.of(A.shape, A.dtype), Meta.of((*batch, k), int32), Meta.of(batch, int32)


def _check_lu(name: str, A: Meta) -> None:
    if A.ndim < 2:
        raise RuntimeError(f"{name}: Expected tensor with 2 or more dimensions. Got size: {list(A.shape)} instead")


def _lu_factor_ex(A: Meta, pivot: bool, check_errors: bool, api_name: str) -> tuple[Meta, Meta, Meta]:
    _check_lu("torch.lu_factor", A)
    _check_kernel("lu_cpu", A)
    return _factors(A)


def _permuted_factors(A: Meta) -> tuple[Meta, Meta, Meta]:
    batch, (m, n) = A.shape[:-2], A.shape[-2:]
    return (
        Meta.of((*batch, m, m), A.dtype),
        Meta.of((*batch, m, min(m, n)), A.dtype),
        Meta.of((*batch, min(m, n), n), A.dtype),
    )


def _lu(A: Meta, pivot: bool) -> tuple[Meta, Meta, Meta]:
    _check_lu("linalg.lu", A)
    _check_kernel("lu_cpu", A)
    return _permuted_factors(A)


def _lu_unpack(LU_data: Meta, LU_pivots: Meta, unpack_data: bool, unpack_pivots: bool) -> tuple[Meta, Meta, Meta]:
    _check_lu("torch.lu_unpack", LU_data)
    if unpack_pivots and LU_pivots.dtype is not int32:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.\n"
            "Note: this function is intended to be used with the output produced by torch.linalg.lu_factor"
        )
    if unpack_pivots and LU_pivots.shape != (*LU_data.shape[:-2], min(LU_data.shape[-2:])):
        raise RuntimeError(
            f"torch.lu_unpack: LU_pivots must have the batch of LU_data and one pivot per column of L, "
            f"{[*LU_data.shape[:-2], min(LU_data.shape[-2:])]}; got {list(LU_pivots.shape)}; pass lu_factor's pivots"
        )
    P, L, U = _permuted_factors(LU_data)
    nothing = Meta.of((0,), LU_data.dtype)
    return (P if unpack_pivots else nothing), (L if unpack_data else nothing), (U if unpack_data else nothing)


def _lu_solve(LU: Meta, pivots: Meta, B: Meta, left: bool, adjoint: bool) -> Meta:
    check_floating("torch.linalg.lu_solve", LU)
    _check_same(
        LU,
        B,
        "linalg.lu_solve: Expected LU and B to have the same dtype, but found LU of type {A} and B of type {B} instead",
    )
    if pivots.dtype is not int32:
        raise RuntimeError("linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32")
    check_square("torch.linalg.lu_solve", LU)
    _check_axes("linalg.lu_solve", B, "B")
    _check_equation("linalg.lu_solve", LU, B.shape[-2:], left)
    if pivots.shape[-1:] != LU.shape[-1:]:
        raise RuntimeError("linalg.lu_solve: Number of pivots per batch should be same as the dimension of the matrix")
    if pivots.shape != LU.shape[:-1]:
        raise RuntimeError(
            "linalg.lu_solve: Expected LU.shape[:-1] and pivots.shape to be the same, but got pivots with shape "
            f"{list(pivots.shape)} instead"
        )
    _check_kernel("linalg.lu_solve_cpu", LU)
    return Meta.of((*_batch(B, LU), *B.shape[-2:]), B.dtype)


op('linalg_lu_factor_ex(Tensor A, *, bool pivot=True, bool check_errors=False, str api_name="torch.linalg.lu_factor_ex")'
   " -> (Tensor LU, Tensor pivots, Tensor info)", _lu_factor_ex, {"A": "result result1"})  # fmt: skip
op("linalg_lu(Tensor A, *, bool pivot=True) -> (Tensor P, Tensor L, Tensor U)", _lu, {"A": "result result1 result2"})
op("lu_unpack(Tensor LU_data, Tensor LU_pivots, bool unpack_data=True, bool unpack_pivots=True)"
   " -> (Tensor P, Tensor L, Tensor U)", _lu_unpack, {"LU_data": ""})  # fmt: skip
op("linalg_lu_solve(Tensor LU, Tensor pivots, Tensor B, *, bool left=True, bool adjoint=False) -> Tensor", _lu_solve,
   {"LU": "LU pivots result", "B": "LU pivots"})  # fmt: skip


# ---------------------------------------------------------------- inverses, solutions, determinants
def _inv_ex(A: Meta, check_errors: bool, api_name: str) -> tuple[Meta, Meta]:
    check_square("linalg.inv", A)
    check_floating("linalg.inv", A, low=False)
    return Meta.of(A.shape, A.dtype), Meta.of(A.shape[:-2], int32)


def is_vector_rhs(A: Meta, B: Meta) -> bool:
    """Return whether `linalg.solve` takes B for a vector, or for a batch of vectors, one for each matrix."""
    return B.ndim == 1 or (A.ndim - 1 == B.ndim and A.shape[:-1] == B.shape)


def _solve_ex(A: Meta, B: Meta, left: bool, check_errors: bool, api_name: str) -> tuple[Meta, Meta, Meta, Meta]:
    check_floating("linalg.solve", A)
    _check_same(
        A, B, "linalg.solve: Expected A and B to have the same dtype, but found A of type {A} and B of type {B} instead"
    )
    vector = is_vector_rhs(A, B)
    matrix = Meta.of((*B.shape, 1), B.dtype) if vector else B
    check_square("linalg.solve", A)
    _check_axes("linalg.solve", matrix, "B")
    _check_equation("linalg.solve", A, matrix.shape[-2:], left)
    shape = (*_batch(matrix, A), *matrix.shape[-2:])
    if vector and not left:
        raise RuntimeError(
            "linalg.solve: Vector broadcasting of the left hand side is not supported for left=False. In this case "
            "linalg.solve is equivalent to B / A.squeeze(-1)"
        )
    _check_kernel("lu_cpu", A)
    return Meta.of(shape[:-1] if vector else shape, A.dtype), *_factors(A)


def _det(A: Meta) -> tuple[Meta, Meta, Meta]:
    check_square("linalg.det", A)
    check_floating("linalg.det", A)
    _check_kernel("lu_cpu", A)
    return Meta.of(A.shape[:-2], A.dtype), *_factors(A)[:2]


def _slogdet(A: Meta) -> tuple[Meta, Meta, Meta, Meta]:
    check_square("linalg.slogdet", A)
    check_floating("linalg.slogdet", A, low=False)
    batch = A.shape[:-2]
    return Meta.of(batch, A.dtype), Meta.of(batch, real_of(A.dtype)), *_factors(A)[:2]


op('linalg_inv_ex(Tensor A, *, bool check_errors=False, str api_name="linalg.inv_ex")'
   " -> (Tensor inverse, Tensor info)", _inv_ex, {"A": "result"})  # fmt: skip
op('_linalg_solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False, str api_name="torch.linalg.solve_ex")'
   " -> (Tensor result, Tensor LU, Tensor pivots, Tensor info)", _solve_ex,
   {"A": "A result result1 result2", "B": "A result1 result2"})  # fmt: skip
op("_linalg_det(Tensor A) -> (Tensor result, Tensor LU, Tensor pivots)", _det, {"A": "A result result1 result2"})
op("_linalg_slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet, Tensor LU, Tensor pivots)", _slogdet,
   {"A": "A result result2 result3"})  # fmt: skip


# ---------------------------------------------------------------- Cholesky factors
def _cholesky_ex(self: Meta, upper: bool, check_errors: bool, api_name: str) -> tuple[Meta, Meta]:
    check_square("linalg.cholesky", self)
    check_floating("linalg.cholesky", self)
    _check_kernel("cholesky_cpu", self)
    return Meta.of(self.shape, self.dtype), Meta.of(self.shape[:-2], int32)


def _of_square(name: str, kernel: str) -> Callable[[Meta, bool], Meta]:
    def rule(self: Meta, upper: bool) -> Meta:
        check_square(name, self)
        _check_kernel(kernel, self)
        return Meta.of(self.shape, self.dtype)

    return rule


def _check_solver(name: str, b: Meta, A: Meta) -> None:
    """Refuse what PyTorch's older solvers refuse, which name no function."""
    _check_same(A, b, "Expected b and A to have the same dtype, but found b of type {B} and A of type {A} instead.")
    if A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"A must be batches of square matrices, but they are {A.shape[-2]} by {A.shape[-1]} matrices"
        )
    if A.shape[-2] != b.shape[-2]:
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {A.shape[-1]} by {A.shape[-1]} but each b matrix is "
            f"{b.shape[-2]} by {b.shape[-1]}"
        )


def _cholesky_solve(self: Meta, input2: Meta, upper: bool) -> Meta:
    for name, meta in (("b", self), ("u", input2)):
        if meta.ndim < 2:
            raise RuntimeError(f"{name} should have at least 2 dimensions, but has {meta.ndim} dimensions instead")
    _check_solver("cholesky_solve", self, input2)
    shape = (*_batch(self, input2), *self.shape[-2:])
    _check_kernel("cholesky_solve_cpu", self)
    return Meta.of(shape, self.dtype)


op('linalg_cholesky_ex(Tensor self, *, bool upper=False, bool check_errors=False, str api_name="linalg.cholesky_ex")'
   " -> (Tensor L, Tensor info)", _cholesky_ex, {"self": "result"})  # fmt: skip
op("cholesky(Tensor self, bool upper=False) -> Tensor", _of_square("cholesky", "cholesky_cpu"), {"self": "result"})
op("cholesky_solve(Tensor self, Tensor input2, bool upper=False) -> Tensor", _cholesky_solve,
   {"self": "input2", "input2": "input2 result"})  # fmt: skip
op("cholesky_inverse(Tensor self, bool upper=False) -> Tensor",
   _of_square("cholesky_inverse", "cholesky_inverse_out_cpu"), {"self": "self result"})  # fmt: skip


# ---------------------------------------------------------------- triangular matrices
def _solve_triangular(self: Meta, B: Meta, upper: bool, left: bool, unitriangular: bool) -> Meta:
    name = "linalg.solve_triangular"
    check_square(name, self)
    _check_axes(name, B, "B")
    _check_equation(name, self, B.shape[-2:], left)
    shape = (*_batch(B, self), *B.shape[-2:])
    _check_kernel("triangular_solve_cpu", self)
    return Meta.of(shape, self.dtype)


def _triangular_solve(self: Meta, A: Meta, upper: bool, transpose: bool, unitriangular: bool) -> tuple[Meta, Meta]:
    for name, meta in (("b", self), ("A", A)):
        if meta.ndim < 2:
            raise RuntimeError(
                f"torch.triangular_solve: Expected {name} to have at least 2 dimensions, but it has {meta.ndim} "
                "dimensions instead"
            )
    _check_solver("triangular_solve", self, A)
    batch = _batch(self, A)
    _check_kernel("triangular_solve_cpu", A)
    return Meta.of((*batch, *self.shape[-2:]), self.dtype), Meta.of((*batch, *A.shape[-2:]), A.dtype)


op("linalg_solve_triangular(Tensor self, Tensor B, *, bool upper, bool left=True, bool unitriangular=False) -> Tensor",
   _solve_triangular, {"self": "self result", "B": "self"})  # fmt: skip
op("triangular_solve(Tensor self, Tensor A, bool upper=True, bool transpose=False, bool unitriangular=False)"
   " -> (Tensor solution, Tensor cloned_coefficient)", _triangular_solve, {"self": "A", "A": "A result"})  # fmt: skip


# ---------------------------------------------------------------- LDL factors, of symmetric matrices
def _ldl_factor_ex(self: Meta, hermitian: bool, check_errors: bool, api_name: str) -> tuple[Meta, Meta, Meta]:
    check_square("torch.linalg.ldl_factor_ex", self)
    check_floating("torch.linalg.ldl_factor_ex", self)
    _check_kernel("ldl_factor_kernel_cpu", self)
    return _factors(self)


def _ldl_solve(LD: Meta, pivots: Meta, B: Meta, hermitian: bool) -> Meta:
    name = "torch.linalg.ldl_solve"
    check_square(name, LD)
    check_floating(name, LD)
    _check_axes(name, B, "B")
    _check_solver(name, B, LD)
    if pivots.dtype.category is not Category.INT:
        raise RuntimeError(f"{name}: Expected pivots to be integers. Got {torch_type_name(pivots.dtype)}")
    if pivots.shape != LD.shape[:-1]:
        raise RuntimeError(
            f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape "
            f"{list(pivots.shape)} instead"
        )
    _check_kernel("ldl_solve_kernel_cpu", LD)
    return Meta.of((*_batch(B, LD), *B.shape[-2:]), B.dtype)


op('linalg_ldl_factor_ex(Tensor self, *, bool hermitian=False, bool check_errors=False, '
   'str api_name="torch.linalg.ldl_factor_ex") -> (Tensor LD, Tensor pivots, Tensor info)', _ldl_factor_ex)  # fmt: skip
op("linalg_ldl_solve(Tensor LD, Tensor pivots, Tensor B, *, bool hermitian=False) -> Tensor", _ldl_solve)
