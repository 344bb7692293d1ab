"""Dropout: its masks are drawn on the worker, from counters of the client's generator."""

from __future__ import annotations

import warnings

from gradwire import functions, random
from gradwire.tensor import Tensor

__all__ = [
    "alpha_dropout", "check_dropout_probability", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout",
]  # fmt: skip


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


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each channel with probability `p` and scale the rest by 1 / (1 - p), if `training`: (N, C, L) or (C, L)."""
    check_dropout_probability(p)
    ndim = input.dim()
    if ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {ndim}D input. Note that dropout1d exists to provide "
            "channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional batch "
            "dimension (i.e. 2D or 3D inputs)."
        )
    return _channels(input, p, training, inplace, batched=ndim == 3)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each channel `input[n, c]` with probability `p` and scale the rest by 1 / (1 - p), if `training`.

    As in PyTorch, (C, H, W) is taken for (N, C, L), with a warning.
    """
    check_dropout_probability(p)
    _check_axes("dropout2d", input.dim(), 2)
    if input.dim() == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is desired - "
            "input is interpreted as shape (N, C, L), where C is the channel dim. This behavior will change in a future "
            "release to interpret the input as one without a batch dimension, i.e. shape (C, H, W). To maintain the 1D "
            "channel-wise dropout behavior, please switch to using dropout1d instead.",
            stacklevel=2,
        )
    return _channels(input, p, training, inplace, batched=True)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each channel with probability `p` and scale the rest, if `training`: (N, C, D, H, W) or (C, D, H, W)."""
    check_dropout_probability(p)
    _check_axes("dropout3d", input.dim(), 3)
    return _channels(input, p, training, inplace, batched=input.dim() == 5)


def _check_axes(name: str, ndim: int, spatial: int) -> None:
    """Warn of a number of axes for which PyTorch's name does not stand."""
    if ndim not in (spatial + 1, spatial + 2):
        warnings.warn(
            f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in an error in a future "
            f"release. To retain the behavior and silence this warning, please use dropout instead. Note that {name} "
            f"exists to provide channel-wise dropout on inputs with {spatial} spatial dimensions, a channel dimension, "
            f"and an optional batch dimension (i.e. {spatial + 1}D or {spatial + 2}D inputs).",
            stacklevel=3,
        )


def _channels(input: Tensor, p: float, training: bool, inplace: bool, batched: bool) -> Tensor:
    drop = functions.feature_dropout_ if inplace else functions.feature_dropout
    if batched:
        return drop(input, p, training)
    if inplace:
        # The view is written; the input itself is what a caller holds on to.
        drop(input.unsqueeze(0), p, training)
        return input
    return drop(input.unsqueeze(0), p, training).squeeze(0)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Set elements to SELU's lowest value with probability `p`; scale and shift so that mean and variance stay."""
    check_dropout_probability(p)
    return (functions.alpha_dropout_ if inplace else functions.alpha_dropout)(input, p, training)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Do what `alpha_dropout` does, to whole channels `input[n, c]`."""
    check_dropout_probability(p)
    return (functions.feature_alpha_dropout_ if inplace else functions.feature_alpha_dropout)(input, p, training)
