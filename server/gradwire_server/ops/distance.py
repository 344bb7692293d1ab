"""Kernels and gradients of `gradwire_protocol.ops.distance`.

Differences of all pairs go through blocks of rows, so that never more than `_BLOCK` of them are held. Slopes of the norm:
pytorch/aten/src/ATen/native/cpu/DistanceOpsKernel.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_server.rules import gradient, kernel

Array = Any

_BLOCK = 1 << 21
# From so many rows on, ATen's 2-norm is a product of matrices, unless it is told otherwise.
_MANY_ROWS = 25
_AS_PRODUCT, _NEVER_AS_PRODUCT = 1, 2
INF = float("inf")


def _check_p(name: str, p: float) -> None:
    if not p >= 0:
        raise RuntimeError(f"{name} only supports non-negative p values")


def _flat(xp: Any, array: Array, batch: tuple[int, ...]) -> Array:
    """View (..., N, M) as (B, N, M), broadcast to the batch."""
    shape = array.shape[-2:]
    return xp.broadcast_to(array, (*batch, *shape)).reshape((math.prod(batch), *shape))


def _blocks(rows: int, each: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(each, 1))
    for first in range(0, rows, step):
        yield slice(first, min(first + step, rows))


def _is_product(x1: Array, x2: Array, p: float, compute_mode: int | None) -> bool:
    many = x1.shape[-2] > _MANY_ROWS or x2.shape[-2] > _MANY_ROWS
    return p == 2 and compute_mode != _NEVER_AS_PRODUCT and (compute_mode == _AS_PRODUCT or many)


def _norm(xp: Any, difference: Array, p: float) -> Array:
    """Compute the p-norm along the last axis."""
    size = xp.abs(difference)
    if p == 0:
        return (size != 0).sum(axis=-1).astype(size.dtype)
    if p == 1:
        return size.sum(axis=-1)
    if p == 2:
        return xp.sqrt(xp.square(size).sum(axis=-1))
    if p == INF:
        return size.max(axis=-1)
    return xp.power(xp.power(size, p).sum(axis=-1), 1 / p)


def _by_product(xp: Any, x1: Array, x2: Array) -> Array:
    """Compute sqrt(|x|^2 - 2 x . y + |y|^2)."""
    squares = xp.square(x1).sum(axis=-1)[..., None] + xp.square(x2).sum(axis=-1)[..., None, :]
    return xp.sqrt(xp.maximum(squares - 2 * xp.matmul(x1, x2.swapaxes(-1, -2)), 0))


def _distances(xp: Any, x1: Array, x2: Array, p: float) -> Array:
    """Compute all distances of (B, P, M) and (B, R, M)."""
    out = xp.zeros((*x1.shape[:2], x2.shape[1]), x1.dtype)
    if out.size and x1.shape[-1]:
        for rows in _blocks(x1.shape[1], x2.size):
            out[:, rows] = _norm(xp, x1[:, rows, None] - x2[:, None], p)
    return out


@kernel("_cdist_forward")
def cdist(xp: Any, x1: Array, x2: Array, p: float, compute_mode: int | None, result: Meta) -> Array:
    """Compute the p-norms of all differences of rows: (*, P, M), (*, R, M) -> (*, P, R)."""
    _check_p("cdist", p)
    batch = result.shape[:-2]
    one, other = _flat(xp, x1, batch), _flat(xp, x2, batch)
    way = _by_product(xp, one, other) if _is_product(x1, x2, p, compute_mode) else _distances(xp, one, other, p)
    return way.reshape(result.shape)


def _slope(xp: Any, difference: Array, norm: Array, p: float) -> Array:
    """Return the derivative of the p-norm by the difference, 0 where either is 0."""
    if p == 1:
        return xp.sign(difference)
    if p == INF:
        return xp.sign(difference) * (xp.abs(difference) == norm)
    size = xp.abs(difference)
    sloped = xp.sign(difference) * xp.power(size, p - 1) / xp.power(norm, p - 1)
    return xp.where(xp.logical_or(norm == 0, size == 0), difference.dtype.type(0), sloped)


def _pulled(xp: Any, grad: Array, x1: Array, x2: Array, p: float, norm: Array) -> Array:
    """Sum grad * slope over the second rows: (B, P, R), (B, P, M), (B, R, M) -> (B, P, M)."""
    out = xp.zeros(x1.shape, x1.dtype)
    if not out.size or not x2.shape[1] or p == 0:
        return out
    for rows in _blocks(x1.shape[1], x2.size):
        difference = x1[:, rows, None] - x2[:, None]
        sloped = _slope(xp, difference, norm[:, rows, :, None], p)
        out[:, rows] = (sloped * grad[:, rows, :, None]).sum(axis=2)
    return out


@kernel("_cdist_backward")
def cdist_backward(xp: Any, grad: Array, x1: Array, x2: Array, p: float, cdist: Array, result: Meta) -> Array:
    """Compute the gradient of the first rows; that of the second is this with all turned around."""
    batch = result.shape[:-2]
    one, other, g, norm = (_flat(xp, array, batch) for array in (x1, x2, grad, cdist))
    if p == 2 and (one.shape[1] > _MANY_ROWS or other.shape[1] > _MANY_ROWS):
        ratio = xp.where(norm == 0, g.dtype.type(0), g / norm)
        found = one * ratio.sum(axis=-1, keepdims=True) - xp.matmul(ratio, other)
    else:
        found = _pulled(xp, g, one, other, p, norm)
    return found.reshape(result.shape)


def _turned(array: Array) -> Array:
    return array.transpose(-2, -1)


gradient(
    "_cdist_forward",
    x1=lambda g, call: g._cdist_backward(call.x1, call.x2, call.p, call.result),
    x2=lambda g, call: _turned(g)._cdist_backward(call.x2, call.x1, call.p, _turned(call.result)),
)


def _slopes(call: Any) -> tuple[Array, Array, Array]:
    """Return (slope of the norm, |difference|, norm) of all pairs, where norms of 0 are 1, as differentiable arrays."""
    p, norm = call.p, call.cdist.unsqueeze(-1)
    difference = call.x1.unsqueeze(-2) - call.x2.unsqueeze(-3)
    size = difference.abs()
    at_kink = norm.eq(0).logical_or(size.eq(0))
    size, norm = size.masked_fill(at_kink, 1), norm.masked_fill(norm.eq(0), 1)
    if p == 0:
        return difference.zeros_like(), size, norm
    steep = size.eq(norm) if p == INF else (size / norm).pow(p - 1)
    slope = difference.sign() * steep
    return slope.masked_fill(at_kink, 0), size, norm


def _twice_grad(v: Array, call: Any) -> Array:
    return (_slopes(call)[0] * v.unsqueeze(-2)).sum(-1)


def _bent(v: Array, call: Any) -> Array:
    """Return grad * H v for all pairs, with H v = (p - 1) / r (|d / r|^(p - 2) v - w (w . v)), w being the slope."""
    p = call.p
    slope, size, norm = _slopes(call)
    v = v.unsqueeze(-2)
    if p in (0, 1, INF):
        return slope * v * 0
    straight = (size / norm).pow(p - 2).masked_fill(slope.eq(0), 0) if p != 2 else slope.ones_like()
    bent = (straight * v - slope * (slope * v).sum(-1, True)) * ((p - 1) / norm)
    bent = bent.masked_fill(call.cdist.eq(0).unsqueeze(-1), 0)
    return bent * call.grad.unsqueeze(-1)


gradient(
    "_cdist_backward",
    grad=_twice_grad,
    x1=lambda v, call: _bent(v, call).sum(-2),
    x2=lambda v, call: -_bent(v, call).sum(-3),
)


# ---------------------------------------------------------------- within one set
@kernel("_pdist_forward")
def pdist(xp: Any, self: Array, p: float, result: Meta) -> Array:
    """Compute the distances of rows i < j, in the order of the upper triangle: (N, M) -> (N (N - 1) / 2)."""
    _check_p("pdist", p)
    if not result.numel:
        return xp.zeros(result.shape, self.dtype)
    whole = _distances(xp, self[None], self[None], p)[0]
    return whole[xp.triu_indices(self.shape[0], 1)]


@kernel("_pdist_backward")
def pdist_backward(xp: Any, grad: Array, self: Array, p: float, pdist: Array, result: Meta) -> Array:
    """Compute the gradient as that of all pairs, each of which counts once."""
    rows = self.shape[0]
    pairs = xp.triu_indices(rows, 1)
    g, norm = xp.zeros((rows, rows), self.dtype), xp.zeros((rows, rows), self.dtype)
    for whole, upper in ((g, grad), (norm, pdist)):
        whole[pairs] = upper
        whole += whole.T.copy()
    return _pulled(xp, g[None], self[None], self[None], p, norm[None])[0]


def _refuse(g: Array, call: Any) -> Array:
    raise NotImplementedError("the derivative for '_pdist_backward' is not implemented.")


gradient("_pdist_forward", self=lambda g, call: g._pdist_backward(call.self, call.p, call.result))
gradient("_pdist_backward", grad=_refuse, self=_refuse, pdist=_refuse)
