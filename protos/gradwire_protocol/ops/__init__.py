"""One declaration per op, a file per family. Import `OPS` from here: importing this package is what fills it."""

from __future__ import annotations

from gradwire_protocol.ops import (  # noqa: F401
    activation,
    attention,
    batch_norm,
    collective,
    complex,
    control,
    convolution,
    creation,
    ctc,
    decomposition,
    distance,
    embedding,
    foreach,
    indexing,
    linalg,
    linalg_products,
    loss,
    matmul,
    normalization,
    padding,
    pointwise,
    pooling,
    random,
    recurrent,
    reduction,
    resampling,
    scan,
    scatter,
    searching,
    shape,
    sorting,
    special,
    spectral,
    update,
)  # fmt: skip
from gradwire_protocol.registry import OPS

__all__ = ["OPS"]
