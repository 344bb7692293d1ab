"""Samples of inverses, linear equations, determinants, and the factors that help."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Array = Any


# ---------------------------------------------------------------- inputs
def _regular(rng: np.random.Generator, *shape: int, imaginary: bool = False) -> Array:
    """Return matrices far from singular ones."""
    made = rng.standard_normal(shape)
    if imaginary:
        made = made + 1j * rng.standard_normal(shape)
    return made + 3 * np.eye(*shape[-2:])


def _adjoint(matrix: Array) -> Array:
    return np.conj(np.swapaxes(matrix, -1, -2))


def _positive(rng: np.random.Generator, *shape: int, imaginary: bool = False) -> Array:
    made = _regular(rng, *shape, imaginary=imaginary)
    return made @ _adjoint(made) + np.eye(shape[-1])


def _squares(rng: np.random.Generator) -> Iterator[Array]:
    """Yield matrices, batches, both precisions, complex, transposed, empty."""
    yield _regular(rng, 3, 3)
    yield _regular(rng, 2, 4, 4)
    yield _regular(rng, 3, 3).T
    yield _regular(rng, 3, 3, imaginary=True)
    yield _regular(rng, 2, 3, 3).astype(np.float32)
    yield _regular(rng, 1, 1)
    yield np.ones((0, 0))
    yield np.ones((0, 2, 2))
    yield np.ones((2, 0, 0))


def _rectangles(rng: np.random.Generator) -> Iterator[Array]:
    yield from _squares(rng)
    yield _regular(rng, 3, 5)
    yield _regular(rng, 2, 5, 3)
    yield _regular(rng, 4, 2, imaginary=True)
    yield np.ones((3, 0))


# ---------------------------------------------------------------- LU by elimination, in plain words
def _factor_one(matrix: Array) -> tuple[Array, Array, int]:
    work, (m, n) = np.array(matrix), matrix.shape
    pivots, info = np.zeros(min(m, n), np.int32), 0
    for step in range(min(m, n)):
        best = step + int(np.argmax(_size(work[step:, step])))
        pivots[step] = best + 1
        work[[step, best]] = work[[best, step]]
        if work[step, step] == 0:
            info = info or step + 1
            continue
        work[step + 1 :, step] /= work[step, step]
        work[step + 1 :, step + 1 :] -= np.outer(work[step + 1 :, step], work[step, step + 1 :])
    return work, pivots, info


def _size(column: Array) -> Array:
    """Return what LAPACK takes for the size of a pivot: for complex numbers |re| + |im|."""
    return np.abs(column.real) + np.abs(column.imag)


def _factor(A: Array, pivot: bool = True, check_errors: bool = False) -> tuple[Array, Array, Array]:
    batch, shape = A.shape[:-2], A.shape[-2:]
    found = [_factor_one(matrix) for matrix in A.reshape(int(np.prod(batch)), *shape)]
    if not pivot:
        found = [(_eliminated(matrix), np.arange(1, min(shape) + 1), 0) for matrix in A.reshape(-1, *shape)]
    lu, pivots, info = (np.array([item[index] for item in found]) for index in range(3))
    return (
        lu.reshape(A.shape).astype(A.dtype),
        pivots.reshape(*batch, min(shape)).astype(np.int32),
        info.reshape(batch).astype(np.int32),
    )


def _eliminated(matrix: Array) -> Array:
    work = np.array(matrix)
    for step in range(min(work.shape)):
        work[step + 1 :, step] /= work[step, step]
        work[step + 1 :, step + 1 :] -= np.outer(work[step + 1 :, step], work[step, step + 1 :])
    return work


def _unpack(lu: Array, pivots: Array, unpack_data: bool = True, unpack_pivots: bool = True) -> tuple[Array, ...]:
    batch, (m, n) = lu.shape[:-2], lu.shape[-2:]
    k, nothing = min(m, n), np.zeros(0, lu.dtype)
    permuted = np.broadcast_to(np.eye(m, dtype=lu.dtype), (*batch, m, m)).copy()
    for place in np.ndindex(*batch):
        for step in range(k):
            permuted[place][:, [step, pivots[place][step] - 1]] = permuted[place][:, [pivots[place][step] - 1, step]]
    lower = np.tril(lu[..., :k], -1) + np.eye(m, k, dtype=lu.dtype)
    data = (lower, np.triu(lu[..., :k, :])) if unpack_data else (nothing, nothing)
    return (permuted if unpack_pivots else nothing), *data


def _product(lu: Array, pivots: Array) -> Array:
    permuted, lower, upper = _unpack(lu, pivots)
    return permuted @ lower @ upper


# ---------------------------------------------------------------- references
def _inverse(A: Array, check_errors: bool = False) -> tuple[Array, Array]:
    return np.linalg.inv(A).astype(A.dtype), np.zeros(A.shape[:-2], np.int32)


def _solved(A: Array, B: Array, left: bool = True) -> Array:
    if left:
        return np.linalg.solve(A, B)
    return np.swapaxes(np.linalg.solve(np.swapaxes(A, -1, -2), np.swapaxes(B, -1, -2)), -1, -2)


def _solve_ex(A: Array, B: Array, *, left: bool = True, check_errors: bool = False) -> tuple[Array, ...]:
    vector = B.ndim == 1 or A.shape[:-1] == B.shape
    found = _solved(A, B[..., None] if vector else B, left)
    return ((found[..., 0] if vector else found).astype(A.dtype), *_factor(A))


def _det(A: Array) -> tuple[Array, ...]:
    return (np.asarray(np.linalg.det(A)).astype(A.dtype), *_factor(A)[:2])


def _slogdet(A: Array) -> tuple[Array, ...]:
    sign, log = np.linalg.slogdet(A)
    return (np.asarray(sign).astype(A.dtype), np.asarray(log).astype(A.real.dtype), *_factor(A)[:2])


def _cholesky(self: Array, upper: bool = False) -> Array:
    factor = np.linalg.cholesky(self)
    return _adjoint(factor) if upper else factor


def _cholesky_ex(self: Array, *, upper: bool = False, check_errors: bool = False) -> tuple[Array, Array]:
    return _cholesky(self, upper), np.zeros(self.shape[:-2], np.int32)


def _of_factor(factor: Array, upper: bool) -> Array:
    triangle = np.triu(factor) if upper else np.tril(factor)
    return _adjoint(triangle) @ triangle if upper else triangle @ _adjoint(triangle)


def _cholesky_solve(self: Array, input2: Array, upper: bool = False) -> Array:
    return np.linalg.solve(_of_factor(input2, upper), self).astype(self.dtype)


def _cholesky_inverse(self: Array, upper: bool = False) -> Array:
    return np.linalg.inv(_of_factor(self, upper)).astype(self.dtype)


def _triangle(A: Array, upper: bool, unitriangular: bool) -> Array:
    triangle = np.triu(A) if upper else np.tril(A)
    if unitriangular:
        triangle = triangle - triangle * np.eye(A.shape[-1]) + np.eye(A.shape[-1])
    return triangle


def _solve_triangular(self: Array, B: Array, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Array:
    return _solved(_triangle(self, upper, unitriangular), B, left).astype(self.dtype)


def _triangular_solve(
    self: Array, A: Array, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[Array, Array]:
    triangle = _triangle(A, upper, unitriangular)
    found = _solved(np.swapaxes(triangle, -1, -2) if transpose else triangle, self)
    return found, np.broadcast_to(A, (*found.shape[:-2], *A.shape[-2:]))


def _lu_solve(LU: Array, pivots: Array, B: Array, *, left: bool = True, adjoint: bool = False) -> Array:
    matrix = _product(LU, pivots)
    return _solved(_adjoint(matrix) if adjoint else matrix, B, left).astype(B.dtype)


def _ldl_one(matrix: Array, hermitian: bool) -> Array:
    work, n = np.tril(matrix), len(matrix)
    for step in range(n):
        column = work[step + 1 :, step] / work[step, step]
        other = column.conj() if hermitian else column
        work[step + 1 :, step + 1 :] -= np.tril(np.outer(column, other) * work[step, step])
        work[step + 1 :, step] = column
    return work


def _ldl(self: Array, *, hermitian: bool = False, check_errors: bool = False) -> tuple[Array, Array, Array]:
    """Return the factors of matrices whose diagonals are so large that no rows are swapped."""
    batch, n = self.shape[:-2], self.shape[-1]
    found = np.array([_ldl_one(matrix, hermitian) for matrix in self.reshape(int(np.prod(batch)), n, n)])
    pivots = np.broadcast_to(np.arange(1, n + 1, dtype=np.int32), (*batch, n))
    return found.reshape(self.shape).astype(self.dtype), pivots, np.zeros(batch, np.int32)


def _ldl_solve(LD: Array, pivots: Array, B: Array, *, hermitian: bool = False) -> Array:
    lower = np.tril(LD, -1) + np.eye(LD.shape[-1])
    diagonal = LD * np.eye(LD.shape[-1])
    right = _adjoint(lower) if hermitian else np.swapaxes(lower, -1, -2)
    return np.linalg.solve(lower @ diagonal @ right, B).astype(B.dtype)


# ---------------------------------------------------------------- cases
def _each(make: Callable[[np.random.Generator], Iterator[Array]], **kwargs: Any) -> Any:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for array in make(rng):
            yield Case((array,), kwargs)

    return cases


def _solve_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((_regular(rng, 3, 3), rng.standard_normal((3, 2))))
    yield Case((_regular(rng, 3, 3), rng.standard_normal(3)))
    yield Case((_regular(rng, 2, 3, 3), rng.standard_normal((2, 3))))
    yield Case((_regular(rng, 2, 3, 3), rng.standard_normal(3)))
    yield Case((_regular(rng, 2, 1, 3, 3), rng.standard_normal((4, 3, 2))))
    yield Case((_regular(rng, 3, 3), rng.standard_normal((2, 3))), {"left": False})
    yield Case((_regular(rng, 3, 3, imaginary=True), _regular(rng, 3, 2, imaginary=True)))
    yield Case((_regular(rng, 3, 3).astype(np.float32), np.ones((3, 2), np.float32)), {"check_errors": True})
    yield Case((np.ones((0, 0)), np.ones((0, 2))))
    yield Case((_regular(rng, 2, 2), np.ones((2, 0))))


def _lu_factor_cases(rng: np.random.Generator) -> Iterator[Case]:
    for array in _rectangles(rng):
        yield Case((array,))
    yield Case((np.diag([1.0, 0.0, 2.0]),), differentiable=False)
    yield Case((np.zeros((2, 2, 2), np.float32),))


def _unpack_cases(rng: np.random.Generator) -> Iterator[Case]:
    for array in _rectangles(rng):
        yield Case(_factor(array)[:2])
    yield Case((*_factor(_regular(rng, 3, 3).astype(np.float32))[:2], False, True))
    yield Case((*_factor(_regular(rng, 3, 3).astype(np.float32))[:2], True, False))


def _lu_solve_cases(rng: np.random.Generator) -> Iterator[Case]:
    for left in (True, False):
        for adjoint in (False, True):
            kwargs = {"left": left, "adjoint": adjoint}
            yield Case((*_factor(_regular(rng, 3, 3))[:2], rng.standard_normal((3, 3))), kwargs)
            factors = _factor(_regular(rng, 3, 3, imaginary=True))[:2]
            yield Case((*factors, _regular(rng, 3, 3, imaginary=True)), kwargs)
    yield Case((*_factor(_regular(rng, 2, 1, 3, 3))[:2], rng.standard_normal((4, 3, 2))))
    yield Case((*_factor(_regular(rng, 2, 2).astype(np.float32))[:2], np.ones((2, 1), np.float32)))
    yield Case((np.ones((0, 0)), np.ones(0, np.int32), np.ones((0, 2))))


def _positives(rng: np.random.Generator) -> Iterator[Array]:
    yield _positive(rng, 3, 3)
    yield _positive(rng, 2, 3, 3)
    yield _positive(rng, 3, 3, imaginary=True)
    yield _positive(rng, 2, 2).astype(np.float32)
    yield np.ones((0, 0))
    yield np.ones((0, 2, 2))


def _cholesky_cases(rng: np.random.Generator) -> Iterator[Case]:
    for array in _positives(rng):
        yield Case((array,), {"upper": False})
        yield Case((array,), {"upper": True})


def _cholesky_solve_cases(rng: np.random.Generator) -> Iterator[Case]:
    for upper in (False, True):
        yield Case((rng.standard_normal((3, 2)), _cholesky(_positive(rng, 3, 3), upper), upper))
        yield Case((rng.standard_normal((4, 3, 2)), _cholesky(_positive(rng, 2, 1, 3, 3), upper), upper))
        factor = _cholesky(_positive(rng, 3, 3, imaginary=True), upper)
        yield Case((_regular(rng, 3, 2, imaginary=True), factor, upper))
    yield Case((np.ones((2, 2), np.float32), np.eye(2, dtype=np.float32)))
    yield Case((np.ones((0, 2)), np.ones((0, 0))))


def _cholesky_inverse_cases(rng: np.random.Generator) -> Iterator[Case]:
    for array in _positives(rng):
        for upper in (False, True):
            yield Case((_cholesky(array, upper), upper))


def _triangle_cases(rng: np.random.Generator) -> Iterator[Case]:
    for upper in (False, True):
        for left in (True, False):
            kwargs = {"upper": upper, "left": left, "unitriangular": upper is left}
            yield Case((_regular(rng, 3, 3), rng.standard_normal((3, 3))), kwargs)
            yield Case((_regular(rng, 3, 3, imaginary=True), _regular(rng, 3, 3, imaginary=True)), kwargs)
    yield Case((_regular(rng, 2, 1, 3, 3), rng.standard_normal((4, 3, 2))), {"upper": True})
    yield Case((_regular(rng, 2, 2).astype(np.float32), np.ones((2, 1), np.float32)), {"upper": False})
    yield Case((np.ones((0, 0)), np.ones((0, 2))), {"upper": True})


def _older_triangle_cases(rng: np.random.Generator) -> Iterator[Case]:
    for upper in (False, True):
        for transpose in (False, True):
            switches = (upper, transpose, upper is transpose)
            yield Case((rng.standard_normal((3, 2)), _regular(rng, 3, 3), *switches))
            yield Case((_regular(rng, 3, 2, imaginary=True), _regular(rng, 3, 3, imaginary=True), *switches))
    yield Case((rng.standard_normal((4, 3, 2)), _regular(rng, 2, 1, 3, 3)))
    yield Case((np.ones((2, 1), np.float32), _regular(rng, 2, 2).astype(np.float32)))
    yield Case((np.ones((0, 2)), np.ones((0, 0))))


def _ldl_cases(rng: np.random.Generator) -> Iterator[Case]:
    steep = np.diag([40.0, 30.0, 20.0])
    real, both = rng.standard_normal((2, 3, 3)), _regular(rng, 3, 3, imaginary=True)
    yield Case((real + np.swapaxes(real, -1, -2) + steep,))
    yield Case(((real[0] + real[0].T + steep).astype(np.float32),))
    yield Case((both + both.T + steep,))
    yield Case((both + _adjoint(both) + steep,), {"hermitian": True})
    yield Case((np.ones((0, 0)),))


def _ldl_solve_cases(rng: np.random.Generator) -> Iterator[Case]:
    for case in _ldl_cases(rng):
        factors, pivots, _ = _ldl(*case.args, **case.kwargs)
        yield Case((factors, pivots, rng.standard_normal((factors.shape[-1], 2)).astype(factors.dtype)), case.kwargs)


# ---------------------------------------------------------------- refusals
_ONES, _WHOLE, _HALF = np.ones((2, 2)), np.ones((2, 2), np.int64), np.ones((2, 2), np.float16)
_LONG = np.ones((2, 3))
_ROW = np.ones(2, np.int32)


def _square_refusals(name: str, *others: Refusal) -> tuple[Refusal, ...]:
    return (
        Refusal((np.ones(3),), RuntimeError, f"{name}: The input tensor A must have at least 2 dimensions"),
        Refusal((_LONG,), RuntimeError, f"{name}: A must be batches of square matrices, but they are 2 by 3 matrices"),
        *others,
    )


def _whole(name: str) -> Refusal:
    return Refusal((_WHOLE,), RuntimeError, f"{name}: Expected a floating point or complex tensor as input. Got Long")


def _low(name: str) -> Refusal:
    return Refusal((_HALF,), RuntimeError, f"{name}: Low precision dtypes not supported. Got Half")


def _no_kernel(name: str, dtype: str = "Half", *args: Any, **kwargs: Any) -> Refusal:
    return Refusal(args or (_HALF,), NotImplementedError, f"\"{name}\" not implemented for '{dtype}'", kwargs)


def _singular(name: str, error: type[Exception], words: str, *args: Any, **kwargs: Any) -> Refusal:
    return Refusal(args, error, f"{name}: {words}", kwargs)


_ZEROS = np.zeros((3, 2, 2))
_NO_INVERSE = r"\(Batch element 0\): The diagonal element 1 is zero, the inversion could not be completed"

_SOLVE_REFUSALS = (
    Refusal((_ONES, np.ones(3)), RuntimeError, r"linalg.solve: .*equation AX = B \(2x2 and 3x1\)"),
    Refusal((_ONES, np.ones((3, 3))), RuntimeError, r"equation XA = B \(2x2 and 3x3\)", {"left": False}),
    Refusal((_LONG, np.ones(2)), RuntimeError, "linalg.solve: A must be batches of square matrices"),
    Refusal((np.ones((1, 1)), np.ones(1)), RuntimeError, "Vector broadcasting of the left hand side", {"left": False}),
    Refusal((_ONES, np.ones((2, 2), np.float32)), RuntimeError, "found A of type Double and B of type Float instead"),
    Refusal((np.ones((4, 2, 2)), np.ones((5, 2, 1))), RuntimeError, r"tensor a \(5\) must match .* tensor b \(4\)"),
    Refusal((_WHOLE, _WHOLE), RuntimeError, "linalg.solve: Expected a floating point or complex tensor"),
    _no_kernel("lu_cpu", "Half", _HALF, _HALF),
    _singular("torch.linalg.solve_ex", RuntimeError, r"\(Batch element 0\): The solver failed", _ZEROS, _ZEROS,
              check_errors=True),
)  # fmt: skip

_UNPACK_REFUSALS = (
    Refusal((np.ones(3), _ROW), RuntimeError, r"Expected tensor with 2 or more dimensions. Got size: \[3\] instead"),
    Refusal(
        (_ONES, np.ones(2, np.int64)), RuntimeError, "LU_pivots is expected to be a contiguous tensor of torch.int32"
    ),
    Refusal((_ONES, np.ones(3, np.int32)), RuntimeError, "one pivot per column of L", in_torch=False),
    Refusal((_ONES, _ROW * 9), RuntimeError, "must be between 1 and LU.size"),
)

_LU_SOLVE_REFUSALS = (
    Refusal((_ONES, _ROW, np.ones((2, 1), np.float32)), RuntimeError, "found LU of type Double and B of type Float"),
    Refusal((_ONES, np.ones(2, np.int64), _ONES), RuntimeError, "pivots should be a Tensor of scalar type torch.int32"),
    Refusal((_ONES, np.ones(1, np.int32), _ONES), RuntimeError, "Number of pivots per batch should be same"),
    Refusal((np.ones((3, 2, 2)), _ROW, _ONES), RuntimeError, r"but got pivots with shape \[2\] instead"),
    Refusal((_ONES, _ROW, np.ones((3, 1))), RuntimeError, r"equation AX = B \(2x2 and 3x1\)"),
    Refusal((_ONES, _ROW * 9, _ONES), RuntimeError, "must all be smaller or equal to LU.size"),
    Refusal((_WHOLE, _ROW, _WHOLE), RuntimeError, "Expected a floating point or complex tensor as input. Got Long"),
)

_TRIANGLE_REFUSALS = (
    Refusal((_ONES, np.ones(2)), RuntimeError, "The input tensor B must have at least 2 dimensions", {"upper": True}),
    Refusal((_LONG, _ONES), RuntimeError, "A must be batches of square matrices", {"upper": True}),
    Refusal((_ONES, np.ones((3, 3))), RuntimeError, r"AX = B \(2x2 and 3x3\)", {"upper": True}),
    _no_kernel("triangular_solve_cpu", "Long", _WHOLE, _WHOLE, upper=True),
)


def _older_refusals(name: str, first: str, second: str) -> tuple[Refusal, ...]:
    return (
        Refusal((np.ones(3), np.ones((3, 3))), RuntimeError, first),
        Refusal((np.ones((3, 3)), np.ones(3)), RuntimeError, second),
        Refusal(
            (_ONES, np.ones((2, 2), np.float32)), RuntimeError, "found b of type Double and A of type Float instead"
        ),
        Refusal((_LONG, _LONG), RuntimeError, "^A must be batches of square matrices, but they are 2 by 3 matrices"),
        Refusal(
            (np.ones((3, 3)), _ONES), RuntimeError, f"Incompatible matrix sizes for {name}: each A matrix is 2 by 2"
        ),
        _no_kernel(f"{name}_cpu", "Long", _WHOLE, _WHOLE),
    )


_LDL_SOLVE_REFUSALS = (
    Refusal((_ONES, np.ones(1, np.int32), _ONES), RuntimeError, r"but got pivots with shape \[1\] instead"),
    Refusal((_ONES, np.ones(2), _ONES), RuntimeError, "Expected pivots to be integers. Got Double"),
    Refusal((_ONES, _ROW, np.ones((3, 1))), RuntimeError, "Incompatible matrix sizes for torch.linalg.ldl_solve"),
    Refusal((_ONES, _ROW, np.ones(2)), RuntimeError, "B must have at least 2 dimensions", in_torch=False),
)


# PyTorch factors the transpose where that saves a copy: what it returns beside the result has other values than ours.
def _torch_det(A: Any) -> Any:
    import torch

    return torch.linalg.det(A)


def _torch_slogdet(A: Any) -> Any:
    import torch

    return tuple(torch.linalg.slogdet(A))


def _torch_solve(A: Any, B: Any, **kwargs: Any) -> Any:
    import torch

    return torch.linalg.solve_ex(A, B, **kwargs)[0]


def _torch_lu_solve(LU: Any, pivots: Any, B: Any, **kwargs: Any) -> Any:
    import torch

    return torch.linalg.lu_solve(LU, pivots, B, **kwargs).resolve_conj()


SAMPLES: list[Sample] = [
    Sample("linalg_inv_ex", _inverse, _each(_squares),
           _square_refusals("linalg.inv", _whole("linalg.inv"), _low("linalg.inv"),
                            _singular("linalg.inv_ex", RuntimeError, _NO_INVERSE, _ZEROS, check_errors=True)),
           differentiable_outputs=1),
    Sample("_linalg_solve_ex", _solve_ex, _solve_cases, _SOLVE_REFUSALS, differentiable_outputs=1, torch=_torch_solve),
    Sample("_linalg_det", _det, _each(_squares),
           _square_refusals("linalg.det", _whole("linalg.det"), _no_kernel("lu_cpu")), differentiable_outputs=1,
           torch=_torch_det),
    Sample("_linalg_slogdet", _slogdet, _each(_squares),
           _square_refusals("linalg.slogdet", _whole("linalg.slogdet"), _low("linalg.slogdet")),
           differentiable_outputs=2, torch=_torch_slogdet),
    # One element of a symmetric matrix cannot be moved alone, and only one triangle is read: differences lie.
    Sample("linalg_cholesky_ex", _cholesky_ex, _cholesky_cases,
           _square_refusals("linalg.cholesky", _whole("linalg.cholesky"), _no_kernel("cholesky_cpu"),
                            _singular("linalg.cholesky_ex", RuntimeError, r".*leading minor of order 1", _ZEROS,
                                      check_errors=True)),
           gradients_by_values=False),
    Sample("cholesky", _cholesky, _cholesky_cases,
           _square_refusals("cholesky", _no_kernel("cholesky_cpu", "Long", _WHOLE),
                            _singular("cholesky", RuntimeError, r"\(Batch element 0\): .*order 1", _ZEROS)),
           gradients_by_values=False),
    # PyTorch's gradient of the factor is that of all its elements, though one triangle is read.
    Sample("cholesky_solve", _cholesky_solve, _cholesky_solve_cases,
           _older_refusals("cholesky_solve", "^b should have at least 2 dimensions", "^u should have at least 2 dimensions"),
           gradients_by_values=False),
    Sample("cholesky_inverse", _cholesky_inverse, _cholesky_inverse_cases,
           _square_refusals("cholesky_inverse", _no_kernel("cholesky_inverse_out_cpu"),
                            _singular("cholesky_inverse", RuntimeError, _NO_INVERSE, _ZEROS)),
           gradients_by_values=False),
    Sample("linalg_solve_triangular", _solve_triangular, _triangle_cases, _TRIANGLE_REFUSALS),
    Sample("triangular_solve", _triangular_solve, _older_triangle_cases,
           _older_refusals("triangular_solve", "Expected b to have at least 2", "Expected A to have at least 2")),
    Sample("linalg_lu_factor_ex", _factor, _lu_factor_cases,
           (Refusal((np.ones(3),), RuntimeError, "torch.lu_factor: Expected tensor with 2 or more dimensions"),
            _no_kernel("lu_cpu", "Long", _WHOLE),
            _singular("torch.linalg.lu_factor_ex", RuntimeError, r"\(Batch element 0\): U\[1,1\] is zero", _ZEROS,
                      check_errors=True))),
    Sample("linalg_lu", lambda A, pivot=True: _unpack(*_factor(A)[:2]), _each(_rectangles),
           (Refusal((np.ones(3),), RuntimeError, "linalg.lu: Expected tensor with 2 or more dimensions"),
            _no_kernel("lu_cpu"))),
    Sample("lu_unpack", _unpack, _unpack_cases, _UNPACK_REFUSALS),
    Sample("linalg_lu_solve", _lu_solve, _lu_solve_cases, _LU_SOLVE_REFUSALS, torch=_torch_lu_solve),
    Sample("linalg_ldl_factor_ex", _ldl, _ldl_cases,
           _square_refusals("torch.linalg.ldl_factor_ex", _whole("torch.linalg.ldl_factor_ex"),
                            _no_kernel("ldl_factor_kernel_cpu"))),
    Sample("linalg_ldl_solve", _ldl_solve, _ldl_solve_cases, _LDL_SOLVE_REFUSALS),
]  # fmt: skip
