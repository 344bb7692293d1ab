"""Kernel and gradient of each op, side by side; the same file names as in the contract. Importing it fills the tables."""

from __future__ import annotations

from gradwire_server.ops import (  # noqa: F401
    activation,
    attention,
    batch_norm,
    convolution,
    creation,
    grid_sampler,
    group_norm,
    embedding,
    indexing,
    loss,
    matmul,
    normalization,
    padding,
    pointwise,
    random,
    reduction,
    selection,
    resampling,
    shape,
    special,
    special_bessel,
    special_polynomial,
    update,
    update_adaptive,
    update_muon,
)  # fmt: skip
