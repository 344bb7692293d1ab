"""The text of one compiled function that goes through steps: by numpy's inner loops, and its own where numpy has none."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradwire_server.native.instructions import ENDING, Unwritable
from gradwire_server.native.ufunc_loops import inner_loop

__all__ = ["NAME", "TYPES", "Code"]

Array = np.ndarray[Any, Any]

NAME = "run"
TYPES = {"f": "float", "d": "double"}
# Arrays that a loop of numpy's takes at most, of those that are called here.
_MOST_ARRAYS = 3


class Code:
    """A function of a table of addresses. The first entry says at the end which step was refused, counted from 1, or 0."""

    def __init__(self) -> None:
        """Start with an empty body."""
        self.fixed: dict[int, Array] = {}  # memory of the function's own, by its place in the table
        self._lines: list[str] = []
        self._functions: dict[str, str] = {}
        self._alike: dict[str, str] = {}
        self._constants: dict[tuple[int, ...], str] = {}
        self.entries = 1  # of the table
        self._names = itertools.count()

    def place(self) -> str:
        """Return the pointer that a new entry of the table holds."""
        self.entries += 1
        return f"%p{self.entries - 1}"

    def scratch(self, shape: Sequence[int], char: str) -> str:
        """Return a pointer to new memory of the function's own."""
        return self.memory(np.empty(tuple(shape), char))

    def memory(self, array: Array) -> str:
        """Return a pointer to an array that is always the same, and kept."""
        self.fixed[self.entries] = array
        return self.place()

    def new(self, text: str) -> str:
        """Add an instruction and return the name of its result."""
        name = f"%v{next(self._names)}"
        self._lines.append(f"{name} = {text}")
        return name

    def add(self, line: str) -> None:
        """Add an instruction without a result."""
        self._lines.append(line)

    def function(self, name: str, text: str) -> str:
        """Add a function to the module, if it is not there yet, and return its name."""
        self._functions.setdefault(name, text)
        return name

    def call(self, name: str, arguments: Sequence[int | str]) -> None:
        """Call a function of the module on sizes and pointers."""
        given = [f"i64 {argument}" if isinstance(argument, int) else f"ptr {argument}" for argument in arguments]
        self._lines.append(f"call void @{name}({', '.join(given)})")

    def named(self, text: Callable[[str], str]) -> str:
        """Add a function that has no name yet, if none like it is there, and return its name."""
        name = self._alike.setdefault(text("function"), f"function{len(self._alike)}")
        return self.function(name, text(name))

    def integers(self, values: Sequence[int]) -> str:
        """Return the name of constants in memory."""
        return self._constants.setdefault(tuple(values), f"@c{len(self._constants)}")

    def pointers(self, names: Sequence[str]) -> str:
        """Write pointers into memory, and return where."""
        made = self.new(f"alloca [{len(names)} x ptr]")
        for index, name in enumerate(names):
            self.add(f"store ptr {name}, ptr {self.new(f'getelementptr ptr, ptr {made}, i64 {index}')}")
        return made

    @property
    def length(self) -> int:
        """Return the number of lines, for `shorten`."""
        return len(self._lines)

    def shorten(self, length: int) -> None:
        """Drop what was added since the body had so many lines."""
        del self._lines[length:]

    def refuse_if(self, condition: str, step: int) -> None:
        """End the function before a step, counted from 0, that must be taken by its kernel."""
        number = next(self._names)
        self._lines += [
            f"br i1 {condition}, label %refuse{number}, label %go{number}", f"refuse{number}:",
            f"store i64 {step + 1}, ptr %table", "ret void", f"go{number}:",
        ]  # fmt: skip

    def ufunc(
        self, name: str, char: str, arrays: Sequence[str], sizes: Sequence[int], steps: Sequence[int],
        repeats: int = 1, advance: Sequence[int] = (),
    ) -> None:  # fmt: skip
        """Call a ufunc's loop on arrays, of which the last is the result: `repeats` times, each time `advance` bytes further."""
        loop = inner_loop(name, f"{char * (len(arrays) - 1)}->{char}")
        if loop is None:
            raise Unwritable(name)
        given = [*arrays, *["null"] * (_MOST_ARRAYS - len(arrays))]
        further = [*advance, *[0] * (_MOST_ARRAYS - len(advance))]
        arguments = [
            f"i64 {repeats}", f"ptr inttoptr (i64 {loop.function} to ptr)", f"ptr inttoptr (i64 {loop.data} to ptr)",
            *[f"ptr {pointer}" for pointer in given], *[f"i64 {step}" for step in further],
            f"ptr {self.integers(sizes)}", f"ptr {self.integers(steps)}",
        ]  # fmt: skip
        self.add(f"call void @{self.function('repeat', _REPEAT)}({', '.join(arguments)})")

    def text(self) -> str:
        """Return the module."""
        constants = [
            f"{name} = internal constant [{len(values)} x i64] [{', '.join(f'i64 {value}' for value in values)}]"
            for values, name in self._constants.items()
        ]
        loads = [
            line for number in range(1, self.entries)
            for line in (f"%at{number} = getelementptr i64, ptr %table, i64 {number}",
                         f"%p{number} = load ptr, ptr %at{number}")
        ]  # fmt: skip
        body = "\n  ".join([*loads, *self._lines, "store i64 0, ptr %table", "ret void"])
        return "\n".join([
            *constants, *self._functions.values(), f"define void @{NAME}(ptr %table) {{\n  {body}\n}}", ENDING,
        ])  # fmt: skip


_REPEAT = """
define internal void @repeat(i64 %count, ptr %loop, ptr %data, ptr %a, ptr %b, ptr %c, i64 %da, i64 %db, i64 %dc, ptr %sizes,
    ptr %steps) noinline {
entry:
  %args = alloca [3 x ptr]
  %second = getelementptr ptr, ptr %args, i64 1
  %third = getelementptr ptr, ptr %args, i64 2
  br label %turn
turn:
  %i = phi i64 [ 0, %entry ], [ %next, %turn ]
  %oa = mul i64 %i, %da
  %ob = mul i64 %i, %db
  %oc = mul i64 %i, %dc
  %pa = getelementptr i8, ptr %a, i64 %oa
  %pb = getelementptr i8, ptr %b, i64 %ob
  %pc = getelementptr i8, ptr %c, i64 %oc
  store ptr %pa, ptr %args
  store ptr %pb, ptr %second
  store ptr %pc, ptr %third
  call void %loop(ptr %args, ptr %sizes, ptr %steps, ptr %data)
  %next = add nuw nsw i64 %i, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %turn, label %end
end:
  ret void
}"""
