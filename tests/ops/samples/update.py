"""Samples of the update family. References: the update rules of torch.optim's documentation, in plain numpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Arrays = list[np.ndarray[Any, Any]]


def numbers(value: float) -> Arrays:
    """Return the 0-dim arrays that hold a number for each of the parameters of `lists`."""
    return [np.asarray(value, np.float32) for _ in range(5)]


def lists(rng: np.random.Generator, count: int, dtype: Any) -> list[Arrays]:
    """Return so many lists of five arrays: of several ranks, empty, and of more than one block."""
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
            parameters, grads, buffers = lists(rng, 3, dtype)
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
            arrays = lists(rng, 5, dtype)
            yield Case(
                (*arrays[:4], arrays[4] if amsgrad else [], numbers(step - 1)),
                {
                    "step": step, "lr": 0.01, "beta1": 0.9, "beta2": 0.99, "weight_decay": decay, "eps": 1e-8,
                    "amsgrad": amsgrad, "maximize": maximize,
                },
                differentiable=False,
            )  # fmt: skip


def _adam(decoupled: bool) -> Any:
    def reference(
        self: Arrays, grads: Arrays, exp_avgs: Arrays, exp_avg_sqs: Arrays, max_exp_avg_sqs: Arrays, state_steps: Arrays,
        step: int, lr: float, beta1: float, beta2: float, weight_decay: float, eps: float, amsgrad: bool, maximize: bool,
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


def refusals(kept: int, counts: int, options: dict[str, Any]) -> tuple[Refusal, ...]:
    """Return what an update with so many lists of the parameters' shapes and of numbers refuses."""
    good, other, rest = [np.zeros(3)], [np.zeros(4)], [[np.zeros(3)]] * kept
    steps = [[np.zeros((), np.float32)]] * counts
    made = [
        ((good + good, good, *rest, *steps), "one tensor per parameter"),
        ((good, other, *rest, *steps), "the parameter's shape and dtype"),
        (([np.zeros(3, np.int64)], *([[]] * (kept + counts + 1))), "floating-point"),
    ]
    if counts:
        made.append(((good, good, *rest, *([good] * counts)), "0-dim tensors of float32 or float64"))
    return tuple(Refusal(args, RuntimeError, words, options, in_torch=False) for args, words in made)


_SGD = {
    "weight_decay": 0.0, "momentum": 0.0, "lr": 0.1, "dampening": 0.0, "nesterov": False, "maximize": False,
    "is_first_step": True,
}  # fmt: skip
_ADAM = {
    "step": 1, "lr": 0.1, "beta1": 0.9, "beta2": 0.9, "weight_decay": 0.0, "eps": 1e-8, "amsgrad": False, "maximize": False,
}  # fmt: skip


def no_torch(*args: Any, **kwargs: Any) -> None:
    """ATen's own takes the step as tensors; torch.optim is compared in tests/client/test_optim_parity.py instead."""


SAMPLES: list[Sample] = [
    Sample("_fused_sgd_", _sgd, _sgd_cases, refusals(1, 0, _SGD), torch=no_torch),
    Sample("_fused_adam_", _adam(False), _adam_cases, refusals(3, 1, _ADAM), torch=no_torch),
    Sample("_fused_adamw_", _adam(True), _adam_cases, refusals(3, 1, _ADAM), torch=no_torch),
]
