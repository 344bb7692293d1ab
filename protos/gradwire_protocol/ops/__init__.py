"""One declaration per op, a file per family. Import `OPS` from here: importing this package is what fills it."""

from __future__ import annotations

from gradwire_protocol.ops import (  # noqa: F401
    control,
    creation,
    indexing,
    loss,
    matmul,
    normalization,
    pointwise,
    random,
    reduction,
    shape,
    update,
)  # fmt: skip
from gradwire_protocol.registry import OPS

__all__ = ["OPS"]
