"""`torch.autograd`: gradients of tensors on a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradwire.autograd.engine import backward, grad
from gradwire.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = [
    "Variable", "backward", "enable_grad", "grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled",
]  # fmt: skip


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:  # noqa: N802  (PyTorch's name)
    """Return `data` as a leaf on the same memory. PyTorch keeps this old name as a thin alias; so do we."""
    made: Tensor = data.detach()
    return made.requires_grad_(requires_grad)
