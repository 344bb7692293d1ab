"""Dropout: its masks are drawn on the worker, from counters of the client's generator."""

from __future__ import annotations

from gradwire import random
from gradwire.tensor import Tensor

__all__ = ["check_dropout_probability", "dropout"]


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability `p` and scale the rest by 1 / (1 - p), if `training`."""
    check_dropout_probability(p)
    if not training:
        return input
    dropped = random.dropout(input, p, True)
    return input.copy_(dropped) if inplace and dropped is not input else dropped


def check_dropout_probability(p: float) -> None:
    """Raise ValueError unless `p` is a probability."""
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
