"""Hooks around a module's backward: identities before and behind `forward` catch the gradients that go through it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradwire.autograd.function import Function
from gradwire.tensor import Tensor

if TYPE_CHECKING:
    from gradwire.nn.module import Module

__all__ = ["ModuleBackward"]


class _Identity(Function):
    """Passes tensors on in both directions: a node of its own, to hang hooks on."""

    @staticmethod
    def forward(ctx: Any, *tensors: Any) -> Any:
        """Return the tensors."""
        ctx.mark_non_differentiable(*(tensor for tensor in tensors if not tensor.requires_grad))
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Return the gradients."""
        return grads


class ModuleBackward:
    """One call of a module whose backward is watched."""

    def __init__(self, module: Module) -> None:
        """Take the hooks as they are now, as PyTorch does."""
        self.module = module
        self.hooks = list(module._backward_hooks.values())
        self.pre_hooks = list(module._backward_pre_hooks.values())
        self.grad_outputs: tuple[Any, ...] | None = None
        self.input_count = 0
        self.input_places: list[int] = []
        self.has_input_node = False

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments of `forward`, behind an identity whose backward is the end of the module's."""
        self.input_count = len(args)
        self.input_places = [index for index, arg in enumerate(args) if isinstance(arg, Tensor)]
        passed, node = _passed(args, self.input_places)
        if node is not None and self.hooks:
            self.has_input_node = True
            node.register_hook(self._on_inputs)
        return passed

    def outputs(self, result: Any) -> Any:
        """Return the result of `forward`, behind an identity whose backward is the start of the module's."""
        listed = result if isinstance(result, tuple | list) else (result,)
        places = [index for index, value in enumerate(listed) if isinstance(value, Tensor)]
        passed, node = _passed(tuple(listed), places)
        if node is not None:
            node.register_prehook(lambda grads: self._on_outputs(len(listed), places, grads))
        if isinstance(result, Tensor):
            return passed[0]
        return type(result)(passed) if isinstance(result, tuple | list) and not hasattr(result, "_fields") else result

    def _on_outputs(self, count: int, places: Sequence[int], grads: tuple[Any, ...]) -> Any:
        whole = _spread(count, places, grads)
        for hook in self.pre_hooks:
            found = hook(self.module, whole)
            if found is not None:
                whole = _same_length("pre hook", found, whole)
        self.grad_outputs = whole
        if not self.has_input_node and self.hooks:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module outputs since no inputs "
                "require gradients. See torch.nn.Module.register_full_backward_hook for more details.",
                stacklevel=5,
            )
            for user_hook in self.hooks:
                if user_hook(self.module, _spread(self.input_count, [], ()), whole) is not None:
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return None or None for "
                        "all gradients."
                    )
        return tuple(whole[index] for index in places)

    def _on_inputs(self, grads: tuple[Any, ...], _: Any) -> Any:
        if self.grad_outputs is None:
            return None
        whole = _spread(self.input_count, self.input_places, grads)
        for hook in self.hooks:
            found = hook(self.module, whole, self.grad_outputs)
            if found is not None:
                whole = _same_length("hook", found, whole)
        self.grad_outputs = None
        return tuple(whole[index] for index in self.input_places)


def _passed(values: tuple[Any, ...], places: Sequence[int]) -> tuple[tuple[Any, ...], Any]:
    """Return the values with the tensors among them behind an identity, and its node if it has one."""
    tensors = [values[index] for index in places]
    if not any(tensor.requires_grad for tensor in tensors):
        return values, None
    made = _Identity.apply(*tensors)
    listed = list(values)
    for index, tensor in zip(places, made, strict=True):
        listed[index] = tensor
    return tuple(listed), next((tensor.grad_fn for tensor in made if tensor.grad_fn is not None), None)


def _spread(count: int, places: Sequence[int], grads: Sequence[Any]) -> tuple[Any, ...]:
    listed: list[Any] = [None] * count
    for index, gradient in zip(places, grads, strict=True):
        listed[index] = gradient
    return tuple(listed)


def _same_length(kind: str, found: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
    listed = found if isinstance(found, tuple) else (found,)
    if len(listed) != len(given):
        raise RuntimeError(
            f"Backward {kind} returned an invalid number of grad_input, got {len(listed)}, but expected {len(given)}"
        )
    return listed
