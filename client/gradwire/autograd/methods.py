"""The autograd side of a Tensor: requires_grad, grad, grad_fn, detach, backward. All local but `backward`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from gradwire.autograd.grad_mode import state as grad_state
from gradwire.inference import InferenceStorage
from gradwire_protocol.inplace import requires_grad
from gradwire_protocol.ops import OPS
from gradwire_protocol.tape import Storage, Variable, refresh

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradwire.removable_handle import RemovableHandle
    from gradwire.tensor import Tensor

__all__ = ["AutogradMethods"]

_GRAD_OF_NON_LEAF = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated "
    "during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, use "
    ".retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you access the leaf "
    "Tensor instead."
)


def _set_grad(tensor: Any, value: Tensor | None) -> None:
    """Set the slot, which is Tensor's own."""
    tensor._grad = value


class AutogradMethods:
    """Mixed into Tensor."""

    __slots__ = ()

    @property
    def requires_grad(self: Any) -> bool:
        """Return whether a gradient goes through or into this tensor. May be set on a leaf."""
        return requires_grad(self)

    @requires_grad.setter
    def requires_grad(self: Any, value: bool) -> None:
        if not isinstance(value, bool):
            raise RuntimeError("requires_grad must be a bool")
        if value and self.node is not None:
            raise RuntimeError("you can only change requires_grad flags of leaf variables.")
        self.requires_grad_(value)

    def requires_grad_(self: Any, requires_grad: bool = True) -> Any:
        """Set whether this leaf requires grad; raise RuntimeError for a non-leaf (unless True) or an integer tensor."""
        if self.node is not None:
            if not requires_grad:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
                    "subgraph that doesn't require differentiation use var_no_grad = var.detach()."
                )
            return self
        if requires_grad and not self.meta.dtype.is_differentiable:
            raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
        if requires_grad and self.is_inference() and not grad_state.inference:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        if requires_grad and self.requires_grad and not self.leaf_requires_grad:
            # A view that had only its base's flag: to the worker, what it was used for so far must not lead here.
            self._become_other_array()
        self.leaf_requires_grad = bool(requires_grad)
        return self

    def _become_other_array(self: Any) -> None:
        """Stand for another of the worker's arrays, on the same memory and without a graph."""
        alias = self.detach()
        self.handle, alias.handle = alias.handle, self.handle

    def is_inference(self: Any) -> bool:
        """Return whether the tensor was made in inference mode."""
        return type(self.storage) is InferenceStorage

    @property
    def is_leaf(self: Any) -> bool:
        """Return whether no recorded call made this tensor. Raises RuntimeError for a view that has no node any more."""
        refresh(self)
        return self.node is None

    @property
    def grad_fn(self: Any) -> Any:
        """Return the graph node that made this tensor, None for a leaf."""
        from gradwire.autograd.graph import grad_fn_of

        return grad_fn_of(self)

    @property
    def grad(self: Any) -> Tensor | None:
        """Return what backward passes accumulated here. May be set to a tensor of the same shape and dtype, or None."""
        if self._grad is None and self.node is not None and not self._retains_grad:
            warnings.warn(_GRAD_OF_NON_LEAF, stacklevel=2)
        return self._grad  # type: ignore[no-any-return]

    @grad.setter
    def grad(self: Any, value: Tensor | None) -> None:
        if value is None:
            _set_grad(self, None)
            return
        if not isinstance(value, Variable):
            raise TypeError(
                f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}"
            )
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if value.meta.shape != self.meta.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(value.meta.shape)}' to a tensor of size "
                f"'{list(self.meta.shape)}'. Please ensure that the gradient and the tensor are the same size"
            )
        if value.meta.dtype is not self.meta.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{value.meta.dtype.name}' to a tensor with dtype "
                f"'{self.meta.dtype.name}'. Please ensure that the gradient and the tensor have the same dtype"
            )
        if value.session is not self.session:
            raise RuntimeError(
                f"attempting to assign a gradient located on device {value.device} to a tensor located on device "
                f"{self.device}. Please ensure that the gradient and the tensor are on the same device"
            )
        _set_grad(self, value)

    @grad.deleter
    def grad(self: Any) -> None:
        _set_grad(self, None)

    @property
    def retains_grad(self: Any) -> bool:
        """Return whether this non-leaf keeps its gradient."""
        return bool(self._retains_grad)

    def retain_grad(self: Any) -> None:
        """Let backward fill `grad` of this non-leaf too; a leaf's is filled anyway."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if not self.is_leaf:
            from gradwire.autograd.engine import retained

            self._retains_grad = True
            retained[id(self)] = self

    def register_hook(self: Any, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook` with each gradient of this tensor during a backward; what it returns replaces the gradient."""
        from gradwire.autograd.node_hooks import register_tensor_hook

        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        return register_tensor_hook(self, hook)

    def register_post_accumulate_grad_hook(self: Any, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call `hook` with this leaf after a backward added to its `grad`."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self.node is not None:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        from gradwire.autograd.node_hooks import made_for_leaf
        from gradwire.removable_handle import RemovableHandle

        return RemovableHandle.register(made_for_leaf(self).accumulated, hook)

    def backward(
        self: Any,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Sequence[Tensor] | Tensor | None = None,
    ) -> None:
        """Add the gradient of this tensor to `grad` of the graph's leaves. One message; does not wait.

        Raises RuntimeError, here and now, where PyTorch does: no graph, no scalar, a graph that was freed, a kept value
        that was changed in place.
        """
        from gradwire.autograd.engine import backward

        backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def detach_(self: Any) -> Any:
        """Make this tensor a leaf that requires no grad."""
        if self.base is not None:
            raise RuntimeError(
                "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for "
                "training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence "
                "detach_() cannot be called on these gradients. To fix this error, please refer to the "
                "Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution."
            )
        if self.node is not None:
            self._become_other_array()
        tensor: Any = self  # these slots are Variable's
        tensor.node, tensor.output_nr, tensor.leaf_requires_grad = None, 0, False
        return self

    @property
    def data(self: Any) -> Tensor:
        """Return this tensor's memory as a tensor of its own: no graph, and changes to it are not noticed by autograd."""
        from gradwire.tensor import call

        alias: Tensor = call(OPS["gw::data"], self, session=self.session)
        alias.storage, alias.offset = Storage(self.storage.memory), self.offset
        return alias

    @data.setter
    def data(self: Any, value: Tensor) -> None:
        from gradwire.tensor import Tensor, call

        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if self.requires_grad and not value.meta.dtype.is_differentiable:
            raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
        if value.session is self.session:
            call(OPS["gw::set_data"], self, value, session=self.session)
        else:
            alias = value.detach()
            self.session.released.append(self.handle)
            self.session, self.handle, alias.handle = alias.session, alias.handle, 0
        self.meta, self.offset, self.storage.memory = value.meta, value.offset, value.storage.memory

    @property
    def _version(self: Any) -> int:
        """Return how often the memory was written to."""
        if self.is_inference():
            raise RuntimeError("Inference tensors do not track version counter.")
        return int(self.storage.version)

    @property
    def _base(self: Any) -> Any:
        """Return the tensor that this one views, or None."""
        return self.base

    def _is_view(self: Any) -> bool:
        """Return whether this is a differentiable view."""
        return self.base is not None

    def _alias_as(self: Any, cls: type, requires_grad: bool) -> Any:
        """Return a `cls` on this tensor's memory: a leaf of its own, with its own version counter (as Parameter does)."""
        from gradwire.tensor import Tensor

        alias = self.detach()
        made = Tensor._make.__func__(cls, self.session, alias.handle, alias.meta, alias.storage)  # type: ignore[attr-defined]
        made.offset = alias.offset
        alias.handle = 0  # the handle is `made`'s now
        made.requires_grad_(requires_grad)
        return made
