"""Normalizations: by the moments of a batch, a sample's channels, a group of channels, or the last axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradwire.tensor import Tensor

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each channel: (N, C, *) -> (N, C, *), by the batch's moments in training, else by the running ones.

    In training the running statistics, if given, move by `momentum` towards the batch's mean and unbiased variance.
    """
    if training:
        _check_values_per_channel(input.shape)
    if training and eps <= 0.0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    return input.batch_norm(weight, bias, running_mean, running_var, training, momentum, eps)


def _check_values_per_channel(size: Sequence[int]) -> None:
    if math.prod((size[0], *size[2:])) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {size}")


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each channel of each sample: (N, C, *) -> (N, C, *)."""
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    return input.instance_norm(weight, bias, running_mean, running_var, use_input_stats, momentum, eps)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalize each of `num_groups` groups of channels of each sample: (N, C, *) -> (N, C, *)."""
    if input.dim() < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.dim()}")
    if num_groups > 0:
        _check_values_per_channel([input.size(0) * input.size(1) // num_groups, num_groups, *input.shape[2:]])
    return input.group_norm(num_groups, weight, bias, eps)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize over the last axes, whose sizes are `normalized_shape`."""
    return input.layer_norm(normalized_shape, weight, bias, eps)


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Divide by the root of the mean square over the last axes; `eps` is by default the epsilon of the dtype."""
    return input.rms_norm(normalized_shape, weight, eps)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Divide by (k + alpha * m)^beta, m the mean square of `size` neighbouring channels: (N, C, *), at least one axis *.

    Channels beyond the ends count as zeros (Krizhevsky et al., 2012; PyTorch divides alpha by `size`).
    """
    dim = input.dim()
    if dim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality                          input (got {dim} dimensions)")
    if input.numel() == 0:
        return input
    around = (*(0, 0) * (dim - 2), size // 2, (size - 1) // 2)
    square = input.mul(input).constant_pad_nd(around)
    windows: Any = square.narrow(1, 0, input.size(1))
    for start in range(1, size):
        windows = windows + square.narrow(1, start, input.size(1))
    rounding = None if input.is_floating_point() else "trunc"
    divisor = windows.div(size, rounding_mode=rounding).mul(alpha).add(k).pow(beta)
    normalized: Tensor = input / divisor
    return normalized


def normalize(input: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Tensor:
    """Divide by the p-norm along `dim`, or by `eps` where the norm is smaller."""
    norm: Any = input.norm(p, dim, keepdim=True)
    normalized: Tensor = input / norm.clamp_min(eps).expand_as(input)
    return normalized
