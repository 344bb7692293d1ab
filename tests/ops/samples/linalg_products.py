"""Samples of the exponential of matrices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.linalg

from tests.ops.samples.record import Case, Refusal, Sample


def _matrices(rng: np.random.Generator) -> Iterator[Case]:
    for made in (
        rng.standard_normal((3, 3)), rng.standard_normal((2, 4, 4)) * np.array([0.01, 4.0]).reshape(2, 1, 1),
        rng.standard_normal((3, 3)).T, rng.standard_normal((2, 2)) + 1j * rng.standard_normal((2, 2)),
        rng.standard_normal((1, 1)), np.zeros((2, 2)), np.zeros((0, 0)), np.zeros((2, 0, 0)),
    ):  # fmt: skip
        yield Case((made,))


def _reference(self: Any) -> Any:
    made = np.empty_like(self, order="C")
    for index in np.ndindex(self.shape[:-2]):
        made[index] = scipy.linalg.expm(self[index]) if self.shape[-1] else self[index]
    return made


SAMPLES = [
    Sample(
        "linalg_matrix_exp",
        _reference,
        _matrices,
        refusals=(
            Refusal((np.ones((2, 3)),), RuntimeError, "A must be batches of square matrices"),
            Refusal((np.ones((2, 2), np.int64),), RuntimeError, "Expected a floating point or complex tensor"),
        ),
    )
]
