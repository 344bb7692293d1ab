"""Samples of the decompositions.

Singular vectors, eigenvectors and their like are free in sign or phase: PyTorch's are turned to those of the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Array = np.ndarray[Any, Any]


def _complex(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def _matrices(rng: np.random.Generator) -> Iterator[Array]:
    """Yield the shapes that matter, as float64: square, tall, wide, a batch, and one that is not contiguous."""
    for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 2)):
        yield rng.standard_normal(shape)
    yield rng.standard_normal((2, 3)).T


def _others(rng: np.random.Generator) -> Iterator[Array]:
    """Yield other dtypes, and matrices without elements."""
    yield rng.standard_normal((4, 3)).astype(np.float32)
    yield _complex(rng, (3, 2))
    yield np.zeros((0, 3))
    yield np.zeros((2, 0, 0), np.float32)


def _all(*rest: Any) -> Callable[[np.random.Generator], Iterator[Case]]:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for matrix in _matrices(rng):
            yield Case((matrix, *rest))
        for matrix in _others(rng):
            # PyTorch refuses the gradient of a function of complex vectors' phases, which a projection is.
            yield Case((matrix, *rest), differentiable=False, torch_gradient=matrix.dtype.kind != "c")

    return cases


def _square(rng: np.random.Generator) -> Iterator[Case]:
    for shape in ((3, 3), (2, 2, 2), (1, 1)):
        yield Case((rng.standard_normal(shape),))
    yield Case((rng.standard_normal((3, 3)).astype(np.float32),))
    yield Case((_complex(rng, (3, 3)),), differentiable=False, torch_gradient=False)  # see `_all`
    yield Case((np.zeros((2, 0, 0)),), differentiable=False)


def _adjoint(matrix: Array) -> Array:
    return np.swapaxes(matrix, -1, -2).conj()


_ONE_AXIS = np.ones(3)
_INTEGERS = np.ones((2, 2), np.int64)
_HALF = np.ones((2, 2), np.float16)
_WIDE = np.ones((2, 3))


def _refusals(name: str, kernel: str) -> tuple[Refusal, ...]:
    return (
        Refusal((_ONE_AXIS,), RuntimeError, rf"{name}: The input tensor A must have at least 2 dimensions"),
        Refusal((_INTEGERS,), RuntimeError, f"{name}: Expected a floating point or complex tensor as input. Got Long"),
        Refusal((_HALF,), NotImplementedError, f"\"{kernel}\" not implemented for 'Half'"),
    )


def _square_refusals(name: str, kernel: str) -> tuple[Refusal, ...]:
    return (
        Refusal((_ONE_AXIS,), RuntimeError, rf"{name}: The input tensor A must have at least 2 dimensions"),
        Refusal((_WIDE,), RuntimeError, f"{name}: A must be batches of square matrices, but they are 2 by 3 matrices"),
        Refusal((_HALF,), NotImplementedError, f"\"{kernel}\" not implemented for 'Half'"),
    )


# ---------------------------------------------------------------- gauges
def _phases(theirs: Any, wanted: Array) -> Any:
    """Return the factors that turn PyTorch's columns to the reference's."""
    import torch

    product = (wanted.conj() * theirs.detach().numpy()).sum(-2, keepdims=True)
    return torch.from_numpy(np.where(product == 0, 1, product.conj() / np.where(product == 0, 1, abs(product))))


def _torch_svd(A: Any, full_matrices: bool = True) -> tuple[Any, Any, Any]:
    import torch

    u, s, vh = torch.linalg.svd(A, full_matrices)
    u_wanted, _, vh_wanted = np.linalg.svd(A.detach().numpy(), full_matrices)
    return u * _phases(u, u_wanted), s, vh * _phases(vh.mT, np.swapaxes(vh_wanted, -1, -2)).mT


def _torch_eigh(self: Any, uplo: str = "L") -> tuple[Any, Any]:
    import torch

    values, vectors = torch.linalg.eigh(self, uplo)
    return values, vectors * _phases(vectors, np.linalg.eigh(self.detach().numpy(), uplo.upper())[1])


def _svd_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield from _all(False)(rng)
    yield Case((rng.standard_normal((3, 3)), True))
    yield Case((rng.standard_normal((1, 2)), False))


def _eigh_cases(rng: np.random.Generator) -> Iterator[Case]:
    for case in _square(rng):
        yield Case((*case.args, "L"), torch_gradient=case.torch_gradient)
    yield Case((rng.standard_normal((4, 4)), "U"))
    yield Case((rng.standard_normal((4, 4)), "l"))


def _eigh(self: Array, uplo: str) -> Any:
    return tuple(np.linalg.eigh(self, uplo.upper()))  # type: ignore[arg-type]


def _eig(self: Array) -> tuple[Array, Array]:
    values, vectors = np.linalg.eig(self)
    dtype = np.result_type(self, np.complex64)
    return values.astype(dtype), vectors.astype(dtype)


def _distinct(rng: np.random.Generator) -> Iterator[Case]:
    """Yield matrices with real, distinct eigenvalues, so that order and phases do not depend on the library."""
    for shape in ((3, 3), (2, 3, 3)):
        yield Case((rng.standard_normal(shape) * 0.3 + np.diag([1.0, 3.0, 5.0]),))
    yield Case((np.diag([1.0, 2.0]).astype(np.float32),))


# ---------------------------------------------------------------- Householder vectors
def _qr(A: Array, mode: str) -> Any:
    if mode == "r":
        return np.zeros((0,), A.dtype), np.linalg.qr(A, "r")
    return tuple(np.linalg.qr(A, mode))  # type: ignore[call-overload]


def _geqrf(self: Array) -> tuple[Array, Array]:
    raw, tau = np.linalg.qr(self, "raw")
    return np.swapaxes(raw, -1, -2), tau


def _product(input: Array, tau: Array) -> Array:
    """Multiply the reflectors I - tau v v^H one by one."""
    rows = input.shape[-2]
    q = np.broadcast_to(np.eye(rows, dtype=input.dtype), (*input.shape[:-2], rows, rows))
    for column in range(tau.shape[-1]):
        v = np.array(input[..., :, column : column + 1])
        v[..., :column, :] = 0
        if column < rows:
            v[..., column, :] = 1
        q = q - tau[..., column, None, None] * (q @ v) @ _adjoint(v)
    return q


def _householder_product(input: Array, tau: Array) -> Array:
    return _product(input, tau)[..., : input.shape[-1]]


def _ormqr(self: Array, input2: Array, input3: Array, left: bool = True, transpose: bool = False) -> Array:
    q = _product(self, input2)
    q = _adjoint(q) if transpose else q
    return q @ input3 if left else input3 @ q


def _reflector_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape, count in (((4, 3), 3), ((4, 3), 2), ((3, 3), 3), ((2, 4, 2), 2)):
        yield Case((rng.standard_normal(shape), rng.standard_normal((*shape[:-2], count))))
    yield Case((_complex(rng, (4, 2)), _complex(rng, (2,))))
    yield Case((rng.standard_normal((3, 2)).astype(np.float32), np.zeros(2, np.float32)))
    yield Case((np.zeros((3, 0)), np.zeros(0)), differentiable=False)


def _ormqr_cases(rng: np.random.Generator) -> Iterator[Case]:
    for left in (True, False):
        for transpose in (True, False):
            other = (4, 2) if left else (2, 4)
            yield Case(
                (rng.standard_normal((4, 3)), rng.standard_normal(3), rng.standard_normal(other), left, transpose)
            )
            yield Case((_complex(rng, (4, 2)), _complex(rng, (2,)), _complex(rng, other), left, transpose))
    yield Case((rng.standard_normal((2, 3, 3)), rng.standard_normal((2, 3)), rng.standard_normal((2, 3, 1))))


# ---------------------------------------------------------------- pseudoinverse, rank, least squares
def _tolerances(self: Array, atol: Any, rtol: Any) -> Any:
    default = np.finfo(self.dtype).eps * max(self.shape[-2:])
    if rtol is None:
        rtol = default if atol is None else np.where(np.asarray(atol) > 0, 0, default)
    largest = np.linalg.svd(self, compute_uv=False)[..., 0]
    return np.maximum(0 if atol is None else atol, rtol * largest)


def _pinv(self: Array, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Array:
    if hermitian:
        self = np.tril(self) + _adjoint(np.tril(self, -1))
    if not self.size:
        return _adjoint(self)
    u, s, vh = np.linalg.svd(self, full_matrices=False)
    counts = s > np.asarray(_tolerances(self, atol, rtol))[..., None]
    inverse = np.where(counts, 1 / np.where(counts, s, 1), 0)
    return ((_adjoint(vh) * inverse[..., None, :]) @ _adjoint(u)).astype(self.dtype)


def _rank(self: Array, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Array:
    if hermitian:
        self = np.tril(self) + _adjoint(np.tril(self, -1))
    if not self.size:
        return np.zeros(self.shape[:-2], np.int64)
    counts = np.linalg.svd(self, compute_uv=False) > np.asarray(_tolerances(self, atol, rtol))[..., None]
    return counts.sum(-1)


def _singular(rng: np.random.Generator) -> Array:
    return np.asarray(rng.standard_normal((4, 2)) @ rng.standard_normal((2, 3)))


def _number_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield from _all()(rng)
    # Of constant rank: only then is the pseudoinverse differentiable, which no small difference is.
    yield Case((_singular(rng),), {"rtol": 1e-9}, differentiable=False)
    yield Case((np.diag([3.0, 1.0, 0.1]),), {"atol": 0.5}, differentiable=False)
    yield Case((np.diag([3.0, 1.0, 0.1]),), {"atol": 0.01, "rtol": 0.5}, differentiable=False)
    yield Case((np.diag([3.0, -1.0, -4.0]),), {"hermitian": True, "rtol": 0.5}, differentiable=False)


def _tensor_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((rng.standard_normal((4, 2)),), {"rtol": np.float64(1e-9)})
    yield Case((np.diag([3.0, 1.0, 0.1]),), {"atol": np.array([0.0, 0.5, 2.0])}, differentiable=False)
    yield Case(
        (np.diag([3.0, 1.0, 0.1]),), {"atol": np.array([0.5]), "rtol": np.array([[0.5], [0.1]])}, differentiable=False
    )


_COMPLEX_TOLERANCE = {"atol": np.ones((), np.complex64)}


def _lstsq(self: Array, b: Array, rcond: float | None = None, *, driver: str | None = None) -> tuple[Array, ...]:
    vector = b.ndim < self.ndim
    right = b[..., None] if vector else b
    u, s, vh = np.linalg.svd(self, full_matrices=False)
    counts = s > (np.finfo(s.dtype).eps * max(self.shape[-2:]) if rcond is None else rcond) * s[..., :1]
    inverse = np.where(counts, 1 / np.where(counts, s, 1), 0)
    solution = (_adjoint(vh) * inverse[..., None, :]) @ (_adjoint(u) @ right)
    residuals = (np.abs(self @ solution - right) ** 2).sum(-2)
    empty, by_svd = np.zeros((0,), s.dtype), driver in ("gelsd", "gelss")
    return (
        solution[..., 0] if vector else solution,
        residuals if self.shape[-2] > self.shape[-1] and (by_svd or driver == "gels") else empty,
        np.zeros((0,), np.int64) if driver == "gels" else counts.sum(-1),
        s if by_svd else empty,
    )


def _lstsq_cases(rng: np.random.Generator) -> Iterator[Case]:
    for driver in (None, "gels", "gelsy", "gelsd", "gelss"):
        for shape in ((4, 2), (2, 4), (2, 3, 3)):
            right = rng.standard_normal((*shape[:-1], 2))
            yield Case((rng.standard_normal(shape), right), {"driver": driver})
        yield Case((_complex(rng, (4, 2)), _complex(rng, (4, 1))), {"driver": driver}, differentiable=False)
        yield Case((rng.standard_normal((4, 2)), rng.standard_normal(4)), {"driver": driver})


def _phase_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape in ((3,), (2, 3), (0,)):
        values = rng.standard_normal(shape)
        yield Case((values, values + 1e-3, "no phases"))


_TWO = np.ones((2, 2))

SAMPLES: list[Sample] = [
    # The gradients of complex vectors are right up to a phase, which differences see.
    Sample("linalg_svd", lambda A, full_matrices=True: tuple(np.linalg.svd(A, full_matrices)), _svd_cases,
           _refusals("linalg.svd", "linalg_svd_cpu"), torch=_torch_svd),
    Sample("linalg_svdvals", lambda A: np.linalg.svd(A, compute_uv=False), _all(),
           _refusals("linalg.svd", "linalg_svd_cpu")),
    # One triangle alone is read, while the gradient is of the whole: differences do not see that.
    Sample("linalg_eigh", _eigh, _eigh_cases, (
        *_square_refusals("linalg.eigh", "linalg_eigh_cpu"),
        Refusal((_TWO, "Q"), RuntimeError, "Expected UPLO argument to be 'L' or 'U', but got Q"),
    ), torch=_torch_eigh, gradients_by_values=False),
    Sample("linalg_eigvalsh", lambda self, uplo: _eigh(self, uplo)[0], _eigh_cases,
           _square_refusals("linalg.eigh", "linalg_eigh_cpu"), gradients_by_values=False),
    Sample("linalg_eig", _eig, _distinct, _square_refusals("linalg.eig", "linalg_eig_out_cpu"),
           differentiable_outputs=1),
    Sample("linalg_eigvals", lambda self: _eig(self)[0], _distinct,
           _square_refusals("linalg.eigvals", "linalg_eig_out_cpu")),
    Sample("linalg_qr", _qr, _all("reduced"), (
        *_refusals("linalg.qr", "geqrf_cpu"),
        Refusal((_TWO, "x"), RuntimeError, "qr received unrecognized mode 'x' but expected one of 'reduced'"),
    )),
    Sample("geqrf", _geqrf, _all(), (
        Refusal((_ONE_AXIS,), RuntimeError, "torch.geqrf: input must have at least 2 dimensions"),
        Refusal((_HALF,), NotImplementedError, "\"geqrf_cpu\" not implemented for 'Half'"),
    ), gradients_by_values=False),
    Sample("linalg_householder_product", _householder_product, _reflector_cases, (
        Refusal((_ONE_AXIS, _ONE_AXIS), RuntimeError, "input must have at least 2 dimensions"),
        Refusal((_WIDE, np.ones(2)), RuntimeError, r"input.shape\[-2\] must be greater than or equal to input.shape\[-1\]"),
        Refusal((_TWO, np.ones(3)), RuntimeError, r"input.shape\[-1\] must be greater than or equal to tau.shape\[-1\]"),
        Refusal((_TWO, _TWO), RuntimeError, "Expected tau to have one dimension less than input, but got tau.ndim equal to 2"),
        Refusal((_TWO, np.ones(2, np.float32)), RuntimeError, "tau dtype Float does not match input dtype Double"),
        Refusal((_TWO, np.ones(())), IndexError, "Dimension specified as -1 but tensor has no dimensions"),
    ), gradient_rtol=1e-3),
    Sample("ormqr", _ormqr, _ormqr_cases, (
        Refusal((_ONE_AXIS, np.ones(2), _TWO), RuntimeError, "input must have at least 2 dimensions"),
        Refusal((_TWO, np.ones(2), np.ones((3, 2))), RuntimeError, r"other.shape\[-2\] must be equal to input.shape\[-2\]"),
        Refusal((_TWO, np.ones(1), _TWO), RuntimeError, r"tau.shape\[-1\] must be equal to min\(other.shape\[-2\], input.shape\[-1\]\)"),
        Refusal((_TWO, np.ones(2), np.ones((2, 2), np.float32)), RuntimeError, "Expected input and other to have the same dtype"),
    ), gradient_rtol=1e-3),
    Sample("linalg_pinv.atol_rtol_float", _pinv, _number_cases, (
        Refusal((_WIDE,), RuntimeError, "linalg.eigh: A must be batches of square matrices", {"hermitian": True}),
    ), gradient_rtol=1e-3),
    Sample("linalg_pinv.atol_rtol_tensor", _pinv, _tensor_cases, (
        Refusal((_HALF,), RuntimeError, r"linalg.pinv\(Half\{\[2, 2\]\}\): expected a tensor with 2 or more dimensions",
                {"rtol": np.ones(())}),
        Refusal((_TWO,), RuntimeError, "torch.linalg.pinv: atol tensor of complex type is not supported", _COMPLEX_TOLERANCE),
    ), gradient_rtol=1e-3),
    Sample("linalg_matrix_rank.atol_rtol_float", _rank, _number_cases, (
        Refusal((_ONE_AXIS,), RuntimeError, "torch.linalg.matrix_rank: The input tensor input must have at least 2"),
        Refusal((_INTEGERS,), RuntimeError, "This function doesn't handle types other than float and double"),
    )),
    Sample("linalg_matrix_rank.atol_rtol_tensor", _rank, _tensor_cases, (
        Refusal((_TWO,), RuntimeError, "matrix_rank: atol tensor of complex type is not supported", _COMPLEX_TOLERANCE),
    )),
    Sample("linalg_lstsq", _lstsq, _lstsq_cases, (
        Refusal((_ONE_AXIS, _ONE_AXIS), RuntimeError, "torch.linalg.lstsq: input must have at least 2 dimensions"),
        Refusal((_TWO, np.ones(())), RuntimeError, "torch.linalg.lstsq: other must have at least 1 dimension"),
        Refusal((_TWO, _ONE_AXIS), RuntimeError, r"input.size\(-2\) should match other.size\(-1\)"),
        Refusal((_TWO, np.ones((3, 2))), RuntimeError, r"input.size\(-2\) should match other.size\(-2\)"),
        Refusal((_TWO, np.ones((2, 2), np.float32)), RuntimeError, "Expected input and other to have the same dtype"),
        Refusal((_TWO, _TWO), RuntimeError, "parameter `driver` should be one of", {"driver": "x"}),
    ), gradient_rtol=1e-3, differentiable_outputs=2),
    Sample("gw::refuse_phases", lambda self, other, message: np.zeros(0), _phase_cases,
           (Refusal((_TWO, _ONE_AXIS, "no"), RuntimeError, "gw::refuse_phases compares what is alike", in_torch=False),)),
]  # fmt: skip
