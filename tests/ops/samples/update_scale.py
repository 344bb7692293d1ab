"""Samples of loss scaling. References: torch.amp.GradScaler's documentation, in plain numpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample
from tests.ops.samples.update import Arrays


def _unscale_cases(rng: np.random.Generator) -> Iterator[Case]:
    for dtype, bad in ((np.float16, None), (np.float32, np.inf), (np.float64, np.nan)):
        gradients = [rng.standard_normal(shape).astype(dtype) for shape in ((3, 2), (), (0,), (7,))]
        if bad is not None:
            gradients[3][2] = bad
        yield Case((gradients, np.float32(0), np.float32(2**-10)), differentiable=False)


def _unscale(self: Arrays, found_inf: Any, inv_scale: Any) -> Arrays:
    return [np.asarray(gradient * float(inv_scale), gradient.dtype) for gradient in self]


def _update_cases(rng: np.random.Generator) -> Iterator[Case]:
    for scale, tracker, found, interval in (
        (8.0, 0, 0.0, 2), (8.0, 1, 0.0, 2), (8.0, 1, 1.0, 2), (8.0, 1, 3.0, 5), (3e38, 4, 0.0, 5), (8.0, 7, 0.0, 5),
    ):  # fmt: skip
        yield Case((np.float32(scale), np.int32(tracker), np.float32(found), 2.0, 0.5, interval), differentiable=False)


def _update(self: Any, growth_tracker: Any, found_inf: Any, growth: float, backoff: float, interval: int) -> Any:
    if found_inf:
        return np.float32(self * backoff)
    is_due = growth_tracker + 1 == interval and float(self) * growth < 3.4e38
    return np.float32(float(self) * growth if is_due else self)


_ONE, _INT = np.float32(1), np.int32(1)
SAMPLES: list[Sample] = [
    Sample(
        "_amp_foreach_non_finite_check_and_unscale_",
        _unscale,
        _unscale_cases,
        (
            Refusal(([np.ones(2)], np.ones(2, np.float32), _ONE), RuntimeError, "found_inf must be a 1-element tensor"),
            Refusal(([np.ones(2)], _ONE, np.float64(1)), RuntimeError, "inv_scale must be a", in_torch=False),
            Refusal(([np.ones(2, int)], _ONE, _ONE), RuntimeError, "floating-point or complex", in_torch=False),
        ),
    ),
    Sample(
        "_amp_update_scale_",
        _update,
        _update_cases,
        (
            Refusal(
                (_ONE, np.ones(2, np.int32), _ONE, 2.0, 0.5, 2), RuntimeError, "growth_tracker must be a 1-element"
            ),
            Refusal((_ONE, np.int64(1), _ONE, 2.0, 0.5, 2), RuntimeError, "growth_tracker must be an int tensor."),
            Refusal((np.float64(1), _INT, _ONE, 2.0, 0.5, 2), RuntimeError, "current_scale must be a float tensor."),
            Refusal((_ONE, _INT, np.float64(1), 2.0, 0.5, 2), RuntimeError, "found_inf must be a float tensor."),
        ),
    ),
]
