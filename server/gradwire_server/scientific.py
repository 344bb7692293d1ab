"""The door to special functions: SciPy's for numpy's arrays, CuPy's copies of them for those of a GPU.

Owns the choice among the two, and that kernels use no name which CuPy lacks. The only importer of scipy and of
cupyx.scipy, each at the first use: SciPy's import would be a third of a worker's start. What CuPy lacks is written over
`xp`, in `ops/special_bessel.py` and `ops/special_polynomial.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["SHARED_NAMES", "HostSpecial", "generalized_laguerre_rule", "xp_special"]

# What scipy.special and cupyx.scipy.special both have and a kernel may want; a test holds it against CuPy.
_NAMES = """
betainc digamma entr erf erfc erfcx erfinv gammainc gammaincc gammaincinv gammaln i0 i0e i1 i1e j0 j1 k0 k0e k1 k1e
log_ndtr ndtri xlog1py y0 y1 zeta
"""
SHARED_NAMES = frozenset(_NAMES.split())

Function = Callable[..., Any]


class HostSpecial:
    """SciPy's functions under the names that CuPy has too; `wrap`, if given, adapts each to other arrays."""

    def __init__(self, wrap: Callable[[str, Function], Function] | None = None) -> None:
        """Serve numpy's arrays, or those that `wrap` serves."""
        self._wrap = wrap

    def __getattr__(self, name: str) -> Function:
        """Return a function, and keep it."""
        if name not in SHARED_NAMES:
            raise AttributeError(
                f"kernels need special functions that SciPy and CuPy share; got {name}; see SHARED_NAMES"
            )
        found: Function = getattr(_scipy_special(), name)
        if self._wrap is not None:
            found = self._wrap(name, found)
        setattr(self, name, found)
        return found


_HOST = HostSpecial()


@functools.cache
def _scipy_special() -> Any:
    import scipy.special

    return scipy.special


def xp_special(xp: Any) -> Any:
    """Return the namespace of special functions that belongs to an array namespace."""
    if xp is np:
        return _HOST
    return _device_special() if getattr(xp, "__name__", "") == "cupy" else xp.special


@functools.cache
def _device_special() -> Any:
    import cupyx.scipy.special

    return cupyx.scipy.special


@functools.cache
def generalized_laguerre_rule(count: int, alpha: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return nodes and weights of Gauss's rule for integrals of t^alpha e^-t f(t) over t > 0."""
    nodes, weights = _scipy_special().roots_genlaguerre(count, alpha)
    return tuple(nodes.tolist()), tuple(weights.tolist())
