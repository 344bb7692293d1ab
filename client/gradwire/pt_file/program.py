"""Writes a value as a pickle program, protocol 2, opcode by opcode: what PyTorch's weights-only loader reads.

Each object is written once and referred to afterwards, so what was shared, or contains itself, is so after loading.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from gradwire.device import Device
from gradwire.properties import Size
from gradwire.pt_file.modules import write_function, write_module
from gradwire_protocol.dtypes import DType

__all__ = ["Program"]

_ADVICE = {
    "Namespace": "save vars(...) of it",
    "ndarray": "save gradwire.from_numpy(...) of it",
    "function": "leave it out, and name it by a string",
}


class Program:
    """The bytes of one program, and what was written so far.

    `write_tensor(program, tensor)` writes a tensor, whose storages are the caller's to keep.
    """

    def __init__(self, write_tensor: Callable[[Program, Any], None]) -> None:
        self._parts: list[bytes] = [b"\x80\x02"]
        self._memo: dict[Any, int] = {}
        self._kept: list[Any] = []  # an object whose number of identity is in the memo must live as long as it
        self._write_tensor = write_tensor

    def finished(self) -> bytes:
        """End the program and return it."""
        return b"".join([*self._parts, b"."])

    def emit(self, *parts: bytes) -> None:
        """Append opcodes."""
        self._parts += parts

    def write(self, value: Any) -> None:
        """Append what pushes a value; raise TypeError for one that plain data and tensors cannot hold."""
        from gradwire.nn.module import Module
        from gradwire.tensor import Tensor

        writer = _WRITERS.get(type(value))
        if writer is not None:
            writer(self, value)
        elif isinstance(value, Tensor):
            if not self.recall(id(value)):
                self._write_tensor(self, value)
                self.remember(id(value), value)
        elif isinstance(value, Module):
            write_module(self, value)
        elif isinstance(value, FunctionType) and write_function(self, value):
            pass
        else:
            raise TypeError(
                "save needs tensors, numbers, text, bytes, and dicts, lists, tuples and sets of these; got "
                f"{_named(value)}{_advice(value)}"
            )

    # -- the memo
    def recall(self, key: Any) -> bool:
        """Push what was written under a key; return False if nothing was."""
        place = self._memo.get(key)
        if place is None:
            return False
        self.emit(b"h" + bytes([place]) if place < 256 else b"j" + struct.pack("<I", place))
        return True

    def remember(self, key: Any, value: Any = None) -> None:
        """Keep what stands on the stack under a key."""
        place = self._memo[key] = len(self._memo)
        self._kept.append(value)
        self.emit(b"q" + bytes([place]) if place < 256 else b"r" + struct.pack("<I", place))

    # -- pieces that a tensor needs too
    def write_global(self, module: str, name: str) -> None:
        """Push a global by its name."""
        if not self.recall((module, name)):
            self.emit(b"c", module.encode(), b"\n", name.encode(), b"\n")
            self.remember((module, name))

    def write_int(self, value: int) -> None:
        """Push an integer of any size."""
        if 0 <= value < 1 << 8:
            self.emit(b"K", bytes([value]))
        elif 0 <= value < 1 << 16:
            self.emit(b"M", struct.pack("<H", value))
        elif -(1 << 31) <= value < 1 << 31:
            self.emit(b"J", struct.pack("<i", value))
        else:
            raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            if len(raw) > 255:
                raise OverflowError(f"save needs integers of at most 2,039 bits; got one of {value.bit_length():,}")
            self.emit(b"\x8a", bytes([len(raw)]), raw)

    def write_text(self, value: str) -> None:
        """Push text."""
        if not self.recall(("text", value)):
            raw = value.encode("utf-8", "surrogatepass")
            self.emit(b"X", struct.pack("<I", len(raw)), raw)
            self.remember(("text", value))

    def write_tuple(self, values: Iterable[Any]) -> None:
        """Push a tuple."""
        self.emit(b"(")
        for value in values:
            self.write(value)
        self.emit(b"t")

    def write_empty_ordered_dict(self) -> None:
        """Push a new OrderedDict."""
        self.write_global("collections", "OrderedDict")
        self.emit(b")R")


def _named(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _advice(value: Any) -> str:
    for kind in type(value).__mro__:
        if kind.__name__ in _ADVICE:
            return f"; {_ADVICE[kind.__name__]}"
    return "; save float(...) of it" if isinstance(value, float) else "; convert it to one of these"


# ---------------------------------------------------------------- a writer for each plain type
def _float(program: Program, value: float) -> None:
    program.emit(b"G", struct.pack(">d", value))


def _complex(program: Program, value: complex) -> None:
    program.write_global("__builtin__", "complex")
    program.write_tuple((value.real, value.imag))
    program.emit(b"R")


def _bytes(program: Program, value: bytes) -> None:
    # Protocol 2 has no opcode for bytes; this is how Python itself writes them in it.
    program.write_global("_codecs", "encode")
    program.write_tuple((value.decode("latin1"), "latin1"))
    program.emit(b"R")


def _list(program: Program, value: list[Any]) -> None:
    if program.recall(id(value)):
        return
    program.emit(b"]")
    program.remember(id(value), value)  # before its items, one of which may be itself
    program.emit(b"(")
    for item in value:
        program.write(item)
    program.emit(b"e")


def _items(program: Program, value: dict[Any, Any]) -> None:
    program.remember(id(value), value)
    program.emit(b"(")
    for key, item in value.items():
        program.write(key)
        program.write(item)
    program.emit(b"u")


def _dict(program: Program, value: dict[Any, Any]) -> None:
    if not program.recall(id(value)):
        program.emit(b"}")
        _items(program, value)


def _ordered(program: Program, value: OrderedDict[Any, Any]) -> None:
    if program.recall(id(value)):
        return
    program.write_empty_ordered_dict()
    _items(program, value)
    metadata = getattr(value, "_metadata", None)
    if metadata is not None:
        program.write({"_metadata": metadata})
        program.emit(b"b")


def _set(program: Program, value: set[Any]) -> None:
    program.write_global("__builtin__", "set")
    program.write_tuple((list(value),))
    program.emit(b"R")


def _size(program: Program, value: Size) -> None:
    program.write_global("torch", "Size")
    program.write_tuple((tuple(value),))
    program.emit(b"R")


def _device(program: Program, value: Device) -> None:
    program.write_global("torch", "device")
    program.write_tuple((value.type,) if value.index is None else (value.type, value.index))
    program.emit(b"R")


_WRITERS: dict[type[Any], Callable[[Program, Any], None]] = {
    type(None): lambda program, value: program.emit(b"N"),
    bool: lambda program, value: program.emit(b"\x88" if value else b"\x89"),
    int: Program.write_int,
    float: _float,
    complex: _complex,
    str: Program.write_text,
    bytes: _bytes,
    list: _list,
    tuple: Program.write_tuple,
    dict: _dict,
    OrderedDict: _ordered,
    set: _set,
    Size: _size,
    Device: _device,
    DType: lambda program, value: program.write_global("torch", value.name),
}
