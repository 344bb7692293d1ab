"""Products of matrices for all kernels: by MKL where it is installed and the product is large enough, else by `xp` itself."""

from __future__ import annotations

from typing import Any

from gradwire_server.mkl import product

__all__ = ["LEAST", "matmul"]

# Multiplications from which on MKL makes up for what its call costs: see benchmarks/README.md.
LEAST = 2**20


def matmul(xp: Any, a: Any, b: Any, out: Any = None) -> Any:
    """Return a @ b, in `out` if it is given."""
    if a.size * b.shape[-1] >= LEAST and getattr(xp, "__name__", "") == "numpy":
        made = product(a, b, out)
        if made is not None:
            return made
    return xp.matmul(a, b, out=out)
