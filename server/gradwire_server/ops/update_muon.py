"""Kernel of the fused update by Muon, which makes the momentum of a matrix orthogonal before it steps along it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradwire_server.rules import kernel

Array = Any
Arrays = Sequence[Array]


@kernel("_fused_muon_")
def fused_muon(
    xp: Any, self: Arrays, grads: Arrays, momentum_buffers: Arrays, lr: float, weight_decay: float, momentum: float,
    a: float, b: float, c: float, eps: float, nesterov: bool, ns_steps: int, adjust_lr_fn: str,
) -> None:  # fmt: skip
    """Update by Muon (Jordan, 2024). All results are made before the first is written, so that an update is whole."""
    written: list[tuple[Array, Array]] = []
    for p, grad, buffer in zip(self, grads, momentum_buffers, strict=True):
        mean = buffer + (grad - buffer) * (1 - momentum)
        update = mean + (grad - mean) * (1 - momentum) if nesterov else mean
        direction = _orthogonal(xp, update, (a, b, c), eps, ns_steps).astype(p.dtype)
        moved = p * (1 - lr * weight_decay) - direction * (lr * _ratio(adjust_lr_fn, *p.shape))
        written += [(buffer, mean), (p, moved)]
    for target, value in written:
        target[...] = value


def _ratio(adjust_lr_fn: str, rows: int, columns: int) -> float:
    """Return what the learning rate of a matrix is multiplied by."""
    if adjust_lr_fn == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))


def _orthogonal(xp: Any, matrix: Array, coefficients: tuple[float, float, float], eps: float, steps: int) -> Array:
    """Return the nearest orthogonal matrix, nearly, by Newton-Schulz steps of fifth order.

    As in PyTorch each result is rounded to bfloat16, which the method is made to bear.
    """
    a, b, c = coefficients
    is_tall = matrix.shape[0] > matrix.shape[1]
    found = _bfloat16(xp, matrix.T if is_tall else matrix)
    norm = _bfloat16(xp, xp.sqrt(xp.sum(xp.multiply(found, found))))
    found = _bfloat16(xp, found / xp.maximum(norm, eps))
    for _ in range(steps):
        gram = _bfloat16(xp, found @ found.T)
        gram = _bfloat16(xp, gram * b + (gram @ gram) * c)
        found = _bfloat16(xp, found * a + gram @ found)
    return found.T if is_tall else found


def _bfloat16(xp: Any, array: Array) -> Array:
    """Return float32 numbers that bfloat16 can hold: the upper half of the bits, rounded to even."""
    bits = xp.ascontiguousarray(xp.asarray(array, dtype=xp.float32)).view(xp.uint32)
    odd = xp.bitwise_and(xp.right_shift(bits, 16), 1)
    return xp.bitwise_and(bits + odd + 0x7FFF, 0xFFFF0000).view(xp.float32)
