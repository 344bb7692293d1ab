"""Kernels of the fused optimizer updates.

Blocks that fit in cache, ufuncs with `out=`, and scratch memory made before the first write: once writing begins nothing
allocates, so an update is whole or does not happen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from gradwire_server.rules import kernel

Array = Any

# Elements. Five float32 arrays of this size stay in a 1 MiB second-level cache.
_BLOCK = 32_768


def _rows(arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Return the arrays of one parameter as flat views, or as they are where one cannot be flattened without a copy."""
    if all(array.flags.c_contiguous for array in arrays):
        return tuple(array.reshape(-1) for array in arrays)
    return tuple(arrays)


def _blocks(rows: Sequence[Array]) -> Iterator[tuple[Array, ...]]:
    if rows[0].ndim != 1:
        yield tuple(rows)
        return
    for start in range(0, rows[0].size, _BLOCK):
        yield tuple(row[start : start + _BLOCK] for row in rows)


def _scratch(xp: Any, arrays: Sequence[Array], count: int) -> dict[Any, list[Array]]:
    """Return `count` scratch arrays per dtype, large enough for any block of `arrays`."""
    sizes: dict[Any, int] = {}
    for array in arrays:
        block = min(array.size, _BLOCK) if array.flags.c_contiguous else array.size
        sizes[array.dtype] = max(sizes.get(array.dtype, 0), block)
    return {dtype: [xp.empty(size, dtype) for _ in range(count)] for dtype, size in sizes.items()}


def _like(scratch: Array, block: Array) -> Array:
    return scratch[: block.size].reshape(block.shape)


def _descent(xp: Any, grad: Array, parameter: Array, weight_decay: float, maximize: bool, out: Array) -> Array:
    """Return the gradient to follow: negated to maximise, with the L2 penalty's part added."""
    if weight_decay == 0:
        return xp.negative(grad, out=out) if maximize else grad
    xp.multiply(parameter, weight_decay, out=out)
    return xp.subtract(out, grad, out=out) if maximize else xp.add(out, grad, out=out)


@kernel("_fused_sgd_")
def fused_sgd(
    xp: Any, self: Sequence[Array], grads: Sequence[Array], momentum_buffer_list: Sequence[Array], weight_decay: float,
    momentum: float, lr: float, dampening: float, nesterov: bool, maximize: bool, is_first_step: bool,
) -> None:  # fmt: skip
    """Update by stochastic gradient descent with momentum, as torch.optim.SGD documents it."""
    scratch = _scratch(xp, self, 2)
    for index, parameter in enumerate(self):
        arrays = [parameter, grads[index]]
        if momentum != 0:
            arrays.append(momentum_buffer_list[index])
        for block in _blocks(_rows(arrays)):
            p = block[0]
            first, second = (_like(held, p) for held in scratch[p.dtype])
            step = _descent(xp, block[1], p, weight_decay, maximize, first)
            if momentum != 0:
                step = _momentum(xp, step, block[2], momentum, dampening, nesterov, is_first_step, second)
            xp.subtract(p, xp.multiply(step, lr, out=second), out=p)


def _momentum(
    xp: Any,
    step: Array,
    buffer: Array,
    momentum: float,
    dampening: float,
    nesterov: bool,
    is_first_step: bool,
    out: Array,
) -> Array:
    if is_first_step:
        buffer[...] = step
    else:
        xp.multiply(buffer, momentum, out=buffer)
        xp.add(buffer, step if dampening == 0 else xp.multiply(step, 1 - dampening, out=out), out=buffer)
    return xp.add(step, xp.multiply(buffer, momentum, out=out), out=out) if nesterov else buffer


@kernel("_fused_adam_")
def fused_adam(xp: Any, self: Sequence[Array], grads: Sequence[Array], *rest: Any) -> None:
    """Update by Adam (Kingma and Ba, 2015), the weight decay added to the gradient."""
    _adam(xp, self, grads, *rest, decoupled=False)


@kernel("_fused_adamw_")
def fused_adamw(xp: Any, self: Sequence[Array], grads: Sequence[Array], *rest: Any) -> None:
    """Update by AdamW (Loshchilov and Hutter, 2019): the weight decay shrinks the parameter itself."""
    _adam(xp, self, grads, *rest, decoupled=True)


def _adam(
    xp: Any, self: Sequence[Array], grads: Sequence[Array], exp_avgs: Sequence[Array], exp_avg_sqs: Sequence[Array],
    max_exp_avg_sqs: Sequence[Array], step: int, lr: float, beta1: float, beta2: float, weight_decay: float, eps: float,
    amsgrad: bool, maximize: bool, *, decoupled: bool,
) -> None:  # fmt: skip
    scratch = _scratch(xp, self, 2)
    step_size = lr / (1 - beta1**step)
    correction = math.sqrt(1 - beta2**step)
    for index, parameter in enumerate(self):
        arrays = [parameter, grads[index], exp_avgs[index], exp_avg_sqs[index]]
        if amsgrad:
            arrays.append(max_exp_avg_sqs[index])
        for block in _blocks(_rows(arrays)):
            p, mean, square = block[0], block[2], block[3]
            first, second = (_like(held, p) for held in scratch[p.dtype])
            if decoupled:
                xp.multiply(p, 1 - lr * weight_decay, out=p)
            g = _descent(xp, block[1], p, 0.0 if decoupled else weight_decay, maximize, first)
            _moments(xp, g, mean, square, beta1, beta2, second)
            if amsgrad:
                square = xp.maximum(block[4], square, out=block[4])
            denominator = xp.sqrt(square, out=first)
            denominator = xp.add(xp.divide(denominator, correction, out=first), eps, out=first)
            xp.divide(mean, denominator, out=first)
            xp.subtract(p, xp.multiply(first, step_size, out=first), out=p)


def _moments(xp: Any, g: Array, mean: Array, square: Array, beta1: float, beta2: float, out: Array) -> None:
    """Move the running mean and mean square towards `g` and its square."""
    xp.subtract(g, mean, out=out)
    xp.add(mean, xp.multiply(out, 1 - beta1, out=out), out=mean)
    xp.multiply(g, g, out=out)
    xp.multiply(out, 1 - beta2, out=out)
    xp.multiply(square, beta2, out=square)
    xp.add(square, out, out=square)
