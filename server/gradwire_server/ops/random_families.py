"""Kernels of the random ops beyond uniform and normal, over one word of the stream for each element.

Each inverts a distribution function at a uniform number, so a draw needs no rejection, no second word, and is the same on
a replay. All compute in float64 and round once.
"""

from __future__ import annotations

import math
from typing import Any, NoReturn

from gradwire_protocol.dtypes import float64
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import OPS
from gradwire_server import philox
from gradwire_server.rules import gradient, kernel
from gradwire_server.scientific import xp_special

Array = Any


@kernel("gw::exponential_")
def exponential_(xp: Any, self: Array, lambd: float, seed: int, offset: int) -> None:
    """Fill with -log(u) / lambd."""
    self[...] = (xp.log(philox.open_uniform(xp, self.shape, seed, offset)) / -lambd).astype(self.dtype)


@kernel("gw::cauchy_")
def cauchy_(xp: Any, self: Array, median: float, sigma: float, seed: int, offset: int) -> None:
    """Fill with median + sigma tan(pi (u - 1/2))."""
    u = philox.open_uniform(xp, self.shape, seed, offset)
    self[...] = (xp.tan((u - 0.5) * math.pi) * sigma + median).astype(self.dtype)


@kernel("gw::log_normal_")
def log_normal_(xp: Any, self: Array, mean: float, std: float, seed: int, offset: int) -> None:
    """Fill with exp of normal numbers."""
    self[...] = xp.exp(philox.normal(xp, self.shape, float64, seed, offset) * std + mean).astype(self.dtype)


@kernel("gw::geometric_")
def geometric_(xp: Any, self: Array, p: float, seed: int, offset: int) -> None:
    """Fill with the trials up to the first success: ceil(log(u) / log(1 - p))."""
    u = philox.open_uniform(xp, self.shape, seed, offset)
    self[...] = xp.ceil(xp.log(u) / math.log1p(-p)).astype(self.dtype)


@kernel("gw::bernoulli_by_")
def bernoulli_by_(xp: Any, self: Array, p: Array, seed: int, offset: int) -> None:
    """Fill with ones with the probabilities that `p`, which broadcasts to self, holds."""
    self[...] = (philox.uniform(xp, self.shape, float64, seed, offset) < p).astype(self.dtype)


@kernel("gw::normal_around", "gw::normal_with_mean", "gw::normal_with_std")
def normal_around(xp: Any, mean: Any, std: Any, seed: int, offset: int, result: Meta) -> Array:
    """Draw noise * std + mean; either may be a number."""
    noise = philox.normal(xp, result.shape, result.dtype, seed, offset)
    return (noise * std + mean).astype(noise.dtype)


# --- counts: the smallest k whose distribution function reaches u -----------------------------------------------------
def _smallest(xp: Any, reaches: Any, centre: Array, deviation: Array, most: Array) -> Array:
    """Return the smallest k of 0 .. most that `reaches`, by bisection of the nine deviations about the centre.

    A uniform number of 52 bits lies no further out. The number of steps costs a wait for the device.
    """
    margin = deviation * 9 + 30
    low = xp.maximum(xp.floor(centre - margin), -1.0)
    high = xp.minimum(xp.ceil(centre + margin), most)
    widest = float((high - low).max().item()) if low.size else 0.0
    for _ in range(math.ceil(math.log2(max(widest, 1.0))) if math.isfinite(widest) else 0):
        middle = xp.floor((low + high) * 0.5)
        found = xp.logical_and(middle >= 0, reaches(xp.maximum(middle, 0.0)))
        low, high = xp.where(found, low, middle), xp.where(found, middle, high)
    return high


@kernel("gw::poisson")
def poisson(xp: Any, self: Array, seed: int, offset: int) -> Array:
    """Draw counts of rate `self`: P(K <= k) = gammaincc(k + 1, rate)."""
    rate = self.astype(float64.numpy)
    if (rate < 0).any().item():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    u, special = philox.open_uniform(xp, self.shape, seed, offset), xp_special(xp)
    most = xp.full_like(rate, math.inf)
    counts = _smallest(xp, lambda k: special.gammaincc(k + 1, rate) >= u, rate, xp.sqrt(rate), most)
    return xp.where(rate == 0, 0.0, counts).astype(self.dtype)


@kernel("gw::binomial")
def binomial(xp: Any, count: Array, prob: Array, seed: int, offset: int, result: Meta) -> Array:
    """Draw successes of `count` trials: P(K <= k) = betainc(n - k, k + 1, 1 - p) below n, and 1 at n."""
    n = xp.broadcast_to(count, result.shape).astype(float64.numpy)
    p = xp.broadcast_to(prob, result.shape).astype(float64.numpy)
    u, special = philox.open_uniform(xp, result.shape, seed, offset), xp_special(xp)

    def reaches(k: Array) -> Array:
        below = k < n
        return xp.logical_or(~below, special.betainc(xp.where(below, n - k, 1.0), k + 1, 1 - p) >= u)

    drawn = _smallest(xp, reaches, n * p, xp.sqrt(n * p * (1 - p)), n)
    drawn = xp.where(p <= 0, 0.0, xp.where(p >= 1, n, drawn))
    return xp.where(p == p, drawn, p).astype(count.dtype)


# --- gamma -----------------------------------------------------------------------------------------------------------
@kernel("gw::standard_gamma")
def standard_gamma(xp: Any, self: Array, seed: int, offset: int) -> Array:
    """Draw gamma numbers of concentration `self` and rate 1, at least the smallest normal number of the dtype."""
    u = philox.open_uniform(xp, self.shape, seed, offset)
    drawn = xp_special(xp).gammaincinv(self.astype(float64.numpy), u).astype(self.dtype)
    return xp.maximum(drawn, xp.finfo(self.dtype).tiny)


@kernel("_standard_gamma_grad")
def standard_gamma_grad(xp: Any, self: Array, output: Array) -> Array:
    """Compute d output / d self at a fixed quantile: -(dF / da) / (dF / dx), F the distribution function.

    Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients", NeurIPS 2018. dF / da is a central difference of
    the fourth order, of F or of 1 - F, whichever is small and so exact in the tail; dF / dx is the density.
    """
    special = xp_special(xp)
    a, x = self.astype(float64.numpy), output.astype(float64.numpy)
    step = 0.004 * a / (1 + xp.sqrt(a))
    upper = x > a
    near = _difference(special.gammaincc, a, x, step) * -1.0
    slope = xp.where(upper, near, _difference(special.gammainc, a, x, step))
    log_density = (a - 1) * xp.log(x) - x - special.gammaln(a)
    # The first term of F's series stands where F itself underflows: x / a (digamma(a + 1) - log x).
    first = x / a * (special.digamma(a + 1) - xp.log(x))
    return xp.where(x < 1e-10 * a, first, -slope / xp.exp(log_density)).astype(self.dtype)


def _difference(function: Any, a: Array, x: Array, step: Array) -> Array:
    near = function(a + step, x) - function(a - step, x)
    far = function(a + 2 * step, x) - function(a - 2 * step, x)
    return (8 * near - far) / (12 * step)


# --- multinomial -----------------------------------------------------------------------------------------------------
@kernel("gw::multinomial")
def multinomial(xp: Any, self: Array, num_samples: int, replacement: bool, seed: int, offset: int) -> Array:
    """Draw indices in proportion to the weights of each row.

    With replacement the distribution function is inverted. Without, the indices of the smallest -log(u) / weight are those
    of successive draws: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.
    """
    weights = self.astype(float64.numpy)
    _check_weights(xp, weights, 1 if replacement else num_samples)
    if not replacement:
        u = philox.open_uniform(xp, self.shape, seed, offset)
        keys = xp.where(weights > 0, -xp.log(u) / xp.where(weights > 0, weights, 1.0), math.inf)
        return xp.argsort(keys, axis=-1)[..., :num_samples].astype("int64")
    sums = xp.cumsum(weights, axis=-1)
    u = philox.open_uniform(xp, (*self.shape[:-1], num_samples), seed, offset)
    return _first_above(xp, sums, u * sums[..., -1:])


def _check_weights(xp: Any, weights: Array, needed: int) -> None:
    """Refuse, at the cost of a wait for the device, what PyTorch refuses too."""
    if not xp.logical_and(weights >= 0, weights < math.inf).all().item():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if ((weights > 0).sum(axis=-1) < needed).any().item():
        raise RuntimeError("invalid multinomial distribution (with replacement=False, not enough non-negative category to sample)"
                           if needed > 1 else "invalid multinomial distribution (sum of probabilities <= 0)")  # fmt: skip


def _first_above(xp: Any, sums: Array, values: Array) -> Array:
    """Return, by bisection of each row, the first index whose sum is above the value."""
    low = xp.zeros(values.shape, dtype="int64")
    high = xp.full(values.shape, sums.shape[-1] - 1, dtype="int64")
    for _ in range((sums.shape[-1] - 1).bit_length()):
        middle = (low + high) >> 1
        above = xp.take_along_axis(sums, middle, axis=-1) > values
        low, high = xp.where(above, low, xp.minimum(middle + 1, high)), xp.where(above, middle, high)
    return high


# --- gradients: a draw is constant in what it overwrote and in its parameters -----------------------------------------
def _zeros(name: str) -> Any:
    return lambda g, call: g.new_zeros(call.meta(name).shape)


def _refused(g: Array, call: Any) -> NoReturn:
    raise NotImplementedError("the derivative for '_standard_gamma_grad' is not implemented.")


for _name in ("exponential_", "cauchy_", "log_normal_", "geometric_", "poisson", "bernoulli"):
    gradient(f"gw::{_name}", self=_zeros("self"))
gradient("gw::bernoulli_by_", self=_zeros("self"), p=_zeros("p"))
gradient("gw::normal_around", mean=_zeros("mean"), std=_zeros("std"))
gradient("gw::normal_with_mean", mean=_zeros("mean"))
gradient("gw::normal_with_std", std=_zeros("std"))
gradient("gw::standard_gamma", self=lambda g, call: g * OPS["_standard_gamma_grad"](call.self, call.result))
gradient("_standard_gamma_grad", self=_refused, output=_refused)
