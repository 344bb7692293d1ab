"""Modules that hold other modules as a Python list or dict would.

What they hold is registered under its index or key, so that it is enumerated, moved and saved.
The containers of parameters are in parameter_container.py.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import (
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    ValuesView,
)
from itertools import groupby
from typing import Any, Self, SupportsIndex, overload

from gradwire.nn.module import Module
from gradwire.nn.tree import type_name
from gradwire.tensor import Tensor

__all__ = ["ModuleDict", "ModuleList", "Sequential", "as_iterable", "as_pairs", "position"]


def position(index: SupportsIndex, length: int) -> int:
    """Return `index` counted from the front; IndexError outside of `length` entries."""
    position = operator.index(index)
    if not -length <= position < length:
        raise IndexError(f"index {position} is out of range")
    return position % length


def as_iterable(owner: str, given: Any, of: str = "an iterable") -> Iterable[Any]:
    """Check that `given` can be gone through; a tensor, though iterable, is a mistake here."""
    if isinstance(given, Tensor) or not isinstance(given, Iterable):
        raise TypeError(f"{owner} should be called with {of}, but got {type(given).__name__}")
    return given


def as_pairs(owner: str, given: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Check the key/value pairs of an `update`, one by one, as PyTorch words it."""
    for number, pair in enumerate(given):
        if not isinstance(pair, Iterable):
            raise TypeError(f"{owner} update sequence element #{number} should be Iterable; is {type(pair).__name__}")
        entry = tuple(pair)
        if len(entry) != 2:
            raise ValueError(f"{owner} update sequence element #{number} has length {len(entry)}; 2 is required")
        yield entry


class _ModuleSequence(Module):
    """The list behaviour that `Sequential` and `ModuleList` share: children by position."""

    _modules: dict[str, Any]

    def _key(self, index: SupportsIndex) -> str:
        # By position and not by name: a Sequential may be built with names of its own.
        return list(self._modules)[position(index, len(self))]

    def _renumber(self, modules: Iterable[Any]) -> None:
        self._modules = {str(index): module for index, module in enumerate(modules)}

    @overload
    def __getitem__(self, idx: slice) -> Self: ...
    @overload
    def __getitem__(self, idx: SupportsIndex) -> Any: ...
    def __getitem__(self, idx: slice | SupportsIndex) -> Any:
        if isinstance(idx, slice):
            return self._slice(idx)
        return self._modules[self._key(idx)]

    def _slice(self, idx: slice) -> Self:
        raise NotImplementedError(f"{type(self).__name__} must implement _slice")

    def __setitem__(self, idx: SupportsIndex, module: Module) -> None:
        setattr(self, self._key(idx), module)

    def __delitem__(self, idx: slice | SupportsIndex) -> None:
        kept = list(self._modules.values())
        del kept[idx if isinstance(idx, slice) else position(idx, len(self))]
        self._renumber(kept)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def append(self, module: Module) -> Self:
        """Add `module` at the end; return this container."""
        self.add_module(str(len(self)), module)
        return self

    def pop(self, key: SupportsIndex) -> Any:
        """Remove and return the module at position `key`."""
        module = self[key]
        del self[key]
        return module


class Sequential(_ModuleSequence):
    """Call modules one after the other, each with the result of the one before.

    `Sequential(a, b)` numbers them; `Sequential(OrderedDict(first=a, second=b))` names them.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = enumerate(args)
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            named = args[0].items()  # type: ignore[assignment]
        for name, module in named:
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        """Pass `input` through all modules."""
        for module in self:
            input = module(input)
        return input

    def _slice(self, idx: slice) -> Self:
        return type(self)(OrderedDict(list(self._modules.items())[idx]))

    def insert(self, index: int, module: Module) -> Self:
        """Put `module` before position `index`; return this container."""
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        if not -len(self) <= index <= len(self):
            raise IndexError(f"Index out of range: {index}")
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)
        return self

    def extend(self, sequential: Iterable[Module]) -> Self:
        """Add all modules of `sequential` at the end; return this container."""
        for module in list(sequential):
            self.append(module)
        return self

    def __add__(self, other: Sequential) -> Sequential:
        return Sequential(*self, *self._other(other))

    def __iadd__(self, other: Sequential) -> Self:
        return self.extend(self._other(other))

    def _other(self, other: object) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"add operator supports only objects of Sequential class, but {type(other)} is given.")
        return other

    def __mul__(self, other: int) -> Sequential:
        return Sequential(*(list(self) * self._factor(other)))

    def __rmul__(self, other: int) -> Sequential:
        return self * other

    def __imul__(self, other: int) -> Self:
        return self.extend(list(self) * (self._factor(other) - 1))

    def _factor(self, other: object) -> int:
        if not isinstance(other, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(other)}")
        if other <= 0:
            raise ValueError(f"Non-positive multiplication factor {other} for {type(self)}")
        return other


class ModuleList(_ModuleSequence):
    """A list of modules, without a `forward` of its own."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def _slice(self, idx: slice) -> Self:
        return type(self)(list(self)[idx])

    def insert(self, index: int, module: Module) -> None:
        """Put `module` before position `index`, as `list.insert` does."""
        if not isinstance(module, Module):
            raise TypeError(f"{type_name(module)} is not a Module subclass")
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add all of `modules` at the end; return this list."""
        for module in list(as_iterable("ModuleList.extend", modules)):
            self.append(module)
        return self

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __repr__(self) -> str:
        """Print runs of modules that look alike as one line."""
        lines, start = [], 0
        for text, run in groupby(repr(module) for module in self):
            count = len(list(run))
            several = f"({start}-{start + count - 1}): {count} x {text}"
            lines.append(f"({start}): {text}" if count == 1 else several)
            start += count
        body = "\n".join(lines).replace("\n", "\n  ")
        return f"{self._get_name()}(\n  {body}\n)" if lines else f"{self._get_name()}()"


class ModuleDict(Module):
    """A dict of modules by name, in the order in which they were added."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Remove all modules."""
        self._modules.clear()

    def pop(self, key: str) -> Any:
        """Remove and return the module of `key`."""
        return self._modules.pop(key)

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self._modules.keys()

    def items(self) -> ItemsView[str, Any]:
        """Return the names with their modules."""
        return self._modules.items()

    def values(self) -> ValuesView[Any]:
        """Return the modules."""
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Add or replace modules, from a mapping or from key/value pairs."""
        given = as_iterable("ModuleDict.update", modules, "an iterable of key/value pairs")
        if isinstance(modules, Mapping | ModuleDict):
            given = modules.items()
        for key, module in as_pairs("ModuleDict", given):
            self[key] = module
