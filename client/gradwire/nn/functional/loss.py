"""Losses, and the words of their reductions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

from gradwire.autograd.grad_mode import no_grad
from gradwire.tensor import Tensor
from gradwire_protocol.infer import broadcast_shapes

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "ctc_loss", "gaussian_nll_loss",
    "huber_loss", "kl_div", "l1_loss", "mse_loss", "nll_loss", "poisson_nll_loss",
    "reduction_number", "resolve_reduction", "smooth_l1_loss",
]  # fmt: skip


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
    weight: Tensor | None = None,
) -> Tensor:
    """Return (input - target)^2, reduced; with a weight per element, its mean is over the weights."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    _warn_of_broadcast(input, target)
    if weight is not None:
        return _weighted((input - target).square(), weight, input, reduction, by_weight=True)
    return input.mse_loss(target, reduction_number(reduction))


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Return |input - target|, reduced; with a weight per element, its mean is over the weights."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    _warn_of_broadcast(input, target)
    if weight is not None:
        return _weighted((input - target).abs(), weight, input, reduction, by_weight=True)
    return input.l1_loss(target, reduction_number(reduction))


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Return d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, with d = input - target, reduced."""
    _warn_of_broadcast(input, target)
    number = reduction_number(resolve_reduction(size_average, reduce, reduction))
    return input.l1_loss(target, number) if beta == 0 else input.smooth_l1_loss(target, number, beta)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Return d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = input - target, reduced."""
    _warn_of_broadcast(input, target)
    if weight is not None:
        return _weighted(input.huber_loss(target, 0, delta), weight, input, reduction, by_weight=False)
    return input.huber_loss(target, reduction_number(reduction), delta)


def _weighted(loss: Tensor, weight: Tensor, input: Tensor, reduction: str, *, by_weight: bool) -> Tensor:
    """Weigh the losses of elements and reduce them."""
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    weighed: Tensor = loss * weight
    if reduction == "none":
        return weighed
    if reduction == "sum":
        return weighed.sum()
    if reduction != "mean":
        raise ValueError(f"Invalid reduction mode: {reduction}. Expected one of 'none', 'mean', 'sum'.")
    return weighed.sum() / weight.sum() if by_weight else weighed.mean()


def _warn_of_broadcast(input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size"
            f" ({input.shape}). This will likely lead to incorrect results due to broadcasting."
            " Please ensure they have the same size.",
            stacklevel=3,
        )


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return the binary cross entropy of the probabilities `input` with `target` in [0, 1], reduced; `weight` broadcasts."""
    number = reduction_number(resolve_reduction(size_average, reduce, reduction))
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. "
            "Please ensure they have the same size."
        )
    if weight is not None:
        weight = weight.expand(broadcast_shapes(target.shape, weight.shape))
    return input.binary_cross_entropy(target, weight, number)


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


# ---------------------------------------------------------------- of distributions
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Return target * (log(target) - input), reduced; "batchmean" divides the sum by `input.shape[0]`.

    `input` holds logarithms of probabilities, and with `log_target` so does `target`.
    """
    if size_average is not None or reduce is not None:
        number = reduction_number(resolve_reduction(size_average, reduce, reduction))
    else:
        if reduction == "mean":
            warnings.warn(
                "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides "
                "only by the batch size, and aligns with the KL div math definition.'mean' will be changed to behave the "
                "same as 'batchmean' in the next major release.",
                stacklevel=2,
            )
        number = reduction_number("sum" if reduction == "batchmean" else reduction)
    loss: Tensor = input.kl_div(target, number, log_target=log_target)
    return loss / input.shape[0] if reduction == "batchmean" and input.dim() else loss


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return the negative log likelihood of counts `target`, of rate exp(input), or `input` without `log_input`.

    `full` adds Stirling's approximation of log(target!).
    """
    number = reduction_number(resolve_reduction(size_average, reduce, reduction))
    loss: Tensor = input.poisson_nll_loss(target, log_input, full, eps, number)
    return loss


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Return (log(var) + (input - target)^2 / var) / 2, reduced; `full` adds log(2 pi) / 2.

    The variance counts as at least `eps`. Waits for whether an element of it is negative.
    """
    if var < 0 if isinstance(var, float) else var.lt(0).any().item():
        raise ValueError("var has negative entry/entries")
    spread = input.ones_like() * var if isinstance(var, float) else _fitted(var, input)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    spread = spread.clone()
    with no_grad():  # so that the gradient of the variance passes as if it were not clamped
        spread.clamp_(min=eps)
    loss: Tensor = 0.5 * (spread.log() + (input - target).square() / spread)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def _fitted(var: Tensor, input: Tensor) -> Tensor:
    """Return variances that broadcast to the input: one per element, or one for all along an axis."""
    mine, given = tuple(input.shape), tuple(var.shape)
    if given == mine:
        return var
    if mine[:-1] == given:
        return var.unsqueeze(-1)
    if len(mine) == len(given) and sum(size for own, size in zip(mine, given, strict=True) if own != size) == 1:
        return var
    raise ValueError("var is of incorrect size")


# ---------------------------------------------------------------- of sequences
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Return minus the log probability that sequences read as their targets: (T, N, C), (N, L), (N), (N) -> 0-dim or (N).

    Targets may also come one after the other in a vector. The mean is over losses divided by the lengths of their targets.
    `zero_infinity` makes the loss of what cannot be read, and its gradient, 0.
    """
    loss: Tensor = log_probs.ctc_loss(
        targets, input_lengths, target_lengths, blank, reduction_number(reduction), zero_infinity
    )
    return loss
