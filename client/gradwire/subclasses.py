"""Subclasses of Tensor that get at calls: `__torch_function__`, `as_subclass`, and the switch that turns them off.

PyTorch hands every call to a subclass's `__torch_function__`. Here its methods do: each method of Tensor that the subclass
does not define itself is wrapped, once, when the class is made, so that calls on plain tensors cost nothing more. A function
such as `torch.add(x, y)` comes as the method of its first tensor; a subclass that is only a later argument is not asked.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType, TracebackType
from typing import Any, Self, TypeVar, cast

__all__ = ["DisableTorchFunctionSubclass", "SubclassMethods"]

T = TypeVar("T")
# They make or free the object, are asked by Python itself, or are this file's own.
_OWN = frozenset(
    ("as_subclass", "data_ptr", "__del__", "__init__", "__new__", "__init_subclass__", "__hash__", "__class__")
)
_BINARY = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift",
)  # fmt: skip
_OTHER = ("getitem", "setitem", "neg", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge")
_SPECIAL = frozenset(
    (*(f"__{side}{name}__" for name in _BINARY for side in ("", "r", "i")), *(f"__{n}__" for n in _OTHER))
)


class _Switch(threading.local):
    disabled = 0


_switch = _Switch()


class DisableTorchFunctionSubclass:
    """A context in which subclasses are treated as plain tensors, on this thread."""

    def __enter__(self) -> Self:
        _switch.disabled += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _switch.disabled -= 1


def _asks(kind: type) -> bool:
    """Return whether a class has a `__torch_function__` of its own."""
    found = getattr(kind, "__torch_function__", None)
    return found is not None and getattr(found, "__func__", found) is not SubclassMethods.__torch_function__.__func__  # type: ignore[attr-defined]


def _asking(method: FunctionType) -> Callable[..., Any]:
    """Return a method that asks the object's class what to do."""

    @functools.wraps(method)
    def asked(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _switch.disabled:
            return method(self, *args, **kwargs)
        kinds = tuple(dict.fromkeys(type(value) for value in (self, *args, *kwargs.values()) if _asks(type(value))))
        found = type(self).__torch_function__(method, kinds, (self, *args), kwargs)
        if found is NotImplemented:
            raise TypeError(
                f"no implementation found for 'torch.Tensor.{method.__name__}' on types that implement __torch_function__: "
                f"{list(kinds)}"
            )
        return found

    return asked


class SubclassMethods:
    """Mixed into Tensor."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__torch_function__" not in vars(cls):
            return
        from gradwire.tensor import Tensor

        between = cls.__mro__[: cls.__mro__.index(Tensor)]
        defined = {name for base in between for name in vars(base)}
        for name in dir(Tensor):
            public = not name.startswith("_") or name in _SPECIAL
            value = getattr(Tensor, name) if public and name not in _OWN | defined else None
            if isinstance(value, FunctionType):
                setattr(cls, name, _asking(value))

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:  # fmt: skip
        """Run `func` as on plain tensors, and return its tensors as `cls`; a subclass that defines it is asked each call."""
        if not all(issubclass(cls, kind) for kind in types):
            return NotImplemented
        with DisableTorchFunctionSubclass():
            return _as(cls, func(*args, **kwargs or {}))

    def as_subclass(self, cls: type[T]) -> T:
        """Return this tensor as an object of a subclass of Tensor: the same memory, and the same place in the graph."""
        from gradwire.tensor import Tensor

        if not (isinstance(cls, type) and issubclass(cls, Tensor)):
            raise TypeError(f"as_subclass(): cls must be a subclass of Tensor, not {cls!r}")
        with DisableTorchFunctionSubclass():
            made: Any = cast(Any, self).alias()
        made.__class__ = cls
        return cast(T, made)


def _as(cls: type, value: Any) -> Any:
    from gradwire.tensor import Tensor

    if isinstance(value, Tensor):
        return value if isinstance(value, cls) else value.as_subclass(cls)
    if isinstance(value, tuple | list):
        made = [_as(cls, item) for item in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    return value
