"""Checks of the options that optimizers share, in PyTorch's words."""

from __future__ import annotations

from typing import Any

from gradwire.tensor import Tensor

__all__ = ["check_betas", "check_flags", "check_lr", "check_not_negative"]


def check_not_negative(name: str, value: Any) -> None:
    """Raise ValueError unless `value`, a number or a one-element tensor, is from 0 up."""
    if not float(value) >= 0.0:  # NaN is refused too
        raise ValueError(f"Invalid {name}: {value}")


def check_lr(lr: Any, words: str = "Invalid learning rate: {}") -> None:
    """Raise ValueError unless `lr` is a number, or a tensor of one, from 0 up."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not float(lr) >= 0.0:
        raise ValueError(words.format(lr))


def check_betas(betas: Any) -> None:
    """Raise ValueError unless the two rates of decay are in [0, 1)."""
    for index in (0, 1):
        if not 0.0 <= float(betas[index]) < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {betas[index]}")


def check_flags(
    *, differentiable: bool, capturable: bool = False, foreach: bool | None = None, fused: bool | None = None
) -> None:
    """Refuse what a step that is one call on the worker cannot do.

    `foreach` and `fused` choose among PyTorch's implementations, which all have the results of the one here.
    """
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
    if differentiable:
        raise NotImplementedError(
            "differentiable=True is not supported: a step is one call on the worker, outside of autograd; leave it False, "
            "or write the update in tensor operations"
        )
    if capturable:
        raise NotImplementedError(
            "capturable=True is not supported: it prepares for CUDA graphs, which gradwire does not capture; leave it "
            "False"
        )
