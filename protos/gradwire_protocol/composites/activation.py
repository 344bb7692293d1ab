"""Composites of the activation family."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.ops import OPS
from gradwire_protocol.registry import torch_type_name

__all__ = ["ActivationComposites"]

_PRELU = OPS["_prelu_kernel"]
# The fixed point that keeps mean 0 and variance 1 through layers: G. Klambauer et al., "Self-normalizing neural networks", 2017.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def _check_prelu(self: Any, weight: Any) -> None:
    if self.meta.dtype is not weight.meta.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {torch_type_name(self.meta.dtype)} and "
            f"{torch_type_name(weight.meta.dtype)}"
        )
    if weight.meta.numel != 1:
        if self.meta.ndim == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = self.meta.shape[1] if self.meta.ndim >= 2 else 1
        if channels != weight.meta.numel:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.meta.numel} and "
                f"channel size = {channels}."
            )
    if weight.meta.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.meta.ndim}")


class ActivationComposites(Callable_):
    """Methods of the activation family that are written by hand."""

    __slots__ = ()

    def relu6(self) -> Any:
        """Bound to [0, 6]."""
        return OPS["hardtanh"](self, 0, 6)

    def relu6_(self) -> Any:
        """Bound to [0, 6] in place."""
        return OPS["hardtanh_"](self, 0, 6)

    def selu(self) -> Any:
        """Compute elu with the two constants that keep layers normalized."""
        return OPS["elu"](self, _SELU_ALPHA, _SELU_SCALE)

    def selu_(self) -> Any:
        """Compute selu in place."""
        return OPS["elu_"](self, _SELU_ALPHA, _SELU_SCALE)

    def logsigmoid(self) -> Any:
        """Compute log(sigmoid(self)) without overflow."""
        return OPS["log_sigmoid"](self)

    def prelu(self, weight: Any) -> Any:
        """Scale what is not positive by `weight`: one for all, or one per channel (axis 1)."""
        _check_prelu(self, weight)
        if self.meta.ndim != 2 or weight.meta.ndim != 1:
            sizes = [1] * self.meta.ndim
            if self.meta.ndim > 1:
                sizes[1] = weight.meta.numel
            weight = weight.reshape(sizes)
        return self._call(_PRELU, (self, weight))
