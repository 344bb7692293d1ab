"""One declaration per op, a file per family. Import `OPS` from here: importing this package is what fills it."""

from __future__ import annotations

from gradwire_protocol.ops import (  # noqa: F401
    activation,
    attention,
    batch_norm,
    control,
    convolution,
    creation,
    embedding,
    indexing,
    loss,
    matmul,
    normalization,
    padding,
    pointwise,
    random,
    reduction,
    resampling,
    shape,
    special,
    update,
)  # fmt: skip
from gradwire_protocol.registry import OPS

__all__ = ["OPS"]
