"""Modules that hold parameters as a Python list or dict would.

Parameters are registered under their index or key, so that they are enumerated, moved and saved.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, KeysView, Mapping
from typing import Any, Self, SupportsIndex, overload

from gradwire.nn.container import as_iterable, as_pairs, position
from gradwire.nn.module import Module
from gradwire.nn.parameter import Parameter
from gradwire.tensor import Tensor

__all__ = ["ParameterDict", "ParameterList"]


def _as_parameter(value: Any) -> Any:
    """Make a plain tensor a parameter; PyTorch's parameter containers hold anything else as is."""
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        return Parameter(value)
    return value


def _entry_repr(name: object, value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"({name}): Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    size = "x".join(map(str, value.shape))
    place = f" (GPU {value.device.index})" if value.device.type == "cuda" else ""
    return f"({name}): {kind} containing: [{value.dtype} of size {size}{place}]"


class _ParameterContainer(Module):
    """What `ParameterList` and `ParameterDict` share: printing, and that they are not called."""

    def _entries(self) -> Iterable[tuple[object, Any]]:
        raise NotImplementedError(f"{type(self).__name__} must implement _entries")

    def extra_repr(self) -> str:
        """Return one line per entry, with its dtype and size."""
        return "\n".join(f"  {_entry_repr(name, value)}" for name, value in self._entries())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: a container of parameters has no `forward`."""
        raise RuntimeError(f"{type(self).__name__} should not be called.")


class ParameterList(_ParameterContainer):
    """A list of parameters. Tensors are made parameters; other objects are held as they are."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    @overload
    def __getitem__(self, idx: slice) -> Self: ...
    @overload
    def __getitem__(self, idx: SupportsIndex) -> Any: ...
    def __getitem__(self, idx: slice | SupportsIndex) -> Any:
        if isinstance(idx, slice):
            return type(self)(list(self)[idx])
        return getattr(self, str(position(idx, self._size)))

    def __setitem__(self, idx: SupportsIndex, param: Any) -> None:
        setattr(self, str(position(idx, self._size)), _as_parameter(param))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(self._size))

    def __iadd__(self, parameters: Iterable[Any]) -> Self:
        return self.extend(parameters)

    def append(self, value: Any) -> Self:
        """Add `value` at the end; return this list."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add all of `values` at the end; return this list."""
        for value in list(as_iterable("ParameterList.extend", values)):
            self.append(value)
        return self

    def _entries(self) -> Iterable[tuple[object, Any]]:
        return enumerate(self)


class ParameterDict(_ParameterContainer):
    """A dict of parameters. Tensors are made parameters; other objects are held as they are."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, self._checked(key))

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, self._checked(key), _as_parameter(value))
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def _checked(self, key: Any) -> str:
        if not isinstance(key, str):
            raise TypeError(
                "Index given to ParameterDict cannot be used as a key as it is not a string"
                f" (type is '{type(key).__name__}')."
            )
        return key

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __or__(self, other: ParameterDict) -> ParameterDict:
        return self.copy().__ior__(other)

    def __ior__(self, other: ParameterDict) -> Self:
        self.update(other)
        return self

    def copy(self) -> ParameterDict:
        """Return another dict of the same parameters."""
        return ParameterDict(self.items())

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, which is `default` from now on if there was none."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Remove all entries."""
        for key in list(self):
            del self[key]

    def pop(self, key: str) -> Any:
        """Remove `key` and return its value."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove and return the last pair."""
        key, _ = self._keys.popitem()
        value = getattr(self, key)
        delattr(self, key)
        return key, value

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, or `default`."""
        if key not in self:
            return default
        return self[key]

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """Return a new dict that holds `default` for each of `keys`."""
        return ParameterDict([(key, default) for key in keys])

    def keys(self) -> KeysView[str]:
        """Return the keys."""
        return self._keys.keys()

    def items(self) -> Iterator[tuple[str, Any]]:
        """Iterate over the pairs."""
        return ((key, self[key]) for key in self)

    def values(self) -> Iterator[Any]:
        """Iterate over the values."""
        return (self[key] for key in self)

    def update(self, parameters: Any) -> None:
        """Add or replace entries, from a mapping or from key/value pairs.

        As in PyTorch, a plain mapping is taken in the order of its sorted keys; an OrderedDict,
        another ParameterDict and a sequence of pairs in their own.
        """
        given = as_iterable("ParametersDict.update", parameters, "an iterable of key/value pairs")
        if isinstance(parameters, ParameterDict | OrderedDict):
            given = parameters.items()
        elif isinstance(parameters, Mapping):
            given = sorted(parameters.items())
        for key, value in as_pairs("ParameterDict", given):
            self[key] = value

    def _entries(self) -> Iterable[tuple[object, Any]]:
        return self.items()
