"""Kernels and gradients of `gradwire_protocol.ops.spectral`, over `xp.fft`."""

from __future__ import annotations

import math
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_server.rules import gradient, kernel, speaks_complex

Array = Any
Dims = tuple[int, ...]


def _scaled(values: Array, points: int, normalization: int) -> Array:
    """Divide by nothing, by the root of the number of points, or by it."""
    if normalization:
        values *= values.real.dtype.type(1 / (math.sqrt(points) if normalization == 1 else points))
    return values


def _points(shape: Dims, dim: Dims) -> int:
    return math.prod(shape[axis] for axis in dim)


@kernel("_fft_c2c")
def fft_c2c(xp: Any, self: Array, dim: Dims, normalization: int, forward: bool, result: Meta) -> Array:
    """Transform along `dim`, with exp(-i ...) if `forward`."""
    if not dim or not self.size:
        return self.copy()
    made = xp.fft.fftn(self, axes=dim) if forward else xp.fft.ifftn(self, axes=dim, norm="forward")
    return _scaled(made.astype(result.dtype.numpy, copy=False), _points(self.shape, dim), normalization)


@kernel("_fft_r2c")
def fft_r2c(xp: Any, self: Array, dim: Dims, normalization: int, onesided: bool, result: Meta) -> Array:
    """Transform real numbers; `onesided` leaves out the half of the last dim that follows from the other."""
    made = xp.fft.rfftn(self, axes=dim) if onesided else xp.fft.fftn(self, axes=dim)
    return _scaled(made.astype(result.dtype.numpy, copy=False), _points(self.shape, dim), normalization)


@kernel("_fft_c2r")
def fft_c2r(xp: Any, self: Array, dim: Dims, normalization: int, last_dim_size: int, result: Meta) -> Array:
    """Transform back from half of a Hermitian array to real numbers."""
    values = self if len(dim) == 1 else xp.fft.ifftn(self, axes=dim[:-1], norm="forward")
    made = xp.fft.irfft(values, last_dim_size, axis=dim[-1], norm="forward")
    return _scaled(made.astype(result.dtype.numpy, copy=False), _points(result.shape, dim), normalization)


def _r2c_gradient(g: Array, call: Any) -> Array:
    """Return the real part of the transform back, of g with zeros where the left out half was."""
    dim, shape = call.dim, call.meta("self").shape
    missing = shape[dim[-1]] - g.meta.shape[dim[-1]]
    if missing:
        padding = list(g.meta.shape)
        padding[dim[-1]] = missing
        g = OPS["cat"]([g, g.new_zeros(tuple(padding))], dim[-1])
    return OPS["real"](OPS["_fft_c2c"](g, dim, call.normalization, False))


def _c2r_gradient(g: Array, call: Any) -> Array:
    """Transform forward, and count twice what stands for two entries of the Hermitian array."""
    dim, last = call.dim, call.dim[-1]
    made = OPS["_fft_r2c"](g, dim, call.normalization, True)
    size = call.meta("self").shape[last]
    if made.meta.shape[last] > size:
        made = made.narrow(last, 0, size)
    doubled = g.meta.shape[last] - g.meta.shape[last] // 2 - 1
    if doubled <= 0:
        return made
    doubled = min(doubled, size - 1)
    parts = [made.narrow(last, 0, 1), made.narrow(last, 1, doubled) * 2]
    rest = made.meta.shape[last] - 1 - doubled
    return OPS["cat"]([*parts, made.narrow(last, 1 + doubled, rest)] if rest else parts, last)


gradient("_fft_c2c", self=lambda g, call: OPS["_fft_c2c"](g, call.dim, call.normalization, not call.forward))
gradient("_fft_r2c", self=_r2c_gradient)
gradient("_fft_c2r", self=_c2r_gradient)
speaks_complex("_fft_c2c", "_fft_r2c", "_fft_c2r")
