"""`torch.autograd`: gradients of tensors on a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradwire.autograd import anomaly_mode, forward_ad, function, functional, graph
from gradwire.autograd.anomaly_mode import detect_anomaly, set_detect_anomaly
from gradwire.autograd.engine import backward, grad
from gradwire.autograd.function import Function
from gradwire.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from gradwire.autograd.gradcheck import gradcheck, gradgradcheck
from gradwire_protocol.tape import Variable as _Tensor

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = [
    "Function", "Variable", "anomaly_mode", "backward", "detect_anomaly", "enable_grad", "forward_ad", "function", "functional",
    "grad", "gradcheck", "gradgradcheck", "graph", "inference_mode", "is_grad_enabled", "no_grad", "set_detect_anomaly",
    "set_grad_enabled",
]  # fmt: skip


class _EveryTensor(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _Tensor)


class Variable(metaclass=_EveryTensor):
    """The old name of a tensor that autograd knows, which PyTorch keeps as a thin alias; so do we."""

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = False) -> Any:
        """Return a tensor on the memory of `data` that is a leaf."""
        from gradwire.creation import empty
        from gradwire.tensor import Tensor

        source = empty(0) if data is None else data
        if not isinstance(source, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(source).__name__}")
        return source.detach().requires_grad_(requires_grad)
