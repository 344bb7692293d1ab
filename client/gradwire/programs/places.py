"""What a function can see besides its arguments: tensors, and the Python values that decide what it does.

`survey` walks from a function over its closure, the globals that its code names, the objects it is bound to, modules,
optimizers, containers and the attributes of a user's own objects. Tensors are noted by the place where they were found, so a
replay takes what lies there then. Everything else is noted as a guard: a place and what must still lie there.

Not seen: what code reads through a module of Python's (`settings.rate`), a class, or a library's object.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gradwire.device import Device
from gradwire.generators import Generator
from gradwire.nn.module import Module
from gradwire.optim.fused import FusedOptimizer
from gradwire.optim.lr_scheduler.base import LRScheduler
from gradwire.optim.optimizer import Optimizer
from gradwire.tensor import Tensor
from gradwire_protocol.dtypes import DType

__all__ = ["Guard", "Place", "Survey", "stored_at", "survey"]

_SIMPLE = (bool, int, float, complex, str, bytes, type(None), DType, Device)
_OWN = ("gradwire", "gradwire_protocol", "builtins")
_MAX_OBJECTS = 100_000
# What is read without being named in a user's code.
_ALWAYS_NAMED = ("forward", "__call__", "training", "_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks",
                 "_backward_hooks", "_backward_pre_hooks")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where something lies: `get(key)`, under a name that a user knows."""

    get: Callable[[Any], Any]
    key: Any
    name: str


@dataclass(frozen=True, slots=True)
class Guard:
    """A place and what lies there."""

    place: Place
    content: Any

    def holds(self) -> bool:
        """Return whether the same lies there still."""
        found = _content(self.place)
        return found is self.content or (type(found) is type(self.content) and _equal(found, self.content))


def _equal(found: Any, content: Any) -> bool:
    return isinstance(content, _SIMPLE) and bool(found == content)


_GONE = object()


def _content(place: Place) -> Any:
    try:
        return place.get(place.key)
    except (LookupError, AttributeError, ValueError):
        return _GONE


@dataclass(slots=True)
class Survey:
    """The places of tensors, the guards, and the code that was met."""

    tensors: dict[int, tuple[Place, Tensor]] = field(default_factory=dict)  # by id of the tensor
    guards: list[Guard] = field(default_factory=list)
    codes: list[types.CodeType] = field(default_factory=list)
    _seen: dict[int, Any] = field(default_factory=dict)
    _pending: list[tuple[Any, str]] = field(default_factory=list)
    _names: set[str] = field(default_factory=lambda: set(_ALWAYS_NAMED))
    _objects: list[tuple[Any, str, set[str]]] = field(default_factory=list)  # with the attributes walked so far

    def changed(self) -> Guard | None:
        """Return the first guard that does not hold any more."""
        for guard in self.guards:
            place = guard.place
            try:  # what lies there is nearly always the same object, and this is asked before every run
                if place.get(place.key) is guard.content:
                    continue
            except (LookupError, AttributeError, ValueError):
                return guard
            if not guard.holds():
                return guard
        return None

    # -- walking -------------------------------------------------------------------------------------------------------

    def visit(self, root: Any, name: str) -> None:
        """Walk everything that can be reached from an object."""
        self._pending.append((root, name))
        while self._pending and len(self._seen) < _MAX_OBJECTS:
            found, name = self._pending.pop()
            if id(found) not in self._seen:
                self._seen[id(found)] = found  # held, so that its id stays its own
                self._open(found, name)
            if not self._pending:
                # Code that was met since may name more attributes of an object than were walked.
                for item in self._objects:
                    self._open_attributes(*item)

    def at(self, get: Callable[[Any], Any], key: Any, name: str) -> None:
        """Note what lies at a place, and walk on from it."""
        place = Place(get, key, name)
        content = _content(place)
        if isinstance(content, Tensor):
            self.tensors.setdefault(id(content), (place, content))
        elif isinstance(content, _SIMPLE):
            self.guards.append(Guard(place, content))
        elif _is_walked(content):
            self.guards.append(Guard(place, content))
            self._pending.append((content, name))

    def _open(self, found: Any, name: str) -> None:
        if isinstance(found, types.FunctionType):
            self._open_function(found, name)
        elif isinstance(found, types.MethodType):
            self._pending += [(found.__self__, name), (found.__func__, name)]
        elif isinstance(found, partial):
            self._pending += [(found.func, name), (found.args, name), (found.keywords, name)]
        elif isinstance(found, dict):
            self._length(found, name)
            for key in list(found):
                self.at(found.__getitem__, key, f"{name}[{key!r}]" if name else str(key))
        elif isinstance(found, list | tuple):
            self._length(found, name)
            for index in range(len(found)):
                self.at(found.__getitem__, index, f"{name}[{index}]")
        elif isinstance(found, Optimizer):
            self._open_optimizer(found, name)
        elif not isinstance(found, type | types.ModuleType | LRScheduler | Generator | Tensor):
            self._open_object(found, name)

    def _length(self, container: Any, name: str) -> None:
        self.guards.append(Guard(Place(lambda _: len(container), None, f"the length of {name}"), len(container)))

    def _open_function(self, function: types.FunctionType, name: str) -> None:
        code = function.__code__
        if _is_own(function):
            return
        for inner in _nested(code):
            self.codes.append(inner)
            self._names.update(inner.co_names)
        for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self.at(partial(_in_cell, cell), variable, variable)
        named = {key for inner in _nested(code) for key in inner.co_names}
        for key in sorted(named & function.__globals__.keys()):
            self.at(function.__globals__.__getitem__, key, key)
        for value in (function.__defaults__, function.__kwdefaults__, getattr(function, "__wrapped__", None)):
            if value is not None:
                self._pending.append((value, name))

    def _open_optimizer(self, optimizer: Optimizer, name: str) -> None:
        """Walk the parameters and what is kept for each; a fused optimizer's options are asked for at each step."""
        self.guards.append(
            Guard(
                Place(lambda _: len(optimizer.param_groups), None, f"the groups of {name}"), len(optimizer.param_groups)
            )
        )
        for index, group in enumerate(optimizer.param_groups):
            self._pending.append((group["params"], f"{name}.param_groups[{index}]['params']"))
            if not isinstance(optimizer, FusedOptimizer):
                self._pending.append((group, f"{name}.param_groups[{index}]"))
            for parameter in group["params"]:
                for key, value in optimizer.state.get(parameter, {}).items():
                    if isinstance(value, Tensor):
                        get = partial(_state_of, optimizer, parameter)
                        self.tensors.setdefault(id(value), (Place(get, key, f"{name}.state[...][{key!r}]"), value))

    def _open_object(self, found: Any, name: str) -> None:
        """Walk the attributes of a module, or of an object of the user's, and the methods, that code names."""
        if isinstance(found, Module) or type(found).__module__.partition(".")[0] not in _OWN:
            self._objects.append((found, name, set()))
            self._open_attributes(*self._objects[-1])

    def _open_attributes(self, found: Any, name: str, walked: set[str]) -> None:
        kind, attributes = type(found), getattr(found, "__dict__", {})
        own = kind.__module__.partition(".")[0] in _OWN
        for key in [key for key in attributes if key not in walked and (own or key in self._names)]:
            walked.add(key)
            self.at(attributes.__getitem__, key, f"{name}.{key}" if name else key)
        for base in kind.__mro__:
            if base.__module__.partition(".")[0] not in _OWN:
                for key in vars(base).keys() & self._names:
                    function = vars(base)[key]
                    function = getattr(function, "fget", None) or getattr(function, "__func__", function)
                    if isinstance(function, types.FunctionType) and id(function) not in self._seen:
                        self._pending.append((function, key))


def _in_cell(cell: types.CellType, key: str) -> Any:
    return cell.cell_contents


def _state_of(optimizer: Optimizer, parameter: Tensor, key: str) -> Any:
    return optimizer.state[parameter][key]


def _is_own(function: types.FunctionType) -> bool:
    return (function.__module__ or "").partition(".")[0] in _OWN


def _is_walked(content: Any) -> bool:
    """Return whether an object may hold what a function can see."""
    if isinstance(content, types.FunctionType):
        return not _is_own(content)
    if isinstance(content, type | types.ModuleType | types.BuiltinFunctionType):
        return False
    if isinstance(content, dict | list | tuple | partial | types.MethodType | Module | Optimizer):
        return True
    return type(content).__module__.partition(".")[0] not in _OWN and hasattr(content, "__dict__")


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def survey(function: Any, arguments: Sequence[Any]) -> Survey:
    """Return what a function and its arguments that are no tensors can see."""
    found = Survey()
    found.visit(function, getattr(function, "__name__", ""))
    for index, argument in enumerate(arguments):
        if not isinstance(argument, Tensor):
            found.visit(argument, f"argument {index}")
    return found


def stored_at(codes: Sequence[types.CodeType], name: str) -> str:
    """Return the line that stores a variable or an attribute, as `file:line`; "" if none does."""
    import dis

    for code in codes:
        line = code.co_firstlineno
        for instruction in dis.get_instructions(code):
            line = (
                instruction.starts_line
                if isinstance(instruction.starts_line, int) and instruction.starts_line
                else line
            )
            if instruction.opname.startswith("STORE") and instruction.argval == name:
                return f"{code.co_filename}:{line}"
    return ""
