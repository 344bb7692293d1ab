"""The relatives of `dropout`: of whole features, with SELU's statistics, in place.

Masks are drawn on the worker, from counters of the client's generator. A. Klambauer et al., 2017 (`alpha_dropout`).
"""

from __future__ import annotations

import math

from gradwire import random
from gradwire.tensor import Tensor
from gradwire_protocol.dtypes import bool_
from gradwire_protocol.registry import OPS

__all__ = [
    "alpha_dropout", "alpha_dropout_", "dropout_", "feature_alpha_dropout", "feature_alpha_dropout_", "feature_dropout",
    "feature_dropout_", "native_dropout",
]  # fmt: skip

# Minus SELU's value at -inf.
_ALPHA = 1.7580993408473766


def _noise(input: Tensor, p: float, feature: bool) -> Tensor:
    """Draw ones with probability 1 - p: one per element, or per feature of each sample."""
    if feature and input.dim() < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    shape = (*input.shape[:2], *(1,) * (input.dim() - 2)) if feature else input.shape
    return input.new_empty(tuple(shape)).bernoulli_(1 - p)  # type: ignore[no-any-return]


def _drop(input: Tensor, p: float, train: bool, inplace: bool, *, feature: bool, alpha: bool) -> Tensor:
    if p < 0 or p > 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")
    if p == 0 or not train or not input.numel():
        return input
    if p == 1:
        factor, shift = input.new_zeros(()), None
    elif alpha:
        noise = _noise(input, p, feature)
        a = 1 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
        factor, shift = noise * a, (noise - 1) * (_ALPHA * a) + _ALPHA * a * p
    else:
        factor, shift = _noise(input, p, feature) / (1 - p), None
    dropped: Tensor = input.mul_(factor) if inplace else input.mul(factor)
    if shift is None:
        return dropped
    return dropped.add_(shift)


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """Zero each element of `input` with probability `p` and scale the others by 1 / (1 - p), in place."""
    return _drop(input, p, train, True, feature=False, alpha=False)


def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Zero each feature, an `input[n, c]`, with probability `p` and scale the others by 1 / (1 - p)."""
    return _drop(input, p, train, False, feature=True, alpha=False)


def feature_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """Do the same as `feature_dropout`, in place."""
    return _drop(input, p, train, True, feature=True, alpha=False)


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Set elements to SELU's lowest value with probability `p`; scale and shift so that mean and variance stay."""
    return _drop(input, p, train, False, feature=False, alpha=True)


def alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """Do the same as `alpha_dropout`, in place."""
    return _drop(input, p, train, True, feature=False, alpha=True)


def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Do what `alpha_dropout` does, to whole features `input[n, c]`."""
    return _drop(input, p, train, False, feature=True, alpha=True)


def feature_alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """Do the same as `feature_alpha_dropout`, in place."""
    return _drop(input, p, train, True, feature=True, alpha=True)


def native_dropout(input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """Return `dropout(input, p)` and the mask of what was kept; without `train`, the input and a mask of all."""
    if train is False:
        return input, input.new_ones(tuple(input.shape), dtype=bool_)
    return OPS["gw::dropout"](input, float(p), *random.default_generator.take(input.numel()))  # type: ignore[no-any-return]
