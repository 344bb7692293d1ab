"""Samples of the special functions. References take another road than the kernels: series, recurrences, quadrature of SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import scipy.special as sp

from tests.ops.samples.elementwise import (
    COMPLEX,
    HALVES,
    INTS,
    Array,
    Cases,
    Reference,
    add_to,
    erf,
    erfc,
    no_kernel,
    ones,
    pairs,
    spread,
    whole,
)
from tests.ops.samples.record import Case, Refusal, Sample

SAMPLES: list[Sample] = []
_add = add_to(SAMPLES)
_HALF = np.ones(2, np.float16)


def _vectorized(function: Callable[[float], float]) -> Reference:
    return np.vectorize(function, otypes=[float])


def _wide(function: Reference) -> Reference:
    return lambda *arguments: function(*(np.asarray(argument, np.float64) for argument in arguments))


def _log_ndtr(x: Array) -> Array:
    return np.log(erfc(-x / math.sqrt(2)) / 2)


def _erfcx(x: Array) -> Array:
    return np.exp(x**2) * erfc(x)


def _entropy(x: Array) -> Array:
    return np.where(x > 0, -x * np.log(np.where(x > 0, x, 1)), np.where(x == 0, 0, -np.inf))


# ---------------------------------------------------------------- of one tensor
for _name, _kernel, _reference, _low, _high in (
    ("erf", "erf_vml_cpu", erf, -3, 3), ("erfc", "erfc_vml_cpu", erfc, -3, 3),
    ("erfinv", "erfinv_vml_cpu", lambda y: sp.ndtri((y + 1) / 2) / math.sqrt(2), -0.9, 0.9),
    ("lgamma", "lgamma_vml_cpu", _vectorized(lambda x: math.lgamma(x) if x > 0 else math.inf), 0.2, 4),
    ("digamma", "digamma", lambda x: sp.polygamma(0, np.where(x > 0, x, 1)) - np.where(x > 0, 0, np.inf), 0.2, 4),
    ("i0", "i0_vml_cpu", lambda x: sp.iv(0, x), -3, 3), ("special_i0e", "i0e_cpu", lambda x: sp.ive(0, x), 0.3, 3),
    ("special_i1", "i1_cpu", lambda x: sp.iv(1, x), -3, 3), ("special_i1e", "i1e_cpu", lambda x: sp.ive(1, x), 0.3, 3),
    ("special_entr", "entr_cpu", _entropy, 0.2, 3), ("special_erfcx", "erfcx_cpu", _erfcx, -2, 2),
    ("special_log_ndtr", "log_ndtr_cpu", _log_ndtr, -4, 3),
    ("special_ndtri", "ndtri_cpu", lambda p: math.sqrt(2) * sp.erfinv(2 * p - 1), 0.1, 0.9),
    ("special_bessel_j0", "bessel_j0_cpu", lambda x: sp.jv(0, x), 0, 9), ("special_bessel_j1", "bessel_j1_cpu", lambda x: sp.jv(1, x), 0, 9),
    ("special_bessel_y0", "bessel_y0_cpu", lambda x: sp.yv(0, x), 0.1, 9), ("special_bessel_y1", "bessel_y1_cpu", lambda x: sp.yv(1, x), 0.1, 9),
    ("special_modified_bessel_i0", "modified_bessel_i0_cpu", lambda x: sp.iv(0, x), -3, 3),
    ("special_modified_bessel_i1", "modified_bessel_i1_cpu", lambda x: sp.iv(1, x), -3, 3),
    ("special_modified_bessel_k0", "modified_bessel_k0_cpu", lambda x: sp.kv(0, x), 0.1, 5),
    ("special_modified_bessel_k1", "modified_bessel_k1_cpu", lambda x: sp.kv(1, x), 0.1, 5),
    ("special_scaled_modified_bessel_k0", "scaled_modified_bessel_k0_cpu", lambda x: sp.kve(0, x), 0.1, 5),
    ("special_scaled_modified_bessel_k1", "scaled_modified_bessel_k1_cpu", lambda x: sp.kve(1, x), 0.1, 5),
    ("special_spherical_bessel_j0", "spherical_bessel_j0_cpu", lambda x: sp.spherical_jn(0, x), 0, 9),
    ("special_airy_ai", "airy_ai_cpu", lambda x: sp.airy(x)[0], -9, 6),
):  # fmt: skip
    _refused = [no_kernel(_kernel, "ComplexFloat", COMPLEX)]
    if _name.startswith("special_") and _name not in ("special_i0e", "special_i1", "special_i1e", "special_entr"):
        _refused.append(no_kernel(_kernel, "Half", _HALF))
    _kinds = "fi" if _low <= 0 or _name in ("lgamma", "digamma") else "f"
    _add(_name, _wide(_reference), ones(_kinds, _low, _high, corners=False), *_refused)

# ---------------------------------------------------------------- of a tensor and a static number
_ORDERS = (0, 1, 2, 4)


def _polygamma_cases(rng: np.random.Generator) -> Iterator[Case]:
    for n in _ORDERS:
        for case in ones("f", 0.4, 4, corners=False)(rng):
            yield Case((n, *case.args), {}, case.differentiable)
    yield Case((1, np.array([-0.5, -1.7, 0.2])))
    yield Case((2, whole(rng, 4, low=1)))


def _trigamma(x: Array) -> Array:
    return sum(1 / (x + k) ** 2 for k in range(200_000)) + 1 / (x + 200_000)  # type: ignore[no-any-return]


def _polygamma(n: int, x: Array) -> Array:
    return np.where(x > 0, sp.polygamma(n, np.where(x > 0, x, 1)), _trigamma(x) if np.any(x < 0) else 0)


_add("polygamma", _polygamma, _polygamma_cases, Refusal((-1, HALVES), RuntimeError, r"polygamma\(n, x\) does not support negative n"),
     no_kernel("trigamma", "ComplexFloat", 1, COMPLEX), inplace=False)  # fmt: skip
_add("polygamma_", lambda x, n: _polygamma(n, x).astype(x.dtype),
     lambda rng: (Case(c.args[::-1], {}, c.differentiable) for c in _polygamma_cases(rng) if c.args[1].dtype.kind == "f" and c.args[1].ndim),
     Refusal((INTS, 1), RuntimeError, "result type Float can't be cast to the desired output type Long"))  # fmt: skip
_add("mvlgamma", lambda x, p: sp.multigammaln(x.astype(np.float64).reshape(-1), p).reshape(x.shape),
     lambda rng: (Case((*c.args, p), {}, c.differentiable) for p in (1, 2, 4) for c in ones("f", 2.5, 5, corners=False)(rng)),
     Refusal((HALVES, 0), RuntimeError, "p has to be greater than or equal to 1"))  # fmt: skip


# ---------------------------------------------------------------- of two tensors
def _orders(cases: Cases) -> Cases:
    """Make the first tensor float32, which takes no part in the tests of gradients: there is none, as in PyTorch."""
    return lambda rng: (
        Case((c.args[0].astype(np.float32), c.args[1]), {}, c.args[1].dtype == np.float64 and c.args[1].ndim > 0)
        for c in cases(rng)
    )


for _name, _reference in (("igamma", sp.gammainc), ("igammac", sp.gammaincc)):
    _add(
        _name,
        _wide(_reference),
        _orders(pairs("f", 0.5, 4)),
        no_kernel(f"{_name}_cpu", "Long", INTS, INTS),
        inplace=False,
        rtol=1e-4,
        gradients_by_values=False,
    )
_add(
    "igamma_",
    _wide(sp.gammainc),
    lambda rng: [Case((spread(rng, 4, low=0.5, high=3), spread(rng, 4, low=0.5, high=3)), {}, False)],
    gradients_by_values=False,
)
_add(
    "igammac_",
    _wide(sp.gammaincc),
    lambda rng: [Case((spread(rng, 4, low=0.5, high=3), spread(rng, 4, low=0.5, high=3)), {}, False)],
    gradients_by_values=False,
)
_add(
    "special_zeta",
    _wide(sp.zeta),
    _orders(pairs("f", 1.5, 4)),
    no_kernel("zeta_cpu", "Half", _HALF, _HALF),
    rtol=1e-4,
    gradients_by_values=False,
)
_add(
    "special_xlog1py",
    _wide(lambda x, y: np.where(x == 0, 0, x * np.log1p(y))),
    pairs("fi", 0.2, 2),
    no_kernel("xlog1py_cpu", "ComplexFloat", COMPLEX, COMPLEX),
)


# ---------------------------------------------------------------- polynomials
def _degrees(low: float, high: float) -> Cases:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        yield Case((spread(rng, 6, low=low, high=high), np.arange(6)))
        yield Case((spread(rng, 3, 1, low=low, high=high), np.array([0, 1, 7, 12], np.int32)))
        yield Case((spread(rng, 5, low=low, high=high).astype(np.float32), np.asarray(3.7)))
        yield Case((np.array([1.0, -1.0, 0.0, 1.0, -1.0, 0.0]), np.array([4, 4, 4, 5, 5, 5])))
        yield Case((whole(rng, 3), whole(rng, 3, low=0)))
        yield Case((spread(rng), np.asarray(2)))
        yield Case((np.ones((0, 2)), np.ones(2)))

    return cases


def _chebyshev(kind: str) -> Reference:
    """Go up T_(n+1) = 2x T_n - T_(n-1), which all four kinds share; they differ in the degree 1."""
    start = {"t": lambda x: x, "u": lambda x: 2 * x, "v": lambda x: 2 * x - 1, "w": lambda x: 2 * x + 1}[kind]

    def at(x: float, n: float) -> float:
        lower, upper = 1.0, start(x)
        for _ in range(int(n)):
            lower, upper = upper, 2 * x * upper - lower
        return lower

    return _wide(np.vectorize(at, otypes=[float]))


for _kind in "tuvw":
    _polynomial = _chebyshev(_kind)
    _add(f"special_chebyshev_polynomial_{_kind}", _polynomial, _degrees(-1.5, 1.5))
    _add(
        f"special_shifted_chebyshev_polynomial_{_kind}",
        lambda x, n, f=_polynomial: f(2 * np.asarray(x, np.float64) - 1, n),
        _degrees(-0.5, 1.5),
    )
for _name, _reference in (
    ("hermite_polynomial_h", sp.eval_hermite), ("hermite_polynomial_he", sp.eval_hermitenorm), ("laguerre_polynomial_l", sp.eval_laguerre),
    ("legendre_polynomial_p", sp.eval_legendre),
):  # fmt: skip
    _add(f"special_{_name}", lambda x, n, f=_reference: f(np.trunc(n).astype(np.int64), np.asarray(x, np.float64)), _degrees(-2, 2),
         no_kernel(f"{_name}_cpu", "Half", _HALF, _HALF))  # fmt: skip
_TOO_HIGH = Refusal(
    (HALVES, np.array(2e6)), RuntimeError, "legendre_polynomial_p needs degrees up to 1000000", in_torch=False
)
SAMPLES[-1] = Sample(SAMPLES[-1].op, SAMPLES[-1].reference, SAMPLES[-1].cases, (*SAMPLES[-1].refusals, _TOO_HIGH))
