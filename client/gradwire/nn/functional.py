"""Layers and losses as functions, as in `torch.nn.functional`.

Each is one call of an op, or a composite of ops in differentiable tensor methods. Nothing here
waits for the worker.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from gradwire import random
from gradwire.tensor import Tensor
from gradwire_protocol.infer import broadcast_shapes

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
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "tanh",
]


# ---------------------------------------------------------------- layers
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return `input @ weight.T + bias`: (*, K), (N, K), (N,) -> (*, N)."""
    if bias is None or input.dim() < 2 or weight.dim() < 2:
        product = input.matmul(weight.t())
        return product if bias is None else product + bias
    rows = input
    if input.dim() > 2:
        # One product of two matrices, with the bias added by the same call.
        rows = input.reshape(math.prod(input.shape[:-1]), input.shape[-1])
    product = bias.addmm(rows, weight.t())
    return product if input.dim() == 2 else product.view(*input.shape[:-1], weight.shape[0])


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


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    number = _reduction_number(reduction)
    return loss if number == 0 else loss.mean() if number == 1 else loss.sum()


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return (input - target)^2, reduced."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    input, target = _broadcast(input, target)
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
    input, target = _broadcast(input, target)
    return _reduced((input - target).abs(), reduction)


def _broadcast(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if input.shape == target.shape:
        return input, target
    warnings.warn(
        f"Using a target size ({target.shape}) that is different to the input size"
        f" ({input.shape}). This will likely lead to incorrect results due to broadcasting."
        " Please ensure they have the same size.",
        stacklevel=3,
    )
    shape = broadcast_shapes(input.shape, target.shape)
    return input.expand(shape), target.expand(shape)


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
    return _nll(input, target, weight, ignore_index, reduction)


def _nll(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str) -> Tensor:
    number = _reduction_number(reduction)
    if input.dim() < 1:
        raise ValueError(f"Expected 1 or more dimensions (got {input.dim()})")
    if input.dim() != 1 and target.dim() > 0 and input.shape[0] != target.shape[0]:
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({target.shape[0]})."
        )
    if input.dim() <= 2:
        return input.nll_loss(target, weight, number, ignore_index)
    expected = (input.shape[0], *input.shape[2:])
    if tuple(target.shape) != expected:
        raise RuntimeError(f"Expected target size {list(expected)}, got {list(target.shape)}")
    rows = input.permute(0, *range(2, input.dim()), 1).reshape(math.prod(expected), input.shape[1])
    loss = rows.nll_loss(target.reshape(-1), weight, number, ignore_index)
    return loss.view(expected) if reduction == "none" else loss


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
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if input.shape == target.shape:
        _check_probabilities(target, ignore_index)
        return _probability_entropy(input, target, weight, reduction, label_smoothing)
    logs = input.log_softmax(_class_dim(input))
    loss = _nll(logs, target, weight, ignore_index, reduction)
    if label_smoothing == 0.0:
        return loss
    even = _even_entropy(logs, target, weight, ignore_index, reduction)
    classes = input.shape[_class_dim(input)]
    return loss * (1 - label_smoothing) + even * (label_smoothing / classes)


def _class_dim(input: Tensor) -> int:
    return 0 if input.dim() <= 1 else 1


def _check_probabilities(target: Tensor, ignore_index: int) -> None:
    if not target.is_floating_point():
        raise RuntimeError(f"Expected floating point type for target with class probabilities, got {target.dtype}")
    if ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")


def _per_class(weight: Tensor, input: Tensor) -> Tensor:
    """Shape `weight` so that it lies along the classes of `input`."""
    return weight if input.dim() <= 1 else weight.view(-1, *(1,) * (input.dim() - 2))


def _probability_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    dim = _class_dim(input)
    classes = input.shape[dim]
    if label_smoothing > 0.0:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    logs = input.log_softmax(dim) * target
    loss = -(logs if weight is None else logs * _per_class(weight, input)).sum(dim)
    # Per sample: unlike with class indices, the mean does not divide by the weights.
    return _reduced(loss, reduction)


def _even_entropy(logs: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str) -> Tensor:
    """Return the sum over all classes of minus their log probability, reduced as `nll_loss` is."""
    ignored = target.eq(ignore_index)
    weighted = logs if weight is None else logs * _per_class(weight, logs)
    loss = (-weighted.sum(_class_dim(logs))).masked_fill(ignored, 0.0)
    if reduction != "mean":
        return _reduced(loss, reduction)
    counted = ignored.logical_not().to(logs.dtype)
    if weight is not None:
        # An ignored index may lie outside of the classes: look up class 0 and count it as nothing.
        counted = counted * weight[target.masked_fill(ignored, 0)]
    return loss.sum() / counted.sum()
