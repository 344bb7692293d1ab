"""Kernels of the fused optimizer updates that scale each element's step: formulas as torch.optim documents them.

As in `update`, nothing allocates once writing has begun; Adafactor, whose factors are sums, makes all results first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradwire_server.ops.update_blocks import average, average_square, blocks, descent, fill, shrink
from gradwire_server.rules import kernel

Array = Any
Arrays = Sequence[Array]


@kernel("_fused_nadam_")
def fused_nadam(
    xp: Any, self: Arrays, grads: Arrays, exp_avgs: Arrays, exp_avg_sqs: Arrays, mu_products: Arrays, state_steps: Arrays,
    step: int, lr: float, beta1: float, beta2: float, weight_decay: float, eps: float, mu: float, mu_next: float,
    mu_product: float, decoupled_weight_decay: bool, maximize: bool,
) -> None:  # fmt: skip
    """Update by Adam with Nesterov momentum (Dozat, 2016)."""
    correction = 1 - beta2**step
    by_grad = lr * (1 - mu) / (1 - mu_product)
    by_mean = lr * mu_next / (1 - mu_product * mu_next)
    added = 0.0 if decoupled_weight_decay else weight_decay
    for p, grad, mean, square, first, second, third in blocks(xp, self, grads, exp_avgs, exp_avg_sqs, scratch=3):
        if decoupled_weight_decay:
            shrink(xp, p, lr, weight_decay)
        g = descent(xp, grad, p, added, maximize, first)
        average(xp, g, mean, 1 - beta1, second)
        average_square(xp, g, square, beta2, second)
        denominator = xp.sqrt(xp.divide(square, correction, out=second), out=second)
        xp.add(denominator, eps, out=second)
        for direction, size in ((g, by_grad), (mean, by_mean)):
            xp.divide(xp.multiply(direction, size, out=third), denominator, out=third)
            xp.subtract(p, third, out=p)
    fill(mu_products, mu_product)
    fill(state_steps, step)


@kernel("_fused_radam_")
def fused_radam(
    xp: Any, self: Arrays, grads: Arrays, exp_avgs: Arrays, exp_avg_sqs: Arrays, state_steps: Arrays, step: int, lr: float,
    beta1: float, beta2: float, weight_decay: float, eps: float, decoupled_weight_decay: bool, maximize: bool,
) -> None:  # fmt: skip
    """Update by rectified Adam (Liu et al., 2020): scaled by the mean square only once its variance is known to exist."""
    correction = 1 - beta2**step
    rectifier = _rectifier(step, beta2)
    added = 0.0 if decoupled_weight_decay else weight_decay
    for p, grad, mean, square, first, second in blocks(xp, self, grads, exp_avgs, exp_avg_sqs, scratch=2):
        if decoupled_weight_decay:
            shrink(xp, p, lr, weight_decay)
        g = descent(xp, grad, p, added, maximize, first)
        average(xp, g, mean, 1 - beta1, second)
        average_square(xp, g, square, beta2, second)
        xp.multiply(xp.divide(mean, 1 - beta1**step, out=first), lr, out=first)
        if rectifier is not None:
            xp.add(xp.sqrt(square, out=second), eps, out=second)
            xp.multiply(first, xp.divide(math.sqrt(correction), second, out=second), out=first)
            xp.multiply(first, rectifier, out=first)
        xp.subtract(p, first, out=p)
    fill(state_steps, step)


def _rectifier(step: int, beta2: float) -> float | None:
    """Return the variance's rectification, or None while the averaged length is too short for one."""
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * step * beta2**step / (1 - beta2**step)
    if length <= 5:
        return None
    return math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))


@kernel("_fused_adamax_")
def fused_adamax(
    xp: Any, self: Arrays, grads: Arrays, exp_avgs: Arrays, exp_infs: Arrays, state_steps: Arrays, step: int, lr: float,
    beta1: float, beta2: float, weight_decay: float, eps: float, maximize: bool,
) -> None:  # fmt: skip
    """Update by Adam with the infinity norm (Kingma and Ba, 2015)."""
    step_size = lr / (1 - beta1**step)
    for p, grad, mean, largest, first, second in blocks(xp, self, grads, exp_avgs, exp_infs, scratch=2):
        g = descent(xp, grad, p, weight_decay, maximize, first)
        average(xp, g, mean, 1 - beta1, second)
        xp.multiply(largest, beta2, out=largest)
        xp.add(xp.absolute(g, out=second), eps, out=second)
        xp.maximum(largest, second, out=largest)
        xp.divide(xp.multiply(mean, step_size, out=first), largest, out=first)
        xp.subtract(p, first, out=p)
    fill(state_steps, step)


@kernel("_fused_adagrad_")
def fused_adagrad(
    xp: Any, self: Arrays, grads: Arrays, state_sums: Arrays, state_steps: Arrays, step: int, lr: float, lr_decay: float,
    weight_decay: float, eps: float, maximize: bool,
) -> None:  # fmt: skip
    """Update by the gradient over the root of the sum of all squares (Duchi et al., 2011)."""
    step_size = lr / (1 + (step - 1) * lr_decay)
    for p, grad, total, first, second in blocks(xp, self, grads, state_sums, scratch=2):
        g = descent(xp, grad, p, weight_decay, maximize, first)
        xp.add(total, xp.multiply(g, g, out=second), out=total)
        xp.add(xp.sqrt(total, out=second), eps, out=second)
        xp.divide(xp.multiply(g, step_size, out=first), second, out=first)
        xp.subtract(p, first, out=p)
    fill(state_steps, step)


@kernel("_fused_adadelta_")
def fused_adadelta(
    xp: Any, self: Arrays, grads: Arrays, square_avgs: Arrays, acc_deltas: Arrays, state_steps: Arrays, step: int,
    lr: float, rho: float, eps: float, weight_decay: float, maximize: bool,
) -> None:  # fmt: skip
    """Update by the gradient, scaled to the size of past updates (Zeiler, 2012)."""
    for p, grad, square, delta, first, second, third in blocks(xp, self, grads, square_avgs, acc_deltas, scratch=3):
        g = descent(xp, grad, p, weight_decay, maximize, first)
        average_square(xp, g, square, rho, second)
        xp.sqrt(xp.add(square, eps, out=second), out=second)
        xp.sqrt(xp.add(delta, eps, out=third), out=third)
        xp.divide(third, second, out=second)
        update = xp.multiply(second, g, out=first)
        average_square(xp, update, delta, rho, second)
        xp.subtract(p, xp.multiply(update, lr, out=first), out=p)
    fill(state_steps, step)


@kernel("_fused_rmsprop_")
def fused_rmsprop(
    xp: Any, self: Arrays, grads: Arrays, square_avgs: Arrays, grad_avgs: Arrays, momentum_buffer_list: Arrays,
    state_steps: Arrays, step: int, lr: float, alpha: float, eps: float, weight_decay: float, momentum: float,
    centered: bool, maximize: bool,
) -> None:  # fmt: skip
    """Update by the gradient over the root of a running mean of its squares (Hinton), `centered` over its deviation."""
    means = grad_avgs if centered else ()
    buffers = momentum_buffer_list if momentum > 0 else ()
    for p, grad, square, *kept, first, second in blocks(xp, self, grads, square_avgs, means, buffers, scratch=2):
        g = descent(xp, grad, p, weight_decay, maximize, first)
        average_square(xp, g, square, alpha, second)
        if centered:
            average(xp, g, kept[0], 1 - alpha, second)
            xp.subtract(square, xp.multiply(kept[0], kept[0], out=second), out=second)
            xp.sqrt(second, out=second)
        else:
            xp.sqrt(square, out=second)
        xp.add(second, eps, out=second)
        if momentum > 0:
            buffer = kept[-1]
            xp.multiply(buffer, momentum, out=buffer)
            xp.add(buffer, xp.divide(g, second, out=second), out=buffer)
            xp.multiply(buffer, lr, out=second)
        else:
            xp.divide(xp.multiply(g, lr, out=first), second, out=second)
        xp.subtract(p, second, out=p)
    fill(state_steps, step)


@kernel("_fused_rprop_")
def fused_rprop(
    xp: Any, self: Arrays, grads: Arrays, prevs: Arrays, step_sizes: Arrays, state_steps: Arrays, step: int,
    step_size_min: float, step_size_max: float, etaminus: float, etaplus: float, maximize: bool,
) -> None:  # fmt: skip
    """Update by the gradient's sign; step sizes grow while it lasts and shrink where it turns (Riedmiller and Braun, 1993)."""
    masks = xp.empty(2 * max((array.size for array in self), default=0), bool)  # twice, for complex numbers
    for p, grad, prev, size, first, second in blocks(xp, self, grads, prevs, step_sizes, scratch=2):
        mask = masks[: p.size].reshape(p.shape)
        g = descent(xp, grad, p, 0.0, maximize, first)
        factor = xp.sign(xp.multiply(g, prev, out=second), out=second)
        for compare, value in ((xp.greater, etaplus), (xp.less, etaminus), (xp.equal, 1.0)):
            xp.copyto(factor, value, where=compare(factor, 0.0, out=mask))
        xp.clip(xp.multiply(size, factor, out=size), step_size_min, step_size_max, out=size)
        prev[...] = g
        xp.copyto(prev, 0.0, where=xp.equal(factor, etaminus, out=mask))
        xp.subtract(p, xp.multiply(xp.sign(prev, out=first), size, out=first), out=p)
    fill(state_steps, step)


@kernel("_fused_asgd_")
def fused_asgd(
    xp: Any, self: Arrays, grads: Arrays, axs: Arrays, mus: Arrays, etas: Arrays, state_steps: Arrays, step: int,
    lambd: float, weight_decay: float, eta: float, mu: float, next_eta: float, next_mu: float, maximize: bool,
) -> None:  # fmt: skip
    """Update by averaged stochastic gradient descent (Polyak and Juditsky, 1992)."""
    for p, grad, averaged, first in blocks(xp, self, grads, axs, scratch=1):
        g = descent(xp, grad, p, weight_decay, maximize, first)
        step_along = xp.multiply(g, eta, out=first)
        xp.subtract(xp.multiply(p, 1 - lambd * eta, out=p), step_along, out=p)
        if mu == 1:
            averaged[...] = p
        else:
            average(xp, p, averaged, mu, first)
    fill(etas, next_eta)
    fill(mus, next_mu)
    fill(state_steps, step)


@kernel("_fused_adafactor_")
def fused_adafactor(
    xp: Any, self: Arrays, grads: Arrays, row_vars: Arrays, col_vars: Arrays, variances: Arrays, state_steps: Arrays,
    step: int, lr: float, beta2_decay: float, eps1: float, eps2: float, d: float, weight_decay: float, maximize: bool,
) -> None:  # fmt: skip
    """Update by Adafactor (Shazeer and Stern, 2018): the mean square of a matrix is kept as a row and a column."""
    weight, limit = step**beta2_decay, min(lr, 1 / math.sqrt(step))
    kept = [variances] if variances else [row_vars, col_vars]
    written: list[tuple[Array, Array]] = []
    for p, grad, *factors in zip(self, grads, *kept, strict=True):
        if not p.size:
            continue
        g = xp.negative(grad) if maximize else grad
        new = [
            old + (_mean_square(xp, g, axis) - old) * weight
            for old, axis in zip(factors, (None,) if variances else (-1, -2), strict=True)
        ]
        update = g / xp.sqrt(xp.maximum(_estimate(xp, new, eps1), eps1 * eps1))
        size = xp.maximum(_root_mean_square(xp, p), eps2) * limit / xp.maximum(_root_mean_square(xp, update) / d, 1.0)
        moved = p * (1 - lr * weight_decay) - update * size.astype(p.dtype)
        written += [(p, moved), *zip(factors, new, strict=True)]
    for target, value in written:
        target[...] = value
    fill(state_steps, step)


def _mean_square(xp: Any, g: Array, axis: int | None) -> Array:
    squares = xp.multiply(g, g)
    return squares if axis is None else xp.mean(squares, axis=axis, keepdims=True)


def _estimate(xp: Any, factors: list[Array], eps1: float) -> Array:
    """Return the mean squares that the factors stand for."""
    if len(factors) == 1:
        return factors[0]
    row, column = factors
    return row * column / xp.maximum(xp.mean(row, axis=-2, keepdims=True), eps1)


def _root_mean_square(xp: Any, array: Array) -> Array:
    return xp.sqrt(xp.sum(xp.multiply(array, array), dtype=xp.float64) / array.size)
