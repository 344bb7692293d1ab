"""Functions of the loss and distance families whose first argument is not called `input`.

`reduction` is ATen's number here, as in `torch`: 0 none, 1 mean, 2 sum; `nn.functional` takes words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire.tensor import Tensor, expect_tensor

__all__ = [
    "bilinear", "cdist", "cosine_embedding_loss", "cosine_similarity", "ctc_loss", "embedding", "embedding_bag",
    "embedding_renorm_", "margin_ranking_loss", "pairwise_distance", "triplet_margin_loss",
]  # fmt: skip


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    """Return input1 @ weight[o] @ input2 + bias[o]: (*, I), (*, J), (O, I, J), (O) -> (*, O)."""
    return expect_tensor("bilinear", input1).bilinear(input2, weight, bias)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Any:
    """Return the p-norms of all differences of rows: (*, P, M), (*, R, M) -> (*, P, R)."""
    return expect_tensor("cdist", x1).cdist(x2, p, compute_mode)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Any:
    """Return x1 . x2 / (|x1| |x2|) along `dim`; no norm counts as less than `eps`."""
    return expect_tensor("cosine_similarity", x1).cosine_similarity(x2, dim, eps)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """Return the p-norm of x1 - x2 + eps along the last axis: (*, D), (*, D) -> (*)."""
    return expect_tensor("pairwise_distance", x1).pairwise_distance(x2, p, eps, keepdim)


def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Any:
    """Return the rows of `weight` that `indices` name: (V, D), (*) -> (*, D)."""
    return expect_tensor("embedding", weight).embedding(indices, padding_idx, scale_grad_by_freq, sparse)


def embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Return rows of `weight` reduced bag by bag, and what the gradient needs; `mode` is 0 sum, 1 mean, 2 max."""
    return expect_tensor("embedding_bag", weight).embedding_bag(
        indices, offsets, scale_grad_by_freq, mode, sparse, per_sample_weights, include_last_offset, padding_idx
    )


def embedding_renorm_(input: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> Any:
    """Scale the rows that are named, and have a larger norm, down to `max_norm`, in place."""
    return expect_tensor("embedding_renorm_", input).embedding_renorm_(indices, float(max_norm), float(norm_type))


def margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 1) -> Any:
    """Return max(0, -target * (input1 - input2) + margin), reduced."""
    return expect_tensor("margin_ranking_loss", input1).margin_ranking_loss(input2, target, margin, reduction)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 1
) -> Any:
    """Return 1 - cos where the target is 1, max(0, cos - margin) where it is -1, reduced."""
    return expect_tensor("cosine_embedding_loss", input1).cosine_embedding_loss(input2, target, margin, reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = 1,
) -> Any:
    """Return max(0, d(anchor, positive) - d(anchor, negative) + margin), reduced, with d the distance of the p-norm."""
    return expect_tensor("triplet_margin_loss", anchor).triplet_margin_loss(
        positive, negative, margin, p, eps, swap, reduction
    )


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: int = 1,
    zero_infinity: bool = False,
) -> Any:
    """Return minus the log probability that sequences read as their targets, reduced; see `nn.functional.ctc_loss`."""
    return expect_tensor("ctc_loss", log_probs).ctc_loss(
        targets, input_lengths, target_lengths, blank, reduction, zero_infinity
    )
