"""Kernels and gradients of `gradwire_protocol.ops.matmul`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_server.ops.indexing import element
from gradwire_server.products import matmul
from gradwire_server.rules import gradient, kernel, speaks_complex

Array = Any


def _product(xp: Any, self: Array, other: Array, out: Array | None = None) -> Array:
    """Multiply; half precision is summed in single precision, as in PyTorch, and still is when it is returned."""
    if self.dtype == xp.float16:
        return matmul(xp, self.astype(xp.float32), other.astype(xp.float32))
    return matmul(xp, self, other, out=out)


def _combined(xp: Any, self: Array, product: Array, beta: Any, alpha: Any) -> Array:
    """Compute beta * self + alpha * product in the product's memory."""
    if product.dtype.kind in "iu":
        beta, alpha = element(product.dtype, beta), element(product.dtype, alpha)
    if alpha != 1:
        product = xp.multiply(product, alpha, out=product)
    if beta == 0:
        return product
    return xp.add(product, self if beta == 1 else xp.multiply(self, beta), out=product)


@kernel("mm", "bmm", "mv", "dot")
def mm(xp: Any, self: Array, other: Array, out: Array | None = None) -> Array:
    """Multiply (N, K) @ (K, M), batches of them, (N, K) @ (K) or (K) @ (K)."""
    return _stored(_product(xp, self, other, out), self, out)


def _stored(made: Array, like: Array, out: Array | None) -> Array:
    """Return a result in the dtype of `like`, in `out` if it is given."""
    if out is None or made is out:
        return made.astype(like.dtype, copy=False)
    out[...] = made
    return out


@kernel("vdot")
def vdot(xp: Any, self: Array, other: Array) -> Array:
    """Sum conj(self) * other."""
    return mm(xp, xp.conj(self), other)


@kernel("addmm", "baddbmm")
def addmm(xp: Any, self: Array, mat1: Array, mat2: Array, beta: Any, alpha: Any, out: Array | None = None) -> Array:
    """Compute beta * self + alpha * (mat1 @ mat2), of one matrix or of a batch."""
    return _stored(_combined(xp, self, _product(xp, mat1, mat2, out), beta, alpha), self, out)


@kernel("addmv")
def addmv(xp: Any, self: Array, mat: Array, vec: Array, beta: Any, alpha: Any) -> Array:
    """Compute beta * self + alpha * (mat @ vec)."""
    return addmm(xp, self, mat, vec, beta, alpha)


def _into_self(function: Callable[..., Array]) -> Callable[..., None]:
    def write(xp: Any, self: Array, first: Array, second: Array, beta: Any, alpha: Any) -> None:
        # The product is complete before the write, so self may be one of its factors.
        self[...] = function(xp, self, first, second, beta, alpha)

    return write


kernel("addmm_", "baddbmm_")(_into_self(addmm))
kernel("addmv_")(_into_self(addmv))


def _times(x: Any, number: Any) -> Any:
    """Multiply; the usual 1 costs nothing."""
    if number == 1:
        return x
    return x * number


def _second_factor(g: Array, first: Array, second: Meta) -> Array:
    """Return first^T @ g in the layout of the second factor, as PyTorch does.

    A factor that was transposed for the product, as a layer's weight, gets a gradient that is contiguous once it is
    transposed back.
    """
    if second.strides == (1, second.shape[0]) and not second.is_contiguous:
        return g.t().mm(first).t()
    return first.t().mm(g)


gradient(
    "mm",
    self=lambda g, call: g.mm(call.mat2.t()),
    mat2=lambda g, call: _second_factor(g, call.self, call.meta("mat2")),
)
gradient(
    "bmm",
    self=lambda g, call: g.bmm(call.mat2.transpose(1, 2)),
    mat2=lambda g, call: call.self.transpose(1, 2).bmm(g),
)
gradient("mv", self=lambda g, call: g.outer(call.vec), vec=lambda g, call: call.self.t().mv(g))
gradient("dot", self=lambda g, call: g * call.tensor, tensor=lambda g, call: g * call.self)
gradient("vdot", self=lambda g, call: g.conj() * call.other, other=lambda g, call: g * call.self)
gradient(
    "addmm",
    self=lambda g, call: _times(g, call.beta),
    mat1=lambda g, call: _times(g.mm(call.mat2.t()), call.alpha),
    mat2=lambda g, call: _times(_second_factor(g, call.mat1, call.meta("mat2")), call.alpha),
)
gradient(
    "baddbmm",
    self=lambda g, call: _times(g, call.beta),
    batch1=lambda g, call: _times(g.bmm(call.batch2.transpose(1, 2)), call.alpha),
    batch2=lambda g, call: _times(call.batch1.transpose(1, 2).bmm(g), call.alpha),
)
gradient(
    "addmv",
    self=lambda g, call: _times(g, call.beta),
    mat=lambda g, call: _times(g.outer(call.vec), call.alpha),
    vec=lambda g, call: _times(call.mat.t().mv(g), call.alpha),
)

speaks_complex("vdot")
