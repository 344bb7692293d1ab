"""Samples of the update family. References: the update rules of torch.optim's documentation, in plain numpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Arrays = list[np.ndarray[Any, Any]]


def _lists(rng: np.random.Generator, count: int, dtype: Any) -> list[Arrays]:
    shapes = [(3,), (2, 4), (), (0,), (40_000,)]
    return [[np.abs(rng.standard_normal(shape)).astype(dtype) for shape in shapes] for _ in range(count)]


def _sgd_cases(rng: np.random.Generator) -> Iterator[Case]:
    for dtype in (np.float32, np.float64):
        for decay, momentum, dampening, nesterov, maximize, first in (
            (0.0, 0.0, 0.0, False, False, True),
            (0.1, 0.0, 0.0, False, True, True),
            (0.0, 0.9, 0.0, False, False, True),
            (0.1, 0.9, 0.0, True, False, False),
            (0.1, 0.9, 0.5, False, True, False),
        ):
            parameters, grads, buffers = _lists(rng, 3, dtype)
            yield Case(
                (parameters, grads, buffers if momentum else []),
                {
                    "weight_decay": decay, "momentum": momentum, "lr": 0.1, "dampening": dampening, "nesterov": nesterov,
                    "maximize": maximize, "is_first_step": first,
                },
                differentiable=False,
            )  # fmt: skip


def _sgd(
    self: Arrays, grads: Arrays, momentum_buffer_list: Arrays, weight_decay: float, momentum: float, lr: float,
    dampening: float, nesterov: bool, maximize: bool, is_first_step: bool,
) -> Arrays:  # fmt: skip
    results = []
    for index, (parameter, grad) in enumerate(zip(self, grads, strict=True)):
        step = (-grad if maximize else grad) + weight_decay * parameter
        if momentum:
            buffer = step if is_first_step else momentum * momentum_buffer_list[index] + (1 - dampening) * step
            step = step + momentum * buffer if nesterov else buffer
        results.append((parameter - lr * step).astype(parameter.dtype))
    return results


def _adam_cases(rng: np.random.Generator) -> Iterator[Case]:
    for dtype in (np.float32, np.float64):
        for step, decay, amsgrad, maximize in ((1, 0.0, False, False), (7, 0.1, False, True), (3, 0.1, True, False)):
            lists = _lists(rng, 5, dtype)
            yield Case(
                (*lists[:4], lists[4] if amsgrad else []),
                {
                    "step": step, "lr": 0.01, "beta1": 0.9, "beta2": 0.99, "weight_decay": decay, "eps": 1e-8,
                    "amsgrad": amsgrad, "maximize": maximize,
                },
                differentiable=False,
            )  # fmt: skip


def _adam(decoupled: bool) -> Any:
    def reference(
        self: Arrays, grads: Arrays, exp_avgs: Arrays, exp_avg_sqs: Arrays, max_exp_avg_sqs: Arrays, step: int, lr: float,
        beta1: float, beta2: float, weight_decay: float, eps: float, amsgrad: bool, maximize: bool,
    ) -> Arrays:  # fmt: skip
        results = []
        for index, (parameter, grad) in enumerate(zip(self, grads, strict=True)):
            g = -grad if maximize else grad
            p = parameter * (1 - lr * weight_decay) if decoupled else parameter
            g = g if decoupled else g + weight_decay * parameter
            mean = beta1 * exp_avgs[index] + (1 - beta1) * g
            square = beta2 * exp_avg_sqs[index] + (1 - beta2) * g * g
            if amsgrad:
                square = np.maximum(square, max_exp_avg_sqs[index])
            corrected = np.sqrt(square / (1 - beta2**step))
            results.append((p - lr / (1 - beta1**step) * mean / (corrected + eps)).astype(parameter.dtype))
        return results

    return reference


def _refusals(count: int, numbers: dict[str, Any]) -> tuple[Refusal, ...]:
    good, short, other = [np.zeros(3)], [], [np.zeros(4)]
    rest = [[np.zeros(3)]] * (count - 2)
    return (
        Refusal((good + good, good, *rest), RuntimeError, "one tensor per parameter", numbers, in_torch=False),
        Refusal((good, other, *rest), RuntimeError, "the parameter's shape and dtype", numbers, in_torch=False),
        Refusal(
            ([np.zeros(3, np.int64)], short, *([[]] * (count - 2))),
            RuntimeError,
            "floating-point",
            numbers,
            in_torch=False,
        ),
    )


_SGD = {
    "weight_decay": 0.0, "momentum": 0.0, "lr": 0.1, "dampening": 0.0, "nesterov": False, "maximize": False,
    "is_first_step": True,
}  # fmt: skip
_ADAM = {
    "step": 1, "lr": 0.1, "beta1": 0.9, "beta2": 0.9, "weight_decay": 0.0, "eps": 1e-8, "amsgrad": False, "maximize": False,
}  # fmt: skip


def _no_torch(*args: Any, **kwargs: Any) -> None:
    """ATen's own takes the step as tensors; torch.optim is compared in tests/client/test_optim.py instead."""


SAMPLES: list[Sample] = [
    Sample("_fused_sgd_", _sgd, _sgd_cases, _refusals(3, _SGD), torch=_no_torch),
    Sample("_fused_adam_", _adam(False), _adam_cases, _refusals(5, _ADAM), torch=_no_torch),
    Sample("_fused_adamw_", _adam(True), _adam_cases, _refusals(5, _ADAM), torch=_no_torch),
]
