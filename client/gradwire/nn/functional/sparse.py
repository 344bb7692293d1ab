"""Functions of indices."""

from __future__ import annotations

from gradwire.tensor import Tensor

__all__ = ["one_hot"]


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Return int64 (*, num_classes): a 1 at the class that each int64 element names, else 0.

    Waits for the largest element where `num_classes` is -1, to learn the size of the result.
    """
    if num_classes == -1:
        if tensor.numel() == 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        num_classes = int(tensor.max().item()) + 1
    return tensor.one_hot(num_classes)
