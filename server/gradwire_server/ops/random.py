"""Kernels and gradients of `gradwire_protocol.ops.random`, over the counter-based generator of `philox`."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.dtypes import DType, float64, from_numpy, int64
from gradwire_protocol.meta import Meta
from gradwire_server import philox
from gradwire_server.rules import gradient, kernel

Array = Any


@kernel("gw::uniform")
def uniform(xp: Any, size: tuple[int, ...], seed: int, offset: int, dtype: DType) -> Array:
    """Draw from [0, 1)."""
    return philox.uniform(xp, size, dtype, seed, offset)


@kernel("gw::normal")
def normal(xp: Any, size: tuple[int, ...], seed: int, offset: int, dtype: DType) -> Array:
    """Draw from the standard normal distribution."""
    return philox.normal(xp, size, dtype, seed, offset)


@kernel("gw::integers")
def integers(xp: Any, size: tuple[int, ...], low: int, high: int, seed: int, offset: int, dtype: DType) -> Array:
    """Draw integers from [low, high)."""
    return philox.integers(xp, size, dtype, low, high, seed, offset)


@kernel("gw::permutation")
def permutation(xp: Any, n: int, seed: int, offset: int, dtype: DType) -> Array:
    """Return the numbers below n in random order."""
    return philox.permutation(xp, n, dtype, seed, offset)


@kernel("gw::uniform_")
def uniform_(xp: Any, self: Array, from_: float, to: float, seed: int, offset: int) -> None:
    """Fill from [from_, to)."""
    values = philox.uniform(xp, self.shape, from_numpy(self.dtype), seed, offset)
    self[...] = values * self.dtype.type(to - from_) + self.dtype.type(from_)


@kernel("gw::normal_")
def normal_(xp: Any, self: Array, mean: float, std: float, seed: int, offset: int) -> None:
    """Fill from the normal distribution."""
    values = philox.normal(xp, self.shape, from_numpy(self.dtype), seed, offset)
    self[...] = values * self.dtype.type(std) + self.dtype.type(mean)


@kernel("gw::bernoulli_")
def bernoulli_(xp: Any, self: Array, p: float, seed: int, offset: int) -> None:
    """Fill with ones with probability p, zeros otherwise."""
    self[...] = philox.bernoulli(xp, self.shape, p, seed, offset).astype(self.dtype)


@kernel("gw::random_")
def random_(xp: Any, self: Array, low: int, high: int, seed: int, offset: int) -> None:
    """Fill with integers from [low, high)."""
    self[...] = philox.integers(xp, self.shape, int64, low, high, seed, offset).astype(self.dtype)


@kernel("gw::bernoulli")
def bernoulli(xp: Any, self: Array, seed: int, offset: int) -> Array:
    """Draw one with the probability that each element holds."""
    return (philox.uniform(xp, self.shape, float64, seed, offset) < self).astype(self.dtype)


@kernel("gw::dropout")
def dropout(xp: Any, input: Array, p: float, seed: int, offset: int, result: tuple[Meta, Meta]) -> tuple[Array, Array]:
    """Zero each element with probability p, and scale the others by 1 / (1 - p)."""
    mask = philox.bernoulli(xp, input.shape, 1 - p, seed, offset)
    return input * mask * input.dtype.type(0 if p == 1 else 1 / (1 - p)), mask


gradient("gw::dropout", input=lambda g, call: g * call.result1 * (0 if call.p == 1 else 1 / (1 - call.p)))
for _name in ("uniform_", "normal_", "bernoulli_", "random_"):
    gradient(f"gw::{_name}", self=lambda g, call: g.new_zeros(call.meta("self").shape))
