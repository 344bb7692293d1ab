"""Distances and similarities, and the bilinear form."""

from __future__ import annotations

from gradwire.tensor import Tensor

__all__ = ["bilinear", "cosine_similarity", "pairwise_distance", "pdist"]


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """Return the p-norm of x1 - x2 + eps along the last axis: (*, D), (*, D) -> (*)."""
    distance: Tensor = x1.pairwise_distance(x2, p, eps, keepdim)
    return distance


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Return the p-norms of the differences of rows i < j: (N, M) -> (N (N - 1) / 2)."""
    distances: Tensor = input.pdist(p)
    return distances


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Return x1 . x2 / (|x1| |x2|) along `dim`; no norm counts as less than `eps`."""
    similarity: Tensor = x1.cosine_similarity(x2, dim, eps)
    return similarity


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return input1 @ weight[o] @ input2 + bias[o]: (*, I), (*, J), (O, I, J), (O) -> (*, O)."""
    found: Tensor = input1.bilinear(input2, weight, bias)
    return found
