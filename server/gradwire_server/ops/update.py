"""Kernels of the fused optimizer updates by SGD, Adam and AdamW; the others are in `update_adaptive`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradwire_server.native.updates import update_small
from gradwire_server.ops.update_blocks import (
    average,
    average_square,
    block_loops,
    blocks,
    descent,
    fill,
    flat,
    shrink,
)
from gradwire_server.rules import kernel

Array = Any
Arrays = Sequence[Array]


@kernel("_fused_sgd_")
def fused_sgd(
    xp: Any, self: Arrays, grads: Arrays, momentum_buffer_list: Arrays, weight_decay: float, momentum: float, lr: float,
    dampening: float, nesterov: bool, maximize: bool, is_first_step: bool,
) -> None:  # fmt: skip
    """Update by stochastic gradient descent with momentum, as torch.optim.SGD documents it."""
    buffers = momentum_buffer_list if momentum != 0 else ()
    usual = momentum != 0 and dampening == 0 and not (nesterov or maximize or is_first_step)
    if usual and update_small(xp, "momentum", (self, grads, buffers), (momentum, lr, weight_decay)):
        return
    for p, grad, *buffer, first, second in blocks(xp, self, grads, buffers, scratch=2):
        loops = block_loops(xp, p, grad, *buffer) if usual else None
        if loops is not None:
            loops.momentum(*flat(p, grad, buffer[0]), xp.asarray((momentum, lr, weight_decay), p.dtype))
            continue
        step = descent(xp, grad, p, weight_decay, maximize, first)
        if buffer:
            step = _momentum(xp, step, buffer[0], momentum, dampening, nesterov, is_first_step, second)
        xp.subtract(p, xp.multiply(step, lr, out=second), out=p)


def _momentum(
    xp: Any, step: Array, buffer: Array, momentum: float, dampening: float, nesterov: bool, is_first_step: bool,
    out: Array,
) -> Array:  # fmt: skip
    if is_first_step:
        buffer[...] = step
    else:
        xp.multiply(buffer, momentum, out=buffer)
        xp.add(buffer, step if dampening == 0 else xp.multiply(step, 1 - dampening, out=out), out=buffer)
    return xp.add(step, xp.multiply(buffer, momentum, out=out), out=out) if nesterov else buffer


@kernel("_fused_adam_")
def fused_adam(xp: Any, *arguments: Any) -> None:
    """Update by Adam (Kingma and Ba, 2015), the weight decay added to the gradient."""
    _adam(xp, *arguments, decoupled=False)


@kernel("_fused_adamw_")
def fused_adamw(xp: Any, *arguments: Any) -> None:
    """Update by AdamW (Loshchilov and Hutter, 2019): the weight decay shrinks the parameter itself."""
    _adam(xp, *arguments, decoupled=True)


def adam_numbers(
    step: int, lr: float, beta1: float, beta2: float, decay: float, eps: float
) -> tuple[float, float, float, float, float, float, float]:
    """Return what the rule "adam" of `update_small` is told; `decay` shrinks the parameter itself."""
    step_size, correction = lr / (1 - beta1**step), math.sqrt(1 - beta2**step)
    return 1 - lr * decay, 1 - beta1, beta2, 1 - beta2, correction, eps, step_size


def _adam(
    xp: Any, self: Arrays, grads: Arrays, exp_avgs: Arrays, exp_avg_sqs: Arrays, max_exp_avg_sqs: Arrays,
    state_steps: Arrays, step: int, lr: float, beta1: float, beta2: float, weight_decay: float, eps: float, amsgrad: bool,
    maximize: bool, *, decoupled: bool,
) -> None:  # fmt: skip
    numbers = adam_numbers(step, lr, beta1, beta2, weight_decay if decoupled else 0.0, eps)
    correction, step_size = numbers[4], numbers[6]
    largest = max_exp_avg_sqs if amsgrad else ()
    usual = not (amsgrad or maximize or (weight_decay and not decoupled))
    if usual and update_small(xp, "adam", (self, grads, exp_avgs, exp_avg_sqs), numbers):
        fill(state_steps, step)
        return
    for p, grad, mean, square, *top, first, second in blocks(
        xp, self, grads, exp_avgs, exp_avg_sqs, largest, scratch=2
    ):
        loops = block_loops(xp, p, grad, mean, square) if usual else None
        if loops is not None:
            loops.adam(*flat(p, grad, mean, square), xp.asarray(numbers, p.dtype))
            continue
        if decoupled:
            shrink(xp, p, lr, weight_decay)
        g = descent(xp, grad, p, 0.0 if decoupled else weight_decay, maximize, first)
        average(xp, g, mean, 1 - beta1, second)
        average_square(xp, g, square, beta2, second)
        if top:
            square = xp.maximum(top[0], square, out=top[0])
        denominator = xp.sqrt(square, out=first)
        denominator = xp.add(xp.divide(denominator, correction, out=first), eps, out=first)
        xp.divide(mean, denominator, out=first)
        xp.subtract(p, xp.multiply(first, step_size, out=first), out=p)
    fill(state_steps, step)
