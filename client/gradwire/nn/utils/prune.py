"""Pruning methods, and functions that apply them: `prune.l1_unstructured(module, "weight", amount=0.3)`."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any

from gradwire.nn.module import Module
from gradwire.nn.utils.convert_parameters import parameters_to_vector
from gradwire.nn.utils.pruning import BasePruningMethod, PruningContainer, pruning_hooks
from gradwire.random import rand, rand_like
from gradwire.tensor import Tensor

__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "PruningContainer", "RandomStructured",
    "RandomUnstructured", "custom_from_mask", "global_unstructured", "identity", "is_pruned", "l1_unstructured", "ln_structured",
    "random_structured", "random_unstructured", "remove",
]  # fmt: skip


# ------------------------------------------------------------ how many
def _check_amount(amount: Any) -> Any:
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    highest: Any = float("inf") if isinstance(amount, numbers.Integral) else 1.0
    if not 0 <= float(amount) <= highest:
        raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")
    return amount


def _count(amount: Any, size: int) -> int:
    """Return how many of `size` are pruned: that many, or that share."""
    count = int(amount) if isinstance(amount, numbers.Integral) else round(amount * size)
    if count > size:
        raise ValueError(f"amount={count} should be smaller than the number of parameters to prune={size}")
    return count


def _without(mask: Tensor, places: Tensor) -> Tensor:
    """Return a copy of a mask with zeros at places of its entries in a row."""
    return mask.reshape(-1).index_fill(0, places, 0).view(mask.shape)


class _Channels(BasePruningMethod):
    """A method that prunes whole slices along `dim`."""

    PRUNING_TYPE = "structured"
    amount: Any
    dim: int

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask of the slices with the highest scores."""
        if t.dim() <= 1:
            raise ValueError(
                f"Structured pruning can only be applied to multidimensional tensors. Found tensor of shape {t.shape} with "
                f"{t.dim()} dims"
            )
        if self.dim >= t.dim():
            raise IndexError(f"Invalid index {self.dim} for tensor of size {t.shape}")
        size = t.shape[self.dim]
        count = _count(self.amount, size)
        if count == 0:
            return default_mask
        kept = self._importance(t).topk(size - count).indices
        mask = t.detach().zeros_like().index_fill_(self.dim, kept, 1)
        return mask * default_mask.to(dtype=mask.dtype)  # type: ignore[no-any-return]

    def _importance(self, t: Tensor) -> Tensor:
        """Return a score for each slice."""
        raise NotImplementedError


# ------------------------------------------------------------ methods
class Identity(BasePruningMethod):
    """Prunes nothing."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return `default_mask`."""
        return default_mask

    @classmethod
    def apply(cls, module: Module, name: str) -> Any:  # type: ignore[override]
        """Prune nothing of `module.<name>`; return the hook."""
        return super().apply(module, name)


class RandomUnstructured(BasePruningMethod):
    """Prunes entries at random: `amount` of them, or that share if it is a float."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: Any) -> None:
        """Take how many."""
        self.amount = _check_amount(amount)

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask of what chance leaves."""
        count = _count(self.amount, t.numel())
        return _without(default_mask, rand_like(t).view(-1).topk(count).indices) if count else default_mask.clone()

    @classmethod
    def apply(cls, module: Module, name: str, amount: Any) -> Any:  # type: ignore[override]
        """Prune `module.<name>`; return the hook."""
        return super().apply(module, name, amount=amount)


class L1Unstructured(BasePruningMethod):
    """Prunes the entries with the smallest absolute values: `amount` of them, or that share if it is a float."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: Any) -> None:
        """Take how many."""
        self.amount = _check_amount(amount)

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask of the large entries."""
        count = _count(self.amount, t.numel())
        if not count:
            return default_mask.clone()  # type: ignore[no-any-return]
        return _without(default_mask, t.abs().reshape(-1).topk(count, largest=False).indices)

    @classmethod
    def apply(cls, module: Module, name: str, amount: Any, importance_scores: Any = None) -> Any:  # type: ignore[override]
        """Prune `module.<name>`; return the hook."""
        return super().apply(module, name, amount=amount, importance_scores=importance_scores)


class RandomStructured(_Channels):
    """Prunes slices along `dim` at random: `amount` of them, or that share if it is a float."""

    def __init__(self, amount: Any, dim: int = -1) -> None:
        """Take how many, and along which axis."""
        self.amount, self.dim = _check_amount(amount), dim

    def _importance(self, t: Tensor) -> Tensor:
        return rand(t.shape[self.dim])

    @classmethod
    def apply(cls, module: Module, name: str, amount: Any, dim: int = -1) -> Any:  # type: ignore[override]
        """Prune `module.<name>`; return the hook."""
        return super().apply(module, name, amount=amount, dim=dim)


class LnStructured(_Channels):
    """Prunes the slices along `dim` with the smallest `n`-norms: `amount` of them, or that share if it is a float."""

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        """Take how many, by which norm, and along which axis."""
        self.amount, self.n, self.dim = _check_amount(amount), n, dim

    def _importance(self, t: Tensor) -> Tensor:
        axes = list(range(t.dim()))
        axes.pop(self.dim)
        return t.norm(p=self.n, dim=axes)

    @classmethod
    def apply(cls, module: Module, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None) -> Any:  # type: ignore[override]
        """Prune `module.<name>`; return the hook."""
        return super().apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)


class CustomFromMask(BasePruningMethod):
    """Prunes what a given mask does."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        """Take the mask: ones and zeros, or True and False."""
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the product of both masks."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match self.mask shape {self.mask.shape}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)  # type: ignore[no-any-return]

    @classmethod
    def apply(cls, module: Module, name: str, mask: Tensor) -> Any:  # type: ignore[override]
        """Prune `module.<name>`; return the hook."""
        return super().apply(module, name, mask=mask)


# ------------------------------------------------------------ functions
def identity(module: Module, name: str) -> Module:
    """Make `module.<name>` a pruned parameter of which nothing is pruned; return the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: Any) -> Module:
    """Prune entries of `module.<name>` at random; return the module."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Module, name: str, amount: Any, importance_scores: Any = None) -> Module:
    """Prune the entries of `module.<name>` with the smallest absolute values, or scores; return the module."""
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: Any, dim: int) -> Module:
    """Prune slices of `module.<name>` along `dim` at random; return the module."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module: Module, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None) -> Module:
    """Prune the slices of `module.<name>` along `dim` with the smallest `n`-norms; return the module."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune `module.<name>` by a mask; return the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Any, pruning_method: type[BasePruningMethod], importance_scores: Any = None, **kwargs: Any
) -> None:
    """Prune several parameters, (module, name) each, by one method that sees all their entries in a row."""
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    given = {} if importance_scores is None else importance_scores
    if not isinstance(given, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    places = list(parameters)
    own = [getattr(module, name) for module, name in places]
    masks = [getattr(m, f"{name}_mask", t.ones_like()) for (m, name), t in zip(places, own, strict=True)]
    container, method = PruningContainer(), pruning_method(**kwargs)
    container._tensor_name = method._tensor_name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            f'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method {pruning_method} of type '
            f"{method.PRUNING_TYPE}"
        )
    container.add_pruning_method(method)
    scores = parameters_to_vector([given.get(place, tensor) for place, tensor in zip(places, own, strict=True)])
    found = container.compute_mask(scores, parameters_to_vector(masks)).split([tensor.numel() for tensor in own])
    for (module, name), tensor, mask in zip(places, own, found, strict=True):
        custom_from_mask(module, name, mask=mask.view_as(tensor))


def remove(module: Module, name: str) -> Module:
    """Make a pruned `module.<name>` an ordinary parameter, with its masked values; return the module."""
    for key, hook in pruning_hooks(module):
        if hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")


def is_pruned(module: Module) -> bool:
    """Return whether anything in the module is pruned."""
    return any(pruning_hooks(part) for _, part in module.named_modules())
