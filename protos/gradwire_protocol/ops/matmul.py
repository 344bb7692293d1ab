"""Matrix products. The rules refuse in PyTorch's words, which differ from op to op; no op here promotes dtypes."""

from __future__ import annotations

from gradwire_protocol.dtypes import DType, bool_
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.indexing import check_number
from gradwire_protocol.ops.shape import expand
from gradwire_protocol.registry import op, torch_type_name

# What C++ calls the dtypes; the product ops of PyTorch speak of them so.
_C_NAMES = {
    "bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short int", "int32": "int",
    "int64": "long int", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
    "complex64": "c10::complex<float>", "complex128": "c10::complex<double>",
}  # fmt: skip


def _c_name(meta: Meta) -> str:
    return _C_NAMES[meta.dtype.name]


def _name(meta: Meta) -> str:
    return torch_type_name(meta.dtype)


def _refuse_bool(kernel: str, dtype: DType) -> None:
    if dtype is bool_:
        raise NotImplementedError(f"\"{kernel}\" not implemented for 'Bool'")


def _check_product(mat1: Meta, mat2: Meta) -> None:
    if mat1.shape[1] != mat2.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({mat1.shape[0]}x{mat1.shape[1]} and "
            f"{mat2.shape[0]}x{mat2.shape[1]})"
        )


def _mm(self: Meta, mat2: Meta) -> Meta:
    for name, meta in (("self", self), ("mat2", mat2)):
        if meta.ndim != 2:
            raise RuntimeError(f"{name} must be a matrix")
    _check_product(self, mat2)
    if self.dtype is not mat2.dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {_c_name(self)} != {_c_name(mat2)}")
    _refuse_bool("addmm_impl_cpu_", self.dtype)
    return Meta.of((self.shape[0], mat2.shape[1]), self.dtype)


def _addmm(self: Meta, mat1: Meta, mat2: Meta, beta: type, alpha: type) -> Meta:
    for name, meta in (("mat1", mat1), ("mat2", mat2)):
        if meta.ndim != 2:
            raise RuntimeError(f"{name} must be a matrix, got {meta.ndim}-D tensor")
    if self.dtype is not mat2.dtype:
        raise RuntimeError(f"self and mat2 must have the same dtype, but got {_name(self)} and {_name(mat2)}")
    if mat1.dtype is not mat2.dtype:
        raise RuntimeError(f"mat1 and mat2 must have the same dtype, but got {_name(mat1)} and {_name(mat2)}")
    product = _mm(mat1, mat2)
    _check_sum(self, product, beta, alpha)
    return product


def _check_sum(self: Meta, product: Meta, beta: type, alpha: type) -> None:
    expand(self, product.shape)
    check_number(product.dtype, beta)
    check_number(product.dtype, alpha)


def _bmm(self: Meta, mat2: Meta) -> Meta:
    for name, meta in (("batch1", self), ("batch2", mat2)):
        if meta.ndim != 3:
            raise RuntimeError(f"{name} must be a 3D tensor")
    expected, got = [self.shape[0], self.shape[2]], list(mat2.shape[:2])
    if expected != got:
        raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: {expected} but got: {got}.")
    if self.dtype is not mat2.dtype:
        raise RuntimeError(f"expected scalar type {_name(self)} but found {_name(mat2)}")
    _refuse_bool("bmm", self.dtype)
    return Meta.of((self.shape[0], self.shape[1], mat2.shape[2]), self.dtype)


def _baddbmm(self: Meta, batch1: Meta, batch2: Meta, beta: type, alpha: type) -> Meta:
    product = _bmm(batch1, batch2)
    if self.dtype is not batch1.dtype:
        raise RuntimeError(
            f"Input dtypes must be the same, got: input {_c_name(self)}, batch1: {_c_name(batch1)}, batch2: "
            f"{_c_name(batch2)}"
        )
    _check_sum(self, product, beta, alpha)
    return product


def _addmv(self: Meta, mat: Meta, vec: Meta, beta: type, alpha: type) -> Meta:
    if mat.ndim != 2 or vec.ndim != 1 or self.ndim > 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {self.ndim}, {mat.ndim}, {vec.ndim}")
    if vec.shape[0] != mat.shape[1] or self.numel not in (1, mat.shape[0]):
        raise RuntimeError(
            f"size mismatch, got input ({self.numel}), mat ({mat.shape[0]}x{mat.shape[1]}), vec ({vec.shape[0]})"
        )
    if self.dtype is not mat.dtype or mat.dtype is not vec.dtype:
        raise RuntimeError(
            f"addmv input tensors must have the same dtype, but got {_name(self)}, {_name(mat)}, and {_name(vec)}"
        )
    _refuse_bool("addmv_impl_cpu", mat.dtype)
    product = Meta.of((mat.shape[0],), mat.dtype)
    _check_sum(self, product, beta, alpha)
    return product


def _mv(self: Meta, vec: Meta) -> Meta:
    # PyTorch's mv is addmv into a new vector of vec's dtype; its words speak of that.
    rows = self.shape[:1] if self.ndim == 2 else (0,)
    return _addmv(Meta.of(rows, vec.dtype), self, vec, int, int)


def _dot(self: Meta, tensor: Meta) -> Meta:
    if self.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {self.ndim}D and {tensor.ndim}D tensors")
    if self.dtype is not tensor.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {_name(self)} and {_name(tensor)}"
        )
    if self.numel != tensor.numel:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{self.numel}] and src [{tensor.numel}] to have the same "
            f"number of elements, but got {self.numel} and {tensor.numel} elements respectively"
        )
    _refuse_bool("dot", self.dtype)
    return Meta.of((), self.dtype)


op("mm(Tensor self, Tensor mat2) -> Tensor", _mm, {"self": "mat2", "mat2": "self"})
op("bmm(Tensor self, Tensor mat2) -> Tensor", _bmm, {"self": "mat2", "mat2": "self"})
op("mv(Tensor self, Tensor vec) -> Tensor", _mv, {"self": "vec", "vec": "self"})
op("dot(Tensor self, Tensor tensor) -> Tensor", _dot, {"self": "tensor", "tensor": "self"})
op("vdot(Tensor self, Tensor other) -> Tensor", _dot, {"self": "other", "other": "self"})

# beta * self + alpha * (mat1 @ mat2), with self broadcast; a beta of 0 ignores self, NaN included.
op("addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", _addmm,
   {"self": "", "mat1": "mat2", "mat2": "mat1"}, inplace=True)  # fmt: skip
op("baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", _baddbmm,
   {"self": "", "batch1": "batch2", "batch2": "batch1"}, inplace=True)  # fmt: skip
op("addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor", _addmv,
   {"self": "", "mat": "vec", "vec": "mat"}, inplace=True)  # fmt: skip
