"""Fourier transforms: the three that all others are made of. Shapes: pytorch/aten/src/ATen/native/SpectralOps.cpp.

`normalization`: 0 none, 1 by the root of the number of points, 2 by that number.
"""

from __future__ import annotations

from gradwire_protocol.infer import normalize_dim
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.complex import complex_of, real_of
from gradwire_protocol.registry import op, torch_type_name

__all__: list[str] = []

Dims = tuple[int, ...]


def _check(name: str, self: Meta, dim: Dims, wants_complex: bool) -> None:
    if self.dtype.is_complex is not wants_complex or not (wants_complex or self.dtype.is_floating_point):
        wanted = "complex" if wants_complex else "floating point"
        raise RuntimeError(f"{name} expects a {wanted} input tensor, but got {torch_type_name(self.dtype)}")
    for axis in dim:
        if not self.shape[normalize_dim(axis, self.ndim)]:
            raise RuntimeError("Invalid number of data points (0) specified")


def _c2c(self: Meta, dim: Dims, normalization: int, forward: bool) -> Meta:
    _check("_fft_c2c", self, dim, True)
    return Meta.of(self.shape, self.dtype)


def _r2c(self: Meta, dim: Dims, normalization: int, onesided: bool) -> Meta:
    _check("_fft_r2c", self, dim, False)
    shape = list(self.shape)
    if onesided:
        shape[dim[-1]] = shape[dim[-1]] // 2 + 1
    return Meta.of(tuple(shape), complex_of(self.dtype))


def _c2r(self: Meta, dim: Dims, normalization: int, last_dim_size: int) -> Meta:
    _check("_fft_c2r", self, dim, True)
    if last_dim_size < 1:
        raise RuntimeError(f"Invalid number of data points ({last_dim_size}) specified")
    shape = list(self.shape)
    shape[dim[-1]] = last_dim_size
    return Meta.of(tuple(shape), real_of(self.dtype))


op("_fft_c2c(Tensor self, int[] dim, int normalization, bool forward) -> Tensor", _c2c, {"self": ""})
op("_fft_r2c(Tensor self, int[] dim, int normalization, bool onesided) -> Tensor", _r2c, {"self": ""})
op("_fft_c2r(Tensor self, int[] dim, int normalization, int last_dim_size) -> Tensor", _c2r, {"self": ""})
