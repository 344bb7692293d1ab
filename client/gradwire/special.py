"""Special functions, as in `torch.special`. None of them waits for the worker, but polynomials do there: see `_polynomial`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradwire.functions.numbers import polygamma, xlogy
from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol.ops import OPS

__all__ = [
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "chebyshev_polynomial_t", "chebyshev_polynomial_u",
    "chebyshev_polynomial_v", "chebyshev_polynomial_w", "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit",
    "expm1", "gammainc", "gammaincc", "gammaln", "hermite_polynomial_h", "hermite_polynomial_he", "i0", "i0e", "i1", "i1e",
    "laguerre_polynomial_l", "legendre_polynomial_p", "log1p", "log_ndtr", "log_softmax", "logit", "logsumexp",
    "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1", "multigammaln", "ndtr", "ndtri",
    "polygamma", "psi", "round", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v", "shifted_chebyshev_polynomial_w", "sinc", "softmax",
    "spherical_bessel_j0", "xlog1py", "xlogy", "zeta",
]  # fmt: skip

Function = Callable[..., Tensor]


def _method(name: str, method: str, summary: str) -> Function:
    """Return the function that calls a method of its first argument."""

    def function(input: Tensor) -> Tensor:
        result: Tensor = getattr(expect_tensor(name, input), method)()
        return result

    return _named(function, name, summary)


def _named(function: Function, name: str, summary: str) -> Function:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = summary
    return function


# --- under another name, or the same as in `gradwire` ---
erf = _method("erf", "erf", "Compute the error function.")
erfc = _method("erfc", "erfc", "Compute 1 - erf(x), to full accuracy where that is small.")
erfinv = _method("erfinv", "erfinv", "Compute the inverse of the error function.")
exp2 = _method("exp2", "exp2", "Compute 2^x.")
expm1 = _method("expm1", "expm1", "Compute exp(x) - 1, to full accuracy near 0.")
log1p = _method("log1p", "log1p", "Compute log(1 + x), to full accuracy near 0.")
expit = _method("expit", "sigmoid", "Compute 1 / (1 + exp(-x)).")
sinc = _method("sinc", "sinc", "Compute sin(pi x) / (pi x), and 1 at 0.")
gammaln = _method("gammaln", "lgamma", "Compute log(|gamma(x)|).")
digamma = _method("digamma", "digamma", "Compute the derivative of log(gamma(x)).")
psi = _method("psi", "digamma", "Compute the derivative of log(gamma(x)): `digamma`.")
i0 = _method("i0", "i0", "Compute the modified Bessel function of the first kind, of order 0.")

# --- of one tensor ---
i0e = _method("i0e", "special_i0e", "Compute exp(-|x|) * i0(x).")
i1 = _method("i1", "special_i1", "Compute the modified Bessel function of the first kind, of order 1.")
i1e = _method("i1e", "special_i1e", "Compute exp(-|x|) * i1(x).")
entr = _method("entr", "special_entr", "Compute -x * log(x): 0 at 0, -inf below.")
erfcx = _method("erfcx", "special_erfcx", "Compute exp(x^2) * erfc(x).")
ndtri = _method("ndtri", "special_ndtri", "Compute the inverse of `ndtr`.")
log_ndtr = _method("log_ndtr", "special_log_ndtr", "Compute log(ndtr(x)), to full accuracy in the tail.")
bessel_j0 = _method("bessel_j0", "special_bessel_j0", "Compute the Bessel function of the first kind, of order 0.")
bessel_j1 = _method("bessel_j1", "special_bessel_j1", "Compute the Bessel function of the first kind, of order 1.")
bessel_y0 = _method("bessel_y0", "special_bessel_y0", "Compute the Bessel function of the second kind, of order 0.")
bessel_y1 = _method("bessel_y1", "special_bessel_y1", "Compute the Bessel function of the second kind, of order 1.")
modified_bessel_i0 = _method("modified_bessel_i0", "special_modified_bessel_i0", "Compute `i0`; it has no gradient.")
modified_bessel_i1 = _method("modified_bessel_i1", "special_modified_bessel_i1", "Compute `i1`; it has no gradient.")
modified_bessel_k0 = _method(
    "modified_bessel_k0",
    "special_modified_bessel_k0",
    "Compute the modified Bessel function of the second kind, of order 0.",
)
modified_bessel_k1 = _method(
    "modified_bessel_k1",
    "special_modified_bessel_k1",
    "Compute the modified Bessel function of the second kind, of order 1.",
)


def ndtr(input: Tensor) -> Tensor:
    """Compute the normal distribution function: (1 + erf(x / sqrt(2))) / 2."""
    result: Tensor = (expect_tensor("ndtr", input) * math.sqrt(0.5)).erf().add(1) * 0.5
    return result


def airy_ai(x: Tensor) -> Tensor:
    """Compute Airy's function Ai."""
    return expect_tensor("airy_ai", x).special_airy_ai()


def scaled_modified_bessel_k0(x: Tensor) -> Tensor:
    """Compute exp(x) * modified_bessel_k0(x)."""
    return expect_tensor("scaled_modified_bessel_k0", x).special_scaled_modified_bessel_k0()


def scaled_modified_bessel_k1(x: Tensor) -> Tensor:
    """Compute exp(x) * modified_bessel_k1(x)."""
    return expect_tensor("scaled_modified_bessel_k1", x).special_scaled_modified_bessel_k1()


def spherical_bessel_j0(x: Tensor) -> Tensor:
    """Compute sin(x) / x."""
    return expect_tensor("spherical_bessel_j0", x).special_spherical_bessel_j0()


# --- with further arguments ---
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """Compute log(x / (1 - x)), of x clamped to [eps, 1 - eps] if `eps` is given."""
    return expect_tensor("logit", input).logit(eps)


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """Round to the nearest integer, halves to the even one; or to a number of decimals."""
    result: Tensor = expect_tensor("round", input).round(decimals=decimals)
    return result


def multigammaln(input: Tensor, p: int) -> Tensor:
    """Compute the logarithm of the multivariate gamma function of dimension `p`."""
    return expect_tensor("multigammaln", input).mvlgamma(p)


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Compute the probabilities of the scores along `dim`, in `dtype` if given."""
    result: Tensor = expect_tensor("softmax", input).softmax(dim, dtype=dtype)
    return result


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Compute the logarithms of `softmax`."""
    result: Tensor = expect_tensor("log_softmax", input).log_softmax(dim, dtype=dtype)
    return result


def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """Compute log(sum(exp(x))) along `dim`, without overflow."""
    result: Tensor = expect_tensor("logsumexp", input).logsumexp(dim, keepdim)
    return result


# --- of two tensors, or of one and a number ---
def _both(name: str, first: Any, second: Any) -> Tensor:
    """Call an op of two tensors; a number becomes a 0-dim tensor that promotes as the number would."""
    if not isinstance(first, Tensor):
        first = OPS["gw::number_for"](expect_tensor(name.removeprefix("special_"), second), first)
    elif not isinstance(second, Tensor):
        second = OPS["gw::number_for"](first, second)
    result: Tensor = OPS[name](first, second)
    return result


def gammainc(input: Tensor, other: Tensor) -> Tensor:
    """Compute the regularized lower incomplete gamma function of order `input`, which has no gradient, at `other`."""
    return expect_tensor("gammainc", input).igamma(other)


def gammaincc(input: Tensor, other: Tensor) -> Tensor:
    """Compute 1 - gammainc(input, other)."""
    return expect_tensor("gammaincc", input).igammac(other)


def xlog1py(input: Any, other: Any) -> Tensor:
    """Compute input * log1p(other), and 0 where `input` is 0; either may be a number."""
    return _both("special_xlog1py", input, other)


def zeta(input: Any, other: Any) -> Tensor:
    """Compute Hurwitz's zeta function: the sum of (k + other)^-input over k >= 0; either may be a number."""
    return _both("special_zeta", input, other)


def _polynomial(name: str, summary: str) -> Function:
    """Return a polynomial of degree `n`; either argument may be a number, and has no gradient.

    The worker waits for its device where a polynomial (Hermite's, Laguerre's, Legendre's) goes up a recurrence as far as the
    largest degree.
    """

    def function(x: Any, n: Any) -> Tensor:
        return _both(f"special_{name}", x, n)

    return _named(function, name, f"Compute {summary} of degree `n` at `x`; either may be a number.")


chebyshev_polynomial_t = _polynomial("chebyshev_polynomial_t", "Chebyshev's polynomial of the first kind")
chebyshev_polynomial_u = _polynomial("chebyshev_polynomial_u", "Chebyshev's polynomial of the second kind")
chebyshev_polynomial_v = _polynomial("chebyshev_polynomial_v", "Chebyshev's polynomial of the third kind")
chebyshev_polynomial_w = _polynomial("chebyshev_polynomial_w", "Chebyshev's polynomial of the fourth kind")
shifted_chebyshev_polynomial_t = _polynomial("shifted_chebyshev_polynomial_t", "T(2x - 1), Chebyshev's first kind,")
shifted_chebyshev_polynomial_u = _polynomial("shifted_chebyshev_polynomial_u", "U(2x - 1), Chebyshev's second kind,")
shifted_chebyshev_polynomial_v = _polynomial("shifted_chebyshev_polynomial_v", "V(2x - 1), Chebyshev's third kind,")
shifted_chebyshev_polynomial_w = _polynomial("shifted_chebyshev_polynomial_w", "W(2x - 1), Chebyshev's fourth kind,")
hermite_polynomial_h = _polynomial("hermite_polynomial_h", "the physicists' Hermite polynomial")
hermite_polynomial_he = _polynomial("hermite_polynomial_he", "the probabilists' Hermite polynomial")
laguerre_polynomial_l = _polynomial("laguerre_polynomial_l", "Laguerre's polynomial")
legendre_polynomial_p = _polynomial("legendre_polynomial_p", "Legendre's polynomial")
