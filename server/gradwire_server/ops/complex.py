"""Kernels and gradients of `gradwire_protocol.ops.complex`. Gradients are PyTorch's: conjugate Wirtinger, by parts."""

from __future__ import annotations

import math
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_server.rules import gradient, kernel, speaks_complex

Array = Any

kernel("real")(lambda xp, self: self.real.copy())
kernel("imag")(lambda xp, self: self.imag.copy())


@kernel("view_as_real")
def view_as_real(xp: Any, self: Array) -> Array:
    """Lay the parts side by side along a new last axis."""
    return xp.stack((self.real, self.imag), axis=-1)


@kernel("view_as_complex")
def view_as_complex(xp: Any, self: Array, result: Meta) -> Array:
    """Join the two entries of the last axis."""
    return joined(xp, self[..., 0], self[..., 1], result)


@kernel("complex")
def complex_(xp: Any, real: Array, imag: Array, result: Meta) -> Array:
    """Join two parts."""
    return joined(xp, real, imag, result)


@kernel("polar")
def polar(xp: Any, abs: Array, angle: Array, result: Meta) -> Array:
    """Compute abs * exp(i angle)."""
    return joined(xp, abs * xp.cos(angle), abs * xp.sin(angle), result)


def joined(xp: Any, real: Array, imag: Array, result: Meta) -> Array:
    """Return a new complex array of two parts; no arithmetic, so that inf and NaN stay in their part."""
    made = xp.empty(result.shape, result.dtype.numpy)
    made.real[...] = real
    made.imag[...] = imag
    return made


@kernel("angle")
def angle(xp: Any, self: Array, result: Meta) -> Array:
    """Compute the argument; of a real number 0 or pi, and NaN of NaN."""
    if self.dtype.kind == "c":
        return xp.arctan2(self.imag, self.real)
    real = self.astype(result.dtype.numpy)
    return xp.where(real != real, real, xp.where(real < 0, real.dtype.type(math.pi), real.dtype.type(0)))


def _times_i(g: Array) -> Array:
    return g * 1j


gradient("real", self=lambda g, call: g)
gradient("imag", self=lambda g, call: _times_i(g))
gradient("view_as_real", self=lambda g, call: OPS["view_as_complex"](g))
gradient("view_as_complex", self=lambda g, call: OPS["view_as_real"](g))
gradient("complex", real=lambda g, call: OPS["real"](g), imag=lambda g, call: OPS["imag"](g))


def _unit(call: Any) -> Array:
    return OPS["polar"](call.angle.ones_like(), call.angle)


gradient(
    "polar",
    abs=lambda g, call: OPS["real"](g.conj() * _unit(call)),
    angle=lambda g, call: OPS["real"](g.conj() * _times_i(OPS["polar"](call.abs, call.angle))),
)


def _angle_gradient(g: Array, call: Any) -> Array:
    """Return g * i z / |z|^2, 0 at 0 and for real numbers."""
    z = call.self
    if not z.dtype.is_complex:
        return g.zeros_like()
    square = (z * z.conj()).abs()
    return (_times_i(g * z) / square).masked_fill(square.eq(0), 0)


gradient("angle", self=_angle_gradient)
speaks_complex("real", "imag", "view_as_real", "view_as_complex", "complex", "polar", "angle")
