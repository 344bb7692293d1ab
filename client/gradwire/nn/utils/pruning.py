"""What all pruning methods share: the mask, the hook that applies it, and several of them on one parameter.

A pruned `weight` becomes the parameter `weight_orig` and the buffer `weight_mask`; `weight` is their product. Masks that
depend on values (all but `identity` and `custom_from_mask`) may wait for the worker when a parameter is pruned once more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

from gradwire.nn.module import Module
from gradwire.tensor import Tensor

__all__ = ["BasePruningMethod", "PruningContainer", "pruning_hooks"]


class BasePruningMethod(ABC):
    """Base of what decides which entries are pruned; a subclass defines `compute_mask` and PRUNING_TYPE.

    PRUNING_TYPE says what `compute_mask` is given of a tensor that was pruned before: "unstructured", its remaining entries
    in a row; "structured", its remaining slices along `dim`; "global", all of it.
    """

    PRUNING_TYPE: ClassVar[str]
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        """Set the parameter to its masked values, before a forward."""
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask for scores `t`, which may prune only what `default_mask` leaves."""

    def apply_mask(self, module: Module) -> Tensor:
        """Return the original values times the mask."""
        original = getattr(module, f"{self._tensor_name}_orig")
        mask = getattr(module, f"{self._tensor_name}_mask")
        return mask.to(dtype=original.dtype) * original  # type: ignore[no-any-return]

    @classmethod
    def apply(cls, module: Module, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any) -> Any:
        """Prune `module.<name>` by the method `cls(*args, **kwargs)`, after those that were applied to it; return the hook.

        `importance_scores` of the parameter's shape stand for its own values. If the mask fails, nothing is changed but that
        an earlier hook is gone, as in PyTorch.
        """
        method = cls._combined(module, name, cls(*args, **kwargs))
        original = getattr(module, name)
        scores = _scores(original, importance_scores, f"parameter {name} of {module}")
        is_first = not isinstance(method, PruningContainer)
        if is_first:
            module.register_parameter(f"{name}_orig", original)
            del module._parameters[name]
        mask = original.ones_like() if is_first else getattr(module, f"{name}_mask").detach().clone()
        try:
            module.register_buffer(f"{name}_mask", method.compute_mask(scores, default_mask=mask.detach()))
            setattr(module, name, method.apply_mask(module))
            module.register_forward_pre_hook(method)
        except Exception:
            if is_first:
                module.register_parameter(name, getattr(module, f"{name}_orig"))
                del module._parameters[f"{name}_orig"]
            raise
        return method

    @staticmethod
    def _combined(module: Module, name: str, method: BasePruningMethod) -> BasePruningMethod:
        """Return the method, or the container of all methods of a parameter, whose hook is taken away."""
        method._tensor_name = name
        found = [(key, hook) for key, hook in pruning_hooks(module) if hook._tensor_name == name]
        if len(found) > 1:
            raise AssertionError(
                f"Avoid adding multiple pruning hooks to the same tensor {name} of module {module}. Use a PruningContainer."
            )
        if not found:
            return method
        key, earlier = found[0]
        del module._forward_pre_hooks[key]
        container = earlier if isinstance(earlier, PruningContainer) else PruningContainer(earlier)
        container.add_pruning_method(method)
        return container

    def prune(self, t: Any, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """Return `t` with pruned entries zero, without a module."""
        scores = _scores(t, importance_scores, "tensor t")
        mask = t.ones_like() if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=mask)  # type: ignore[no-any-return]

    def remove(self, module: Module) -> None:
        """Make the parameter one again, with its masked values."""
        name = self._tensor_name
        weight = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original: Any = module._parameters.pop(f"{name}_orig")
        original.data = weight.data
        del module._buffers[f"{name}_mask"]
        setattr(module, name, original)


def _scores(own: Tensor, given: Any, what: str) -> Any:
    if given is not None and given.shape != own.shape:
        raise AssertionError(
            f"importance_scores should have the same shape as {what}, got {given.shape} vs {own.shape}"
        )
    return own if given is None else given


def pruning_hooks(module: Module) -> list[tuple[int, BasePruningMethod]]:
    """Return the pruning hooks of a module, with their keys."""
    records = module._forward_pre_hooks.items()
    return [(key, record.function) for key, record in records if isinstance(record.function, BasePruningMethod)]


class PruningContainer(BasePruningMethod):
    """Several methods, each of which was applied to what those before it left."""

    def __init__(self, *args: BasePruningMethod) -> None:
        """Hold methods that act on parameters of one name."""
        self._pruning_methods: tuple[Any, ...] = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Add a method, the next to be applied."""
        if not isinstance(method, BasePruningMethod) and method is not None:
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and self._tensor_name != method._tensor_name:
            raise ValueError(
                f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' to PruningContainer {self}. "
                f"Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> BasePruningMethod:
        return self._pruning_methods[idx]  # type: ignore[no-any-return]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return `default_mask` with what the last method prunes of the rest."""
        method = self._pruning_methods[-1]
        mask = default_mask.to(dtype=t.dtype, copy=True)
        rest = _rest(method, t, default_mask)
        mask[rest] = method.compute_mask(t[rest], default_mask=default_mask[rest]).to(dtype=mask.dtype)
        return mask  # type: ignore[no-any-return]


def _rest(method: Any, t: Tensor, mask: Tensor) -> Any:
    """Return an index of what a method is given of a tensor of which `mask` is left."""
    if method.PRUNING_TYPE == "unstructured":
        return mask == 1
    if method.PRUNING_TYPE == "global":
        return (slice(None),) * t.dim()
    if method.PRUNING_TYPE != "structured":
        raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
    if not hasattr(method, "dim"):
        raise AttributeError('Pruning methods of PRUNING_TYPE "structured" need to have the attribute `dim` defined.')
    dim = method.dim + t.dim() if method.dim < 0 else method.dim
    if dim < 0:
        raise IndexError(f"Index is out of bounds for tensor with dimensions {t.dim()}")
    return (*(slice(None),) * dim, mask.sum(dim=[axis for axis in range(t.dim()) if axis != dim]) != 0)
