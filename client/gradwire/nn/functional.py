"""Layers and losses as functions, as in `torch.nn.functional`.

Each is one call of an op, or a composite of ops in differentiable tensor methods. Nothing here
waits for the worker, but `one_hot` where it has to find out the number of classes.
"""

from __future__ import annotations

import warnings
from typing import Any

from gradwire import random
from gradwire.tensor import Tensor

__all__ = [
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "gelu",
    "l1_loss",
    "linear",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "tanh",
]


# ---------------------------------------------------------------- layers
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return `input @ weight.T + bias`: (*, K), (N, K), (N,) -> (*, N)."""
    return input.linear(weight, bias)


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


# ---------------------------------------------------------------- activations
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return max(x, 0) of each element."""
    return input.relu_() if inplace else input.relu()


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x * sigmoid(x) of each element."""
    return input.silu_() if inplace else input.silu()


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Return x * Phi(x) of each element; `approximate="tanh"` for the cheaper formula."""
    return input.gelu(approximate=approximate)


def tanh(input: Tensor) -> Tensor:
    """Return the hyperbolic tangent of each element."""
    return input.tanh()


def sigmoid(input: Tensor) -> Tensor:
    """Return 1 / (1 + exp(-x)) of each element."""
    return input.sigmoid()


def softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """Return the probabilities of the scores along `dim`, computed in `dtype` if given."""
    dim = _implicit_dim("softmax", input) if dim is None else dim
    return input.softmax(dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """Return the logarithms of `softmax`, without computing it on the way."""
    dim = _implicit_dim("log_softmax", input) if dim is None else dim
    return input.log_softmax(dim, dtype=dtype)


def _implicit_dim(name: str, input: Tensor) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=3,
    )
    return 0 if input.dim() in (0, 1, 3) else 1


# ---------------------------------------------------------------- losses
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


def _reduction_number(reduction: str) -> int:
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
    return input.mse_loss(target, _reduction_number(reduction))


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
    return input.l1_loss(target, _reduction_number(reduction))


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
    number = _reduction_number(reduction)
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
    return input.nll_loss(target, weight, _reduction_number(reduction), ignore_index)


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
    number = _reduction_number(reduction)
    return input.cross_entropy_loss(target, weight, number, ignore_index, label_smoothing)


# ---------------------------------------------------------------- indices
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Return int64 (*, num_classes): a 1 at the class that each int64 element names, else 0.

    Waits for the largest element where `num_classes` is -1, to learn the size of the result.
    """
    if num_classes == -1:
        if tensor.numel() == 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        num_classes = int(tensor.max().item()) + 1
    return tensor.one_hot(num_classes)
