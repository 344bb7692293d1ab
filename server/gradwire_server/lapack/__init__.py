"""The door to LAPACK: SciPy's on the host, CuPy's (cuSOLVER, cuBLAS) on a GPU, with the same functions and answers.

`numpy.linalg` raises for a singular matrix where `cupy.linalg` gives numbers, and neither has pivots or Householder
vectors. So kernels ask here: every function takes batches of matrices (*, m, n) of float32, float64, complex64 or
complex128, never raises upon values, and returns LAPACK's `info` as int32 (*) where PyTorch does. `host` and `device`
define the same names; what both libraries have with one behaviour (`xp.linalg.svd`, `eigh`) kernels take from `xp`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["HostLapack", "xp_lapack"]

Function = Callable[..., Any]


class HostLapack:
    """The host's functions, each adapted to other arrays by `wrap`."""

    def __init__(self, wrap: Callable[[str, Function], Function]) -> None:
        """Serve those arrays that `wrap` serves."""
        self._wrap = wrap

    def __getattr__(self, name: str) -> Function:
        """Return a function, and keep it."""
        found = self._wrap(name, getattr(_host(), name))
        setattr(self, name, found)
        return found


@functools.cache
def _host() -> ModuleType:
    from gradwire_server.lapack import host

    return host


@functools.cache
def _device() -> ModuleType:
    from gradwire_server.lapack import device

    return device


def xp_lapack(xp: Any) -> Any:
    """Return the functions that belong to an array namespace."""
    if xp is np:
        return _host()
    return _device() if getattr(xp, "__name__", "") == "cupy" else xp.lapack
