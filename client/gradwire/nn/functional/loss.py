"""Losses, and the words of their reductions."""

from __future__ import annotations

import warnings

from gradwire.tensor import Tensor

__all__ = [
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "reduction_number",
    "resolve_reduction",
]


# ATen's numbers of the reductions.
_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}


def resolve_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """Return the reduction that the two flags it replaced stand for, where one is given."""
    if size_average is None and reduce is None:
        return reduction
    reduction = "mean" if size_average in (None, True) else "sum"
    reduction = reduction if reduce in (None, True) else "none"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
        stacklevel=3,
    )
    return reduction


def reduction_number(reduction: str) -> int:
    """Return ATen's number of a reduction; raise ValueError for a word that names none."""
    if reduction not in _REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return _REDUCTIONS[reduction]


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return (input - target)^2, reduced."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    _warn_of_broadcast(input, target)
    return input.mse_loss(target, reduction_number(reduction))


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return |input - target|, reduced."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    _warn_of_broadcast(input, target)
    return input.l1_loss(target, reduction_number(reduction))


def _warn_of_broadcast(input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size"
            f" ({input.shape}). This will likely lead to incorrect results due to broadcasting."
            " Please ensure they have the same size.",
            stacklevel=3,
        )


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Return the binary cross entropy of the scores `input` with `target` in [0, 1], reduced.

    `weight` scales the loss of each element, `pos_weight` that of its positive part.
    """
    reduction = resolve_reduction(size_average, reduce, reduction)
    number = reduction_number(reduction)
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    return input.binary_cross_entropy_with_logits(target, weight, pos_weight, number)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return minus the log probability of each target class, reduced.

    (C,), () or (N, C, *), (N, *) -> 0-dim, or the target's shape with reduction "none". The mean
    is over the weights of the targets; targets equal to `ignore_index` count for nothing.
    """
    reduction = resolve_reduction(size_average, reduce, reduction)
    return input.nll_loss(target, weight, reduction_number(reduction), ignore_index)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the cross entropy of the scores `input` with `target`, reduced.

    `target` holds class indices as in `nll_loss`, or class probabilities in the shape of `input`.
    `label_smoothing` moves that share of each target evenly to all classes.
    """
    reduction = resolve_reduction(size_average, reduce, reduction)
    number = reduction_number(reduction)
    return input.cross_entropy_loss(target, weight, number, ignore_index, label_smoothing)
