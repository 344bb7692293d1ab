"""Cross entropy of the scores of a linear layer, of all of them at once or part by part."""

from __future__ import annotations

import math
import warnings
from typing import Any, cast

from gradwire.nn.functional.linear import linear
from gradwire.nn.functional.loss import cross_entropy
from gradwire.tensor import Tensor
from gradwire_protocol.dtypes import int64
from gradwire_protocol.ops import OPS

__all__ = ["linear_cross_entropy"]


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """Return `cross_entropy` of the scores `linear(input, linear_weight, linear_bias)`.

    (N, D) or (D,) with a weight (C, *, D) and a bias (C, *) -> scores (N, C, *). With `options`, a
    `LinearCrossEntropyOptions`, and targets that are indices of classes of a weight (C, D), part by part of N.
    """
    _check(input, linear_weight, linear_bias)
    width, sizes = input.shape[-1], tuple(linear_weight.shape[:-1])
    scores_shape = (*input.shape[:-1], *sizes)
    if tuple(target.shape) == scores_shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    ignored = -100 if ignore_index is None else ignore_index
    if options is not None and _can_be_cut(reduction, label_smoothing, target, sizes, linear_bias):
        return _in_parts(input, linear_weight, target, linear_bias, weight, reduction, ignored, options)
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    scores = linear(input, linear_weight.reshape(math.prod(sizes), width), bias).reshape(scores_shape)
    return cross_entropy(
        scores, target, weight, ignore_index=ignored, reduction=reduction, label_smoothing=label_smoothing
    )


def _check(input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None) -> None:
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}")
    if input.shape[-1] != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {linear_weight.shape[-1]}, respectively"
        )
    sizes = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != sizes:
        raise RuntimeError(f"expected linear_bias shape {sizes}, got {tuple(linear_bias.shape)}")
    if len(sizes) > 1 and input.dim() == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires batched input, (N, "
            f"{input.shape[-1]}), got unbatched input with shape {tuple(input.shape)}"
        )


def _can_be_cut(
    reduction: str, label_smoothing: float, target: Tensor, sizes: tuple[int, ...], linear_bias: Tensor | None
) -> bool:
    """Return whether the loss can be computed part by part; warn, as PyTorch, where it cannot."""
    known = reduction in ("mean", "sum", "none")
    if known and not label_smoothing and target.dtype is int64 and len(sizes) == 1:
        return True
    warnings.warn(
        "linear_cross_entropy: ``options`` ignored; chunked path needs reduction in {'mean','sum','none'}, label_smoothing "
        f"== 0, target.dtype == int64, out_features == (). Got reduction={reduction!r}, label_smoothing={label_smoothing}, "
        f"target.dtype={target.dtype!r}, out_features={sizes[1:]}, tracing=False, linear_bias.shape="
        f"{None if linear_bias is None else tuple(linear_bias.shape)}.",
        stacklevel=3,
    )
    return False


def _in_parts(
    input: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Tensor | None, weight: Tensor | None,
    reduction: str, ignored: int, options: Any,
) -> Tensor:  # fmt: skip
    """Compute the scores of a part, their loss, and nothing to keep: the backward computes them again."""
    from gradwire.utils.checkpoint import checkpoint  # needs autograd, which needs nn

    rows, targets = (input, target) if input.dim() == 2 else (input.unsqueeze(0), target.unsqueeze(0))
    if targets.dim() != 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if len(targets) != len(rows):
        raise RuntimeError(f"Expected input batch_size ({len(rows)}) to match target batch_size ({len(targets)}).")
    dtype = options.computed_in(input.dtype)
    size = options.chunk_rows(len(rows), rows.shape[1], linear_weight.shape[0], input.dtype, input.device.type)
    class_weight = None if weight is None else weight.detach().to(dtype)
    part_reduction = "none" if reduction == "none" else "sum"

    def part_loss(part: Tensor, matrix: Tensor, bias: Tensor | None, part_targets: Tensor) -> Tensor:
        scores = linear(part.to(dtype), matrix.to(dtype), None if bias is None else bias.to(dtype))
        return cross_entropy(scores, part_targets, class_weight, ignore_index=ignored, reduction=part_reduction)

    losses: list[Any] = [
        checkpoint(
            part_loss, part, linear_weight, linear_bias, part_targets, use_reentrant=False, preserve_rng_state=False
        )
        for part, part_targets in zip(rows.split(size), targets.split(size), strict=True)
    ]
    result: Tensor
    if reduction == "none":
        result = OPS["cat"](losses, 0)
        result = result if input.dim() == 2 else result.squeeze(0)
    else:
        result = sum(losses[1:], start=losses[0])
        if reduction == "mean":
            result = result / _weight_of(targets, class_weight, ignored, result)
    return cast("Tensor", result.to(input.dtype))


def _weight_of(targets: Tensor, class_weight: Tensor | None, ignored: int, like: Tensor) -> Tensor:
    """Return the sum of the weights of the targets that count."""
    counted: Tensor = targets != ignored
    if class_weight is None:
        weights = counted.to(like.dtype)
    else:
        weights = class_weight.index_select(0, targets.where(counted, 0)).where(counted, 0)
    return cast("Tensor", weights.sum())
