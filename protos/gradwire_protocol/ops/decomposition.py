"""Decompositions of matrices and what follows from them. Shapes and words: pytorch/aten/src/ATen/native/BatchLinearAlgebra.cpp.

Every matrix argument may be a batch (*, m, n); k is min(m, n). None of them promotes dtypes.
"""

from __future__ import annotations

from gradwire_protocol.dtypes import Category, bfloat16, float16, int64
from gradwire_protocol.infer import broadcast_shapes
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.complex import complex_of, real_of
from gradwire_protocol.registry import op, torch_type_name

__all__ = ["is_vector_rhs"]

Shape = tuple[int, ...]


def _check_axes(name: str, A: Meta, argument: str = "A") -> None:
    if A.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")


def _check_floating(name: str, A: Meta) -> None:
    if A.dtype.category < Category.FLOAT:
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {torch_type_name(A.dtype)}"
        )


def _check_kernel(kernel: str, A: Meta) -> None:
    """Refuse the dtypes that LAPACK has no routine for, in the words of PyTorch's dispatch."""
    if A.dtype.category < Category.FLOAT or A.dtype in (float16, bfloat16):
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{torch_type_name(A.dtype)}'")


# ---------------------------------------------------------------- singular values
def _values(A: Meta) -> Meta:
    return Meta.of((*A.shape[:-2], min(A.shape[-2:])), real_of(A.dtype))


def _svdvals(A: Meta) -> Meta:
    _check_axes("linalg.svd", A)
    _check_floating("linalg.svd", A)
    _check_kernel("linalg_svd_cpu", A)
    return _values(A)


def _svd(A: Meta, full_matrices: bool) -> tuple[Meta, Meta, Meta]:
    values = _svdvals(A)
    batch, (m, n) = A.shape[:-2], A.shape[-2:]
    rows, columns = (m, n) if full_matrices else (min(m, n),) * 2
    return Meta.of((*batch, m, rows), A.dtype), values, Meta.of((*batch, columns, n), A.dtype)


op("linalg_svd(Tensor A, bool full_matrices=True) -> (Tensor U, Tensor S, Tensor Vh)", _svd,
   {"A": "result result1 result2"})  # fmt: skip
# Keeps A alone: its gradient decomposes again, so that what asks for values alone computes no vectors forward.
op("linalg_svdvals(Tensor A) -> Tensor", _svdvals, {"A": "A"}, node="LinalgSvdBackward0")


# ---------------------------------------------------------------- eigenvalues
def _check_square(name: str, A: Meta) -> None:
    _check_axes(name, A)
    if A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {A.shape[-2]} by {A.shape[-1]} matrices"
        )


def _eigvalsh(self: Meta, UPLO: str) -> Meta:
    _check_square("linalg.eigh", self)
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    _check_kernel("linalg_eigh_cpu", self)
    return _values(self)


def _eigh(self: Meta, UPLO: str) -> tuple[Meta, Meta]:
    return _eigvalsh(self, UPLO), Meta.of(self.shape, self.dtype)


op('linalg_eigh(Tensor self, str UPLO="L") -> (Tensor eigenvalues, Tensor eigenvectors)', _eigh,
   {"self": "result result1"})  # fmt: skip
op('linalg_eigvalsh(Tensor self, str UPLO="L") -> Tensor', _eigvalsh, {"self": "self"}, node="LinalgEighBackward0")


def _eigvals_of(name: str, self: Meta) -> Meta:
    _check_square(name, self)
    if self.dtype.category < Category.FLOAT:
        raise RuntimeError(f"Unknown Complex ScalarType for {torch_type_name(self.dtype)}")
    _check_kernel("linalg_eig_out_cpu", self)
    return Meta.of(self.shape[:-1], complex_of(self.dtype))


def _eigvals(self: Meta) -> Meta:
    return _eigvals_of("linalg.eigvals", self)


def _eig(self: Meta) -> tuple[Meta, Meta]:
    values = _eigvals_of("linalg.eig", self)
    return values, Meta.of(self.shape, values.dtype)


op("linalg_eig(Tensor self) -> (Tensor eigenvalues, Tensor eigenvectors)", _eig, {"self": "result result1"})
op("linalg_eigvals(Tensor self) -> Tensor", _eigvals, {"self": "self"}, node="LinalgEigBackward0")


# ---------------------------------------------------------------- QR and Householder vectors
def _qr(A: Meta, mode: str) -> tuple[Meta, Meta]:
    _check_axes("linalg.qr", A)
    _check_floating("linalg.qr", A)
    if mode not in ("reduced", "r", "complete"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    _check_kernel("geqrf_cpu", A)
    batch, (m, n) = A.shape[:-2], A.shape[-2:]
    rows = m if mode == "complete" else min(m, n)
    # Without Q, PyTorch returns an empty vector in its place.
    q = (0,) if mode == "r" else (*batch, m, rows)
    return Meta.of(q, A.dtype), Meta.of((*batch, rows, n), A.dtype)


op('linalg_qr(Tensor A, str mode="reduced") -> (Tensor Q, Tensor R)', _qr, {"A": "result result1"})


def _geqrf(self: Meta) -> tuple[Meta, Meta]:
    if self.ndim < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    _check_kernel("geqrf_cpu", self)
    return Meta.of(self.shape, self.dtype), Meta.of((*self.shape[:-2], min(self.shape[-2:])), self.dtype)


op("geqrf(Tensor self) -> (Tensor a, Tensor tau)", _geqrf, {"self": ""})


def _check_tau(name: str, input: Meta, tau: Meta) -> None:
    if tau.ndim != input.ndim - 1:
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal to {tau.ndim} and "
            f"input.ndim is equal to {input.ndim}"
        )
    _check_batch(name, "tau", tau.shape[:-1], input)


def _check_batch(name: str, argument: str, batch: Shape, input: Meta) -> None:
    if batch != input.shape[:-2]:
        raise RuntimeError(
            f"{name}: Expected batch dimensions of {argument} to be equal to input.shape[:-2], but got {list(batch)}"
        )


def _last(tau: Meta) -> int:
    if not tau.ndim:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    return tau.shape[-1]


def _householder_product(input: Meta, tau: Meta) -> Meta:
    name = "torch.linalg.householder_product"
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if input.shape[-2] < input.shape[-1]:
        raise RuntimeError(f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]")
    if input.shape[-1] < _last(tau):
        raise RuntimeError(f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]")
    _check_tau(name, input, tau)
    if tau.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}: tau dtype {torch_type_name(tau.dtype)} does not match input dtype {torch_type_name(input.dtype)}"
        )
    _check_kernel("orgqr_cpu", input)
    return Meta.of(input.shape, input.dtype)


op("linalg_householder_product(Tensor input, Tensor tau) -> Tensor", _householder_product,
   {"input": "input tau", "tau": "input tau"})  # fmt: skip


def _check_ormqr_shapes(name: str, self: Meta, input2: Meta, input3: Meta, left: bool) -> None:
    for argument, meta in (("input", self), ("other", input3)):
        if meta.ndim < 2:
            raise RuntimeError(f"{name}: {argument} must have at least 2 dimensions.")
    side = -2 if left else -1
    if input3.shape[side] != self.shape[-2]:
        raise RuntimeError(f"{name}: other.shape[{side}] must be equal to input.shape[-2]")
    if _last(input2) != min(input3.shape[side], self.shape[-1]):
        raise RuntimeError(f"{name}: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1])")
    if self.ndim != input3.ndim and input2.ndim == self.ndim - 1:
        raise RuntimeError(
            f"{name}: Expected other to have the same number of dimensions as input, but got other.ndim equal to "
            f"{input3.ndim} and input.ndim is equal to {self.ndim}"
        )
    _check_tau(name, self, input2)
    _check_batch(name, "other", input3.shape[:-2], self)


def _ormqr(self: Meta, input2: Meta, input3: Meta, left: bool, transpose: bool) -> Meta:
    name = "torch.ormqr"
    _check_ormqr_shapes(name, self, input2, input3, left)
    for argument, meta in (("tau", input2), ("other", input3)):
        if meta.dtype is not self.dtype:
            raise RuntimeError(
                f"{name}: Expected input and {argument} to have the same dtype, but input has dtype"
                f"{torch_type_name(self.dtype)} and {argument} has dtype {torch_type_name(meta.dtype)}"
            )
    _check_kernel("ormqr_cpu", self)
    return Meta.of(input3.shape, input3.dtype)


_KEPT = "self input2 input3"
op("ormqr(Tensor self, Tensor input2, Tensor input3, bool left=True, bool transpose=False) -> Tensor", _ormqr,
   {"self": _KEPT, "input2": _KEPT, "input3": "self input2"})  # fmt: skip


# ---------------------------------------------------------------- pseudoinverse and rank
def _check_tolerances(name: str, atol: Meta | None, rtol: Meta | None) -> None:
    for argument, meta in (("atol", atol), ("rtol", rtol)):
        if meta is not None and meta.dtype.is_complex:
            raise RuntimeError(
                f"{name}: {argument} tensor of complex type is not supported. Got {torch_type_name(meta.dtype)}"
            )


def _pinv(self: Meta, atol: Meta | type | None, rtol: Meta | type | None, hermitian: bool) -> Meta:
    if self.ndim < 2 or self.dtype.category < Category.FLOAT or self.dtype in (float16, bfloat16):
        raise RuntimeError(
            f"linalg.pinv({torch_type_name(self.dtype)}{{{list(self.shape)}}}): expected a tensor with 2 or more "
            "dimensions of float, double, cfloat or cdouble types"
        )
    turned = (self.shape[-1], self.shape[-2])
    if not self.numel:
        return Meta.of((*self.shape[:-2], *turned), self.dtype)
    if hermitian:
        _check_square("linalg.eigh", self)
    return Meta.of((*_broadcast_batch(self, atol, rtol), *turned), self.dtype)


def _broadcast_batch(self: Meta, *tolerances: Meta | type | None) -> Shape:
    return broadcast_shapes(self.shape[:-2], *(meta.shape for meta in tolerances if isinstance(meta, Meta)))


def _pinv_tensor(self: Meta, atol: Meta | None, rtol: Meta | None, hermitian: bool) -> Meta:
    _check_tolerances("torch.linalg.pinv", atol, rtol)
    return _pinv(self, atol, rtol, hermitian)


op("linalg_pinv.atol_rtol_float(Tensor self, *, float? atol=None, float? rtol=None, bool hermitian=False) -> Tensor",
   _pinv, {"self": "self result"})  # fmt: skip
op("linalg_pinv.atol_rtol_tensor(Tensor self, *, Tensor? atol=None, Tensor? rtol=None, bool hermitian=False) -> Tensor",
   _pinv_tensor, {"self": "self result"})  # fmt: skip


def _rank(input: Meta, atol: Meta | type | None, rtol: Meta | type | None, hermitian: bool) -> Meta:
    _check_axes("torch.linalg.matrix_rank", input, "input")
    if rtol in (None, type(None)) and (input.dtype.category < Category.FLOAT or input.dtype in (float16, bfloat16)):
        raise RuntimeError("This function doesn't handle types other than float and double")
    if hermitian:
        _eigvalsh(input, "L")
    else:
        _svdvals(input)
    return Meta.of(_broadcast_batch(input, atol, rtol), int64)


def _rank_tensor(input: Meta, atol: Meta | None, rtol: Meta | None, hermitian: bool) -> Meta:
    _check_tolerances("torch.linalg.matrix_rank", atol, rtol)
    return _rank(input, atol, rtol, hermitian)


op("linalg_matrix_rank.atol_rtol_float(Tensor self, *, float? atol=None, float? rtol=None, bool hermitian=False) -> "
   "Tensor", _rank)  # fmt: skip
op("linalg_matrix_rank.atol_rtol_tensor(Tensor input, *, Tensor? atol=None, Tensor? rtol=None, bool hermitian=False) -> "
   "Tensor", _rank_tensor)  # fmt: skip


# ---------------------------------------------------------------- least squares
def _check_lstsq(self: Meta, b: Meta, driver: str | None) -> None:
    name = "torch.linalg.lstsq"
    if self.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if b.ndim < 1:
        raise RuntimeError(f"{name}: other must have at least 1 dimension.")
    if self.dtype is not b.dtype:
        raise RuntimeError(
            f"{name}: Expected input and other to have the same dtype, but got input's dtype "
            f"{torch_type_name(self.dtype)} and other's dtype {torch_type_name(b.dtype)}"
        )
    if self.ndim - b.ndim not in (0, 1):
        raise RuntimeError(
            f"{name}: input.dim() must be greater or equal to other.dim() and (input.dim() - other.dim()) <= 1"
        )
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)")


def is_vector_rhs(self: Meta, b: Meta) -> bool:
    """Return whether the right side of a system is one vector for each matrix, and not a matrix."""
    return b.ndim == 1 or (self.ndim - 1 == b.ndim and self.shape[:-1] == b.shape)


def _lstsq(self: Meta, b: Meta, rcond: type, driver: str | None) -> tuple[Meta, Meta, Meta, Meta]:
    _check_lstsq(self, b, driver)
    vector = is_vector_rhs(self, b)
    right = (*b.shape, 1) if vector else b.shape
    (m, n), columns = self.shape[-2:], right[-1]
    if right[-2] != m:
        raise RuntimeError(f"torch.linalg.lstsq: input.size(-2) should match other.size({-1 if vector else -2})")
    if self.dtype.category < Category.FLOAT or self.dtype in (float16, bfloat16):
        raise RuntimeError("This function doesn't handle types other than float and double")
    batch, real = broadcast_shapes(self.shape[:-2], right[:-2]), real_of(self.dtype)
    by_svd = driver in ("gelsd", "gelss")
    has_residuals = m > n and (by_svd or driver == "gels")
    return (
        Meta.of((*batch, n) if vector else (*batch, n, columns), self.dtype),
        Meta.of((*batch, columns) if has_residuals else (0,), real),
        Meta.of((0,) if driver == "gels" else self.shape[:-2], int64),
        Meta.of((*self.shape[:-2], min(m, n)) if by_svd else (0,), real),
    )


op("linalg_lstsq(Tensor self, Tensor b, float? rcond=None, *, str? driver=None) -> "
   "(Tensor solution, Tensor residuals, Tensor rank, Tensor singular_values)", _lstsq,
   {"self": "self b result", "b": "self b result"})  # fmt: skip


# ---------------------------------------------------------------- gradients of vectors that are free in their phase
def _refuse_phases(self: Meta, other: Meta, message: str) -> Meta:
    if self is not other:
        raise RuntimeError(f"gw::refuse_phases compares what is alike; got {self} and {other}")
    return Meta.of((0,), self.dtype)


# Raises RuntimeError with `message` unless both are nearly equal: only values say whether a gradient means anything.
op("gw::refuse_phases(Tensor self, Tensor other, str message) -> Tensor", _refuse_phases)
