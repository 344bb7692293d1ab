"""Complex numbers and their parts.

All are copies, where some of ATen's are views: our strides count whole elements, of which a real part is half of one.
"""

from __future__ import annotations

from gradwire_protocol import infer
from gradwire_protocol.dtypes import Category, DType, complex64, complex128, float32, float64
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import op, torch_type_name

__all__ = ["complex_of", "real_of"]


def real_of(dtype: DType) -> DType:
    """Return the dtype of a complex number's parts; a real dtype itself."""
    return {complex64: float32, complex128: float64}.get(dtype, dtype)


def complex_of(dtype: DType) -> DType:
    """Return the complex dtype whose parts have a floating dtype."""
    return dtype if dtype.is_complex else complex128 if dtype is float64 else complex64


def _part(self: Meta) -> Meta:
    return Meta.of(self.shape, real_of(self.dtype))


def _imag(self: Meta) -> Meta:
    if not self.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return _part(self)


def _as_real(self: Meta) -> Meta:
    if not self.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return Meta.of((*self.shape, 2), real_of(self.dtype))


def _as_complex(self: Meta) -> Meta:
    if self.dtype not in (float32, float64):
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: "
            f"{torch_type_name(self.dtype)}"
        )
    if not self.ndim:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if self.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    return Meta.of(self.shape[:-1], complex_of(self.dtype))


def _pair(name: str, first: Meta, second: Meta) -> Meta:
    if first.dtype not in (float32, float64):
        raise RuntimeError(
            "Expected both inputs to be Half, Float or Double tensors but got "
            f"{torch_type_name(first.dtype)} and {torch_type_name(second.dtype)}"
        )
    if first.dtype is not second.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {torch_type_name(first.dtype)} but got scalar type "
            f"{torch_type_name(second.dtype)} for second argument"
        )
    return Meta.of(infer.broadcast_shapes(first.shape, second.shape), complex_of(first.dtype))


def _angle(self: Meta) -> Meta:
    return _part(self) if self.dtype.category >= Category.FLOAT else infer.floating(self)


op("real(Tensor self) -> Tensor", _part, {"self": ""}, node="SelectBackward0")
op("imag(Tensor self) -> Tensor", _imag, {"self": ""}, node="SelectBackward0")
op("view_as_real(Tensor self) -> Tensor", _as_real, {"self": ""})
op("view_as_complex(Tensor self) -> Tensor", _as_complex, {"self": ""})
op(
    "complex(Tensor real, Tensor imag) -> Tensor",
    lambda real, imag: _pair("complex", real, imag),
    {"real": "", "imag": ""},
)
op("polar(Tensor abs, Tensor angle) -> Tensor", lambda abs, angle: _pair("polar", abs, angle),
   {"abs": "abs angle", "angle": "abs angle"})  # fmt: skip
op("angle(Tensor self) -> Tensor", _angle, {"self": "self"})
