"""The tree that modules form: who holds which parameter, buffer and child, under which name.

Owns the three registers of a module and every walk over them. It never creates or changes a
tensor, and knows nothing of `forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self, TypeVar

from gradwire.nn.parameter import Parameter
from gradwire.tensor import Tensor

if TYPE_CHECKING:
    from gradwire.nn.module import Module

__all__ = ["ModuleTree", "type_name"]

T = TypeVar("T")


def type_name(value: object) -> str:
    """Return the dotted name of the type of `value`, without a module for built-in types."""
    kind = type(value)
    prefix = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{prefix}{kind.__qualname__}"


class ModuleTree:
    """The registers of one module, and the walks over it and all below it.

    Names are dotted paths from the module that is asked. Each object is given once, under the first
    name that reaches it, unless `remove_duplicate=False`; the module itself has the name "".
    """

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def _get_name(self) -> str:
        return type(self).__name__

    # ------------------------------------------------------------ walks
    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Iterate over the direct children and their names."""
        held = ((name, child) for name, child in self._modules.items() if child is not None)
        yield from _unique(held, set())

    def children(self) -> Iterator[Module]:
        """Iterate over the direct children."""
        return (child for _, child in self.named_children())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Iterate over this module and all below it, parents first; skip those in `memo`."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)  # type: ignore[arg-type]
        yield prefix, self  # type: ignore[misc]
        for name, child in self._modules.items():
            if child is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from child.named_modules(memo, path, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """Iterate over this module and all below it."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Iterate over the parameters and their names; of this module only if not `recurse`."""
        return self._named_members(lambda module: module._parameters.items(), prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Iterate over the parameters, as an optimizer takes them."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Iterate over the buffers and their names; of this module only if not `recurse`."""
        return self._named_members(lambda module: module._buffers.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Iterate over the buffers."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named_members(
        self,
        get_members_fn: Callable[[Any], Iterable[tuple[str, T | None]]],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, T]]:
        seen: set[int] = set()
        holders: Iterable[tuple[str, Any]] = [(prefix, self)]
        if recurse:
            holders = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        for path, module in holders:
            dotted = f"{path}." if path else ""
            held = [(dotted + name, m) for name, m in get_members_fn(module) if m is not None]
            yield from _unique(held, seen) if remove_duplicate else held

    def apply(self, fn: Callable[[Module], None]) -> Self:
        """Call `fn` with every module below and then with this one; return this module."""
        for child in self.children():
            child.apply(fn)
        fn(self)  # type: ignore[arg-type]
        return self

    # ------------------------------------------------------------ look-ups by dotted name
    def get_submodule(self, target: str) -> Module:
        """Return the module at the path `target`; raise AttributeError where it does not lead."""
        found: Any = self
        for name in target.split(".") if target else ():
            found = _attribute(found, name)
            if not isinstance(found, ModuleTree):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return found  # type: ignore[no-any-return]

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter at the path `target`; AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        found = _attribute(self.get_submodule(path), name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """Return the buffer at the path `target`; AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found = _attribute(module, name)
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return found  # type: ignore[no-any-return]


def _attribute(module: ModuleTree, name: str) -> Any:
    if not hasattr(module, name):
        raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
    return getattr(module, name)


def _unique(named: Iterable[tuple[str, T]], seen: set[int]) -> Iterator[tuple[str, T]]:
    """Drop the objects whose id is in `seen`: tensors compare by value, so not by a set of them."""
    for name, held in named:
        if id(held) not in seen:
            seen.add(id(held))
            yield name, held
