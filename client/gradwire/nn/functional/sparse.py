"""Functions of indices: rows of a weight, one by one or in bags, and one-hot vectors."""

from __future__ import annotations

import warnings

from gradwire.autograd.grad_mode import no_grad
from gradwire.creation import arange
from gradwire.tensor import Tensor
from gradwire_protocol.dtypes import int64
from gradwire_protocol.ops import OPS

__all__ = ["embedding", "embedding_bag", "one_hot"]

_MODES = {"sum": 0, "mean": 1, "max": 2}


def _renorm(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows that are looked up down to `max_norm`, in place and unrecorded."""
    with no_grad():
        OPS["embedding_renorm_"](weight.detach(), input, float(max_norm), float(norm_type))


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Return the rows of `weight` that `input` names: (*), (V, D) -> (*, D).

    The gradient of row `padding_idx` is zero. With `max_norm`, rows that are looked up and have a larger norm are first
    scaled down in place. `scale_grad_by_freq` divides a row's gradient by how often it was looked up.
    """
    if padding_idx is None:
        padding_idx = -1
    else:
        rows = weight.size(0)
        if not -rows <= padding_idx < max(rows, 1):
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx += rows if padding_idx < 0 else 0
    if max_norm is not None:
        _renorm(weight, input, max_norm, norm_type)
    result: Tensor = weight.embedding(input, padding_idx, scale_grad_by_freq, sparse)
    return result


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Return rows of `weight` reduced bag by bag: (N), (V, D), (B) -> (B, D), or (B, L), (V, D) -> (B, D).

    Bag i begins at `offsets[i]`; `mode` is "sum", "mean" or "max". Rows `padding_idx` count for nothing.
    """
    if weight.dtype is int64 and input.dtype.is_floating_point:
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, ...)` is "
            "deprecated, and should now be `embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        weight, input = input, weight
    _check_bags(input, weight, offsets, per_sample_weights)
    if mode not in _MODES:
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if input.dim() == 2:
        offsets = _even_offsets(input)
        include_last_offset = False
        input = input.reshape(-1)
        per_sample_weights = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    if max_norm is not None:
        _renorm(weight, input, max_norm, norm_type)
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' (got "
            f"mode='{mode}')."
        )
    bags = weight.embedding_bag(
        input, offsets, scale_grad_by_freq, _MODES[mode], sparse, per_sample_weights, include_last_offset, padding_idx
    )
    result: Tensor = bags[0]
    return result


def _check_bags(input: Tensor, weight: Tensor, offsets: Tensor | None, per_sample_weights: Tensor | None) -> None:
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then it must have the same "
            f"shape as the input ({input.shape})"
        )
    if weight.dim() != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}")
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets)}"
            )
    elif input.dim() != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}")
    elif offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    elif offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")


def _even_offsets(input: Tensor) -> Tensor:
    """Return where the rows of a batch begin."""
    return arange(0, input.numel(), max(input.size(1), 1), dtype=input.dtype)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Return int64 (*, num_classes): a 1 at the class that each int64 element names, else 0.

    Waits for the largest element where `num_classes` is -1, to learn the size of the result.
    """
    if num_classes == -1:
        if tensor.numel() == 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        num_classes = int(tensor.max().item()) + 1
    return tensor.one_hot(num_classes)
