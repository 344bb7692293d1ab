"""From PyTorch's values to gradwire's and to numpy."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import gradwire as gw

__all__ = ["TorchNames", "differentiable", "flat", "host", "theirs_host", "to_gradwire"]


class TorchNames(types.ModuleType):
    """Stands for the module `torch` in the bodies of PyTorch's sample wrappers."""

    def __getattr__(self, name: str) -> Any:
        return _AtenNames() if name == "ops" else getattr(gw, name)


class _AtenNames:
    """Stands for `torch.ops`: `ops.aten.name` and `ops.aten.name.default` are methods of the first argument here."""

    def __init__(self, name: str = "") -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return self if name == "default" else _AtenNames(name)

    def __call__(self, input: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(input, self._name)(*args, **kwargs)


_SHIM = TorchNames("torch")


def rebound(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a Python function of PyTorch's tests with `torch` in it meaning gradwire."""
    names = {**function.__globals__, "torch": _SHIM, "F": getattr(gw.nn, "functional", None)}
    made = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, _cells(function))
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _cells(function: Callable[..., Any]) -> Any:
    """Rebind the functions that a wrapper closes over, too."""
    closure = function.__closure__
    return None if closure is None else tuple(types.CellType(to_gradwire(cell.cell_contents)) for cell in closure)


def _named(value: Any) -> Any:
    found: Any = gw
    for part in f"{value.__module__}.{value.__name__}".removeprefix("torch.").split("."):
        found = getattr(found, part)
    return found


def to_gradwire(value: Any) -> Any:
    """Return gradwire's counterpart of an argument, leaf by leaf; tensors become leaves with the same requires_grad."""
    if isinstance(value, torch.Tensor):
        return tensor(value)
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(to_gradwire(item) for item in value)
    if isinstance(value, dict):
        return {key: to_gradwire(item) for key, item in value.items()}
    if isinstance(value, torch.dtype | torch.memory_format | torch.layout):
        return getattr(gw, str(value).removeprefix("torch."))
    if isinstance(value, torch.device):
        return gw.device(str(value))
    if isinstance(value, torch.nn.LinearCrossEntropyOptions):
        fields = {field.name: to_gradwire(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return gw.nn.LinearCrossEntropyOptions(**fields)
    if isinstance(value, torch.nn.Module):
        return getattr(gw.nn, type(value).__name__)()
    if isinstance(value, types.BuiltinFunctionType) and value.__name__ != "<lambda>":
        return getattr(gw, value.__name__)
    if isinstance(value, types.FunctionType):
        inside = value.__module__ or ""
        return rebound(value) if inside.startswith("torch.testing") else _function(value)
    return value


def _function(value: types.FunctionType) -> Any:
    for holder in (gw, gw.nn.functional):
        if hasattr(holder, value.__name__):
            return getattr(holder, value.__name__)
    return rebound(value)


def tensor(value: torch.Tensor) -> Any:
    """Return a gradwire leaf with a tensor's values, dtype, strides, offset and requires_grad."""
    dtype = getattr(gw, str(value.dtype).removeprefix("torch."))
    if value.layout is torch.strided and not value._is_zerotensor() and _is_partial(value):
        count = value.untyped_storage().nbytes() // value.element_size()
        whole = gw.tensor(theirs_host(value.detach().as_strided((count,), (1,), 0)), dtype=dtype)
        made = whole.as_strided(tuple(value.shape), value.stride(), value.storage_offset())
        made = made.detach() if value.requires_grad else made
    else:
        made = gw.tensor(theirs_host(value), dtype=dtype)
    return made.requires_grad_() if value.requires_grad else made


def _is_partial(value: torch.Tensor) -> bool:
    """Return whether a tensor is less than its memory, or lies in it in another order."""
    whole = value.untyped_storage().nbytes() == value.numel() * value.element_size()
    return not value.is_conj() and not value.is_neg() and not (whole and value.is_contiguous())


def theirs_host(value: torch.Tensor) -> np.ndarray[Any, Any]:
    """Return a PyTorch tensor's values, bfloat16 widened to float32."""
    plain = value.detach().resolve_conj().resolve_neg()
    if plain.is_sparse or plain.layout is not torch.strided:
        plain = plain.to_dense()
    if plain._is_zerotensor():
        plain = torch.zeros(plain.shape, dtype=plain.dtype)
    if plain.dtype is torch.bfloat16:
        plain = plain.float()
    return np.array(plain.numpy())


def host(value: Any) -> np.ndarray[Any, Any]:
    """Return one of our tensors' values, bfloat16 widened to float32."""
    found = value.detach()
    if found.dtype.name == "bfloat16":
        found = found.to(gw.float32)
    plain: np.ndarray[Any, Any] = found.numpy()
    return plain


def flat(value: Any, kind: type) -> Iterator[Any]:
    """Yield the tensors of a nesting, in order."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from flat(item, kind)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from flat(item, kind)


def differentiable(value: Any, kind: type) -> list[Any]:
    """Return the tensors of a nesting that require grad."""
    return [item for item in flat(value, kind) if item.requires_grad]
