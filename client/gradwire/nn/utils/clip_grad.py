"""Clip gradients in place, by their total norm or by value.

A few calls for all gradients of one worker and dtype, however many they are. Nothing waits but `error_if_nonfinite`.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable
from typing import Any

from gradwire.autograd.grad_mode import no_grad
from gradwire.functions import stack
from gradwire.tensor import Tensor
from gradwire_protocol.registry import OPS

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

_NORMS, _SCALE = OPS["_foreach_norm.Scalar"], OPS["_foreach_mul_.Tensor"]
_RAISE, _LOWER = OPS["_foreach_clamp_min_.Scalar"], OPS["_foreach_clamp_max_.Scalar"]

Tensors = Tensor | Iterable[Tensor]


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients so that their norm, as one vector, is at most `max_norm`; return the norm they had.

    `error_if_nonfinite` waits for the norm, and raises RuntimeError if it is infinite or NaN. `foreach=False` asks for a
    call per gradient.
    """
    if isinstance(parameters, types.GeneratorType):
        parameters = list(parameters)
        if not parameters:
            warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2)
    held = _listed(parameters)
    total_norm = get_total_norm(_gradients(held), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(held, max_norm, total_norm, foreach)
    return total_norm


def clip_grad_norm(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Do the same as `clip_grad_norm_`, under its deprecated name."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """Return the norm of all tensors as one vector: 0-dim, beside the first of them; 0 of none.

    `error_if_nonfinite` waits for it, and raises RuntimeError if it is infinite or NaN.
    """
    from gradwire.creation import tensor

    held, norm_type = _listed(tensors), float(norm_type)
    if not held:
        return tensor(0.0)
    with no_grad():
        first = held[0]
        norms = [norm.to(first.device) for group in _alike(held) for norm in _norms(group, norm_type, foreach)]
        total: Tensor = stack(norms).linalg_vector_norm(norm_type)
        if error_if_nonfinite and not total.isfinite().item():
            raise RuntimeError(
                f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
                "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
                "`error_if_nonfinite=False`"
            )
    return total


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiply all gradients by max_norm / (total_norm + 1e-6) where that is less than 1."""
    gradients, max_norm = _gradients(_listed(parameters)), float(max_norm)
    if not gradients:
        return
    with no_grad():
        # Multiplied though it may be 1: to look would be to wait.
        factor = (max_norm / (total_norm + 1e-6)).clamp(max=1.0)
        for group in _alike(gradients):
            beside = factor.to(group[0].device)
            if foreach is not False:
                _SCALE(group, beside)
                continue
            for gradient in group:
                gradient.mul_(beside)


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Bring every element of every gradient into [-clip_value, clip_value]."""
    clip_value = float(clip_value)
    with no_grad():
        for group in _alike(_gradients(_listed(parameters))):
            if foreach is not False:
                _RAISE(group, -clip_value)
                _LOWER(group, clip_value)
                continue
            for gradient in group:
                gradient.clamp_(-clip_value, clip_value)


def _norms(group: list[Tensor], norm_type: float, foreach: bool | None) -> list[Any]:
    if foreach is not False:
        return list(_NORMS(group, norm_type))
    return [tensor.linalg_vector_norm(norm_type) for tensor in group]


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _alike(tensors: list[Tensor]) -> list[list[Tensor]]:
    """Group the tensors of one worker and dtype, as one call may take them."""
    groups: dict[Any, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault((tensor.session, tensor.dtype), []).append(tensor)
    return list(groups.values())
