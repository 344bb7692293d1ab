"""One sample record per op, by family."""

from __future__ import annotations

from tests.ops.samples import (
    activation,
    attention,
    batch_norm,
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
    shape,
    special,
    update,
    update_adaptive,
)  # fmt: skip
from tests.ops.samples.record import Case, Refusal, Sample

__all__ = ["SAMPLES", "Case", "Refusal", "Sample"]

_FAMILIES = (
    activation, attention, batch_norm, convolution, creation, embedding, indexing, loss, matmul, normalization, padding, pointwise, random, reduction,
    shape, special, update, update_adaptive,
)  # fmt: skip
SAMPLES: dict[str, Sample] = {}
for _family in _FAMILIES:
    for _sample in _family.SAMPLES:
        if _sample.op in SAMPLES:
            raise ValueError(f"{_sample.op} has two sample records")
        SAMPLES[_sample.op] = _sample
