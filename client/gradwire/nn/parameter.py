"""Tensors that a module owns: `Parameter` is learned, `Buffer` is state that is not.

A module tells them apart by type when one is assigned to it. Nothing here talks to a worker: both
are aliases of an existing tensor's storage.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from gradwire.creation import empty
from gradwire.tensor import Tensor

__all__ = ["Buffer", "Parameter", "clear_grads"]


class Parameter(Tensor):
    """A tensor that a module registers as one of its parameters when it is assigned to it.

    `Parameter(data, requires_grad=True)` shares `data`'s storage, is a leaf, and asks for a
    gradient. Without `data` it is an empty tensor of the default dtype. Raises RuntimeError when
    a gradient is asked of an integer or bool tensor. Does not wait for the worker.
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        """Return an alias of `data` that is a leaf."""
        source = _source("Parameter", empty(0) if data is None else data)
        return cast(Parameter, source._alias_as(cls, requires_grad))

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """Copy the values into a new leaf; as in PyTorch, the gradient is not copied."""
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(), self.requires_grad)
        return cast(Parameter, memo[id(self)])


class Buffer(Tensor):
    """A tensor that a module registers as a buffer when it is assigned to it.

    `persistent` says whether the module's `state_dict` holds it. Shares `data`'s storage.
    """

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Buffer:
        """Return an alias of `data`."""
        source = _source("Buffer", empty(0) if data is None else data)
        buffer = cast(Buffer, source._alias_as(cls, source.requires_grad))
        buffer.persistent = persistent
        return buffer


def _source(name: str, data: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise TypeError(
            f"{name} needs data to be a Tensor; got {type(data).__name__}; make one of it with gradwire.tensor(...)"
        )
    return data


def clear_grads(tensors: Iterable[Tensor], set_to_none: bool) -> None:
    """Drop the gradients of `tensors`, or fill them with zeros when `set_to_none` is False.

    A zeroed gradient leaves the graph that made it (`create_graph=True` records one), as otherwise
    each step's gradient would keep the one before alive.
    """
    for tensor in tensors:
        if tensor.grad is None:
            continue
        if set_to_none:
            tensor.grad = None
            continue
        if tensor.grad.requires_grad:
            tensor.grad = tensor.grad.detach()
        tensor.grad.zero_()
