"""Kernel and gradient of each op, side by side; the same file names as in the contract. Importing it fills the tables."""

from __future__ import annotations

from gradwire_server.ops import (  # noqa: F401
    activation,
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
