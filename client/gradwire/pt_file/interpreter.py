"""Runs a pickle's opcodes over a table of builders. What is not in the table, and any opcode that could run code, raises.

Python's own unpickler imports and calls whatever the data names. This one never does: `pickletools` decodes opcodes and
their arguments, and what they do is written here.
"""

from __future__ import annotations

import pickletools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

__all__ = ["Builder", "Interpreter", "Refused"]

_MARK = object()
_PLAIN = (str, int, float, bytes, complex, type(None))


class Refused(Exception):
    """Why a program is not run, as one clause of a sentence."""


class Builder:
    """Stands on the stack for a global of the table; `build` makes its value of the arguments of a REDUCE."""

    __slots__ = ("build", "name")

    def __init__(self, name: str, build: Callable[..., Any]) -> None:
        self.name, self.build = name, build


class Interpreter:
    """One run of one program.

    `find` returns what stands for a dotted global, or raises Refused; `load` what stands for a persistent id.
    """

    def __init__(self, find: Callable[[str], Any], load: Callable[[Any], Any]) -> None:
        self._find, self._load = find, load
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, program: bytes) -> Any:
        """Return the value that a program builds; raise Refused if it is none, or asks for more than the table has."""
        try:
            for opcode, argument, _ in pickletools.genops(program):
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._step(opcode.name, argument)
        except (ValueError, TypeError, IndexError, KeyError, AttributeError, UnicodeError) as error:
            raise Refused(f"its pickle is not whole ({type(error).__name__}: {error!s:.100})") from None
        raise Refused("its pickle does not end")

    def _step(self, name: str, argument: Any) -> None:
        if name in _PUSHES:
            self._stack.append(argument)
        elif name in _VALUES:
            self._stack.append(_VALUES[name]())
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise Refused(f"its pickle has the opcode {name}, which plain data and tensors do not need")

    # -- pieces of the stack
    def _above_mark(self) -> list[Any]:
        """Take what was pushed since the last mark, and the mark."""
        place = len(self._stack) - 1
        while self._stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise IndexError("no mark")
        taken = self._stack[place + 1 :]
        del self._stack[place:]
        return taken

    def _taken(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise IndexError("stack too short")
        taken = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return taken

    # -- actions
    def _mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _tuple_of_marked(self, _: Any) -> None:
        self._stack.append(tuple(self._above_mark()))

    def _tuple1(self, _: Any) -> None:
        self._stack.append(tuple(self._taken(1)))

    def _tuple2(self, _: Any) -> None:
        self._stack.append(tuple(self._taken(2)))

    def _tuple3(self, _: Any) -> None:
        self._stack.append(tuple(self._taken(3)))

    def _append(self, _: Any) -> None:
        item = self._stack.pop()
        _expect(self._stack[-1], list).append(item)

    def _appends(self, _: Any) -> None:
        items = self._above_mark()
        _expect(self._stack[-1], list).extend(items)

    def _setitem(self, _: Any) -> None:
        key, value = self._taken(2)
        _expect(self._stack[-1], dict)[_key(key)] = value

    def _setitems(self, _: Any) -> None:
        items = self._above_mark()
        into = _expect(self._stack[-1], dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            into[_key(key)] = value

    def _additems(self, _: Any) -> None:
        items = self._above_mark()
        _expect(self._stack[-1], set).update(map(_key, items))

    def _put(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, place: int) -> None:
        self._stack.append(self._memo[place])

    def _global(self, name: str) -> None:
        self._stack.append(self._find(name.replace(" ", ".")))

    def _stack_global(self, _: Any) -> None:
        module, name = self._taken(2)
        self._stack.append(self._find(f"{module}.{name}"))

    def _reduce(self, _: Any) -> None:
        builder, arguments = self._taken(2)
        if not isinstance(builder, Builder) or type(arguments) is not tuple:
            raise Refused("its pickle calls what is no constructor of plain data or tensors")
        self._stack.append(builder.build(*arguments))

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        # A state_dict carries its modules' versions as an attribute; nothing else of ours has a state.
        if type(target) is not OrderedDict or not isinstance(state, dict) or state.keys() - {"_metadata"}:
            raise Refused(f"its pickle sets the state of a {type(target).__name__}")
        for name, value in state.items():
            setattr(target, name, value)

    def _persistent(self, _: Any) -> None:
        self._stack.append(self._load(self._stack.pop()))


def _expect(value: Any, kind: type[Any]) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"a {kind.__name__} must stand here")
    return value


def _key(value: Any) -> Any:
    """Return a key that can be hashed without descending: hashing a tuple of tuples of ... exhausts the C stack."""
    plain = isinstance(value, _PLAIN) or (type(value) is tuple and all(isinstance(item, _PLAIN) for item in value))
    # Everything else of the table is hashed by identity or by its name.
    if not plain and isinstance(value, tuple | list | dict | set | bytearray):
        raise TypeError("a key must be plain")
    return value


# What the argument of an opcode is, as it stands.
_PUSHES = frozenset({
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "INT", "LONG", "FLOAT", "STRING",
})  # fmt: skip
_VALUES: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_DICT": dict, "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple, "EMPTY_SET": set,
}  # fmt: skip
_ACTIONS: dict[str, Callable[[Interpreter, Any], None]] = {
    "MARK": Interpreter._mark, "TUPLE": Interpreter._tuple_of_marked, "TUPLE1": Interpreter._tuple1,
    "TUPLE2": Interpreter._tuple2, "TUPLE3": Interpreter._tuple3, "APPEND": Interpreter._append,
    "APPENDS": Interpreter._appends, "SETITEM": Interpreter._setitem, "SETITEMS": Interpreter._setitems,
    "ADDITEMS": Interpreter._additems, "BINPUT": Interpreter._put, "LONG_BINPUT": Interpreter._put,
    "MEMOIZE": Interpreter._memoize, "BINGET": Interpreter._get, "LONG_BINGET": Interpreter._get,
    "GLOBAL": Interpreter._global, "STACK_GLOBAL": Interpreter._stack_global, "REDUCE": Interpreter._reduce,
    "BUILD": Interpreter._build, "BINPERSID": Interpreter._persistent,
}  # fmt: skip
