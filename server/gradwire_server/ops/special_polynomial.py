"""Kernels of orthogonal polynomials of degree n, one degree per element: 0 below degree 0, as PyTorch has it.

Chebyshev's have closed forms. The others go up their recurrences as far as the largest degree, which the host asks for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradwire_server.rules import pointwise

Array = Any
Step = Callable[[int, Array, Array, Array], Array]

# PyTorch's limits, beyond which Hermite's polynomials do not fit into the dtype.
_HERMITE_LIMITS = {4: 128, 8: 512}
_MAX_DEGREE = 1_000_000


def _degree(xp: Any, n: Array) -> Array:
    """Return n without its fraction; NaN is no degree."""
    return xp.where(n == n, xp.trunc(n), n.dtype.type(-1))


def _finished(xp: Any, x: Array, n: Array, value: Array) -> Array:
    """Set the degrees below 1; what overflows is NaN, as the recurrence has it."""
    value = xp.where(xp.isinf(value) & (n > 1), x.dtype.type(math.nan), value)
    return xp.where(n == 0, x.dtype.type(1), xp.where(n < 0, x.dtype.type(0), value))


# --- Chebyshev -------------------------------------------------------------------------------------------------------


def _odd(xp: Any, n: Array) -> Array:
    return xp.fmod(n, 2) != 0


def _signed(xp: Any, x: Array, n: Array, value: Array) -> Array:
    """Turn the sign where x is negative and the degree odd."""
    return xp.where((x < 0) & _odd(xp, n), -value, value)


def _first(xp: Any, x: Array, n: Array) -> Array:
    """Compute T_n: cos(n arccos x) inside of [-1, 1], cosh(n arcosh x) outside."""
    size = xp.abs(x)
    inside = xp.cos(n * xp.arccos(xp.minimum(size, 1)))
    outside = xp.cosh(n * xp.arccosh(xp.maximum(size, 1)))
    return _signed(xp, x, n, xp.where(size <= 1, inside, outside))


def _second(xp: Any, x: Array, n: Array) -> Array:
    """Compute U_n: sin((n + 1) a) / sin a, a = arccos x; by hyperbolic functions outside, n + 1 at 1."""
    return _signed(xp, x, n, _ratio(xp, xp.abs(x), n + 1, 1.0, "sin", n + 1))


def _third(xp: Any, size: Array, n: Array) -> Array:
    """Compute V_n of x >= 0: cos((n + 1/2) a) / cos(a / 2)."""
    return _ratio(xp, size, n + 0.5, 0.5, "cos", xp.ones((), dtype=size.dtype))


def _fourth(xp: Any, size: Array, n: Array) -> Array:
    """Compute W_n of x >= 0: sin((n + 1/2) a) / sin(a / 2)."""
    return _ratio(xp, size, n + 0.5, 0.5, "sin", 2 * n + 1)


def _ratio(xp: Any, size: Array, over: Array, under: float, function: str, at_one: Array) -> Array:
    """Compute f(over a) / f(under a) of the angle a, or hyperbolic angle, whose cosine is `size`; NaN stays."""
    inner = xp.where(size < 1, xp.arccos(xp.minimum(size, 1)), size.dtype.type(1))
    outer = xp.where(size > 1, xp.arccosh(xp.maximum(size, 1)), size)
    circular, hyperbolic = getattr(xp, function), getattr(xp, f"{function}h")
    inside = circular(over * inner) / circular(under * inner)
    outside = hyperbolic(over * outer) / hyperbolic(under * outer)
    return xp.where(size == 1, at_one, xp.where(size < 1, inside, outside))


def _mirrored(at: Callable[..., Array], mirrored: Callable[..., Array]) -> Callable[..., Array]:
    """Return V or W: V_n(-x) = (-1)^n W_n(x), and the other way round."""

    def call(xp: Any, x: Array, n: Array) -> Array:
        size = xp.abs(x)
        value = xp.where(x < 0, mirrored(xp, size, n), at(xp, size, n))
        return _signed(xp, x, n, value)

    return call


def _chebyshev(name: str, function: Callable[..., Array]) -> None:
    """Register a kind of Chebyshev's polynomials, and its shift to [0, 1]."""

    def plain(xp: Any, x: Array, n: Array, out: Array | None = None) -> Array:
        n = _degree(xp, n)
        return _finished(xp, x, n, function(xp, x, n))

    def shifted(xp: Any, x: Array, n: Array, out: Array | None = None) -> Array:
        return plain(xp, 2 * x - 1, n)

    pointwise(f"special_chebyshev_polynomial_{name}", plain)
    pointwise(f"special_shifted_chebyshev_polynomial_{name}", shifted)


_chebyshev("t", _first)
_chebyshev("u", _second)
_chebyshev("v", _mirrored(_third, _fourth))
_chebyshev("w", _mirrored(_fourth, _third))

# --- by recurrence ---------------------------------------------------------------------------------------------------


def _climb(xp: Any, x: Array, n: Array, first: Array, step: Step, limit: int) -> Array:
    """Go from the degrees 0 and 1 up to the largest one, and pick each element's own on the way."""
    top = n.max().item() if n.size else 0
    lower, upper = xp.ones(x.shape, dtype=x.dtype), first
    result = first + xp.zeros(n.shape, dtype=x.dtype)
    for k in range(1, int(min(top, limit))):
        lower, upper = upper, step(k, x, upper, lower)
        result = xp.where(n > k, upper, result)
    return _finished(xp, x, n, result)


def _hermite(name: str, scale: int) -> None:
    """Register H (scale 2) or He (scale 1): P_(k+1) = scale (x P_k - k P_(k-1))."""

    def call(xp: Any, x: Array, n: Array, out: Array | None = None) -> Array:
        n, limit = _degree(xp, n), _HERMITE_LIMITS[x.dtype.itemsize]
        value = _climb(xp, x, n, x * scale, lambda k, x, upper, lower: (x * upper - lower * k) * scale, limit)
        return xp.where(n > limit, x.dtype.type(math.nan), value)

    pointwise(f"special_{name}", call)


def _check_degree(name: str, n: Array) -> None:
    if n.size and n.max().item() > _MAX_DEGREE:
        raise RuntimeError(f"{name} needs degrees up to {_MAX_DEGREE}, since each takes a step; got {n.max().item():g}")


def laguerre(xp: Any, x: Array, n: Array, out: Array | None = None) -> Array:
    """Compute L_n: (k + 1) L_(k+1) = (2k + 1 - x) L_k - k L_(k-1)."""
    n = _degree(xp, n)
    _check_degree("laguerre_polynomial_l", n)
    value = _climb(
        xp, x, n, 1 - x, lambda k, x, upper, lower: ((2 * k + 1 - x) * upper - lower * k) / (k + 1), _MAX_DEGREE
    )
    return xp.where((x == 0) & (n >= 0), x.dtype.type(1), value)


def legendre(xp: Any, x: Array, n: Array, out: Array | None = None) -> Array:
    """Compute P_n: (k + 1) P_(k+1) = (2k + 1) x P_k - k P_(k-1)."""
    n = _degree(xp, n)
    _check_degree("legendre_polynomial_p", n)
    return _climb(xp, x, n, x, lambda k, x, upper, lower: (x * upper * (2 * k + 1) - lower * k) / (k + 1), _MAX_DEGREE)


_hermite("hermite_polynomial_h", 2)
_hermite("hermite_polynomial_he", 1)
pointwise("special_laguerre_polynomial_l", laguerre)
pointwise("special_legendre_polynomial_p", legendre)
